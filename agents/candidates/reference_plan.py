"""A reference plan for every episode, and what completing it from any state would cost.

Its use is twofold. An agent may see one, and what taking something else first would save: a plan for what is expected
(`agents.candidates.expected_plan`). And a reward may measure against one: before and after a decision, what would the horizon cost
if the rest of the reference were uploaded? The difference is what the decision was worth, given such a continuation.
Where rates change, that takes the slots to come into account, which is for rewards alone: the plan is then another one,
of joint efficiency for mean rates (`agents.candidates.planning`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.compiling.jit import shared, uncounted
from dnnmig_env.envs.actions import Decisions
from dnnmig_env.simulation.dynamics import advance, horizon_s, upload
from dnnmig_env.simulation.packed import Bools, Floats, Ints, Problem, Small
from dnnmig_env.simulation.state import State
from dnnmig_env.simulation.state_rows import copy_row


class Reference(NamedTuple):
    """The reference plans of B episodes, K = U * L uploads at most, and where their completion would lead."""

    length: Ints  # (B,): uploads in the plan
    user: Small  # (B, K)
    layer: Ints  # (B, K)
    server: Small  # (B, K): 1..S
    following: Ints  # (B,): the upload that is next now, -1 = none can be made in this slot
    cost_s: Floats  # (B,): J times the number of queries, if the plan is completed from now on
    dice: Ints  # (B,): where the random numbers of a search for better plans stand


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
        dice=np.zeros(rows, np.int64),
    )


@shared
def follow_references(
    begin: int,
    end: int,
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
    """Write what the latest decision of active rows in [begin, end) has saved against the reference, in seconds."""
    for i in range(begin, end):
        if active[i]:
            saved_s[i] = follow(p, s, d, r, t, legal, actions[i], i)


@uncounted
def follow(p: Problem, s: State, d: Decisions, r: Reference, t: State, legal: Small, action: int, i: int) -> float:
    """Bring row `i`'s reference up to date after an action; return what that has saved, in seconds."""
    before_s = r.cost_s[i]
    if d.done[i]:
        r.following[i], r.cost_s[i] = -1, s.cost_s[i]
    elif action == next_action(r, d, i):
        r.following[i] = _next(p, i, s, i, r, i)
    else:
        complete_reference(p, s, r, t, legal[i], i)
    return float((before_s - r.cost_s[i]) / s.queries[i])


@uncounted
def next_action(r: Reference, d: Decisions, i: int) -> int:
    """Return the action of the upload that was next; "stop" if none was."""
    servers, layers, k = d.reserved_bytes.shape[1], d.decided.shape[2], r.following[i]
    if k < 0:
        return int(d.upload_user.shape[1] * servers)
    return int((r.user[i, k] * layers + r.layer[i, k]) * servers + r.server[i, k] - 1)


@uncounted
def adopt(r: Reference, other: Reference, i: int) -> None:
    """Make row `i`'s plan another one."""
    r.length[i], r.following[i], r.cost_s[i] = other.length[i], other.following[i], other.cost_s[i]
    for k in range(r.length[i]):
        r.user[i, k], r.layer[i, k], r.server[i, k] = other.user[i, k], other.layer[i, k], other.server[i, k]


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
