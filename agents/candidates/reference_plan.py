"""A reference plan for every episode, and what completing it from any state would cost.

It has two uses. An agent may see a reference plan, and what uploading something else first would save: that plan is
made for what is expected to come (`agents.candidates.expected_plan`). And a reward may be measured against one: before
and after a decision, what would the whole horizon cost if the rest of the plan were uploaded? The difference is what
the decision was worth, provided that the plan follows. Where rates change, this takes the slots to come into account,
which only rewards may do. So the reward then has a plan of its own, made by joint efficiency for mean rates
(`agents.candidates.planning`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Int8s, Ints
from dnnmig_env.compiling.jit import jit_nogil, jit_without_refcounts
from dnnmig_env.envs.actions import Decisions, action_of
from dnnmig_env.simulation.dynamics import advance, horizon_s, upload
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.plan_arrays import PlanArrays, empty_plans
from dnnmig_env.simulation.state import State, copy_row


class Reference(NamedTuple):
    """The reference plans of B episodes, of at most K = U * L uploads each, and what completing them would cost."""

    plans: PlanArrays  # one for each row
    next_upload: Ints  # (B,): place in the plan of the upload that is next now, -1 = none can be made in this slot
    cost_s: Floats  # (B,): J times the number of queries, if the plan is completed from now on
    rng_state: Ints  # (B,): state of the random numbers of searches for better plans


def new_reference(packed: PackedScenarios, rows: int) -> Reference:
    """Return empty plans of `rows` episodes."""
    _, users, layers = packed.weight_bytes.shape
    return Reference(
        plans=empty_plans(rows, users * layers),
        next_upload=np.full(rows, -1),
        cost_s=np.zeros(rows),
        rng_state=np.zeros(rows, np.int64),
    )


@jit_nogil
def follow_references(
    begin: int,
    end: int,
    packed: PackedScenarios,
    state: State,
    decisions: Decisions,
    reference: Reference,
    ahead: State,
    legal: Int8s,
    actions: Ints,
    active: Bools,
    saved_s: Floats,
) -> None:
    """Write what the latest decision of each active row in [begin, end) has saved against its plan, in seconds of J."""
    for i in range(begin, end):
        if active[i]:
            saved_s[i] = follow(packed, state, decisions, reference, ahead, legal, actions[i], i)


@jit_without_refcounts
def follow(
    packed: PackedScenarios,
    state: State,
    decisions: Decisions,
    reference: Reference,
    ahead: State,
    legal: Int8s,
    action: int,
    i: int,
) -> float:
    """Bring row `i`'s reference up to date after an action; return what that has saved against it, in seconds of J."""
    before_s = reference.cost_s[i]
    if decisions.done[i]:
        reference.next_upload[i], reference.cost_s[i] = -1, state.cost_s[i]
    elif action == next_action(reference, decisions, i):
        reference.next_upload[i] = _next(packed, i, state, i, reference.plans)
    else:
        complete_reference(packed, state, reference, ahead, legal[i], i)
    return float((before_s - reference.cost_s[i]) / state.expected_queries[i])


@jit_without_refcounts
def next_action(reference: Reference, decisions: Decisions, i: int) -> int:
    """Return the action that makes the next upload of row `i`'s plan; "stop" if there is none."""
    users, layers = decisions.decided.shape[1:]
    plans, servers, k = reference.plans, decisions.reserved_bytes.shape[1], reference.next_upload[i]
    if k < 0:
        return int(users * layers * servers)
    return action_of(plans.user[i, k], plans.layer[i, k], plans.server[i, k] - 1, layers, servers)


@jit_without_refcounts
def adopt(reference: Reference, other: Reference, i: int) -> None:
    """Replace row `i`'s plan by that of another reference."""
    copy_plan(reference.plans, other.plans, i)
    reference.next_upload[i], reference.cost_s[i] = other.next_upload[i], other.cost_s[i]


@jit_without_refcounts
def copy_plan(plans: PlanArrays, other: PlanArrays, i: int) -> None:
    """Copy plan `i` of `other` to plan `i`; both consist of single layers that wait for no time."""
    plans.length[i] = other.length[i]
    for k in range(other.length[i]):
        copy_upload(plans, i, k, other, i, k)


@jit_without_refcounts
def copy_upload(plans: PlanArrays, i: int, k: int, other: PlanArrays, j: int, m: int) -> None:
    """Copy upload `m` of plan `j` of `other` to upload `k` of plan `i`."""
    plans.user[i, k], plans.layer[i, k], plans.server[i, k] = other.user[j, m], other.layer[j, m], other.server[j, m]


@jit_without_refcounts
def complete_reference(
    packed: PackedScenarios, state: State, reference: Reference, ahead: State, mask: Int8s, i: int
) -> None:
    """Write which upload of row `i`'s plan is next, and what completing the plan costs from the row's present state.

    An upload whose user is absent, or whose layer does not fit, waits while others can be made.
    """
    reference.next_upload[i] = _next(packed, i, state, i, reference.plans)
    copy_row(state, i, ahead, 2 * i)
    reference.cost_s[i] = complete(packed, i, reference.plans, ahead, 2 * i, mask, 0, 0, 0, -1)


@jit_without_refcounts
def cost_after_interval(
    packed: PackedScenarios,
    state: State,
    reference: Reference,
    ahead: State,
    i: int,
    mask: Int8s,
    u: int,
    s: int,
    first: int,
    last: int,
) -> float:
    """Return what row `i` costs if an interval of layers goes to server s + 1 first, and then the rest of its plan."""
    copy_row(state, i, ahead, 2 * i)
    return complete(packed, i, reference.plans, ahead, 2 * i, mask, u, s, first, last)


@jit_without_refcounts
def complete(
    packed: PackedScenarios,
    i: int,
    plans: PlanArrays,
    ahead: State,
    k: int,
    mask: Int8s,
    user: int,
    s: int,
    first: int,
    last: int,
) -> float:
    """Upload an interval, then the rest of plan `i`, in row `k` of `ahead`; return the cost at the horizon.

    The interval consists of layers `first` to `last` of a user, for server s + 1; it is empty if `last` is less than
    `first`. Of its layers, those whose upload is illegal in `mask` are left out.
    """
    servers, layers, v = ahead.memory_left_bytes.shape[1], ahead.node.shape[2], first
    while ahead.time_s[k] < horizon_s(packed, i):
        while v <= last and mask[action_of(user, v, s, layers, servers)] == 0:
            v += 1
        next_upload = -1 if v <= last else _next(packed, i, ahead, k, plans)
        if v > last and next_upload < 0:
            advance(packed, i, ahead, k, packed.slot_edges_s[i, ahead.slot[k] + 1])
        else:
            u, layer, server = user, v, s + 1
            if next_upload >= 0:
                u, layer, server = plans.user[i, next_upload], plans.layer[i, next_upload], plans.server[i, next_upload]
            upload(packed, i, ahead, k, u, layer, server)
            v += 1
    return float(ahead.cost_s[k])


@jit_without_refcounts
def _next(packed: PackedScenarios, b: int, state: State, i: int, plans: PlanArrays) -> int:
    """Return the first upload of plan `b` that can be made in the state of row `i`, -1 if there is none."""
    slot = state.slot[i]
    for k in range(plans.length[b]):
        u, v, s = plans.user[b, k], plans.layer[b, k], plans.server[b, k] - 1
        reachable = packed.query_rate_hz[b, slot, u] > 0.0 and packed.up_bytes_per_s[b, slot, u, s] > 0.0
        if state.node[i, u, v] == 0 and reachable and packed.weight_bytes[b, u, v] <= state.memory_left_bytes[i, s]:
            return k
    return -1
