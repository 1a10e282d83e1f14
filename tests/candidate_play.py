"""Environments that show candidates: played at random or by what comes first, and what they show taken apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from agents.candidates.features import CANDIDATE_FEATURES, SITUATION_WIDTH
from dnnmig_env.envs.batch import EpisodeBatch
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.families.registry import FAMILIES, make_generator
from dnnmig_env.simulation.plan_arrays import PlanArrays

AT = {name: k for k, name in enumerate(CANDIDATE_FEATURES)}

Play = Literal["random", "greedy", "waiting"]


ONE_CHANNEL = tuple(family for family in FAMILIES if family != "city")
"""Families in which all users share one channel, or can."""


def one_channel(family: str) -> dict[str, Any]:
    """Options of a family with which all users share one channel, and weights stay where they are."""
    return {"moves": False} if family == "mobile" else {}


def make_env(family: str, **options: Any) -> MigrationEnv:
    return MigrationEnv(make_generator(family, **(one_channel(family) | options)), observation="candidates")


def listed(observation: Any) -> Any:
    """Return the candidates' features, shape (K, F), and check that where the list ends all is zero."""
    features = observation[SITUATION_WIDTH:].reshape(-1, len(CANDIDATE_FEATURES))
    count = int(np.count_nonzero(features[:, AT["action"]]))
    assert not features[count:].any()
    assert (features[:count, AT["action"]] > 0).all()
    return features[:count]


def actions_of(env: MigrationEnv, candidates: Any) -> Any:
    """Return the candidates' actions."""
    return np.rint(candidates[:, AT["action"]] * env.episodes.actions.size).astype(int) - 1


def decided_plans(episodes: EpisodeBatch) -> PlanArrays:
    """Return a copy of what has been decided in all rows."""
    return PlanArrays._make(array.copy() for array in episodes.uploads)


def choose(env: MigrationEnv, observation: Any, rng: np.random.Generator, how: Play = "random") -> np.int64:
    """Return a legal action: any (seldom "stop"), the first candidate, or, half of the time, "stop"."""
    legal = np.flatnonzero(observation["action_mask"])
    actions = actions_of(env, listed(observation["observation"]))
    if how == "greedy":
        return np.int64(actions[0] if len(actions) else legal[-1])
    stop_share = 0.05 if how == "random" else 0.5
    return np.int64(rng.choice(legal[:-1]) if len(legal) > 1 and rng.random() > stop_share else legal[-1])


def moments(env: MigrationEnv, rng: np.random.Generator, how: Play = "random", **reset: Any) -> Iterator[Any]:
    """Play an episode; yield every observation, the last one included."""
    observation, _ = env.reset(**reset)
    done = False
    while not done:
        yield observation
        observation, _, done, _, _ = env.step(choose(env, observation, rng, how))
    yield observation
