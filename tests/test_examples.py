"""The scripts in examples/ run, from the repository's root, and print what they say they do."""

import json
import os
import re
import site
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evaluate.__main__ import main as evaluate

ROOT = Path(__file__).resolve().parents[1]


FORKING = """
import json, os, runpy, sys, tempfile, traceback
import sb3_contrib, stable_baselines3, torch._dynamo

def run(script, arguments):
    sys.path[0], sys.argv = "examples", [script, *arguments]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        return ended.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0

for line in sys.stdin:
    said = [tempfile.TemporaryFile() for _ in range(2)]
    child = os.fork()
    if child == 0:
        for descriptor, file in enumerate(said, start=1):
            os.dup2(file.fileno(), descriptor)
        status = run(*json.loads(line))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    status, words = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), []
    for file in said:
        file.seek(0)
        words.append(file.read().decode())
    print(json.dumps([status, *words]), flush=True)
"""
"""A program that runs each script in a child of its own, which has the large libraries already and nothing else."""

Run = Callable[..., str]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Return a function that runs a script and returns what it prints; warnings are errors."""
    command = [sys.executable, "-W", "error", "-c", FORKING]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        requests, answers = process.stdin, process.stdout

        def run_script(script: str, *arguments: str) -> str:
            print(json.dumps([f"examples/{script}", arguments]), file=requests, flush=True)
            status, printed, complaints = json.loads(answers.readline())
            assert status == 0, complaints
            return str(printed)

        yield run_script


def environment() -> dict[str, str]:
    """Return the environment variables of a script, which finds this project's packages."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_no_plan_is_below_the_bound(run: Run) -> None:
    first, *rows = run("how_far.py").splitlines()
    least_s = float(re.fullmatch(r"no plan is below (\S+) s per query", first).group(1))  # type: ignore[union-attr]
    delays_s = {row.split()[0]: float(row.split()[1]) for row in rows}
    assert min(delays_s.values()) >= least_s
    assert delays_s["device-only"] == max(delays_s.values())
    assert delays_s["joint-efficiency"] < 1.12 * least_s


def test_a_plan_is_drawn(run: Run, tmp_path: Path) -> None:
    run("draw_plan.py", str(tmp_path / "plan.png"))
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")


def test_help_draws_nothing(run: Run) -> None:
    assert "file to write, such as plan.png" in run("draw_plan.py", "--help")
    assert not (ROOT / "--help.png").exists() and not (ROOT / "--help").exists()


@pytest.mark.parametrize(
    "script", ["cleanrl_ppo.py", "sb3_maskable_ppo.py", "sb3_own_policy.py", "sb3_without_masks.py"]
)
def test_an_agent_is_trained(run: Run, script: str) -> None:
    printed = run(script, "--steps", "2048")
    found = re.match(
        r"mean query delay (\S+) of that on the devices alone \(last \d+ episodes(, 0 illegal)?\)", printed
    )
    assert found is not None, printed
    assert 0.3 < float(found.group(1)) < 1.0


LIBRARIES = {
    "torchrl": "examples/torchrl_ppo.py --steps 4096",
    "tianshou": "examples/tianshou_dqn.py --steps 2000",
    "rllib": "examples/rllib_ppo.py --steps 4000",
    "rl-zoo3": "-m rl_zoo3.train --algo ppo --env dnnmig/Toy-v0 --gym-packages dnnmig_env -n 2000 "
    "--conf-file examples/rl_zoo3.yml",
}


@pytest.mark.slow
@pytest.mark.parametrize("extra", LIBRARIES)
def test_other_libraries_train(extra: str, tmp_path: Path) -> None:
    """In an environment of its own, which sees the packages of this one and adds those of the extra."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    (own,) = (tmp_path / "venv").glob("lib/*/site-packages")
    (own / "outside.pth").write_text("\n".join(site.getsitepackages()))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *extras[extra]], timeout=900, check=True)
    arguments = [*LIBRARIES[extra].split(), *(["-f", str(tmp_path)] if extra == "rl-zoo3" else [])]
    home = {**environment(), "HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(Path.home() / ".cache")}
    done = subprocess.run([python, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600, env=home)
    assert done.returncode == 0, done.stderr
    returns = [float(found) for found in re.findall(r"(?:mean return|ep_rew_mean +\|) (-?[\d.]+)", done.stdout)]
    assert returns
    assert all(0.0 < each < 1.0 for each in returns), returns


def test_planners_of_ones_own_plan_anew_beside_what_is_uploaded_already(tmp_path: Path) -> None:
    """The command of the guide, with fewer scenarios: a planner must not count memory that uploaded layers take."""
    names = "examples.my_classes:largest_first@replan,examples.my_classes:Largest"
    words = ["--family", "multi-user", "--scenarios", "2", "--policies", names, "--out", str(tmp_path / "out")]
    assert evaluate([*words, "--option", "edge_memory_share=(0.3,0.5)"]) == 0
