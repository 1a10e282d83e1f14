"""Planners: from a scenario to a plan, one paper (or idea) per file, by name.

`planner(name)` finds one: a name in `PLANNERS`, `all-to-K`, or `PLACEMENT+ORDER`, any pair of a name in
`PLACEMENT_PLANNERS` (or `all-to-K`) and one in `ORDER_PLANNERS`. Adding a planner is one file and one line below.
"""

from __future__ import annotations

import difflib
import re

from agents.planners.best_server import best_server
from agents.planners.device_only import device_only
from agents.planners.everything_to import EverythingTo
from agents.planners.front_to_back import front_to_back
from agents.planners.joint_efficiency import joint_efficiency
from agents.planners.lmu import lmu
from agents.planners.planner import OrderPlanner, Placement, PlacementPlanner, Planner, TwoPhase
from agents.planners.pso_ga import PsoGa

__all__ = [
    "ORDER_PLANNERS",
    "PLACEMENT_PLANNERS",
    "PLANNERS",
    "OrderPlanner",
    "Placement",
    "PlacementPlanner",
    "Planner",
    "TwoPhase",
    "planner",
]

PLACEMENT_PLANNERS: dict[str, PlacementPlanner] = {
    "all-to-1": EverythingTo(1),
    "best-server": best_server,
    "pso-ga": PsoGa(),
}
"""Planners of the first half: where layers go."""

ORDER_PLANNERS: dict[str, OrderPlanner] = {
    "front-to-back": front_to_back,
    "lmu": lmu,
}
"""Planners of the second half: in which order they are uploaded."""

PLANNERS: dict[str, Planner] = {
    "device-only": device_only,
    "all-to-1": TwoPhase(EverythingTo(1), front_to_back),
    "front-to-back": TwoPhase(best_server, front_to_back),
    "pso-ga+lmu": TwoPhase(PsoGa(), lmu),
    "joint-efficiency": joint_efficiency,
}
"""Whole planners."""


def planner(name: str) -> Planner:
    """Return the planner of that name.

    Args:
        name: A name in `PLANNERS`, `all-to-K` with a server's number K, or `PLACEMENT+ORDER`.

    Raises:
        ValueError: If there is none, with the nearest name and the known ones.
    """
    if name in PLANNERS:
        return PLANNERS[name]
    placement, plus, order = name.partition("+")
    if plus:
        return TwoPhase(_placement_planner(placement), _order_planner(order))
    everything = _everything_to(name)
    if everything is not None:
        return TwoPhase(everything, front_to_back)
    if name in PLACEMENT_PLANNERS:
        raise ValueError(f"{name!r} only places layers; add an order, such as '{name}+{next(iter(ORDER_PLANNERS))}'.")
    if name in ORDER_PLANNERS:
        raise ValueError(f"{name!r} only orders uploads; put a placement before it, such as 'best-server+{name}'.")
    raise _unknown("planner", name, [*PLANNERS, *PLACEMENT_PLANNERS, *ORDER_PLANNERS])


def _placement_planner(name: str) -> PlacementPlanner:
    if name in PLACEMENT_PLANNERS:
        return PLACEMENT_PLANNERS[name]
    everything = _everything_to(name)
    if everything is None:
        raise _unknown("placement planner", name, list(PLACEMENT_PLANNERS))
    return everything


def _order_planner(name: str) -> OrderPlanner:
    if name not in ORDER_PLANNERS:
        raise _unknown("order planner", name, list(ORDER_PLANNERS))
    return ORDER_PLANNERS[name]


def _everything_to(name: str) -> EverythingTo | None:
    number = re.fullmatch(r"all-to-([1-9]\d*)", name)
    return EverythingTo(int(number.group(1))) if number else None


def _unknown(kind: str, name: str, known: list[str]) -> ValueError:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return ValueError(
        f"unknown {kind} {name!r}; {hint}Planners are {', '.join(PLANNERS)}, all-to-K for a server K, and "
        f"PLACEMENT+ORDER with a placement from {', '.join(PLACEMENT_PLANNERS)} and an order from "
        f"{', '.join(ORDER_PLANNERS)}."
    )
