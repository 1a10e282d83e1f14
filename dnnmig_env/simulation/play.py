"""Plays whole plans in compiled code: one plan with the times of its uploads, or many for their mean delays alone."""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Floats, Int8s, Ints
from dnnmig_env.compiling.jit import fill, jit, jit_nogil, jit_without_refcounts
from dnnmig_env.compiling.threads import share_rows
from dnnmig_env.simulation.contention import num_stations, slowdown_for, write_presence, write_seconds
from dnnmig_env.simulation.dynamics import (
    DEVICE,
    begin,
    begin_transfer,
    complete,
    first_ended,
    horizon_s,
    notice_transfers,
    pass_time,
)
from dnnmig_env.simulation.kernel import effective_assignment, query_delay_s
from dnnmig_env.simulation.moving.holding import hold
from dnnmig_env.simulation.moving.room import has_room, last_slot
from dnnmig_env.simulation.moving.sources import first_source, survey_lanes
from dnnmig_env.simulation.moving.transfers import NONE, lane_from, take_off
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.plan_arrays import PlanArrays
from dnnmig_env.simulation.state import State, new_state

MOST_SWEEPS, SETTLED = 100, 1e-6
"""How often the users' delays in a fixed placement are computed at most, each from the others' latest presence at the
stations, and by how much that presence may still change at last."""


def mean_delays_s(packed: PackedScenarios, plans: PlanArrays, scenarios: Ints | None = None) -> Floats:
    """Return the mean query delay J of every plan in seconds per query, shape (P,).

    Args:
        packed: The scenarios.
        plans: The plans.
        scenarios: Scenario of each plan, shape (P,); by default scenario 0 for all.
    """
    count = len(plans.length)
    rows = np.zeros(count, np.int64) if scenarios is None else np.asarray(scenarios, np.int64)
    state, result = new_state(packed, count), np.empty(count)
    source, sent = np.empty(plans.user.shape, np.int64), np.empty((4, *plans.user.shape))
    share_rows(_play_rows, count, packed, rows, state, plans, source, *sent, result, per_core=32)
    return result


@jit_without_refcounts
def play(
    packed: PackedScenarios,
    b: int,
    state: State,
    i: int,
    plans: PlanArrays,
    k: int,
    source: Ints,
    start_s: Floats,
    end_s: Floats,
    sent_bytes: Floats,
    usable_s: Floats,
) -> float:
    """Play plan `k` in row `i` of the state and return its mean query delay J.

    The plan is a list of layers to send. At every event it is looked through from its beginning. A layer wants the lane
    of the node from which it would come first. If that lane is idle, and no earlier layer waits for it, the layer's
    transfer begins, unless it may not begin yet: then the lane stays idle for it.

    Args:
        packed: The scenarios.
        b: The scenario.
        state: The state.
        i: Row of the state to use; its log of events, if it has one, tells what happened.
        plans: The plans.
        k: The plan.
        source: Receives the node that sends each layer, shape (K,); -1 if none ever does.
        start_s: Receives the start of each layer's transfer, shape (K,); infinite if it never starts.
        end_s: Receives the end of each layer's transfer, shape (K,); infinite if the last byte has not arrived by the
            horizon.
        sent_bytes: Receives the bytes of each layer's weights that are sent by the horizon.
        usable_s: Receives when each partition is first complete, in the place of its last layer; infinite if never.
    """
    begin(packed, b, state, i)
    fill(state.item[i], NONE)
    first, last_s = 0, horizon_s(packed, b)
    for j in range(plans.length[k]):
        source[j], start_s[j], end_s[j], sent_bytes[j], usable_s[j] = NONE, np.inf, np.inf, 0.0, np.inf
    while state.time_s[i] < last_s:
        while first < plans.length[k] and start_s[first] < np.inf:
            first += 1
        until_s = _begin_transfers(packed, b, state, i, plans, k, first, source, start_s)
        while notice_transfers(packed, b, state, i):
            until_s = _begin_transfers(packed, b, state, i, plans, k, first, source, start_s)
        ended = pass_time(packed, b, state, i, until_s)
        if packed.moves[b]:
            _note_broken_off(packed, b, state, i, plans, k, sent_bytes)
        while ended >= 0:
            j, state.item[i, ended] = state.item[i, ended], NONE
            take_off(state, i, ended)
            end_s[j], sent_bytes[j] = state.time_s[i], packed.weight_bytes[b, plans.user[k, j], plans.layer[k, j]]
            _complete_partition(packed, b, state, i, plans, k, j, end_s, usable_s)
            ended = first_ended(state, i)  # nothing begins before all that end at the same time have done so
    for place in range(state.moving_user.shape[1]):
        if state.moving_user[i, place] >= 0:
            j = state.item[i, place]
            sent_bytes[j] = packed.weight_bytes[b, plans.user[k, j], plans.layer[k, j]] - state.left_bytes[i, place]
    return float(state.cost_s[i] / state.expected_queries[i])


@jit_without_refcounts
def _begin_transfers(
    packed: PackedScenarios,
    b: int,
    state: State,
    i: int,
    plans: PlanArrays,
    k: int,
    first: int,
    source: Ints,
    start_s: Floats,
) -> float:
    """Begin the transfers of a plan whose turn has come; return until when time may pass without another look.

    Layers before `first` have begun. After each start the plan is looked through anew, as what is dropped for it may
    have to be sent once more.
    """
    end_s = horizon_s(packed, b)
    if not packed.moves[b] and packed.home[b, 0, 0] == 0:  # one lane: the same as below, but faster
        if first < plans.length[k] and state.on_the_way[i] == 0:
            if plans.not_before_s[k, first] > state.time_s[i]:
                return float(min(plans.not_before_s[k, first], end_s))
            if packed.query_rate_hz[b, state.slot[i], plans.user[k, first]] > 0.0:
                source[first], start_s[first] = DEVICE, state.time_s[i]
                u, v, server = plans.user[k, first], plans.layer[k, first], plans.server[k, first]
                state.item[i, begin_transfer(packed, b, state, i, u, v, server, DEVICE)] = first
        return end_s
    while first < plans.length[k] and survey_lanes(packed, b, state, i):
        j, node, until_s = _next_to_begin(packed, b, state, i, plans, k, first, start_s)
        if j < 0:
            return until_s
        u, v, server = plans.user[k, j], plans.layer[k, j], plans.server[k, j]
        source[j], start_s[j] = node, state.time_s[i]
        state.item[i, begin_transfer(packed, b, state, i, u, v, server, node)] = j
    return end_s


@jit_without_refcounts
def _next_to_begin(
    packed: PackedScenarios, b: int, state: State, i: int, plans: PlanArrays, k: int, first: int, start_s: Floats
) -> tuple[int, int, float]:
    """Return the first layer of a plan whose transfer may begin now, and its source; if none may, until when."""
    slot, until_s = state.slot[i], horizon_s(packed, b)
    fill(state.lane_is_claimed[i], False)
    for j in range(first, plans.length[k]):
        u, v, server = plans.user[k, j], plans.layer[k, j], plans.server[k, j]
        node = NONE if start_s[j] < np.inf else _wanted_source(packed, b, state, i, u, v, server)
        if node < 0:
            continue
        lane = lane_from(packed, b, slot, u, node)
        if state.lane_wait_s[i, lane] == 0.0 and not state.lane_is_claimed[i, lane]:
            if plans.not_before_s[k, j] > state.time_s[i]:
                until_s = min(until_s, plans.not_before_s[k, j])
            elif packed.query_rate_hz[b, slot, u] > 0.0 and has_room(packed, b, state, i, u, v, server):
                return j, node, until_s
        state.lane_is_claimed[i, lane] = True
    return NONE, NONE, until_s


@jit_without_refcounts
def _wanted_source(packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int, server: int) -> int:
    """Return the node from which a layer of a plan would come now; `NONE` if it can come from nowhere, or need not.

    A layer whose user is absent waits for its device. Where weights may move it does so only until the user arrives:
    what belongs to users who have left is passed over.
    """
    if not packed.moves[b]:
        return DEVICE
    if state.held[i, u, v, server - 1] != 0:
        return NONE
    if packed.query_rate_hz[b, state.slot[i], u] > 0.0:
        return first_source(packed, b, state, i, u, v, server)
    return DEVICE if last_slot(state, i, u) < 0 else NONE


@jit_without_refcounts
def _complete_partition(
    packed: PackedScenarios,
    b: int,
    state: State,
    i: int,
    plans: PlanArrays,
    k: int,
    j: int,
    end_s: Floats,
    usable_s: Floats,
) -> None:
    """Let all users react if layer `j` of a plan, which has just arrived, is the last of its partition to do so."""
    first, last, u = j, j, plans.user[k, j]
    while first > 0 and not plans.closes[k, first - 1]:
        first -= 1
    while not plans.closes[k, last]:
        last += 1
    for member in range(first, last + 1):
        v, server = plans.layer[k, member], plans.server[k, member]
        if end_s[member] == np.inf and not (packed.moves[b] and state.held[i, u, v, server - 1] > 0):
            return
    usable_s[last] = min(usable_s[last], state.time_s[i])
    for member in range(first, last + 1):
        is_dropped = packed.moves[b] and state.held[i, u, plans.layer[k, member], plans.server[k, member] - 1] >= 0
        if end_s[member] < np.inf and not is_dropped:
            hold(packed, b, state, i, u, plans.layer[k, member], plans.server[k, member])
    complete(packed, b, state, i, u)


@jit_without_refcounts
def _note_broken_off(
    packed: PackedScenarios, b: int, state: State, i: int, plans: PlanArrays, k: int, sent_bytes: Floats
) -> None:
    """Note what had been sent of the transfers that have just been broken off."""
    for place in range(state.moving_user.shape[1]):
        j = state.item[i, place]
        if j >= 0 and state.moving_user[i, place] < 0:
            sent_bytes[j] = packed.weight_bytes[b, plans.user[k, j], plans.layer[k, j]] - state.left_bytes[i, place]
            state.item[i, place] = NONE


@jit_nogil
def _play_rows(
    first: int,
    end: int,
    packed: PackedScenarios,
    rows: Ints,
    state: State,
    plans: PlanArrays,
    source: Ints,
    start_s: Floats,
    end_s: Floats,
    sent_bytes: Floats,
    usable_s: Floats,
    result: Floats,
) -> None:
    for k in range(first, end):
        sent = source[k], start_s[k], end_s[k], sent_bytes[k], usable_s[k]
        result[k] = play(packed, rows[k], state, k, plans, k, *sent)


@jit
def migration_delay_s(packed: PackedScenarios, b: int, slot: int, node: Int8s, delay_s: Floats) -> float:
    """Return the mean query delay once all placed layers are uploaded: EosDNN's migration delay, without upload time.

    Every user runs its whole placement, contention included, at the rates of one slot. The mean weighs each user by its
    query rate in that slot.

    Args:
        packed: The scenarios.
        b: The scenario.
        slot: The time slot.
        node: Server of each layer with weights (0 = device), shape (U, L).
        delay_s: Receives the delay of each user, shape (U,).
    """
    num_users, num_nodes, num_layers = packed.num_users[b], packed.execution_s.shape[3], node.shape[1]
    assignment, usable = np.zeros(num_layers, np.int8), np.ones(num_layers, np.bool_)
    stations = num_stations(num_nodes)
    seconds, slowdown = np.zeros((num_users, stations)), np.ones(stations)
    present = np.zeros((num_users + 1, stations))  # the last row is for weights on wires, of which there are none
    sending = np.zeros(num_nodes)
    finish_s, free_s = np.empty(num_layers), np.empty(num_nodes)
    for sweep in range(MOST_SWEEPS):
        settled = True
        for u in range(num_users):
            rate_hz = packed.query_rate_hz[b, slot, u]
            effective_assignment(packed, b, u, node[u], usable, assignment)
            if sweep == 0:
                write_seconds(packed, b, u, slot, assignment, seconds[u])
            slowdown_for(u, packed.home[b, slot], present, sending, slowdown)
            delay_s[u] = query_delay_s(packed, b, u, slot, assignment, slowdown, finish_s, free_s)
            # An absent user is at no station, not even at a dead link where its query would wait for ever.
            if rate_hz > 0.0 and write_presence(rate_hz, delay_s[u], seconds[u], slowdown, present[u], SETTLED):
                settled = False
        if settled:
            break
    total, rates = 0.0, 0.0
    for u in range(num_users):
        rate_hz = packed.query_rate_hz[b, slot, u]
        if rate_hz > 0.0:  # the delay of an absent user may be infinite
            total += rate_hz * delay_s[u]
            rates += rate_hz
    return total / rates
