"""The one interface of everything that acts in the environment: SB3's `predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from agents.planners import ORACLES, ORDER_PLANNERS, PLACEMENT_PLANNERS, PLANNERS, Planner, planner
from agents.policies.name import (
    ModelName,
    OwnName,
    PlannerName,
    PolicyName,
    RandomName,
    UntrainedName,
    parse_policy_name,
)
from agents.policies.own_policy import own_kind, own_policy
from agents.policies.plan_policy import PlanPolicy
from dnnmig_env.arrays import Bools, Ints
from dnnmig_env.envs.vector_env import MigrationVectorEnv, Observations
from dnnmig_env.families.registry import Generator


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

    Each row has a random stream of its own, so that what it decides does not depend on how many rows there are.

    Args:
        seed: Seed of the choices.
        first: Number of the first row's stream; the others follow.
    """

    def __init__(self, seed: int, first: int = 0) -> None:
        self._seed, self._first = seed, first
        self._streams: list[np.random.Generator] = []

    def predict(
        self,
        observation: Observations,
        state: Any = None,
        episode_start: Bools | None = None,
        deterministic: bool = True,
    ) -> tuple[Ints, Any]:
        """Return random legal actions; of the observations only the mask is used. A single observation is row 0."""
        mask = observation["action_mask"]
        rows = np.atleast_2d(mask)
        for row in range(len(self._streams), len(rows)):
            self._streams.append(np.random.default_rng([self._seed, self._first + row]))
        drawn = [stream.random(len(legal)) for stream, legal in zip(self._streams, rows, strict=False)]
        return np.argmax(np.reshape(drawn, mask.shape) * mask, axis=-1), state


def resolve_policy(
    name: str | PolicyName,
    env: MigrationVectorEnv,
    seed: int,
    family: str | None = None,
    first: int = 0,
    timed: bool = True,
) -> Policy:
    """Return the policy of a name, ready to act in `env`.

    Args:
        name: A name as `parse_policy_name` takes it, or its result.
        env: The environment in which the policy will act.
        seed: Seed of whatever is random in the policy.
        family: Family of the scenarios, for which a model must have been trained; by default the one that `env` draws.
        first: Number of the scenario in the first row, where these are a part of more; random decisions follow from it.
        timed: Whether it matters how long a plan takes. If not, all cores share the rows that plan at the same moment,
            unless the planner is somebody else's, who may not have thought of threads.

    Raises:
        ValueError: If no policy has that name, or the model cannot act in this environment.
    """
    name = parse_policy_name(name) if isinstance(name, str) else name
    if isinstance(name, RandomName):
        return RandomPolicy(seed, first)
    if isinstance(name, UntrainedName):
        from agents.policies.trained import untrained

        return untrained(env, seed)
    if isinstance(name, ModelName):
        return _trained_policy(name, env, seed, family)
    if isinstance(name, OwnName) and not plans(name):
        return own_policy(name, env, seed)
    return PlanPolicy(
        _planner(name, env.episodes.limits.lanes), env, seed, view=name.view, timed=timed or isinstance(name, OwnName)
    )


def plans(name: PolicyName) -> bool:
    """Return whether the policy of a name plans, so that `resolve_policy` returns a `PlanPolicy`.

    Raises:
        ValueError: If it is of somebody else's and cannot be found.
    """
    if isinstance(name, OwnName):
        return _is_known_planner(name) or own_kind(name) == "planner"
    return isinstance(name, PlannerName) or (isinstance(name, ModelName) and name.samples > 0)


def check_policy_name(name: str, generator: Generator) -> None:
    """Check that a name means a policy, without making it.

    Args:
        name: A name as `parse_policy_name` takes it.
        generator: What draws the scenarios.

    Raises:
        ValueError: If it means none.
    """
    parsed = parse_policy_name(name)
    if isinstance(parsed, ModelName):
        from agents.policies.trained import find

        find(parsed.path(generator.family))
    elif plans(parsed) and isinstance(parsed, PlannerName | OwnName):
        _planner(parsed, generator.limits.lanes)


def _trained_policy(name: ModelName, env: MigrationVectorEnv, seed: int, family: str | None) -> Policy:
    from agents.policies.trained import load, read_card

    if family is None and env.episodes.generator is not None:
        family = env.episodes.generator.family
    own_class = read_card(name.path(family)).policy_class
    if own_class is not None:
        if name.samples:
            raise ValueError(
                f"{name.model} was trained with the policy class {own_class}, which is not sampled; leave out "
                f"@{name.samples}."
            )
        from agents.policies.own_trained import load_own

        return load_own(name.path(family), env, family)
    model = load(name.path(family), env, family)
    if not name.samples:
        return model
    from agents.policies.sampling import make_sampler

    planning = make_sampler(model, env.episodes.limits, name.samples)
    return PlanPolicy(planning, env, seed, view="replan" if name.replan else "start")


def _is_known_planner(name: OwnName) -> bool:
    """Return whether it is a planner of this project whose parameter lacks a value, as in `exact:tolerance`."""
    return name.reference.partition(":")[0] in PLANNERS | ORACLES | PLACEMENT_PLANNERS | ORDER_PLANNERS


def _planner(name: PlannerName | OwnName, lanes: bool) -> Planner:
    called = name.reference if isinstance(name, OwnName) else name.planner
    try:
        known = planner(called)
        if name.view in ("markov", "perdnn") and not lanes:
            raise ValueError(
                f"{called}@{name.view} sends layers ahead of users; it is for scenarios whose weights move "
                "between servers, such as those of the family 'city'."
            )
        if name.view != "clairvoyant" or lanes:
            return known
        if not hasattr(known, "clairvoyant"):
            raise ValueError(f"{called!r} cannot know the slots to come; @clairvoyant is for exact and local-search.")
        return planner(f"{called}:clairvoyant=true")
    except ValueError as error:
        if Path(called).exists():
            raise ValueError(f"{error} For the trained model in {called!r} write './{called}'.") from None
        raise
