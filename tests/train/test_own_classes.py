"""Training with algorithm, policy class, family, teacher and baselines of one's own: it runs, and goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from agents.policies.policy import resolve_policy
from agents.policies.trained import MODEL, read_card
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator
from evaluate.__main__ import main as evaluate
from tests.tiny_training import TINY
from train.__main__ import main
from train.command_line import parse

pytestmark = pytest.mark.usefixtures("quick_pictures")

ROOT = Path(__file__).resolve().parents[2]
OWN = "examples.my_classes:"
FAMILY = "family: single\nnetworks: [squeezenet1_1]\noptions: {max_layers: 3, horizon_s: 20}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_family.yaml").write_text(FAMILY)
    words = [*TINY, "--out", str(folder / "run"), "--total-steps", "64"]
    words[words.index("--family") + 1] = str(folder / "my_family.yaml")
    words[words.index("--algorithm") + 1] = f"{OWN}LouderPPO"
    words += ["--policy-class", f"{OWN}Doubtful", "--settings", "n_steps=8", "loudness=3", "policy.temperature=2"]
    words += ["--warm-start", f"{OWN}largest_first", "--warm-start-episodes", "8"]
    words += ["--held-out.baselines", f"{OWN}largest_first", f"{OWN}Largest"]
    assert main(words) == 0
    return folder


def test_results_show_full_names(folder: Path) -> None:
    run = folder / "run"
    assert list(json.loads((run / "baselines.json").read_text())) == [f"{OWN}largest_first", f"{OWN}Largest"]
    config = json.loads((run / "config.json").read_text())
    assert (config["algorithm"], config["policy_class"]) == (f"{OWN}LouderPPO", f"{OWN}Doubtful")
    assert (run / "family.yaml").read_text() == FAMILY
    card = read_card(run / MODEL)
    assert (card.algorithm, card.policy_class, card.family) == (f"{OWN}LouderPPO", f"{OWN}Doubtful", "single")
    assert card.policy_settings == {"temperature": 2.0}
    assert card.steps == 64


def test_the_model_acts_by_its_class(folder: Path) -> None:
    env = MigrationVectorEnv(1, make_generator(str(folder / "my_family.yaml")))
    policy = resolve_policy(str(folder / "run"), env, 0)
    network = policy._model.mlp_extractor.network  # type: ignore[attr-defined]
    assert (type(network).__name__, network.temperature) == ("_Cooled", 2.0)


@pytest.mark.parametrize(
    ("algorithm", "own"),
    [
        ("maskable-ppo", "sb3_contrib.common.maskable.policies:MaskableMultiInputActorCriticPolicy"),
        ("ppo", f"{OWN}PlainSb3"),
        ("ppo", f"{OWN}TwoLayers"),
    ],
)
def test_masks_hold_for_classes_that_take_them_in_training_and_in_evaluation(
    algorithm: str, own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    step = MigrationVectorEnv.step

    def noted(self: MigrationVectorEnv, actions: Any) -> Any:
        found = step(self, actions)
        taken.append(found[-1]["illegal_action"].any())
        return found

    monkeypatch.setattr(MigrationVectorEnv, "step", noted)
    words = [*TINY, "--out", str(tmp_path / "run"), "--total-steps", "32", "--policy-class", own]
    words[words.index("--algorithm") + 1] = algorithm
    assert main([*words, "--settings", "n_steps=8"]) == 0
    assert taken and not any(taken)
    family, count = words[words.index("--family") + 1], len(taken)
    words = ["--family", family, "--scenarios", "2", "--policies", str(tmp_path / "run")]
    assert evaluate([*words, "--out", str(tmp_path / "results")]) == 0
    assert len(taken) > count and not any(taken)


def test_evaluation_plays_all_of_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(folder / "run"), f"{OWN}largest_first@replan", f"{OWN}Largest"]
    words = ["--family", str(folder / "my_family.yaml"), "--scenarios", "2", "--policies", ",".join(names)]
    assert evaluate([*words, "--out", str(folder / "results")]) == 0
    summary = json.loads((folder / "results" / "summary.json").read_text())
    assert list(summary["policies"]) == names
    assert summary["family"] == str(folder / "my_family.yaml")
    assert f"| {OWN}largest_first@replan |" in (folder / "results" / "table.md").read_text()


def test_a_run_goes_on_with_the_same_classes_only(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = folder / "again"
    shutil.copytree(folder / "run", again)
    assert main(["--resume", str(again), "--total-steps", "96"]) == 0
    assert read_card(again / MODEL).steps == 96
    capsys.readouterr()
    assert main(["--resume", str(again), "--total-steps", "128", "--policy-class", "x:y"]) == 2
    assert "--policy-class differs from the run in" in capsys.readouterr().err
    config = json.loads((again / "config.json").read_text())
    for name, value, message in (
        ("policy_class", None, "policy.temperature is for a policy class of your own"),
        ("settings", ["n_steps=8", "loudness=3", "policy.temperature=4"], "policy.temperature 2.0, but config.json"),
        ("algorithm", "stable_baselines3:PPO", "algorithm 'stable_baselines3:PPO' has no setting 'loudness'"),
        ("algorithm", "own_nowhere:Gone", "there is no module 'own_nowhere'"),
    ):
        (again / "config.json").write_text(json.dumps({**config, name: value}))
        assert main(["--resume", str(again), "--total-steps", "128"]) == 2
        assert message in capsys.readouterr().err


def test_a_run_does_not_go_on_with_another_distribution(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = folder / "my_family.yaml"
    changed.write_text(FAMILY.replace("horizon_s: 20", "horizon_s: 30"))
    try:
        assert main(["--resume", str(folder / "run"), "--total-steps", "96"]) == 2
        assert "my_family.yaml has changed since the run in" in capsys.readouterr().err
    finally:
        changed.write_text(FAMILY)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--algorithm", "own_nowhere:x"], "'own_nowhere:x': there is no module 'own_nowhere'"),
        (["--policy-class", f"{OWN}Largest"], "is a class, which does not serve here; give a class derived from"),
        (["--warm-start", f"{OWN}absent"], "has no 'absent'"),
        (["--held-out.baselines", f"{OWN}Largest@forecast"], "a policy decides anew each time"),
        (["--family", "nowhere.yaml"], "nowhere.yaml: No such file or directory"),
        (["--settings", "policy.temperature=1"], "policy.temperature is for a policy class of your own"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [word for word in TINY]
    if words[0] in command:
        at = command.index(words[0])
        del command[at : at + 2]
    assert main([*command, *words, "--out", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not (tmp_path / "run" / MODEL).exists()


def test_folders_by_default_have_names_without_slashes_and_colons() -> None:
    config = parse(
        ["--family", "a/my.yaml", "--algorithm", "my:PPO", "--policy-class", "my.module:Policy", "--seed", "2"]
    )
    assert str(config.out) == "runs/my-my_PPO-joint-2-my.module_Policy"
