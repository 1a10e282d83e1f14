"""Every algorithm of the registry learns, and wrong names and settings are named."""

import pytest

from agents.learning.algorithms import ALGORITHMS, TRAINING_REWARD, algorithm, check_settings, make_model
from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.policies.policy import RandomPolicy
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator
from dnnmig_env.families.toy import OPTIMAL_DELAY_S
from tests.agents.played import mean_delay_s


def delay_in_the_toy_s(policy, episodes=200):
    return mean_delay_s(policy, MigrationVectorEnv(episodes, make_generator("toy")), seed=1)


SHORT = {
    "ppo": (12_000, {"n_steps": 16, "batch_size": 512, "learning_rate": 3e-3}),
    "maskable-ppo": (12_000, {"n_steps": 16, "batch_size": 512, "learning_rate": 3e-3}),
    "a2c": (12_000, {}),
    "grpo": (25_000, {"learning_rate": 3e-3, "batch_size": 64}),
    "self-labelling": (10_000, {"learning_rate": 3e-3, "batch_size": 32}),
    "dqn": (5_000, {"learning_starts": 500, "target_update_interval": 256, "gradient_steps": 4, "batch_size": 64}),
}


BAD_START = {name: 5 if name == "dqn" else 4 for name in ALGORITHMS}
"""Seeds with which the network decides badly before training."""


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_short_run_comes_within_a_tenth_of_the_optimum_of_the_toy(name):
    steps, settings = SHORT[name]
    env = MigrationVectorEnv(32, make_generator("toy"), autoreset_mode="SameStep", **TRAINING_REWARD)
    model = make_model(name, Sb3VecEnv(env), seed=BAD_START[name], device="cpu", settings=settings)
    before = delay_in_the_toy_s(model, 1)
    model.learn(steps)
    after = delay_in_the_toy_s(model, 1)
    assert after < 1.1 * OPTIMAL_DELAY_S < before  # learned, not there from the start
    assert after < 0.8 * delay_in_the_toy_s(RandomPolicy(0))


def test_unknown_algorithms_and_settings_are_named():
    with pytest.raises(ValueError, match=r"unknown algorithm 'pp0'; did you mean 'ppo'\? The algorithms are ppo, a2c"):
        algorithm("pp0")
    with pytest.raises(ValueError, match=r"algorithm 'a2c' has no setting 'batch_size'; it knows .*n_steps"):
        check_settings("a2c", {"batch_size": 3})


@pytest.mark.parametrize(("rows", "batch"), [(128, 1024), (4, 128), (50, 800), (1, 32)])
def test_default_batches_divide_what_few_environments_collect(rows, batch):
    env = Sb3VecEnv(MigrationVectorEnv(rows, make_generator("toy"), autoreset_mode="SameStep"))
    assert make_model("ppo", env, seed=0, device="cpu").batch_size == batch


@pytest.mark.parametrize("name", ["ppo", "maskable-ppo"])
def test_who_was_taught_takes_smaller_steps_unless_told_otherwise(name):
    env = Sb3VecEnv(MigrationVectorEnv(4, make_generator("toy"), autoreset_mode="SameStep"))
    untaught, warm_start_settings, told = (
        make_model(name, env, seed=0, device="cpu", settings=settings, is_warm_started=is_warm_started)
        for settings, is_warm_started in (({}, False), ({}, True), ({"learning_rate": 1e-2, "n_steps": 8}, True))
    )
    assert (warm_start_settings.learning_rate, warm_start_settings.gae_lambda, warm_start_settings.n_steps) == (
        3e-4,
        1.0,
        128,
    )
    assert warm_start_settings.learning_rate < untaught.learning_rate
    assert warm_start_settings.batch_size == 4 * warm_start_settings.n_steps  # divides what four environments collect
    assert (told.learning_rate, told.gae_lambda, told.n_steps, told.batch_size) == (1e-2, 1.0, 8, 32)


def test_no_second_of_delay_counts_less_because_it_comes_later():
    # The reward of all steps together is the mean query delay, so discounting would train for something else. What
    # learns from groups looks at nothing but that delay.
    others = [name for name in ALGORITHMS if name not in ("grpo", "self-labelling")]
    discounts = {name: ALGORITHMS[name].settings["gamma"] for name in others}
    assert discounts == dict.fromkeys(["ppo", "a2c", "dqn", "maskable-ppo"], 1.0)
