"""All planners by name.

`planner(name)` returns one. A name is a key of `PLANNERS` or `ORACLES`, `all-to-K` for a server K, or
`PLACEMENT+ORDER`: a key of `PLACEMENT_PLANNERS` (or `all-to-K`) and one of `ORDER_PLANNERS`. Parameters may follow each
part, as in `pso-ga:swarm=50:iterations=200+lmu`. A new planner is one file and one line below.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from agents.planners.device_only import device_only
from agents.planners.exact.exact import Exact
from agents.planners.ionn.ionn import Ionn
from agents.planners.joint_efficiency.joint_efficiency import joint_efficiency
from agents.planners.local_search.local_search import LocalSearch
from agents.planners.mjoa_mu.mjoa_mu import MjoaMu
from agents.planners.mjoa_mu.pbt_dp import PbtDp
from agents.planners.orders.efficiency import by_efficiency, efficiency
from agents.planners.orders.equal_share_lmu import equal_share_lmu
from agents.planners.orders.front_to_back import front_to_back
from agents.planners.orders.lmu import lmu, multi_user_lmu
from agents.planners.placements.best_server import best_server
from agents.planners.placements.dads import dads
from agents.planners.placements.everything_to import EverythingTo
from agents.planners.placements.greedy import greedy
from agents.planners.placements.heft import heft
from agents.planners.placements.neurosurgeon import neurosurgeon
from agents.planners.protocol import OrderPlanner, PlacementPlanner, Planner, TwoPhase
from agents.planners.swarms.genetic import Genetic
from agents.planners.swarms.pso import Pso
from agents.planners.swarms.pso_ga import PsoGa

Chosen = TypeVar("Chosen")

PLACEMENT_PLANNERS: dict[str, PlacementPlanner] = {
    "all-to-1": EverythingTo(1),
    "best-server": best_server,
    "dads": dads,
    "genetic": Genetic(),
    "greedy": greedy,
    "heft": heft,
    "neurosurgeon": neurosurgeon,
    "pbt-dp": PbtDp(),
    "pso": Pso(),
    "pso-ga": PsoGa(),
}
"""Planners of the first half: they say where layers go."""

ORDER_PLANNERS: dict[str, OrderPlanner] = {
    "front-to-back": front_to_back,
    "efficiency": by_efficiency,
    "lmu": lmu,
    "multi-user-lmu": multi_user_lmu,
    "equal-share-lmu": equal_share_lmu,
}
"""Planners of the second half: they say in which order a placement is uploaded."""

PLANNERS: dict[str, Planner] = {
    "device-only": device_only,
    "all-to-1": TwoPhase(EverythingTo(1), front_to_back),
    "front-to-back": TwoPhase(best_server, front_to_back),
    "ionn": Ionn(),
    "efficiency": efficiency,
    "pso-ga+lmu": TwoPhase(PsoGa(), lmu),
    "joint-efficiency": joint_efficiency,
    "local-search": LocalSearch(),
    "mjoa-mu": MjoaMu(),
}
"""Whole planners."""

ORACLES: dict[str, Planner] = {
    "exact": Exact(),
}
"""Whole planners that prove their plan to be the best, and refuse a scenario that is too large for that."""


def planner(name: str) -> Planner:
    """Return the planner of a name.

    Args:
        name: A name in `PLANNERS` or `ORACLES`, `all-to-K` with a server's number K, or `PLACEMENT+ORDER`. Each part
            may have parameters behind it, `:NAME=VALUE`.

    Raises:
        ValueError: If there is no such planner (the message says the nearest name and the known ones), or a parameter
            is unknown or not valid.
    """
    whole = PLANNERS | ORACLES
    if name in whole:
        return whole[name]
    placement, plus, order = name.partition("+")
    if plus:
        return TwoPhase(placement_planner(placement), order_planner(order))
    bare, *parameters = name.split(":")
    if bare in whole:
        return _with_parameters(bare, whole[bare], parameters)
    everything = _everything_to(bare)
    if everything is not None:
        return TwoPhase(_with_parameters(bare, everything, parameters), front_to_back)
    if bare in PLACEMENT_PLANNERS:
        raise ValueError(f"{name!r} only places layers; add an order, such as '{name}+{next(iter(ORDER_PLANNERS))}'.")
    if bare in ORDER_PLANNERS:
        raise ValueError(f"{name!r} only orders uploads; put a placement before it, such as 'best-server+{name}'.")
    raise _unknown("planner", bare, [*whole, *PLACEMENT_PLANNERS, *ORDER_PLANNERS])


def placement_planner(name: str) -> PlacementPlanner:
    """Return the planner of the first half of a name in `PLACEMENT_PLANNERS`, or `all-to-K`.

    Raises:
        ValueError: As `planner`.
    """
    bare, *parameters = name.split(":")
    found = PLACEMENT_PLANNERS.get(bare) or _everything_to(bare)
    if found is None:
        raise _unknown("placement planner", bare, list(PLACEMENT_PLANNERS))
    return _with_parameters(bare, found, parameters)


def order_planner(name: str) -> OrderPlanner:
    """Return the planner of the second half of a name in `ORDER_PLANNERS`.

    Raises:
        ValueError: As `planner`.
    """
    bare, *parameters = name.split(":")
    if bare not in ORDER_PLANNERS:
        raise _unknown("order planner", bare, list(ORDER_PLANNERS))
    return _with_parameters(bare, ORDER_PLANNERS[bare], parameters)


def _with_parameters(name: str, found: Chosen, parameters: list[str]) -> Chosen:
    """Return a planner with some of its parameters changed, given as NAME=VALUE."""
    if not parameters:
        return found
    of: list[Any] = list(fields(found)) if is_dataclass(found) else []
    known = {field.name: type(getattr(found, field.name)) for field in of}
    known = {parameter: kind for parameter, kind in known.items() if kind in (bool, int, float)}
    changes: dict[str, Any] = {}
    for text in parameters:
        parameter, _, value = text.partition("=")
        if parameter not in known:
            listed = f"its parameters are {', '.join(known)}, written {name}:NAME=VALUE"
            hint = listed if known else f"it has no parameters: leave out ':{text}'"
            raise ValueError(f"planner {name!r} has no parameter {parameter!r}; {hint}.")
        changes[parameter] = _value(f"{name}:{parameter}", known[parameter], value)
    return replace(found, **changes)  # type: ignore[type-var]  # parameters are known only where it is a dataclass


def _value(where: str, kind: type[Any], text: str) -> Any:
    """Return the value that a text stands for: a truth value, a whole number or a number, as `kind` says."""
    kinds = {
        bool: ("true or false", {"true": True, "false": False}.__getitem__),
        int: ("a whole number, less than 2^31", _whole),
    }
    wanted, read = kinds.get(kind, ("a number", float))
    try:
        return read(text)
    except (KeyError, ValueError):
        raise ValueError(f"{where} is {text!r}; give {wanted}.") from None


def _whole(text: str) -> int:
    """Read a whole number, which may be written as 1e6."""
    number = float(text)
    if not number.is_integer() or abs(number) >= 2**31:
        raise ValueError(text)
    return int(number)


def _everything_to(name: str) -> EverythingTo | None:
    number = re.fullmatch(r"all-to-([1-9]\d*)", name)
    return EverythingTo(int(number.group(1))) if number else None


def _unknown(kind: str, name: str, known: list[str]) -> ValueError:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return ValueError(
        f"unknown {kind} {name!r}; {hint}Planners are {', '.join(PLANNERS | ORACLES)}, all-to-K for a server K, and "
        f"PLACEMENT+ORDER with a placement from {', '.join(PLACEMENT_PLANNERS)} and an order from "
        f"{', '.join(ORDER_PLANNERS)}."
    )
