"""Policies of somebody else's: a planner, a class with `predict`, a saved model of Stable-Baselines3 with its class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stable_baselines3 import PPO

from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.policies import plan_policy
from agents.policies.name import OwnName
from agents.policies.own_policy import SavedModel, own_digest
from agents.policies.plan_policy import PlanPolicy
from agents.policies.policy import check_policy_name, plans, resolve_policy
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator
from tests.own_package import PLANS, write_module

TOY = make_generator("toy")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    return write_module(monkeypatch, tmp_path, PLANS)


def env(rows: int = 2) -> MigrationVectorEnv:
    return MigrationVectorEnv(rows, TOY, autoreset_mode="SameStep")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("models") / "model.zip"
    PPO("MultiInputPolicy", Sb3VecEnv(env()), n_steps=8, batch_size=8, seed=0, device="cpu").save(file)
    return file


def test_a_planner_plans_once_or_anew(module: str) -> None:
    rows = env(1)
    once, anew = (resolve_policy(f"{module}:first_layer{view}", rows, 0) for view in ("", "@replan"))
    assert isinstance(once, PlanPolicy) and isinstance(anew, PlanPolicy)
    for policy, stops_then in ((once, True), (anew, False)):
        observation, _ = rows.reset(seed=0)
        first, _ = policy.predict(observation)
        assert first[0] == rows.encode(0, 0, 1)
        observation, *_ = rows.step(first)
        second, _ = policy.predict(observation)
        assert (second[0] == rows.stop_action) == stops_then


def test_planners_of_others_are_called_by_one_thread_only(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_policy, "results_of", None)
    monkeypatch.setattr(plan_policy, "num_threads", lambda: 2)
    own = env(4)
    policy = resolve_policy(f"{module}:first_layer", own, 0, timed=False)
    policy.predict(own.reset(seed=0)[0])
    assert isinstance(policy, PlanPolicy) and policy.planning_s.all()


def test_a_policy_is_made_from_the_environment_and_a_seed_if_it_takes_one(module: str) -> None:
    rows = env(3)
    policy = resolve_policy(f"{module}:Stops", rows, seed=17)
    observation, _ = rows.reset(seed=0)
    assert policy.predict(observation)[0].tolist() == [rows.stop_action] * 3
    assert (policy.env, policy.seed) == (rows, 17)  # type: ignore[attr-defined]


def test_whether_a_name_plans(module: str, saved: Path) -> None:
    assert plans(OwnName(f"{module}:nothing")) and plans(OwnName(f"{module}:Several:count=2"))
    assert not plans(OwnName(f"{module}:Stops"))
    assert not plans(OwnName("stable_baselines3:PPO", model=str(saved)))


def test_a_saved_model_decides_as_it_did(saved: Path) -> None:
    rows = env()
    policy, model = resolve_policy(f"stable_baselines3:PPO@{saved}", rows, 0), PPO.load(saved, device="cpu")
    observation, _ = rows.reset(seed=3)
    for _ in range(4):
        expected, _ = model.predict(observation, deterministic=True)
        actions, _ = policy.predict(observation)
        assert actions.tolist() == expected.tolist()
        observation, *_ = rows.step(actions)


def test_a_model_that_takes_masks_is_given_them() -> None:
    class Masked:
        def predict(self, observation, state, start, deterministic, action_masks=None):  # type: ignore[no-untyped-def]
            return action_masks.argmax(axis=1), state

    mask = np.array([[0, 1, 1], [0, 0, 1]], np.int8)
    assert SavedModel(Masked()).predict({"action_mask": mask})[0].tolist() == [1, 2]


def test_a_model_of_other_sizes_is_refused(saved: Path) -> None:
    rows = MigrationVectorEnv(1, make_generator("single", max_layers=4))
    with pytest.raises(ValueError, match="was trained where observations or actions have other sizes or kinds"):
        resolve_policy(f"stable_baselines3:PPO@{saved}", rows, 0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{module}:Stops@forecast", "a policy decides anew each time; leave out @forecast"),
        ("{module}:Stops:count=1", "a policy has no parameters; write"),
        ("{module}:Demanding", "it is made from the environment alone, or with seed=: give its other arguments"),
        ("{module}:Stops@{saved}", "is a class, which does not serve here; give the class of the model in"),
        ("{module}:nothing@{saved}", "is an object of class function, which does not serve here"),
        ("stable_baselines3:PPO", "is a learning algorithm; add a saved model: stable_baselines3:PPO@runs/model.zip"),
        ("stable_baselines3:PPO@nowhere/model.zip", "no model at nowhere/model.zip; give the file"),
        ("stable_baselines3:DQN@{saved}", "cannot be loaded by stable_baselines3:DQN"),
        ("{module}:first_layer@clairvoyant", "cannot know the slots to come"),
        ("own_nowhere:x", "there is no module 'own_nowhere'"),
    ],
)
def test_what_cannot_act_is_refused(name: str, message: str, module: str, saved: Path) -> None:
    with pytest.raises(ValueError) as error:
        resolve_policy(name.format(module=module, saved=saved), env(), 0)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("check", [lambda name: check_policy_name(name, TOY), lambda name: plans(OwnName(name))])
def test_names_are_checked_beforehand(check: Callable[[str], object], module: str) -> None:
    check(f"{module}:nothing")
    check(f"{module}:Stops")
    with pytest.raises(ValueError, match="has no 'absent'"):
        check(f"{module}:absent")


def test_records_are_told_apart_by_source_and_model(
    module: str, saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = write_module(monkeypatch, tmp_path, PLANS + "\n# changed\n")
    same = write_module(monkeypatch, tmp_path, PLANS)
    assert own_digest(OwnName(f"{module}:nothing")) == own_digest(OwnName(f"{same}:nothing"))
    assert own_digest(OwnName(f"{module}:nothing")) != own_digest(OwnName(f"{other}:nothing"))
    assert own_digest(OwnName("json:x", model=str(saved))) != own_digest(OwnName("json:x"))
    assert own_digest(OwnName("own_nowhere:x")) == own_digest(OwnName("own_nowhere:x", model="nowhere"))
