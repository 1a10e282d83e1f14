"""The one interface of everything that acts in the environment: SB3's `predict`."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.planners import Planner, order_planner, placement_planner, planner
from agents.policies.name import REPLAN, ModelName, parse_half_name, parse_model_name
from agents.policies.plan_policy import PlanPolicy
from dnnmig_env.envs.vector_env import MigrationVectorEnv, Observations

FORECAST = "@forecast"
"""Suffix of a planner's name: as "@replan", from the links expected of users who keep their course."""

CLAIRVOYANT = "@clairvoyant"
"""Suffix of the name of a planner with the parameter `clairvoyant`: plan once, knowing all slots to come. A bound."""


class Policy(Protocol):
    """Chooses actions from observations; SB3's algorithms, planners and the random policy all do."""

    def predict(
        self,
        observation: Observations,
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.int64], Any]:
        """Return one action per row of a batch of observations (or for a single one), and the next state."""
        ...


class RandomPolicy:
    """Chooses uniformly among the legal actions, "stop" included.

    Args:
        seed: Seed of the choices.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def predict(
        self,
        observation: Observations,
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.int64], Any]:
        """Return random legal actions; nothing but the mask is looked at."""
        mask = observation["action_mask"]
        return np.argmax(self._random.random(mask.shape) * mask, axis=-1), state


def resolve_policy(name: str, env: MigrationVectorEnv, seed: int) -> Policy:
    """Return the policy of a name, ready to act in `env`.

    Args:
        name: "random", a planner's name, bare or with "@replan", "@forecast" or "@clairvoyant", or the path
            of a trained model.
            "NAME@K" is the best of K plans of a trained model; see `parse_model_name`. "MODEL+ORDER" and
            "PLACEMENT+MODEL" are planners of which one half is a two-phase model's; see `agents.policies.model_halves`.
        env: The environment in which it will act.
        seed: Seed of whatever is random in it.

    Raises:
        ValueError: If no policy has that name, or the model cannot act in this environment.
    """
    if name == "random":
        return RandomPolicy(seed)
    trained = parse_model_name(name)
    if trained is not None:
        return _trained_policy(trained, env, seed)
    if name.endswith(CLAIRVOYANT):
        planning = _planner(name.removesuffix(CLAIRVOYANT) + ":clairvoyant=true", env)
        return PlanPolicy(planning, env, seed, clairvoyant=True)
    if name.endswith(FORECAST):
        return PlanPolicy(_planner(name.removesuffix(FORECAST), env), env, seed, replan=True, forecast=True)
    return PlanPolicy(_planner(name.removesuffix(REPLAN), env), env, seed, replan=name.endswith(REPLAN))


def check_policy_name(name: str, family: str) -> None:
    """Check that a name means a policy, without making it.

    Args:
        name: As of `resolve_policy`.
        family: Family of the scenarios.

    Raises:
        ValueError: If it does not.
    """
    trained = parse_model_name(name)
    if trained is not None:
        from agents.policies.trained import find

        find(trained.path(family))
    elif name != "random":
        bare = name
        for suffix in (CLAIRVOYANT, FORECAST, REPLAN):
            bare = bare.removesuffix(suffix)
        half = parse_half_name(bare)
        if half is None:
            planner(bare)
            return
        from agents.policies.trained import find

        find(half.model.path(family))
        (order_planner if half.places else placement_planner)(half.planner)


def _trained_policy(name: ModelName, env: MigrationVectorEnv, seed: int) -> Policy:
    from agents.policies.trained import load

    model = load(name.path(env.episodes.generator.family), env)
    if not name.samples:
        return model
    from agents.policies.sampling import SampledPlanner

    planning = SampledPlanner(model, env.episodes.generator.limits, name.samples)
    return PlanPolicy(planning, env, seed, replan=name.replan)


def _planner(name: str, env: MigrationVectorEnv) -> Planner:
    half = parse_half_name(name)
    if half is None:
        return planner(name)
    from agents.policies.model_halves import half_planner

    return half_planner(half, env.episodes.generator)
