"""All planners by name.

`planner(name)` returns one. A name is a key of `PLANNERS` or `ORACLES`, `all-to-K` for a server K, or
`PLACEMENT+ORDER`: a key of `PLACEMENT_PLANNERS` (or `all-to-K`) and one of `ORDER_PLANNERS`. Parameters may follow each
part, as in `pso-ga:swarm=50:iterations=200+lmu`. A new planner is one file and one line below. Planners of others
(`agents.planners.own_planner`) are named `package.module:attribute`, or as their distribution registers them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

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
from agents.planners.own_planner import own_planner, registered_planners
from agents.planners.parameters import with_parameters
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
from dnnmig_env.files.own_code import is_reference

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
            may have parameters behind it, `:NAME=VALUE`. Or `package.module:attribute`, or a name that a distribution
            registers, also with parameters.

    Raises:
        ValueError: If there is no such planner (the message says the nearest name and the known ones), or a parameter
            is unknown or not valid, or what others have written is no planner.
    """
    whole = PLANNERS | ORACLES
    if name in whole:
        return whole[name]
    placement, plus, order = name.partition("+")
    if plus:
        return TwoPhase(placement_planner(placement), order_planner(order))
    bare, *parameters = name.split(":")
    if bare in whole:
        return with_parameters(bare, whole[bare], parameters)
    everything = _everything_to(bare)
    if everything is not None:
        return TwoPhase(with_parameters(bare, everything, parameters), front_to_back)
    if bare in PLACEMENT_PLANNERS:
        raise ValueError(f"{name!r} only places layers; add an order, such as '{name}+{next(iter(ORDER_PLANNERS))}'.")
    if bare in ORDER_PLANNERS:
        raise ValueError(f"{name!r} only orders uploads; put a placement before it, such as 'best-server+{name}'.")
    others = registered_planners()
    if bare in others:
        return own_planner(bare, others[bare], parameters)
    if parameters and is_reference(f"{bare}:{parameters[0]}"):
        reference = f"{bare}:{parameters[0]}"
        return own_planner(reference, reference, parameters[1:])
    raise _unknown("planner", bare, [*whole, *others, *PLACEMENT_PLANNERS, *ORDER_PLANNERS], others)


def placement_planner(name: str) -> PlacementPlanner:
    """Return the planner of the first half of a name in `PLACEMENT_PLANNERS`, or `all-to-K`.

    Raises:
        ValueError: As `planner`.
    """
    bare, *parameters = name.split(":")
    found = PLACEMENT_PLANNERS.get(bare) or _everything_to(bare)
    if found is None:
        raise _unknown("placement planner", bare, list(PLACEMENT_PLANNERS))
    return with_parameters(bare, found, parameters)


def order_planner(name: str) -> OrderPlanner:
    """Return the planner of the second half of a name in `ORDER_PLANNERS`.

    Raises:
        ValueError: As `planner`.
    """
    bare, *parameters = name.split(":")
    if bare not in ORDER_PLANNERS:
        raise _unknown("order planner", bare, list(ORDER_PLANNERS))
    return with_parameters(bare, ORDER_PLANNERS[bare], parameters)


def _everything_to(name: str) -> EverythingTo | None:
    number = re.fullmatch(r"all-to-([1-9]\d*)", name)
    return EverythingTo(int(number.group(1))) if number else None


def _unknown(kind: str, name: str, known: list[str], others: Iterable[str] = ()) -> ValueError:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    whole = ", ".join([*PLANNERS, *ORACLES, *others])
    return ValueError(
        f"unknown {kind} {name!r}; {hint}Planners are {whole}, all-to-K for a server K, package.module:attribute, and "
        f"PLACEMENT+ORDER with a placement from {', '.join(PLACEMENT_PLANNERS)} and an order from "
        f"{', '.join(ORDER_PLANNERS)}."
    )
