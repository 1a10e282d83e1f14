"""What a planner is: a function from a scenario to a plan, whole or in two halves (placement, then order)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dnnmig_env.arrays import Int8s
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan

Placement = tuple[Int8s, ...]
"""For each user the server (1..S, 0 = device) of every layer with weights, shape (L,); weightless layers are 0."""


class Planner(Protocol):
    """Decides which layers go to which server, in which order.

    A planner knows only the rates of slot 0 and takes them to last until the horizon. It uploads nothing for users who
    are absent in slot 0 (query rate 0), nothing that is uploaded already, and respects the servers' memory.
    """

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Plan:
        """Return the plan, the same for the same state of `rng`."""
        ...


class PlacementPlanner(Protocol):
    """The first half: decides where each layer goes. What is uploaded already stays where it is."""

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Placement:
        """Return the placement."""
        ...


class OrderPlanner(Protocol):
    """The second half: decides in which partitions, and in which order, a placement is uploaded."""

    def __call__(self, scenario: Scenario, placement: Placement, rng: np.random.Generator) -> Plan:
        """Return the plan."""
        ...


@dataclass(frozen=True)
class TwoPhase:
    """A planner in two halves, as EosDNN's: first the placement, then the upload order.

    Attributes:
        placement: Decides where layers go.
        order: Decides when they go.
    """

    placement: PlacementPlanner
    order: OrderPlanner

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Plan:
        """Return the plan."""
        return self.order(scenario, self.placement(scenario, rng), rng)
