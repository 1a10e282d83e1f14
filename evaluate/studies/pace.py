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
"""Number of decisions, or a few more, in which an agent's pace is measured. It first learns from as many that do not
count, as some algorithms begin to learn after thousands."""


def decisions_in(seconds: float, config: TrainConfig) -> int:
    """Return from how many decisions an agent learns in some seconds on this machine, as busy as it is now.

    Args:
        seconds: The seconds.
        config: How the agent is trained. It is trained for a while here, and forgotten.
    """
    torch.set_num_threads(config.threads)
    model = new_model(config)
    model.learn(STEPS)
    before, began_s = model.num_timesteps, time.perf_counter()
    model.learn(STEPS, reset_num_timesteps=False)
    pace = (model.num_timesteps - before) / (time.perf_counter() - began_s)
    return max(round(seconds * pace), 1)


def new_model(config: TrainConfig) -> BaseAlgorithm:
    """Return a model that has not taken its first step, in environments like those of training."""
    generator, rows = make_generator(config.family), algorithm(config.algorithm).num_envs
    options: dict[str, Any] = {"autoreset_mode": "SameStep", **TRAINING_REWARD}
    env = Sb3VecEnv(MigrationVectorEnv(rows, generator, config.decisions, **options))
    network = asdict(config.network)
    return make_model(
        config.algorithm, env, config.seed, config.device, network=network, own_policy=config.policy_class
    )
