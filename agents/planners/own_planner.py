"""Planners that others have written, named `package.module:attribute` or as their distribution registers them."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from agents.planners.parameters import with_parameters
from agents.planners.protocol import Planner
from dnnmig_env.files.own_code import imported, registered, wrong_kind
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, check_plan

PLANNERS_GROUP = "dnnmig.planners"
"""Group of entry points by which a distribution registers planners."""


class OwnPlanner:
    """Plans as somebody else's planner does, and checks what that returns, since compiled code will not.

    Args:
        name: Its name, for errors.
        planner: The planner.
    """

    def __init__(self, name: str, planner: Planner) -> None:
        self._name, self._planner = name, planner

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Plan:
        """Return the plan.

        Raises:
            ValueError: If it is no `Plan`, or cannot be carried out in the scenario.
        """
        plan: Any = self._planner(scenario, rng)
        if not isinstance(plan, Plan):
            raise ValueError(
                f"planner {self._name!r} has returned a {type(plan).__name__}; return a "
                "dnnmig_env.simulation.plan.Plan, such as plan_of([(user, layer, server), ...])."
            )
        try:
            check_plan(scenario, plan)
        except ValueError as error:
            raise ValueError(
                f"planner {self._name!r} has returned a plan that cannot be carried out: {error}"
            ) from None
        return plan


def registered_planners() -> dict[str, str]:
    """Return the planners that installed distributions register: `package.module:attribute` by name.

    Raises:
        ValueError: If two of them register different planners by the same name.
    """
    return registered(PLANNERS_GROUP)


def own_planner(name: str, reference: str, parameters: list[str]) -> Planner:
    """Return a planner that somebody else has written.

    It is a function `(scenario, rng) -> plan`, or an object that is called so, or a class of such objects that is made
    without arguments. If the object is of a dataclass, its fields are parameters.

    Args:
        name: Its name, for errors.
        reference: Where it is, `package.module:attribute`.
        parameters: Parameters that change, each as NAME=VALUE.

    Raises:
        ValueError: If it cannot be imported or is no planner, or a parameter is unknown or not valid.
    """
    found = imported(reference)
    wanted = "a function (scenario, rng) -> plan, or a class of objects that are called so"
    if isinstance(found, type):
        if not any("__call__" in vars(each) for each in found.__mro__):
            raise wrong_kind(reference, found, wanted)
        try:
            found = found()
        except Exception as error:  # whatever the class raises
            raise ValueError(
                f"planner {name!r} cannot be made without arguments ({type(error).__name__}: {error}); give its "
                "arguments default values."
            ) from error
    if not callable(found):
        raise wrong_kind(reference, found, wanted)
    try:
        inspect.signature(found).bind("scenario", "rng")
    except TypeError:
        raise ValueError(
            f"{reference!r} takes {inspect.signature(found)}; a planner takes (scenario, rng) and returns a plan."
        ) from None
    except ValueError:  # some compiled functions do not say what they take
        pass
    return OwnPlanner(name, with_parameters(name, found, parameters))
