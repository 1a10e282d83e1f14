"""Planners: functions from a scenario to a plan, one paper or idea per file; `planner(name)` returns one by its name.

Begin with `agents.planners.protocol`, which says what a planner is, `agents.planners.slot_zero`, which says what it may
know, and `agents.planners.registry`, which lists all planners. Many planners consist of two halves, a placement
(`agents.planners.placements`, `agents.planners.swarms`) and an upload order (`agents.planners.orders`); the other rooms
decide both at once.
"""

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
