"""Settings of algorithms are checked before anything is made: what cannot be is named with the remedy."""

import warnings

import pytest

from agents.learning.algorithms import ALGORITHMS, check_settings, make_model
from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.learning.settings import KINDS, defaults
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator


def environments(rows=4):
    return Sb3VecEnv(MigrationVectorEnv(rows, make_generator("toy"), autoreset_mode="SameStep"))


@pytest.mark.parametrize(
    ("algorithm", "setting", "value", "remedy"),
    [
        ("ppo", "batch_size", 0, "a whole number from 1 to 1000000000"),
        ("ppo", "n_steps", -3, "a whole number from 1 to"),
        ("ppo", "n_steps", 2.5, "a whole number from 1 to"),
        ("ppo", "n_steps", 10**30, "a whole number from 1 to"),
        ("ppo", "n_epochs", 0, "a whole number from 1 to"),
        ("ppo", "n_epochs", True, "a whole number from 1 to"),
        ("ppo", "gamma", "nan", "a number from 0 to 1"),
        ("ppo", "gamma", float("nan"), "a number from 0 to 1"),
        ("ppo", "gamma", 1.01, "a number from 0 to 1"),
        ("ppo", "clip_range", "abc", "a number above 0"),
        ("ppo", "clip_range", 0, "a number above 0"),
        ("ppo", "clip_range", (0.1, 0.2), "a number above 0"),
        ("ppo", "learning_rate", float("inf"), "a number above 0"),
        ("ppo", "learning_rate", 10**400, "a number above 0"),
        ("ppo", "learning_rate", None, "a number above 0"),
        ("ppo", "target_kl", -1, "a number above 0, or None"),
        ("ppo", "normalize_advantage", 1, "True or False"),
        ("ppo", "ent_coef", -0.1, "0 or a number above it"),
        ("a2c", "max_grad_norm", 0.0, "a number above 0"),
        ("dqn", "tau", 0.0, "a number above 0 and at most 1"),
        ("dqn", "gradient_steps", 0, "a whole number from 1, or -1"),
        ("dqn", "train_freq", (1, "episode"), "a whole number from 1 to"),
        ("dqn", "buffer_size", "many", "a whole number from 1 to"),
        ("dqn", "exploration_fraction", 2, "a number from 0 to 1"),
        ("grpo", "group_size", 1, "a whole number from 2 to"),
    ],
)
def test_what_a_setting_cannot_be_is_named(algorithm, setting, value, remedy):
    with pytest.raises(ValueError) as refused:
        check_settings(algorithm, {setting: value})
    message = str(refused.value)
    assert message.startswith(f"setting {setting!r} of algorithm {algorithm!r} is {value!r}; give {remedy}")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("algorithm", "setting"),
    [
        ("ppo", "use_sde"),
        ("ppo", "rollout_buffer_class"),
        ("ppo", "tensorboard_log"),
        ("dqn", "optimize_memory_usage"),
        ("dqn", "n_steps"),
        ("a2c", "batch_size"),
        ("grpo", "gamma"),
    ],
)
def test_what_has_no_effect_or_cannot_work_is_no_setting(algorithm, setting):
    with pytest.raises(ValueError, match=f"algorithm '{algorithm}' has no setting '{setting}'; it knows "):
        check_settings(algorithm, {setting: 1})


def test_values_come_in_the_types_that_algorithms_expect():
    checked = check_settings("ppo", {"n_steps": 1e3, "gamma": 1, "clip_range_vf": None, "normalize_advantage": False})
    assert checked == {"n_steps": 1000, "gamma": 1.0, "clip_range_vf": None, "normalize_advantage": False}
    assert [type(checked[name]) for name in ("n_steps", "gamma")] == [int, float]
    assert check_settings("dqn", {"gradient_steps": -1}) == {"gradient_steps": -1}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_defaults_of_every_algorithm_are_allowed(name):
    chosen = ALGORITHMS[name]
    found = defaults(name, chosen.model_class, name)
    assert set(chosen.settings) | set(chosen.warm_start_settings) <= set(found) <= set(KINDS)
    for settings in (found, chosen.settings, chosen.warm_start_settings):
        assert check_settings(name, settings) == dict(settings)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_model_says_all_its_settings(name):
    own = {
        "dqn": {"buffer_size": 64, "target_update_interval": 16},
        "grpo": {"group_size": 2},
        "self-labelling": {"group_size": 2},
    }
    settings = {"learning_rate": 0.125, **own.get(name, {})}
    model = make_model(name, environments(4), seed=0, device="cpu", settings=settings)
    assert model.settings["learning_rate"] == model.learning_rate == 0.125
    assert set(model.settings) == set(defaults(name, ALGORITHMS[name].model_class, name))


@pytest.mark.parametrize(
    ("name", "rows", "settings", "text"),
    [
        ("ppo", 1, {"n_steps": 1}, "n_steps is 1 and num_envs 1, but two decisions at least"),
        ("a2c", 1, {"n_steps": 1}, "n_steps is 1 and num_envs 1, but two decisions at least"),
        ("ppo", 4, {"batch_size": 1}, "batch_size is 1, which leaves a single decision of 128"),
        ("maskable-ppo", 1, {"n_steps": 9, "batch_size": 4}, "batch_size is 4, which leaves a single decision of 9"),
    ],
)
def test_a_single_decision_is_not_learned_from(name, rows, settings, text):
    with pytest.raises(ValueError, match=text):
        make_model(name, environments(rows), seed=0, device="cpu", settings=settings)


def test_single_decisions_are_learned_from_where_nothing_is_normalised():
    settings = {"n_steps": 9, "batch_size": 4, "normalize_advantage": False}
    assert make_model("maskable-ppo", environments(1), seed=0, device="cpu", settings=settings).batch_size == 4
    with warnings.catch_warnings(action="ignore"):  # SB3 would rather have batches that divide a rollout
        model = make_model("ppo", environments(1), seed=0, device="cpu", settings={"n_steps": 1031})
    assert model.batch_size == 1024  # 1031 is a prime number
