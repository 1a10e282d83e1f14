"""Runs that learn from groups of rollouts, and runs that begin with a teacher."""

import json
import zipfile

import pytest
import torch

from agents.policies.card import CARD, FORMAT
from agents.policies.trained import BEST_MODEL, MODEL, load, read_card
from dnnmig_env.families.toy import OPTIMAL_DELAY_S
from tests.overriding import overriding
from tests.tiny_training import TINY
from train.__main__ import main
from train.folder import read_config
from train.run import WARM_START, environment_seed

pytestmark = pytest.mark.usefixtures("quick_pictures")

TINY = [*TINY, "--held-out.every", "64", "--held-out.baselines", "device-only", "--total-steps", "64"]
GRPO = ["--algorithm", "grpo", "--settings", "group_size=2", "batch_size=16"]
PPO = ["--settings", "n_steps=16"]


def run(folder, *arguments):
    return main(overriding(TINY, "--out", str(folder), *arguments))


def complaint(capsys, *arguments):
    """Return the one line of an unsuccessful command."""
    capsys.readouterr()
    assert main(overriding(TINY, *arguments)) == 2
    printed = capsys.readouterr().err.rpartition("\r")[2]  # progress bars wipe themselves away
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    return printed


def weights(file):
    return torch.cat([parameter.flatten() for parameter in load(file).network.parameters()]).detach()


def delays_s(folder):
    lines = (folder / "held_out.csv").read_text().split()[1:]
    return [float(line.split(",")[1]) for line in lines]


def test_a_run_of_grpo_is_resumed(tmp_path, capsys):
    folder = tmp_path / "run"
    assert run(folder, *GRPO, "--family", "single") == 0
    assert "Training ends with the round of 4 episodes that reaches step 64.\n" in capsys.readouterr().err
    before, first = weights(folder / MODEL), delays_s(folder)
    assert main(["--resume", str(folder), "--total-steps", "160"]) == 0
    assert delays_s(folder)[: len(first)] == first
    assert len(delays_s(folder)) > len(first)
    assert read_card(folder / MODEL).steps >= 160
    assert read_card(folder / MODEL).algorithm == "grpo"
    assert not torch.equal(before, weights(folder / MODEL))


@pytest.mark.parametrize("algorithm", ["grpo", "ppo", "dqn"])
def test_without_a_step_the_agent_remains_what_it_has_begun_with(algorithm, tmp_path, capsys):
    folder, warm = tmp_path / "run", [] if algorithm == "dqn" else ["--warm-start", "exact"]
    few = ["--settings", "group_size=2"] if algorithm == "grpo" else []
    arguments = ["--algorithm", algorithm, *few, *warm, "--warm-start-episodes", "16", "--total-steps", "0"]
    assert run(folder, *arguments) == 0
    printed = capsys.readouterr()
    assert f"{algorithm} (step 0)" in printed.out
    assert "No later model" not in printed.out
    assert "Training ends" not in printed.err and "Nothing will be learned" not in printed.err
    assert [read_card(folder / name).steps for name in (MODEL, BEST_MODEL)] == [0, 0]
    assert len(delays_s(folder)) == 1
    assert torch.equal(weights(folder / MODEL), weights(folder / BEST_MODEL))


def test_a_run_begins_with_the_weights_of_another_one(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(first, *GRPO, "--family", "single", "--seed", "1") == 0
    assert run(second, *GRPO, "--family", "edge-cloud", "--total-steps", "1", "--begin-with", str(first / MODEL)) == 0
    assert (
        run(tmp_path / "same", *GRPO, "--family", "edge-cloud", "--total-steps", "1", "--begin-with", str(first)) == 0
    )
    new = tmp_path / "new"
    assert run(new, *GRPO, "--family", "edge-cloud", "--total-steps", "1") == 0
    assert not torch.allclose(weights(new / MODEL), weights(first / MODEL), atol=0.01)
    step = (weights(second / MODEL) - weights(first / MODEL)).abs()
    assert 0.0 < step.max() < 0.01  # it has learned from one round
    assert delays_s(second)[0] != delays_s(new)[0]
    assert read_config(second).begin_with == str(first / MODEL)


def test_a_run_that_cannot_begin_with_a_model_writes_nothing(tmp_path, capsys):
    folder = tmp_path / "run"
    said = complaint(capsys, "--out", str(folder), "--begin-with", "joint-efficiency")
    assert "--begin-with is 'joint-efficiency'; give a trained model" in said
    assert not (folder / MODEL).exists()


def test_runs_of_grpo_with_the_same_seed_are_the_same(tmp_path):
    for name, seed in (("one", "3"), ("again", "3"), ("other", "4")):
        assert run(tmp_path / name, *GRPO, "--family", "single", "--seed", seed) == 0
    one, again, other = (weights(tmp_path / name / MODEL) for name in ("one", "again", "other"))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_warm_start_is_where_the_curve_begins(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("agents.learning.imitation.BATCH_SIZE", 16)
    arguments = [*PPO]
    assert run(tmp_path / "cold", *arguments) == 0
    assert run(tmp_path / "warm", *arguments, "--warm-start", "exact", "--warm-start-episodes", "256") == 0
    assert "Warm start: decides as exact in 100.0 % of its decisions." in capsys.readouterr().err
    assert delays_s(tmp_path / "cold")[0] > 1.01 * OPTIMAL_DELAY_S
    assert delays_s(tmp_path / "warm")[0] == pytest.approx(OPTIMAL_DELAY_S)


def test_a_trained_agent_teaches_and_runs_remember_their_teacher(tmp_path, capsys):
    assert run(tmp_path / "teacher", *PPO) == 0
    warm_start_settings = [*PPO, "--warm-start", str(tmp_path / "teacher"), "--warm-start-episodes", "20"]
    assert run(tmp_path / "taught", *warm_start_settings) == 0
    assert "Warm start: decides as " in capsys.readouterr().err
    config = json.loads((tmp_path / "taught" / "config.json").read_text())
    assert (config["warm_start"], config["warm_start_episodes"]) == (str(tmp_path / "teacher"), 20)
    (tmp_path / "teacher").rename(tmp_path / "gone")
    assert main(["--resume", str(tmp_path / "taught"), "--total-steps", "128"]) == 0
    assert "Warm start" not in capsys.readouterr().err  # once is enough, so that the teacher may be gone
    again = overriding(TINY, *warm_start_settings, "--out", str(tmp_path / "again"))
    assert main(again) == 2 and str(tmp_path / "teacher") in capsys.readouterr().err


def test_a_teacher_plays_scenarios_of_its_own():
    assert environment_seed(0, WARM_START) != environment_seed(0, 0)
    assert len({environment_seed(seed, WARM_START) for seed in range(100)}) == 100


def test_ctrl_c_while_the_teacher_plays_leaves_nothing_behind(tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("train.run.imitate", interrupted)
    assert run(tmp_path / "run", *PPO, "--warm-start", "exact") == 130
    assert capsys.readouterr().err.endswith("\nStopped before training began.\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["--algorithm", "dqn", "--warm-start", "exact"],
            "--warm-start exact needs probabilities of actions, which dqn",
        ),
        (["--warm-start", "joint-eficiency"], "unknown planner 'joint-eficiency'; did you mean 'joint-efficiency'"),
        (["--warm-start", "runs/no-such-run/"], "no model at runs/no-such-run"),
        (["--warm-start", "exact", "--warm-start-episodes", "0"], "--warm-start-episodes is 0; give 1 to 10000000"),
        (["--warm-start", "joint-efficiency@replan", "--decisions", "two-phase"], '@replan needs decisions="joint"'),
        (["--warm-start", "device-only@clairvoyant"], "clairvoyant"),
        (["--held-out.baselines", "exact@replan", "--decisions", "two-phase"], '@replan needs decisions="joint"'),
        (GRPO[:2], "num_envs is 4 and group_size 16, but every scenario is played group_size times; give a multiple"),
        (
            [*GRPO[:2], "--settings", "group_size=1"],
            "setting 'group_size' of algorithm 'grpo' is 1; give a whole",
        ),
        ([*GRPO[:2], "--settings", "n_steps=16"], "algorithm 'grpo' has no setting 'n_steps'"),
        (
            [*GRPO[:2], "--learning-rate", "0.001", "--settings", "learning_rate=3e-4"],
            "--settings learning_rate and --learning-rate 0.001 are both given; keep the latter.",
        ),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing_behind(arguments, text, tmp_path, capsys):
    out = tmp_path / "run"
    assert text in complaint(capsys, "--out", str(out), *arguments)
    assert not out.exists()


def test_a_run_of_another_version_acts_but_is_not_resumed(tmp_path, capsys):
    folder = tmp_path / "run"
    assert run(folder, *PPO) == 0
    with zipfile.ZipFile(folder / MODEL) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    card = json.loads(contents[CARD])
    assert card.pop("format") == FORMAT
    contents[CARD] = json.dumps(card).encode()  # as it was before files had a number
    with zipfile.ZipFile(folder / MODEL, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    assert read_card(folder / MODEL).format == 1
    assert load(folder / MODEL).card.steps == card["steps"]
    capsys.readouterr()
    assert main(["--resume", str(folder), "--total-steps", "4096"]) == 2
    assert f"was written by another version of this project (format 1, not {FORMAT})" in capsys.readouterr().err


def test_a_run_with_a_curriculum_is_not_resumed_without_it(tmp_path):
    folder = tmp_path / "run"
    assert run(folder, *PPO) == 0
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "curriculum": [], "curriculum_share": 0.5}))
    assert read_config(folder).seed == config["seed"]  # an older run without one
    (folder / "config.json").write_text(json.dumps({**config, "curriculum": ["num_users=2"]}))
    with pytest.raises(ValueError, match="has a curriculum, which this version does not know"):
        read_config(folder)


@pytest.mark.parametrize("steps", [0, 20])
def test_where_users_go_is_learned_before_all_else(steps, tmp_path, capsys):
    small = ["horizon_s=60.0", "num_users=2", "max_layers=3"]
    assert (
        run(tmp_path / "run", *PPO, "--family", "mobile", "--generator", *small, "--next-cell-steps", str(steps)) == 0
    )
    assert ("Next cells: names " in capsys.readouterr().err) == (steps > 0)
    assert read_config(tmp_path / "run").next_cell_steps == steps


def test_a_number_of_steps_that_cannot_be_is_refused(capsys):
    assert "--next-cell-steps is -1; give 0 to" in complaint(capsys, "--next-cell-steps", "-1")
