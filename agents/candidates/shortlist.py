"""Finds the most promising uploads of a moment: where efficient runs begin, by the present and the expected rates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.candidates.reference_plan import Reference
from agents.planners.forecast import LOOK_AHEAD_S, expect_slot
from agents.planners.joint_efficiency.intervals import Efficiencies, finest_part, measure, new_efficiencies
from dnnmig_env.compiling.jit import fill, uncounted
from dnnmig_env.simulation.dynamics import horizon_s
from dnnmig_env.simulation.packed import Floats, Ints, Problem, Small
from dnnmig_env.simulation.state import State

PRESENT, SOON, LATER = 0, 1, 2
"""Views of an episode's efficiencies: by the present rates; by those expected in the next `LOOK_AHEAD_S`; uploaded at
the present rates and queried at those expected until the horizon. Where there is one slot, there is one view."""

CONTENTION_TOLERANCE = 0.02
"""Relative change of a slowdown below which efficiencies are not measured anew."""

MOST_RANKED = 4
"""Uploads of the reference plan that are on the list whatever their efficiency."""


class Prospects(NamedTuple):
    """What is kept from decision to decision in B episodes, and the list: K candidates, in V views."""

    slot: Ints  # (B,): in which efficiencies were measured
    latest: Ints  # (B, 2): user and server (1..S) of the latest upload
    value: Floats  # (B, K): how promising each candidate is, descending; 0 = no more candidates
    chosen: Ints  # (B, K, 3 + V): user, layer, server - 1, and the last layer of the run that begins here in each view
    finest: Floats  # (B, V, U * L * S): efficiency of a pair's best run where its finest part begins, 0 elsewhere
    best: Floats  # (B, V): greatest efficiency
    rank: Ints  # (B, U * L * S): place in the reference plan, from 1


def new_prospects(problem: Problem, rows: int, candidates: int) -> tuple[Efficiencies, Prospects]:
    """Return unset efficiencies, V rows for each episode, and prospects of `rows` episodes."""
    _, users, layers, nodes = problem.execution_s.shape
    views, uploads = 3 if problem.query_rate_hz.shape[1] > 1 else 1, users * layers * (nodes - 1)
    return new_efficiencies(problem, views * rows), Prospects(
        slot=np.full(rows, -1),
        latest=np.full((rows, 2), -1),
        value=np.zeros((rows, candidates)),
        chosen=np.zeros((rows, candidates, 3 + views), np.int64),
        finest=np.zeros((rows, views, uploads)),
        best=np.zeros((rows, views)),
        rank=np.zeros((rows, uploads), np.int64),
    )


@uncounted
def note_start(i: int, c: Prospects) -> None:
    """Note that an episode has begun."""
    c.slot[i], c.latest[i, 0], c.latest[i, 1] = -1, -1, -1


@uncounted
def note_upload(p: Problem, s: State, i: int, action: int, e: Efficiencies, c: Prospects) -> None:
    """Note that a decision was to upload: runs change of its user, and of others whose layers do not fit any more."""
    layers, servers, views = e.per_s.shape[3], e.per_s.shape[2], c.best.shape[1]
    u, q = action // (layers * servers), action % servers
    c.latest[i, 0], c.latest[i, 1] = u, q + 1
    left_bytes = s.memory_left_bytes[i, q]
    before_bytes = left_bytes + p.weight_bytes[i, u, action // servers % layers]
    for w in range(p.num_users[i]):
        stale = w == u
        for v in range(p.num_layers[i, w]):
            stale = stale or (s.node[i, w, v] == 0 and left_bytes < p.weight_bytes[i, w, v] <= before_bytes)
        if stale:
            for view in range(views):
                e.stale[i * views + view, w] = True


@uncounted
def find(
    p: Problem,
    soon: Problem,
    later: Problem,
    s: State,
    i: int,
    mask: Small,
    r: Reference,
    e: Efficiencies,
    c: Prospects,
) -> None:
    """Find row `i`'s candidates.

    First come the next uploads of the reference plan, then those where the finest part of
    some pair's best run begins, then others, each by the efficiency of their runs.
    """
    _measure(p, soon, later, s, i, mask, e, c)
    fill(c.rank[i], 0)
    _rank(p, i, mask, r, c)
    fill(c.value[i], 0.0)
    fill(c.finest[i], 0.0)
    fill(c.best[i], 0.0)
    for view in range(c.best.shape[1]):
        for u in range(p.num_users[i]):
            for q in range(p.num_servers[i]):
                _mark_finest(p, s, i, e, u, q, view, c)
    for u in range(p.num_users[i]):
        for v in range(p.num_layers[i, u]):
            for q in range(p.num_servers[i]):
                _consider(p, s, i, mask, e, c, u, v, q)


@uncounted
def _measure(
    p: Problem, soon: Problem, later: Problem, s: State, i: int, mask: Small, e: Efficiencies, c: Prospects
) -> None:
    """Bring the efficiencies of all views up to date."""
    views = c.best.shape[1]
    if s.slot[i] != c.slot[i]:
        c.slot[i] = s.slot[i]
        for view in range(views):
            fill(e.stale[i * views + view], True)
        if views > 1:
            for look_ahead_s, expected in ((LOOK_AHEAD_S, soon), (np.inf, later)):
                expect_slot(p, i, s.slot[i], look_ahead_s, expected)
    for view in range(views):
        by = p  # one call of `measure` for all views: each would be compiled in
        if view == SOON:
            by = soon
        elif view == LATER:
            by = later
        measure(by, soon if view == SOON else p, i, s, i, mask, e, i * views + view, CONTENTION_TOLERANCE)


@uncounted
def _consider(p: Problem, s: State, i: int, mask: Small, e: Efficiencies, c: Prospects, u: int, v: int, q: int) -> None:
    views, a = c.best.shape[1], (u * e.per_s.shape[3] + v) * e.per_s.shape[2] + q
    if mask[a] == 0:
        return
    value = 0.0
    for view in range(views):
        if c.best[i, view] > 0.0:
            _, run = _best_run(p, s, i, e, i * views + view, u, q, v)
            finest = c.finest[i, view, a]
            value = max(value, (1e3 * finest if finest > 0.0 else run) / c.best[i, view])
    if 0 < c.rank[i, a] <= MOST_RANKED:
        value += 1e9 / c.rank[i, a]
    k = c.value.shape[1] - 1
    if value <= c.value[i, k]:
        return
    while k > 0 and c.value[i, k - 1] < value:
        c.value[i, k] = c.value[i, k - 1]
        for part in range(3 + views):
            c.chosen[i, k, part] = c.chosen[i, k - 1, part]
        k -= 1
    c.value[i, k] = value
    c.chosen[i, k, 0], c.chosen[i, k, 1], c.chosen[i, k, 2] = u, v, q
    for view in range(views):
        last, _ = _best_run(p, s, i, e, i * views + view, u, q, v)
        c.chosen[i, k, 3 + view] = last


@uncounted
def _best_run(p: Problem, s: State, i: int, e: Efficiencies, row: int, u: int, q: int, first: int) -> tuple[int, float]:
    """Return the last layer and the efficiency of the best run that begins at a layer; (first, 0) if none helps.

    A run fits the server's memory and arrives before the horizon at the present rate.
    """
    left_s, best, last = horizon_s(p, i) - s.time_s[i], 0.0, first
    most_bytes = min(s.memory_left_bytes[i, q], left_s * p.up_bytes_per_s[i, s.slot[i], u, q])
    for w in range(first, p.num_layers[i, u]):
        if e.per_s[row, u, q, first, w] > best and e.size_bytes[row, u, q, first, w] <= most_bytes:
            best, last = e.per_s[row, u, q, first, w], w
    return last, best


@uncounted
def _mark_finest(p: Problem, s: State, i: int, e: Efficiencies, u: int, q: int, view: int, c: Prospects) -> None:
    """Note where the finest part of a pair's best run begins, and the run's efficiency if it is the greatest."""
    layers, servers, row = e.per_s.shape[3], e.per_s.shape[2], i * c.best.shape[1] + view
    best, first, last = 0.0, -1, -1
    for v in range(p.num_layers[i, u]):
        w, run = _best_run(p, s, i, e, row, u, q, v)
        if run > best:
            best, first, last = run, v, w
    if first >= 0:
        part, _ = finest_part(e, row, u, q, first, last)
        c.finest[i, view, (u * layers + part) * servers + q] = best
    c.best[i, view] = max(c.best[i, view], best)


@uncounted
def _rank(p: Problem, i: int, mask: Small, r: Reference, c: Prospects) -> None:
    """Write the place of every upload of the reference plan that may still be made."""
    layers, servers = p.weight_bytes.shape[2], p.memory_bytes.shape[1]
    place = 0
    for k in range(r.length[i]):
        a = (r.user[i, k] * layers + r.layer[i, k]) * servers + r.server[i, k] - 1
        if mask[a] != 0:
            place += 1
            c.rank[i, a] = place
