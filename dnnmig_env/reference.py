"""A reference plan for every episode, and what completing it from any state would cost.

The plan is that of joint efficiency for the scenario's mean rates. Its use is twofold. An agent may see it where it is
no more than a planner could know: in one time slot. And a reward may measure against it: before and after a decision,
what would the horizon cost if the rest of the reference were uploaded? The difference is what the decision was worth,
given such a continuation. Where rates change, that takes the slots to come into account: it is for rewards alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from dnnmig_env.actions import Decisions
from dnnmig_env.compiled import borrowed, compiled, compiled_parallel, uncounted
from dnnmig_env.efficiency import Efficiencies, new_efficiencies
from dnnmig_env.efficiency_plan import upload_by_efficiency
from dnnmig_env.kernel import advance, horizon_s, upload
from dnnmig_env.problem import Bools, Floats, Ints, Problem, Small
from dnnmig_env.state import State, new_state
from dnnmig_env.state_rows import copy_row

CONTENTION_TOLERANCE = 0.02
"""Relative change of a slowdown below which efficiencies are not measured anew: ten times faster than exactly."""


class Reference(NamedTuple):
    """The reference plans of B episodes, K = U * L uploads at most, and where their completion would lead."""

    length: Ints  # (B,): uploads in the plan
    user: Small  # (B, K)
    layer: Ints  # (B, K)
    server: Small  # (B, K): 1..S
    following: Ints  # (B,): the upload that is next now, -1 = none can be made in this slot
    cost_s: Floats  # (B,): J times the number of queries, if the plan is completed from now on


def new_reference(problem: Problem, rows: int) -> Reference:
    """Return empty plans of `rows` episodes."""
    _, users, layers = problem.weight_bytes.shape
    shape = (rows, users * layers)
    return Reference(
        length=np.zeros(rows, np.int64),
        user=np.zeros(shape, np.int8),
        layer=np.zeros(shape, np.int64),
        server=np.zeros(shape, np.int8),
        following=np.full(rows, -1),
        cost_s=np.zeros(rows),
    )


class Workshop(NamedTuple):
    """Where plans are made and tried out, for B rows."""

    mean: Problem  # the scenarios with one slot of mean rates
    state: State  # two rows for each episode
    efficiencies: Efficiencies
    legal: Small  # (B, U * L * S)


def new_workshop(problem: Problem, rows: int) -> Workshop:
    """Return room to plan `rows` episodes of a problem."""
    _, users, layers, nodes = problem.execution_s.shape
    one_slot = {
        name: np.zeros_like(getattr(problem, name)[:, :1])
        for name in ("query_rate_hz", "up_bytes_per_s", "down_bytes_per_s", "up_latency_s", "down_latency_s")
    }
    mean = problem._replace(num_slots=np.ones(rows, np.int64), slot_edges_s=np.zeros((rows, 2)), **one_slot)
    return Workshop(
        mean=mean,
        state=new_state(problem, 2 * rows),
        efficiencies=new_efficiencies(problem, rows),
        legal=np.zeros((rows, users * layers * (nodes - 1)), np.int8),
    )


@compiled_parallel
def plan_references(
    p: Problem, s: State, r: Reference, mean: Problem, t: State, e: Efficiencies, legal: Small, rows: Ints
) -> None:
    """Make the plans of episodes that have just begun."""
    for k in numba.prange(len(rows)):
        _plan(p, s, r, mean, t, e, legal, rows[k])


@compiled_parallel
def follow_references(
    p: Problem,
    s: State,
    d: Decisions,
    r: Reference,
    t: State,
    legal: Small,
    actions: Ints,
    active: Bools,
    saved_s: Floats,
) -> None:
    """Write what the latest decision of every active row has saved against the reference, shape (B,), seconds."""
    for i in numba.prange(len(actions)):
        if active[i]:
            saved_s[i] = _follow(p, s, d, r, t, legal, actions[i], i)


@uncounted
def _follow(p: Problem, s: State, d: Decisions, r: Reference, t: State, legal: Small, action: int, i: int) -> float:
    before_s = r.cost_s[i]
    if d.done[i]:
        r.following[i], r.cost_s[i] = -1, s.cost_s[i]
    elif action == _action(r, d, i):
        r.following[i] = _next(p, i, s, i, r, i)
    else:
        complete_reference(p, s, r, t, legal[i], i)
    return float((before_s - r.cost_s[i]) / s.queries[i])


@compiled
def _plan(p: Problem, s: State, r: Reference, mean: Problem, t: State, e: Efficiencies, legal: Small, i: int) -> None:
    p, mean, t, e = borrowed(p), borrowed(mean), borrowed(t), borrowed(e)
    average(p, i, mean)
    servers = mean.memory_bytes.shape[1]
    most = r.user.shape[1]
    intervals = np.zeros((most, 4), np.int64)
    sent = np.zeros((p.weight_bytes.shape[1], p.weight_bytes.shape[2]), np.int64)
    best_s = np.inf
    for one_server in (False, True):
        _all_uploads(mean, i, servers, legal[i])
        sent[:] = 0
        count, cost_s = upload_by_efficiency(
            mean, i, t, 2 * i, e, i, legal[i], one_server, CONTENTION_TOLERANCE, intervals, sent
        )
        if cost_s < best_s:
            best_s = cost_s
            _write(r, i, intervals, count, sent)
    complete_reference(p, s, r, t, legal[i], i)


@uncounted
def _write(r: Reference, i: int, intervals: Ints, count: int, sent: Ints) -> None:
    length = 0
    for k in range(count):
        u = intervals[k, 0]
        for v in range(intervals[k, 2], intervals[k, 3] + 1):
            if sent[u, v] == k + 1:
                r.user[i, length], r.layer[i, length], r.server[i, length] = u, v, intervals[k, 1]
                length += 1
    r.length[i] = length


@uncounted
def _all_uploads(p: Problem, b: int, servers: int, legal: Small) -> None:
    layers = p.weight_bytes.shape[2]
    for k in range(legal.shape[0]):
        legal[k] = 0
    for u in range(p.num_users[b]):
        for v in range(p.num_layers[b, u]):
            if p.query_rate_hz[b, 0, u] > 0.0 and p.weight_bytes[b, u, v] > 0.0 and p.uploaded[b, u, v] == 0:
                for q in range(p.num_servers[b]):
                    if p.up_bytes_per_s[b, 0, u, q] > 0.0 and p.down_bytes_per_s[b, 0, u, q] > 0.0:
                        legal[(u * layers + v) * servers + q] = 1


@uncounted
def average(p: Problem, b: int, mean: Problem) -> None:
    """Write scenario `b` with one slot: mean query rates over time, and mean rates and latencies while present."""
    all_s = horizon_s(p, b)
    mean.slot_edges_s[b, 0], mean.slot_edges_s[b, 1] = 0.0, all_s
    for u in range(p.num_users[b]):
        present_s, queries = 0.0, 0.0
        for q in range(p.num_servers[b]):
            mean.up_bytes_per_s[b, 0, u, q], mean.down_bytes_per_s[b, 0, u, q] = 0.0, 0.0
            mean.up_latency_s[b, 0, u, q], mean.down_latency_s[b, 0, u, q] = 0.0, 0.0
        for slot in range(p.num_slots[b]):
            rate_hz, slot_s = p.query_rate_hz[b, slot, u], p.slot_edges_s[b, slot + 1] - p.slot_edges_s[b, slot]
            if rate_hz > 0.0:
                present_s += slot_s
                queries += rate_hz * slot_s
                for q in range(p.num_servers[b]):
                    mean.up_bytes_per_s[b, 0, u, q] += slot_s * p.up_bytes_per_s[b, slot, u, q]
                    mean.down_bytes_per_s[b, 0, u, q] += slot_s * p.down_bytes_per_s[b, slot, u, q]
                    mean.up_latency_s[b, 0, u, q] += slot_s * p.up_latency_s[b, slot, u, q]
                    mean.down_latency_s[b, 0, u, q] += slot_s * p.down_latency_s[b, slot, u, q]
        mean.query_rate_hz[b, 0, u] = queries / all_s
        if present_s > 0.0:
            for q in range(p.num_servers[b]):
                mean.up_bytes_per_s[b, 0, u, q] /= present_s
                mean.down_bytes_per_s[b, 0, u, q] /= present_s
                mean.up_latency_s[b, 0, u, q] /= present_s
                mean.down_latency_s[b, 0, u, q] /= present_s


@uncounted
def complete_reference(p: Problem, s: State, r: Reference, t: State, mask: Small, i: int) -> None:
    """Write which upload of the plan is next, and what completing the plan costs from where row `i` stands.

    An upload whose user is away, or whose layer does not fit, waits while others can be made.
    """
    r.following[i] = _next(p, i, s, i, r, i)
    copy_row(s, i, t, 2 * i)
    r.cost_s[i] = complete(p, i, r, t, 2 * i, mask, 0, 0, 0, -1)


@uncounted
def cost_after_run(
    p: Problem, s: State, r: Reference, t: State, i: int, mask: Small, u: int, q: int, first: int, last: int
) -> float:
    """Return what row `i` would cost if a run of layers went to server q + 1 first, and then the rest of the plan."""
    copy_row(s, i, t, 2 * i)
    return complete(p, i, r, t, 2 * i, mask, u, q, first, last)


@uncounted
def complete(
    p: Problem, i: int, r: Reference, t: State, k: int, mask: Small, user: int, q: int, first: int, last: int
) -> float:
    """Upload a run (none if it is empty), then the rest of the plan; return the cost at the horizon."""
    servers, layers, v = t.memory_left_bytes.shape[1], t.node.shape[2], first
    while t.time_s[k] < horizon_s(p, i):
        while v <= last and mask[(user * layers + v) * servers + q] == 0:
            v += 1
        following = -1 if v <= last else _next(p, i, t, k, r, i)
        if v > last and following < 0:
            advance(p, i, t, k, p.slot_edges_s[i, t.slot[k] + 1])
        else:
            u, layer, server = user, v, q + 1
            if following >= 0:
                u, layer, server = int(r.user[i, following]), int(r.layer[i, following]), int(r.server[i, following])
            upload(p, i, t, k, u, layer, server)
            v += 1
    return float(t.cost_s[k])


@uncounted
def _next(p: Problem, b: int, s: State, i: int, r: Reference, row: int) -> int:
    slot = s.slot[i]
    for k in range(r.length[row]):
        u, v, q = r.user[row, k], r.layer[row, k], r.server[row, k] - 1
        reachable = p.query_rate_hz[b, slot, u] > 0.0 and p.up_bytes_per_s[b, slot, u, q] > 0.0
        if s.node[i, u, v] == 0 and reachable and p.weight_bytes[b, u, v] <= s.memory_left_bytes[i, q]:
            return k
    return -1


@uncounted
def _action(r: Reference, d: Decisions, i: int) -> int:
    """Return the action of the upload that was next; "stop" if none was."""
    servers, layers, k = d.reserved_bytes.shape[1], d.decided.shape[2], r.following[i]
    if k < 0:
        return int(d.upload_user.shape[1] * servers)
    return int((r.user[i, k] * layers + r.layer[i, k]) * servers + r.server[i, k] - 1)
