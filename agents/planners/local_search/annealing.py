"""Simulated annealing over upload sequences: chains of plans, each a small change of the one before.

Kirkpatrick, Gelatt and Vecchi, "Optimization by Simulated Annealing", Science 1983. A chain draws a neighbour of its
present plan (`agents.planners.local_search.moves`). It goes there if the neighbour costs no more than the present plan
and `-T log(1 - r)`, with T the temperature and r uniform in [0, 1). This is Metropolis' rule with r drawn first, so
that a plan that cannot be accepted need not be played to its end (`agents.planners.local_search.replay`).
"""

from __future__ import annotations

import numpy as np

from agents.planners.local_search.chains import BEST, ITEM, NONE, PRESENT, SERVER, TRIAL, Movable, Walk
from agents.planners.local_search.edits import copy_plan
from agents.planners.local_search.moves import propose
from agents.planners.local_search.random import uniform
from agents.planners.local_search.replay import ROUNDING, settle, try_out
from dnnmig_env.arrays import Floats
from dnnmig_env.compiling.jit import jit_nogil, jit_without_refcounts
from dnnmig_env.compiling.threads import share_rows
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State

TRIES = 8
"""Most moves that are drawn until one changes the plan."""


def anneal(
    packed: PackedScenarios,
    state: State,
    movable: Movable,
    chains: Walk,
    chances: Floats,
    evaluations: int,
    temperature: float,
) -> None:
    """Let every chain walk at one temperature, from its present plan; at temperature 0 from its best one.

    Args:
        packed: The packed scenarios, of which scenario 0 counts.
        state: A state of `num_rows(C, D)` rows.
        movable: The D layers that may be uploaded.
        chains: The C chains. BEST never gets worse; its cost is infinite before the first call.
        chances: How often each move is tried, in the order of `CHANCES`, adding up to 1.
        evaluations: Most plans that each chain tries out.
        temperature: Temperature, as a share of the cost of the chain's best plan.
    """
    arguments = packed, 0, state, movable, chains, chances, evaluations, temperature
    share_rows(_walk_chains, len(chains.length), *arguments, per_core=1)


@jit_nogil
def _walk_chains(
    first: int,
    end: int,
    packed: PackedScenarios,
    b: int,
    state: State,
    movable: Movable,
    chains: Walk,
    chances: Floats,
    evaluations: int,
    temperature: float,
) -> None:
    for c in range(first, end):
        _walk(packed, b, state, movable, chains, c, chances, evaluations, temperature)


@jit_without_refcounts
def _walk(
    packed: PackedScenarios,
    b: int,
    state: State,
    movable: Movable,
    chains: Walk,
    c: int,
    chances: Floats,
    evaluations: int,
    temperature: float,
) -> None:
    walk = _chain(chains, c)
    row, changed, turn = c * (len(movable.user) + 2), NONE, 0
    if temperature == 0.0 and walk.cost_s[BEST] < np.inf:
        copy_plan(walk, BEST, PRESENT)
    while True:
        if changed >= 0:
            settle(packed, b, state, row, movable, walk, changed)
            if walk.cost_s[PRESENT] < walk.cost_s[BEST]:
                copy_plan(walk, PRESENT, BEST)
        if turn == evaluations:
            return
        turn += 1
        changed = -1
        for _ in range(TRIES):
            propose(packed, b, state, row, movable, walk, chances)
            changed = _first_change(walk)
            if changed >= 0:
                break
        if changed >= 0:
            most_s = walk.cost_s[PRESENT] - temperature * walk.cost_s[BEST] * np.log(1.0 - uniform(walk.random))
            try_out(packed, b, state, row, movable, walk, changed, _same_from(walk), most_s)
            if walk.cost_s[TRIAL] <= most_s and not _adds_ballast(walk):
                copy_plan(walk, TRIAL, PRESENT)
            else:
                changed = -1


@jit_without_refcounts
def _chain(chains: Walk, c: int) -> Walk:
    return Walk(
        chains.uploads[c],
        chains.length[c],
        chains.cost_s[c],
        chains.server[c],
        chains.taken[c],
        chains.leaves[c],
        chains.left_bytes[c],
        chains.random[c],
        chains.evaluations[c],
    )


@jit_without_refcounts
def _adds_ballast(walk: Walk) -> bool:
    """Return whether the plan on trial uploads more than the present one without any effect.

    If this were accepted, useless uploads would pile up.
    """
    apart_s = abs(walk.cost_s[TRIAL] - walk.cost_s[PRESENT])
    return bool(walk.length[TRIAL] > walk.length[PRESENT] and apart_s <= ROUNDING * walk.cost_s[PRESENT])


@jit_without_refcounts
def _first_change(walk: Walk) -> int:
    """Return the first upload in which the plan on trial differs from the present one, -1 if the plans are the same."""
    length = min(walk.length[PRESENT], walk.length[TRIAL])
    found: int = -1 if walk.length[PRESENT] == walk.length[TRIAL] else length
    for k in range(length):
        if _differ(walk, k):
            found = k
            break
    return found


@jit_without_refcounts
def _same_from(walk: Walk) -> int:
    """Return the upload from which on both plans are the same and all servers are as before; -1 if there is none."""
    k: int = walk.length[PRESENT]
    if k != walk.length[TRIAL]:
        k = 0
    for j in range(k):
        if walk.server[walk.uploads[TRIAL, j, ITEM]] != walk.uploads[TRIAL, j, SERVER]:
            k = 0
            break
    while k > 0 and not _differ(walk, k - 1):
        k -= 1
    return k - 1 if k == 0 else k


@jit_without_refcounts
def _differ(walk: Walk, k: int) -> bool:
    """Return whether upload `k` of the plan on trial differs from that of the present plan."""
    differ = False
    for column in range(walk.uploads.shape[2]):
        differ = differ or walk.uploads[PRESENT, k, column] != walk.uploads[TRIAL, k, column]
    return differ
