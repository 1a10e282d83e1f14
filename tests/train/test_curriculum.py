"""Curricula: easy scenarios at first, the usual ones in the end, and the same sizes of observations throughout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator
from dnnmig_env.simulation.packed import Problem
from dnnmig_env.simulation.scenario_batch import as_batch
from train.config import parse
from train.curriculum import Curriculum
from train.run import train

EASY: dict[str, Any] = {"num_users": 2, "max_layers": 6}


def a_curriculum(family: str = "multi-user") -> Curriculum:
    return Curriculum(make_generator(family, **EASY), make_generator(family))


@pytest.mark.parametrize("family", ["multi-user", "mobile"])
def test_easy_scenarios_are_padded_as_the_same_scenarios_given_one_by_one(family: str) -> None:
    curriculum = a_curriculum(family)
    batch = curriculum.draw(np.random.default_rng(0), 4)
    alone = as_batch([batch.scenario(row) for row in range(4)], curriculum.limits)
    for name in Problem._fields:
        np.testing.assert_allclose(getattr(batch.problem, name), getattr(alone.problem, name), rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_its_progress_is_the_share_of_usual_scenarios(progress: float) -> None:
    curriculum, rng = a_curriculum(), np.random.default_rng(1)
    curriculum.progress = progress
    usual = [curriculum.draw(rng, 8).problem.num_layers.max() > EASY["max_layers"] for _ in range(60)]
    assert np.mean(usual) == pytest.approx(progress, abs=0.2 * (0 < progress < 1))


def test_an_environment_goes_over_without_changing_its_sizes() -> None:
    curriculum = a_curriculum()
    env = MigrationVectorEnv(2, curriculum)
    assert env.single_observation_space == MigrationVectorEnv(2, make_generator("multi-user")).single_observation_space
    env.reset(seed=0)
    assert env.episodes.problem.num_users.max() == 2
    curriculum.progress = 1.0
    env.reset(seed=3)
    assert env.episodes.problem.num_layers.max() > EASY["max_layers"]


def test_easy_scenarios_must_not_be_larger() -> None:
    with pytest.raises(ValueError, match="--curriculum begins with up to 9 users, but usual scenarios have"):
        Curriculum(make_generator("multi-user", num_users=9), make_generator("multi-user"))


@pytest.mark.parametrize("share", ["0", "1.5"])
def test_its_share_is_checked(share: str) -> None:
    with pytest.raises(ValueError, match=f"--curriculum-share is {float(share)}; give"):
        parse(["--curriculum-share", share])


@pytest.mark.parametrize("algorithm", ["ppo", "hindsight"])
def test_training_reaches_its_end_and_says_how_far_it_is(tmp_path, algorithm: str) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "run"
    arguments = ["--family", "multi-user", "--algorithm", algorithm, "--num-envs", "4", "--total-steps", "600"]
    arguments += ["--generator", "num_users=(2,3)", "max_layers=8", "--curriculum", "num_users=2", "max_layers=4"]
    arguments += ["--held-out.scenarios", "2", "--held-out.baselines", "device-only", "--out", str(out)]
    assert train(parse(arguments)) == 0
    events = EventAccumulator(str(out / "tensorboard" / algorithm))
    events.Reload()
    shares = [event.value for event in events.Scalars("curriculum/usual_scenarios")]
    assert shares[0] == 0.0
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_resumed_run_does_not_begin_with_easy_scenarios_again(tmp_path, monkeypatch) -> None:
    shares, draw = [], Curriculum.draw

    def noted(self, *arguments: Any) -> Any:
        shares.append(self.progress)
        return draw(self, *arguments)

    monkeypatch.setattr(Curriculum, "draw", noted)
    out = tmp_path / "run"
    arguments = ["--family", "multi-user", "--num-envs", "4", "--total-steps", "512", "--out", str(out)]
    arguments += ["--generator", "num_users=(2,3)", "max_layers=8", "--curriculum", "num_users=2", "max_layers=4"]
    arguments += ["--held-out.scenarios", "2", "--held-out.baselines", "device-only"]
    assert train(parse(arguments)) == 0
    assert shares[0] == 0.0
    shares.clear()
    assert train(parse(["--resume", str(out), "--total-steps", "2048"])) == 0
    assert min(shares) == pytest.approx(512 / 1024, abs=0.01)
