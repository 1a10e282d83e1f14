"""Plays recorded actions again, and notes what an agent sees, does and is paid on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.scenarios.scenario import Scenario


@dataclass(frozen=True, eq=False)
class Episode:
    """An episode of T decisions.

    Attributes:
        observations: What is seen before the first decision and after each one, by the names of the observation's
            parts, shape (T + 1, ...) each.
        actions: The actions, shape (T,).
        rewards: What each of them is paid, shape (T,).
        ended: Whether the episode ended by each of them, shape (T,).
        infos: What `info` says at the beginning and after each decision, by its keys, shape (T + 1, ...) each.
    """

    observations: Mapping[str, NDArray[Any]]
    actions: Ints
    rewards: Floats
    ended: Bools
    infos: Mapping[str, NDArray[Any]]


def replayed(env: MigrationEnv, scenario: Scenario, actions: Sequence[int]) -> Episode:
    """Take recorded actions again.

    Args:
        env: The environment, which pays the rewards that are to be noted.
        scenario: The scenario in which the actions were taken.
        actions: The actions.
    """
    observation, info = env.reset(options={"scenario": scenario})
    observations, infos = [observation], [info]
    rewards, ended = list[float](), list[bool]()
    for action in actions:
        observation, reward, terminated, _, info = env.step(action)
        observations.append(observation)
        infos.append(info)
        rewards.append(reward)
        ended.append(terminated)
    return Episode(
        {name: np.stack([each[name] for each in observations]) for name in observation},
        np.array(actions, np.int64),
        np.array(rewards),
        np.array(ended, np.bool_),
        {name: np.array([each[name] for each in infos]) for name in info},
    )
