"""The one interface of everything that acts in the environment: SB3's `predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from agents.planners import Planner, planner
from agents.policies.name import ModelName, PlannerName, PolicyName, RandomName, UntrainedName, parse_policy_name
from agents.policies.plan_policy import PlanPolicy
from dnnmig_env.arrays import Bools, Ints
from dnnmig_env.envs.vector_env import MigrationVectorEnv, Observations
from dnnmig_env.families.registry import make_generator


class Policy(Protocol):
    """Chooses actions from observations; SB3's algorithms, planners and the random policy all do so."""

    def predict(
        self,
        observation: Observations,
        state: Any = None,
        episode_start: Bools | None = None,
        deterministic: bool = True,
    ) -> tuple[Ints, Any]:
        """Return one action per row of a batch of observations (or for a single observation), and the next state."""
        ...


class RandomPolicy:
    """Chooses uniformly among the legal actions, "stop" included.

    Args:
        seed: Seed of the choices.
        stream: Number of a random stream of that seed.
    """

    def __init__(self, seed: int, stream: int = 0) -> None:
        self._random = np.random.default_rng([seed, stream])

    def predict(
        self,
        observation: Observations,
        state: Any = None,
        episode_start: Bools | None = None,
        deterministic: bool = True,
    ) -> tuple[Ints, Any]:
        """Return random legal actions; of the observations only the mask is used."""
        mask = observation["action_mask"]
        return np.argmax(self._random.random(mask.shape) * mask, axis=-1), state


def resolve_policy(
    name: str | PolicyName, env: MigrationVectorEnv, seed: int, family: str | None = None, stream: int = 0
) -> Policy:
    """Return the policy of a name, ready to act in `env`.

    Args:
        name: A name as `parse_policy_name` takes it, or its result.
        env: The environment in which the policy will act.
        seed: Seed of whatever is random in the policy.
        family: Family of the scenarios, for which a model must have been trained; by default the one that `env` draws.
        stream: Number of the random stream of that seed with which random decisions are made.

    Raises:
        ValueError: If no policy has that name, or the model cannot act in this environment.
    """
    name = parse_policy_name(name) if isinstance(name, str) else name
    if isinstance(name, RandomName):
        return RandomPolicy(seed, stream)
    if isinstance(name, UntrainedName):
        from agents.policies.trained import untrained

        return untrained(env, seed)
    if isinstance(name, ModelName):
        return _trained_policy(name, env, seed, family)
    return PlanPolicy(_planner(name, env.episodes.limits.lanes), env, seed, view=name.view)


def check_policy_name(name: str, family: str) -> None:
    """Check that a name means a policy, without making it.

    Args:
        name: A name as `parse_policy_name` takes it.
        family: Family of the scenarios.

    Raises:
        ValueError: If it means none.
    """
    parsed = parse_policy_name(name)
    if isinstance(parsed, ModelName):
        from agents.policies.trained import find

        find(parsed.path(family))
    elif isinstance(parsed, PlannerName):
        _planner(parsed, make_generator(family).limits.lanes)


def _trained_policy(name: ModelName, env: MigrationVectorEnv, seed: int, family: str | None) -> Policy:
    from agents.policies.trained import load

    if family is None and env.episodes.generator is not None:
        family = env.episodes.generator.family
    model = load(name.path(family), env, family)
    if not name.samples:
        return model
    from agents.policies.sampling import make_sampler

    planning = make_sampler(model, env.episodes.limits, name.samples)
    return PlanPolicy(planning, env, seed, view="replan" if name.replan else "start")


def _planner(name: PlannerName, lanes: bool) -> Planner:
    try:
        known = planner(name.planner)
        if name.view in ("markov", "perdnn") and not lanes:
            raise ValueError(
                f"{name.planner}@{name.view} sends layers ahead of users; it is for scenarios whose weights move "
                "between servers, such as those of the family 'city'."
            )
        if name.view != "clairvoyant" or lanes:
            return known
        if not hasattr(known, "clairvoyant"):
            raise ValueError(
                f"{name.planner!r} cannot know the slots to come; @clairvoyant is for exact and local-search."
            )
        return planner(f"{name.planner}:clairvoyant=true")
    except ValueError as error:
        if Path(name.planner).exists():
            raise ValueError(f"{error} For the trained model in {name.planner!r} write './{name.planner}'.") from None
        raise
