"""Plays whole plans in compiled code: one plan with the times of its uploads, or many for their mean delays alone."""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Floats, Int8s, Ints
from dnnmig_env.compiling.jit import jit, jit_nogil, jit_without_refcounts
from dnnmig_env.compiling.threads import share_rows
from dnnmig_env.simulation.contention import num_stations, slowdown_for, write_presence, write_seconds
from dnnmig_env.simulation.dynamics import advance, begin, complete, horizon_s, send
from dnnmig_env.simulation.kernel import effective_assignment, query_delay_s
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
    start_s, end_s, sent_bytes = (np.empty(plans.user.shape) for _ in range(3))
    share_rows(_play_rows, count, packed, rows, state, plans, start_s, end_s, sent_bytes, result, per_core=32)
    return result


@jit_without_refcounts
def play(
    packed: PackedScenarios,
    b: int,
    state: State,
    i: int,
    plans: PlanArrays,
    k: int,
    start_s: Floats,
    end_s: Floats,
    sent_bytes: Floats,
) -> float:
    """Play plan `k` in row `i` of the state and return its mean query delay J.

    Args:
        packed: The scenarios.
        b: The scenario.
        state: The state.
        i: Row of the state to use; its log of events, if it has one, tells what happened.
        plans: The plans.
        k: The plan.
        start_s: Receives the start of each layer's upload, shape (K,); infinite if it never starts.
        end_s: Receives the end of each layer's upload, shape (K,); infinite if the last byte has not arrived by the
            horizon.
        sent_bytes: Receives the bytes of each layer's weights that are sent by the horizon.
    """
    begin(packed, b, state, i)
    first = 0
    for j in range(plans.length[k]):
        u, v, server = plans.user[k, j], plans.layer[k, j], plans.server[k, j]
        advance(packed, b, state, i, plans.not_before_s[k, j])
        start_s[j], end_s[j], sent_bytes[j] = np.inf, np.inf, 0.0
        if state.time_s[i] >= horizon_s(packed, b):
            continue
        before_s = state.time_s[i]
        left_bytes = send(packed, b, state, i, u, v, server)
        start_s[j], sent_bytes[j] = presence_s(packed, b, u, before_s), packed.weight_bytes[b, u, v] - left_bytes
        if left_bytes > 0.0:
            continue
        end_s[j] = state.time_s[i]
        if plans.closes[k, j]:
            for member in range(first, j + 1):
                state.usable[i, u, plans.layer[k, member]] = True
            complete(packed, b, state, i, u)
            first = j + 1
    advance(packed, b, state, i, horizon_s(packed, b))
    return float(state.cost_s[i] / state.expected_queries[i])


@jit_without_refcounts
def presence_s(packed: PackedScenarios, b: int, u: int, time_s: float) -> float:
    """Return the first time from `time_s` on at which user `u` is present; infinite if never."""
    for slot in range(packed.num_slots[b]):
        if packed.slot_edges_s[b, slot + 1] > time_s and packed.query_rate_hz[b, slot, u] > 0.0:
            return float(max(time_s, packed.slot_edges_s[b, slot]))
    return np.inf


@jit_nogil
def _play_rows(
    first: int,
    end: int,
    packed: PackedScenarios,
    rows: Ints,
    state: State,
    plans: PlanArrays,
    start_s: Floats,
    end_s: Floats,
    sent_bytes: Floats,
    result: Floats,
) -> None:
    for k in range(first, end):
        result[k] = play(packed, rows[k], state, k, plans, k, start_s[k], end_s[k], sent_bytes[k])


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
    present = np.zeros((num_users + 1, stations))  # the last row is for uploads, of which there are none
    finish_s, free_s = np.empty(num_layers), np.empty(num_nodes)
    for sweep in range(MOST_SWEEPS):
        settled = True
        for u in range(num_users):
            rate_hz = packed.query_rate_hz[b, slot, u]
            effective_assignment(packed, b, u, node[u], usable, assignment)
            if sweep == 0:
                write_seconds(packed, b, u, slot, assignment, seconds[u])
            slowdown_for(u, present, slowdown)
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
