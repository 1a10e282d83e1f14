"""`python -m dnnmig_env compile`: after it, nothing is left to compile for environments and for planners."""

import subprocess
import sys
from pathlib import Path

import pytest

from dnnmig_env import compile_ahead
from dnnmig_env.__main__ import main

COUNT = """
import sys
from numba.core import event
import dnnmig_env.compiling.notice as notice

class Count(notice.Notice):
    def on_start(self, event):
        if notice._is_ours(event):
            print("compiled:", event.data["dispatcher"].py_func.__qualname__, event.data["args"])
    def on_end(self, event):
        pass

event.register("numba:compile", Count())
"""
ENVIRONMENTS = """
import gymnasium, dnnmig_env
from dnnmig_env.envs.registration import ENVIRONMENT_IDS
kinds = [{}, {"decisions": "two-phase"}, {"reward": "shaped", "scale": "device-only"}, {"illegal": "repair"}]
for name in ENVIRONMENT_IDS.values():
    for options in kinds:
        env = gymnasium.make(name, **options)
        env.reset(seed=0)
        env.step(env.unwrapped.stop_action)
        env = gymnasium.make_vec(name, num_envs=3, **options)
        env.reset(seed=0)
        env.step(env.unwrapped.action_masks().argmax(axis=1))
"""
EVALUATE = """
from evaluate.__main__ import main
policies = "device-only,front-to-back,efficiency,joint-efficiency,joint-efficiency@replan"
for family in ("multi-user", "mobile"):
    main(["--family", family, "--scenarios", "2", "--policies", policies, "--out", f"{sys.argv[1]}/{family}"])
"""


def compiled(code: str, *arguments: str) -> list[str]:
    """Run code in a process of its own and return what it compiled."""
    command = [sys.executable, "-c", COUNT + code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=True)
    return [line for line in done.stdout.splitlines() if line.startswith("compiled:")]


@pytest.mark.slow
def test_nothing_is_left_to_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    assert main(["compile"]) == 0
    assert compiled(ENVIRONMENTS) == []
    assert compiled(EVALUATE, str(tmp_path / "results")) == []


def test_parts_can_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "--only", "environments"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("environments: ")
    assert printed.splitlines()[-1].startswith("compiled, or found compiled, in ")
    assert compiled(ENVIRONMENTS) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "planets"], "--only is 'planets'; choose among planners, environments, searches"),
        (["--processes", "0"], "--processes is 0; it must be at least 1"),
    ],
)
def test_a_wrong_option_is_named(arguments, message, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_without_the_agents_their_parts_are_left_out(monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = compile_ahead.importlib.util.find_spec
    monkeypatch.setattr(
        compile_ahead.importlib.util, "find_spec", lambda name: None if name == "agents" else found(name)
    )
    assert main(["compile", "--only", "environments", "planners"]) == 0
    assert "planners: left out, as agents is not installed\n" in capsys.readouterr().out


def test_a_part_that_fails_is_named(monkeypatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(
        compile_ahead.PARTS, "unheard-of", "dnnmig_env.envs:unheard_of"
    )  # of which its process knows not
    assert main(["compile", "--only", "unheard-of"]) == 2
    assert "could not compile unheard-of; what went wrong stands above" in capfd.readouterr().err
