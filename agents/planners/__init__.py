"""Planners: from a scenario to a plan, one paper (or idea) per file; `planner(name)` finds one by its name."""

from agents.planners.protocol import OrderPlanner, Placement, PlacementPlanner, Planner, TwoPhase
from agents.planners.registry import (
    ORACLES,
    ORDER_PLANNERS,
    PLACEMENT_PLANNERS,
    PLANNERS,
    order_planner,
    placement_planner,
    planner,
)

__all__ = [
    "ORACLES",
    "ORDER_PLANNERS",
    "PLACEMENT_PLANNERS",
    "PLANNERS",
    "OrderPlanner",
    "Placement",
    "PlacementPlanner",
    "Planner",
    "TwoPhase",
    "order_planner",
    "placement_planner",
    "planner",
]
