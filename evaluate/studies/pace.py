"""How many decisions an agent learns from in some seconds, so that a study can give every agent the same time."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from agents.learning.algorithms import TRAINING_REWARD, algorithm, make_model
from agents.learning.sb3_vec_env import Sb3VecEnv
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator
from train.config import TrainConfig

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

STEPS = 10_000
"""Number of decisions, or a few more, in which an agent's pace is measured. It learns from as many before, as some
algorithms begin to learn after thousands."""


def decisions_in(seconds: float, config: TrainConfig) -> int:
    """Return from how many decisions an agent learns in some seconds on this machine, as busy as it is now.

    Args:
        seconds: The seconds.
        config: How the agent is trained. It is trained for a while here, and forgotten.
    """
    torch.set_num_threads(config.threads)
    model, clock_s, steps = new_model(config), [time.perf_counter()], [0]
    for _ in range(2):
        model.learn(STEPS, reset_num_timesteps=not steps[-1])
        clock_s.append(time.perf_counter())
        steps.append(model.num_timesteps)
    begin = 0 if clock_s[1] - clock_s[0] > seconds else 1  # the first decisions may take all of the time
    pace = (steps[begin + 1] - steps[begin]) / (clock_s[begin + 1] - clock_s[begin])
    return max(round(steps[begin] + (seconds - (clock_s[begin] - clock_s[0])) * pace), 1)


def new_model(config: TrainConfig) -> BaseAlgorithm:
    """Return a model that has not taken its first step, in environments like those of training."""
    generator, rows = make_generator(config.family), algorithm(config.algorithm).num_envs
    options: dict[str, Any] = {"autoreset_mode": "SameStep", **TRAINING_REWARD}
    env = Sb3VecEnv(MigrationVectorEnv(rows, generator, config.decisions, **options))
    network = asdict(config.network)
    return make_model(
        config.algorithm, env, config.seed, config.device, network=network, own_policy=config.policy_class
    )
