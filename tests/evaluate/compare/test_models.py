from __future__ import annotations

import json
from pathlib import Path

import pytest
from gymnasium.vector import AutoresetMode

from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator
from evaluate.__main__ import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from agents.learning.algorithms import make_model
    from agents.learning.checkpoint import save
    from agents.learning.sb3_vec_env import Sb3VecEnv
    from agents.policies.trained import BEST_MODEL

    folder = tmp_path_factory.mktemp("run")
    env = Sb3VecEnv(MigrationVectorEnv(2, make_generator("toy"), autoreset_mode=AutoresetMode.SAME_STEP))
    save(make_model("ppo", env, seed=0, device="cpu"), folder / BEST_MODEL, "toy", "joint", "ppo")
    return folder


def evaluate(out: Path, policies: str, *arguments: str, family: str = "toy") -> int:
    options = ["--family", family, "--scenarios", "20", "--policies", policies, "--out", str(out)]
    return main([*options, *arguments])


def test_a_models_folder_and_file_are_the_same_policy(folder: Path, tmp_path: Path) -> None:
    file = str(folder / "best_model.zip")
    assert evaluate(tmp_path / "out", f"{folder},{file},device-only") == 0
    policies = json.loads((tmp_path / "out" / "summary.json").read_text())["policies"]
    assert list(policies) == [str(folder), file, "device-only"]
    assert policies[str(folder)]["mean_delay_s"] == policies[file]["mean_delay_s"]
    assert policies[str(folder)]["planning_s"] > 0


def test_what_is_wrong_with_a_model_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes((folder / "best_model.zip").read_bytes()[:2000])
    empty = tmp_path / "empty"
    empty.mkdir()
    cases = {
        str(damaged): ("damaged", "toy", []),
        str(empty): ("best_model.zip", "toy", []),
        str(tmp_path / "absent.zip"): ("absent.zip", "toy", []),
        "runs/absent": ("runs/absent", "toy", []),
        str(folder): ("'toy'", "single", []),
        f"{folder},random": ("two-phase", "toy", ["--decisions", "two-phase"]),
    }
    for policies, (says, family, arguments) in cases.items():
        assert evaluate(tmp_path / "out", policies, *arguments, family=family) == 2
        error = capsys.readouterr().err
        assert says in error
        assert error.startswith("error: ")
        assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
