"""Plays one changed plan after another, each only as far as needed to know whether it is accepted.

A plan that begins as the present one does is played from a snapshot of the state before the first change. It is given
up once its cost exceeds what may be accepted. If a plan has changed only the order of some uploads, and after them
stands where the present plan stood, then the rest is known: it costs what it cost in the present plan. Every second
comes from the kernel. An accepted plan is played to its end, so that its cost is that of
`dnnmig_env.simulation.play.play`, bit for bit.
"""

from __future__ import annotations

import numpy as np

from agents.planners.local_search.chains import ITEM, PRESENT, SERVER, TRIAL, WAIT, Movable, Walk
from dnnmig_env.arrays import Ints
from dnnmig_env.compiling.jit import fill, jit_without_refcounts
from dnnmig_env.simulation.dynamics import advance, begin, horizon_s, upload
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State, copy_row, meet_alike, run_alike

ROUNDING = 1e-12
"""Times whose relative difference is smaller are the same but for the order in which seconds were added up."""


@jit_without_refcounts
def settle(packed: PackedScenarios, b: int, state: State, row: int, movable: Movable, walk: Walk, first: int) -> None:
    """Play the present plan from its upload `first` on; note its cost, and take a snapshot before every upload.

    Args:
        packed: The packed scenarios.
        b: The scenario.
        state: The state.
        row: The chain's first row of it.
        movable: The layers that may be uploaded.
        walk: The chain.
        first: First upload that has changed since the snapshots were taken; 0 takes all of them anew.
    """
    if first == 0:
        begin(packed, b, state, row)
    k, end_s = first, horizon_s(packed, b)
    while k < walk.length[PRESENT]:
        copy_row(state, row + k, state, row + k + 1)
        _step(packed, b, state, row + k + 1, movable, walk.uploads[PRESENT, k])
        if state.time_s[row + k + 1] >= end_s:  # the upload comes too late for any query
            walk.length[PRESENT] = k
        else:
            k += 1
    copy_row(state, row + k, state, row + k + 1)
    advance(packed, b, state, row + k + 1, end_s)
    walk.cost_s[PRESENT] = state.cost_s[row + k + 1]
    fill(walk.server, 0)
    for k in range(walk.length[PRESENT]):
        walk.server[walk.uploads[PRESENT, k, ITEM]] = walk.uploads[PRESENT, k, SERVER]


@jit_without_refcounts
def try_out(
    packed: PackedScenarios,
    b: int,
    state: State,
    row: int,
    movable: Movable,
    walk: Walk,
    first: int,
    same_from: int,
    most_s: float,
) -> None:
    """Play the plan on trial as far as needed and note its cost, which is infinite once it exceeds `most_s`.

    Args:
        packed: The packed scenarios.
        b: The scenario.
        state: The state, with snapshots of the present plan.
        row: The chain's first row of it.
        movable: The layers that may be uploaded.
        walk: The chain.
        first: First upload that differs from the present plan's.
        same_from: Upload from which on both plans are the same, the same uploads having gone before; -1 if there is
            none.
        most_s: Greatest cost that may be accepted.
    """
    i = row + len(movable.user) + 1
    copy_row(state, row + first, state, i)
    walk.evaluations[0] += 1
    for k in range(first, walk.length[TRIAL]):
        if k == same_from and _stand_alike(packed, b, state, row + k, i):
            walk.cost_s[TRIAL] = state.cost_s[i] + (walk.cost_s[PRESENT] - state.cost_s[row + k])
            return
        _step(packed, b, state, i, movable, walk.uploads[TRIAL, k])
        if state.cost_s[i] > most_s:
            walk.cost_s[TRIAL] = np.inf
            return
        if state.time_s[i] >= horizon_s(packed, b):
            break
    advance(packed, b, state, i, horizon_s(packed, b))
    walk.cost_s[TRIAL] = state.cost_s[i]


@jit_without_refcounts
def _step(packed: PackedScenarios, b: int, state: State, i: int, movable: Movable, one: Ints) -> None:
    """Carry out one upload, as `dnnmig_env.simulation.play.play` does."""
    advance(packed, b, state, i, packed.slot_edges_s[b, one[WAIT]])
    upload(packed, b, state, i, movable.user[one[ITEM]], movable.layer[one[ITEM]], one[SERVER])


@jit_without_refcounts
def _stand_alike(packed: PackedScenarios, b: int, state: State, one: int, other: int) -> bool:
    """Return whether two rows in which the same layers are usable will see the same delays from now on."""
    apart_s = abs(state.time_s[one] - state.time_s[other])
    alike = bool(state.slot[one] == state.slot[other] and apart_s <= ROUNDING * state.time_s[one])
    for u in range(packed.num_users[b]):
        alike = alike and bool(state.stale[one, u] == state.stale[other, u])
    return alike and run_alike(state, one, other) and meet_alike(state, one, other, ROUNDING)
