"""Finds the most promising uploads of a moment: where efficient intervals begin, under present and expected rates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.candidates.reference_plan import Reference
from agents.planners.forecast import LOOK_AHEAD_S, expect_slot
from agents.planners.joint_efficiency.intervals import Efficiencies, measure, new_efficiencies, smallest_useful_interval
from dnnmig_env.arrays import Floats, Int8s, Ints
from dnnmig_env.compiling.jit import fill, jit_without_refcounts
from dnnmig_env.envs.actions import action_of, upload_of
from dnnmig_env.simulation.dynamics import horizon_s
from dnnmig_env.simulation.moving.share import radio_share
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State

PRESENT, SOON, LATER = 0, 1, 2
"""Views of an episode's efficiencies. PRESENT: under the present rates. SOON: under the rates that are expected in the
next `LOOK_AHEAD_S` seconds. LATER: weights are uploaded at the present rates, and queries run at those expected until
the horizon. Where there is one slot, there is only the first view."""

CONTENTION_TOLERANCE = 0.02
"""Relative change of a slowdown below which efficiencies are not measured anew."""

MOST_RANKED = 4
"""Number of next uploads of the reference plan that are on the list whatever their efficiency."""


class Prospects(NamedTuple):
    """What is kept from decision to decision in B episodes, and the list of at most K candidates, in V views."""

    slot: Ints  # (B,): slot in which the efficiencies were measured
    latest: Ints  # (B, 2): user and server (1..S) of the latest upload
    value: Floats  # (B, K): how promising each candidate is, descending; 0 = no more candidates
    # User, layer, server (0..S-1), and in each view the last layer of the interval that begins here.
    chosen: Ints  # (B, K, 3 + V)
    # Where the smallest useful sub-interval of the best interval of a user and server begins, the efficiency of that
    # best interval; 0 elsewhere.
    smallest_useful: Floats  # (B, V, U * L * S)
    best: Floats  # (B, V): greatest efficiency of all intervals
    rank: Ints  # (B, U * L * S): place in the reference plan, from 1 on; 0 = not in it


def new_prospects(packed: PackedScenarios, rows: int, candidates: int) -> tuple[Efficiencies, Prospects]:
    """Return unset efficiencies, with V rows for each of `rows` episodes, and unset prospects of these episodes."""
    _, users, layers, nodes = packed.execution_s.shape
    views, uploads = 3 if packed.query_rate_hz.shape[1] > 1 else 1, users * layers * (nodes - 1)
    return new_efficiencies(packed, views * rows), Prospects(
        slot=np.full(rows, -1),
        latest=np.full((rows, 2), -1),
        value=np.zeros((rows, candidates)),
        chosen=np.zeros((rows, candidates, 3 + views), np.int64),
        smallest_useful=np.zeros((rows, views, uploads)),
        best=np.zeros((rows, views)),
        rank=np.zeros((rows, uploads), np.int64),
    )


@jit_without_refcounts
def note_start(i: int, prospects: Prospects) -> None:
    """Note that an episode has begun in row `i`."""
    prospects.slot[i], prospects.latest[i, 0], prospects.latest[i, 1] = -1, -1, -1


@jit_without_refcounts
def note_upload(
    packed: PackedScenarios, state: State, i: int, action: int, efficiencies: Efficiencies, prospects: Prospects
) -> None:
    """Note that the latest decision of row `i` was an upload, and which efficiencies have to be measured anew.

    These are the efficiencies of its user, and of users with a layer that no longer fits the server's memory.
    """
    layers, servers, views = efficiencies.per_s.shape[3], efficiencies.per_s.shape[2], prospects.best.shape[1]
    u, v, s = upload_of(action, layers, servers)
    prospects.latest[i, 0], prospects.latest[i, 1] = u, s + 1
    left_bytes = state.memory_left_bytes[i, s]
    before_bytes = left_bytes + packed.weight_bytes[i, u, v]
    for w in range(packed.num_users[i]):
        stale = w == u
        for v in range(packed.num_layers[i, w]):
            stale = stale or (state.node[i, w, v] == 0 and left_bytes < packed.weight_bytes[i, w, v] <= before_bytes)
        if stale:
            for view in range(views):
                efficiencies.stale[i * views + view, w] = True


@jit_without_refcounts
def find(
    packed: PackedScenarios,
    soon: PackedScenarios,
    later: PackedScenarios,
    state: State,
    i: int,
    mask: Int8s,
    reference: Reference,
    efficiencies: Efficiencies,
    prospects: Prospects,
) -> None:
    """Find row `i`'s candidates.

    The next uploads of the reference plan come first. Uploads where the smallest useful sub-interval of the best
    interval of some user and server begins come second, and all others last; both groups are sorted by the efficiency
    of their intervals.
    """
    _measure(packed, soon, later, state, i, mask, efficiencies, prospects)
    fill(prospects.rank[i], 0)
    _rank(packed, i, mask, reference, prospects)
    fill(prospects.value[i], 0.0)
    fill(prospects.smallest_useful[i], 0.0)
    fill(prospects.best[i], 0.0)
    for view in range(prospects.best.shape[1]):
        for u in range(packed.num_users[i]):
            for s in range(packed.num_servers[i]):
                _mark_smallest_useful(packed, state, i, efficiencies, u, s, view, prospects)
    for u in range(packed.num_users[i]):
        for v in range(packed.num_layers[i, u]):
            for s in range(packed.num_servers[i]):
                _consider(packed, state, i, mask, efficiencies, prospects, u, v, s)


@jit_without_refcounts
def _measure(
    packed: PackedScenarios,
    soon: PackedScenarios,
    later: PackedScenarios,
    state: State,
    i: int,
    mask: Int8s,
    efficiencies: Efficiencies,
    prospects: Prospects,
) -> None:
    """Bring the efficiencies of all views up to date."""
    views = prospects.best.shape[1]
    if state.slot[i] != prospects.slot[i]:
        prospects.slot[i] = state.slot[i]
        for view in range(views):
            fill(efficiencies.stale[i * views + view], True)
        if views > 1:
            for look_ahead_s, expected in ((LOOK_AHEAD_S, soon), (np.inf, later)):
                expect_slot(packed, i, state.slot[i], look_ahead_s, expected)
    for view in range(views):
        by = packed  # one call of `measure` serves all views, as each call would be compiled into this function
        if view == SOON:
            by = soon
        elif view == LATER:
            by = later
        measure(
            by,
            soon if view == SOON else packed,
            i,
            state,
            i,
            mask,
            efficiencies,
            i * views + view,
            CONTENTION_TOLERANCE,
        )


@jit_without_refcounts
def _consider(
    packed: PackedScenarios,
    state: State,
    i: int,
    mask: Int8s,
    efficiencies: Efficiencies,
    prospects: Prospects,
    u: int,
    v: int,
    s: int,
) -> None:
    """Put the upload of layer `v` of user `u` to server s + 1 on the list, if it is legal and promising enough."""
    views, a = prospects.best.shape[1], action_of(u, v, s, efficiencies.per_s.shape[3], efficiencies.per_s.shape[2])
    if mask[a] == 0:
        return
    value = 0.0
    for view in range(views):
        if prospects.best[i, view] > 0.0:
            _, efficiency = _best_interval(packed, state, i, efficiencies, i * views + view, u, s, v)
            smallest_useful = prospects.smallest_useful[i, view, a]
            value = max(
                value, (1e3 * smallest_useful if smallest_useful > 0.0 else efficiency) / prospects.best[i, view]
            )
    if 0 < prospects.rank[i, a] <= MOST_RANKED:
        value += 1e9 / prospects.rank[i, a]
    k = prospects.value.shape[1] - 1
    if value <= prospects.value[i, k]:
        return
    while k > 0 and prospects.value[i, k - 1] < value:
        prospects.value[i, k] = prospects.value[i, k - 1]
        for part in range(3 + views):
            prospects.chosen[i, k, part] = prospects.chosen[i, k - 1, part]
        k -= 1
    prospects.value[i, k] = value
    prospects.chosen[i, k, 0], prospects.chosen[i, k, 1], prospects.chosen[i, k, 2] = u, v, s
    for view in range(views):
        last, _ = _best_interval(packed, state, i, efficiencies, i * views + view, u, s, v)
        prospects.chosen[i, k, 3 + view] = last


@jit_without_refcounts
def _best_interval(
    packed: PackedScenarios, state: State, i: int, efficiencies: Efficiencies, row: int, u: int, s: int, first: int
) -> tuple[int, float]:
    """Return the last layer and the efficiency of the best interval that begins at `first`; (first, 0) if none helps.

    The interval fits the server's memory and arrives before the horizon at the present rate.
    """
    left_s, best, last = horizon_s(packed, i) - state.time_s[i], 0.0, first
    left_s *= radio_share(packed, i, state, i, u)
    most_bytes = min(state.memory_left_bytes[i, s], left_s * packed.up_bytes_per_s[i, state.slot[i], u, s])
    for w in range(first, packed.num_layers[i, u]):
        if (
            efficiencies.per_s[row, u, s, first, w] > best
            and efficiencies.size_bytes[row, u, s, first, w] <= most_bytes
        ):
            best, last = efficiencies.per_s[row, u, s, first, w], w
    return last, best


@jit_without_refcounts
def _mark_smallest_useful(
    packed: PackedScenarios,
    state: State,
    i: int,
    efficiencies: Efficiencies,
    u: int,
    s: int,
    view: int,
    prospects: Prospects,
) -> None:
    """Mark where the smallest useful sub-interval of the best interval of a user and server begins, in one view.

    The mark is the efficiency of that best interval; the greatest efficiency of all intervals is brought up to date.
    """
    layers, servers, row = efficiencies.per_s.shape[3], efficiencies.per_s.shape[2], i * prospects.best.shape[1] + view
    best, first, last = 0.0, -1, -1
    for v in range(packed.num_layers[i, u]):
        w, efficiency = _best_interval(packed, state, i, efficiencies, row, u, s, v)
        if efficiency > best:
            best, first, last = efficiency, v, w
    if first >= 0:
        part, _ = smallest_useful_interval(efficiencies, row, u, s, first, last)
        prospects.smallest_useful[i, view, action_of(u, part, s, layers, servers)] = best
    prospects.best[i, view] = max(prospects.best[i, view], best)


@jit_without_refcounts
def _rank(packed: PackedScenarios, i: int, mask: Int8s, reference: Reference, prospects: Prospects) -> None:
    """Write the place in the reference plan, from 1 on, of each of its uploads that is legal now."""
    layers, servers, plans = packed.weight_bytes.shape[2], packed.memory_bytes.shape[1], reference.plans
    place = 0
    for k in range(plans.length[i]):
        a = action_of(plans.user[i, k], plans.layer[i, k], plans.server[i, k] - 1, layers, servers)
        if mask[a] != 0:
            place += 1
            prospects.rank[i, a] = place
