"""Learning algorithms and policy classes of one's own: which settings they have, what they inherit, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from agents.learning.algorithms import (
    ALGORITHMS,
    TRAINING_REWARD,
    algorithm,
    algorithm_kind,
    check_settings,
    make_model,
    policy_class,
)
from agents.learning.checkpoint import read_training, save
from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.policies.card import FORMAT
from agents.policies.own_trained import OwnTrainedPolicy
from agents.policies.policy import resolve_policy
from agents.policies.trained import TrainedPolicy, load, read_card
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator
from tests.own_package import write_module

CLASSES = """
    import torch
    from stable_baselines3 import DQN, PPO
    from stable_baselines3.common.policies import MultiInputActorCriticPolicy

    from agents.learning.masked_dqn import MaskedDQN
    from agents.learning.masked_policy import MaskedActorCriticPolicy


    class MyPPO(PPO):
        def __init__(self, *args, loudness=1.5, kind="plain", vf_coef=0.25, must, gamma=0.9, **kwargs):
            super().__init__(*args, vf_coef=vf_coef, gamma=gamma, **kwargs)
            self.loudness, self.kind, self.must = loudness, kind, must


    class PlainPPO(PPO):
        pass


    class MyDQN(MaskedDQN):
        pass


    class Elsewhere(DQN):
        pass


    class MyPolicy(MaskedActorCriticPolicy):
        def __init__(self, *args, offset=0.0, deep=False, **kwargs):
            self.offset, self.deep = offset, deep
            super().__init__(*args, **kwargs)
            self.extra = torch.nn.Parameter(torch.tensor([offset]))


    class Plain(MultiInputActorCriticPolicy):
        pass


    class NoPolicy:
        pass
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    return write_module(monkeypatch, tmp_path, CLASSES)


def env() -> Sb3VecEnv:
    options = dict(TRAINING_REWARD)
    return Sb3VecEnv(MigrationVectorEnv(2, make_generator("toy"), autoreset_mode="SameStep", **options))  # type: ignore[arg-type]


TINY = {"n_steps": 8, "must": 1}


def test_an_algorithm_has_what_that_has_from_which_it_is_derived(module: str) -> None:
    mine, plain = algorithm(f"{module}:MyPPO"), algorithm(f"{module}:PlainPPO")
    assert (plain.settings, plain.num_envs, plain.policy) == (
        ALGORITHMS["ppo"].settings,
        ALGORITHMS["ppo"].num_envs,
        ALGORITHMS["ppo"].policy,
    )
    changed = {"vf_coef", "gamma"}
    assert set(mine.settings) == set(ALGORITHMS["ppo"].settings) - changed
    kinds = {name: algorithm_kind(f"{module}:{name}") for name in ("MyPPO", "PlainPPO", "MyDQN", "Elsewhere")}
    assert kinds == {"MyPPO": "ppo", "PlainPPO": "ppo", "MyDQN": "dqn", "Elsewhere": None}
    assert policy_class(f"{module}:MyDQN", None).__name__ == "MaskedDQNPolicy"


def test_default_values_of_its_own_come_before_ours(module: str) -> None:
    settings = make_model(f"{module}:MyPPO", env(), 0, "cpu", TINY, is_warm_started=True).settings  # type: ignore[attr-defined]
    assert (settings["vf_coef"], settings["gamma"], settings["loudness"], settings["kind"]) == (0.25, 0.9, 1.5, "plain")
    assert settings["learning_rate"] == ALGORITHMS["ppo"].warm_start_settings["learning_rate"]
    assert settings["n_steps"] == 8


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"loudness": 2}, 2.0),
        ({"loudness": "x"}, "setting 'loudness' of algorithm '{}:MyPPO' is 'x'; give a number"),
        ({"loudness": True}, "is True; give a number"),
        ({"lodness": 1}, "has no setting 'lodness'; it knows .*kind, .*loudness, .*must"),
        ({"n_steps": 0}, "is 0; give a whole number from 1"),
        ({"rollout_buffer_kwargs": 1}, "has no setting 'rollout_buffer_kwargs'"),
        ({"verbose": 1}, "has no setting 'verbose'"),
        ({"kind": {"a": 1}}, "give a number, True, False, a text, None, or a list of these"),
        ({"policy.offset": 1}, "policy.offset is for a policy class of your own; give --policy-class"),
    ],
)
def test_settings_of_an_algorithm_are_checked(settings: dict[str, object], expected: object, module: str) -> None:
    if not isinstance(expected, str):
        assert list(check_settings(f"{module}:MyPPO", settings).values()) == [expected]
        return
    with pytest.raises(ValueError, match=expected.format(module)):
        check_settings(f"{module}:MyPPO", settings)


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("offset", 2, 2.0),
        ("deep", True, True),
        ("net_arch", (8, 4), [8, 4]),
        ("deep", 1, "policy.deep is 1; give True or False"),
        ("offest", 1, "has no argument 'offest'; did you mean 'offset'"),
        ("layout", 1, "has no argument 'layout'"),
    ],
)
def test_settings_of_a_policy_class_are_checked(setting: str, value: object, expected: object, module: str) -> None:
    settings = {f"policy.{setting}": value}
    if not isinstance(expected, str):
        assert check_settings("ppo", settings, f"{module}:MyPolicy") == {f"policy.{setting}": expected}
        return
    with pytest.raises(ValueError, match=expected):
        check_settings("ppo", settings, f"{module}:MyPolicy")


@pytest.mark.parametrize(
    ("name", "own", "message"),
    [
        (
            "{}:NoPolicy",
            None,
            "is a class, which does not serve here; give a class derived from an algorithm of Stable",
        ),
        ("{}:Elsewhere", None, "derived from none of ppo, a2c, .* give --policy-class"),
        ("pppo", None, "unknown algorithm 'pppo'; did you mean 'ppo'.*or a class of your own, package.module:Class"),
        ("ppo", "{}:NoPolicy", r"give a class derived from stable_baselines3\.common\.policies\.ActorCriticPolicy"),
        ("grpo", "{}:Plain", r"give a class derived from agents\.learning\.masked_policy\.MaskedActorCriticPolicy"),
        ("dqn", "{}:MyPolicy", r"give a class derived from agents\.learning\.masked_dqn\.MaskedDQNPolicy"),
        ("{}:Elsewhere", "{}:NoPolicy", r"give a class derived from stable_baselines3\.common\.policies\.BasePolicy"),
    ],
)
def test_what_does_not_serve_is_refused(name: str, own: str | None, message: str, module: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_settings(name.format(module), {}, own and own.format(module))


def test_an_argument_that_lacks_its_value_is_an_error(module: str) -> None:
    with pytest.raises(ValueError, match=r"MyPPO with MaskedActorCriticPolicy cannot be made .*'must'"):
        make_model(f"{module}:MyPPO", env(), 0, "cpu", {"n_steps": 8})


def test_a_model_of_an_algorithm_of_ones_own_acts_without_its_class(module: str, tmp_path: Path) -> None:
    for name, values in (("MyPPO", False), ("MyDQN", True)):
        model = make_model(f"{module}:{name}", env(), 0, "cpu", TINY if name == "MyPPO" else {})
        save(model, tmp_path / "m.zip", "toy", "joint", "own_nowhere:Gone")
        policy = load(tmp_path / "m.zip")
        assert (policy.card.algorithm, policy.scores_are_values) == ("own_nowhere:Gone", values)
        assert "policy_class" not in policy.card.text()


@pytest.mark.parametrize(("own", "settings"), [("MyPolicy", {"policy.offset": 3}), ("Plain", {"policy.net_arch": [5]})])
def test_a_model_of_a_policy_class_of_ones_own_acts_by_that_class(
    own: str, settings: dict[str, object], module: str, tmp_path: Path
) -> None:
    rows = env()
    model = make_model("ppo", rows, 0, "cpu", {"n_steps": 8, **settings}, own_policy=f"{module}:{own}")
    model.learn(16)
    file = tmp_path / "m.zip"
    save(model, file, "toy", "joint", "ppo")
    card = read_card(file)
    assert (card.policy_class, card.format) == (f"{module}:{own}", FORMAT)
    assert {f"policy.{name}": value for name, value in card.policy_settings.items()} == settings
    assert settings.items() <= read_training(file).settings.items()
    policy = resolve_policy(str(file), rows.env, 0)
    assert isinstance(policy, OwnTrainedPolicy)
    observation, _ = rows.env.reset(seed=5)
    for _ in range(3):
        expected, _ = model.predict(observation, deterministic=True)
        actions, _ = policy.predict(observation)
        assert actions.tolist() == expected.tolist()
        observation, *_ = rows.env.step(actions)
    with pytest.raises(ValueError, match="which is not sampled; leave out @4"):
        resolve_policy(f"{file}@4", rows.env, 0)
    with pytest.raises(ValueError, match="its network cannot be had alone"):
        load(file)


def test_a_policy_class_that_takes_masks_is_given_them(tmp_path: Path) -> None:
    """Without masks the policy would choose what is not legal; with them it never does, as the model that was saved."""
    rows, file = env(), tmp_path / "m.zip"
    own = "sb3_contrib.common.maskable.policies:MaskableMultiInputActorCriticPolicy"
    model = make_model("maskable-ppo", rows, 0, "cpu", {"n_steps": 8}, own_policy=own)
    observation, _ = rows.env.reset(seed=5)
    (wrong, *_) = np.flatnonzero(~observation["action_mask"].any(axis=0))
    with torch.no_grad():
        model.policy.action_net.bias[wrong] = 100.0
    save(model, file, "toy", "joint", "maskable-ppo")
    policy = resolve_policy(str(file), rows.env, 0)
    assert isinstance(policy, OwnTrainedPolicy)
    assert set(model.predict(observation, deterministic=True)[0].tolist()) == {wrong}
    for deterministic in (True, False):
        observation, _ = rows.env.reset(seed=5)
        for _ in range(4):
            actions, _ = policy.predict(observation, deterministic=deterministic)
            assert observation["action_mask"][np.arange(len(actions)), actions].all()
            if deterministic:
                masks = observation["action_mask"]
                expected, _ = model.predict(observation, deterministic=True, action_masks=masks)  # type: ignore[call-arg]
                assert actions.tolist() == expected.tolist()
            observation, *_, infos = rows.env.step(actions)
            assert not infos["illegal_action"].any()
    row = {name: each[0] for name, each in observation.items()}
    assert row["action_mask"][policy.predict(row)[0]]


def test_a_class_that_is_not_there_any_more_is_named(module: str, tmp_path: Path) -> None:
    rows, file = env(), tmp_path / "m.zip"
    model = make_model("ppo", rows, 0, "cpu", {"n_steps": 8}, own_policy=f"{module}:MyPolicy")
    for gone, message in (
        ("own_nowhere:Gone", "was trained with a policy class of its own: .*there is no module 'own_nowhere'"),
        (f"{module}:NoPolicy", "is a class, which does not serve here; give the policy class with which the model was"),
        (f"{module}:Plain", "the weights in .* do not fit"),
    ):
        model.own_policy = gone  # type: ignore[attr-defined]
        save(model, file, "toy", "joint", "ppo")
        with pytest.raises(ValueError, match=message):
            resolve_policy(str(file), rows.env, 0)
    assert not isinstance(resolve_policy("untrained", rows.env, 0), OwnTrainedPolicy)
    assert isinstance(resolve_policy("untrained", rows.env, 0), TrainedPolicy)
