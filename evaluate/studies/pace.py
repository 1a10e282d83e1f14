"""How many decisions an agent learns from in some seconds, so that a study can give every agent the same time."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from dnnmig_env.families.registry import make_generator
from train.config import TrainConfig
from train.run import new_model

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
    model, began_s = untrained(config), time.perf_counter()
    model.learn(STEPS)
    first, first_s = model.num_timesteps, time.perf_counter() - began_s
    if seconds <= first_s:
        return max(round(first * seconds / first_s), 1)
    model.learn(STEPS, reset_num_timesteps=False)
    pace = (model.num_timesteps - first) / (time.perf_counter() - began_s - first_s)
    return round(first + (seconds - first_s) * pace)


def untrained(config: TrainConfig) -> BaseAlgorithm:
    """Return the model with which training begins, before it has learned anything, not even where users go."""
    return new_model(replace(config, next_cell_steps=0), make_generator(config.family), config.device, {})
