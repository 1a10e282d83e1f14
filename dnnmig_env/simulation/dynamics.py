"""Lets time pass, compiled: uploads arrive, time slots begin, and users pick where their queries run.

Every function works on one row `i` of a `State` under one scenario `b` of a `PackedScenarios`; callers loop over rows.
The docstring of `dnnmig_env.simulation` says what the one-letter names mean. Delays come from
`dnnmig_env.simulation.kernel`. The rules (`docs/model.md` has them all):

- Uploads go one after another over one channel. An upload waits until its user is present. Once begun, it goes on to
  its last byte, even into later slots.
- An event is the start of a slot or the completion of a partition. At every event each present user picks the
  assignment under which a query takes the least time: the present one, the device alone, or the effective assignment,
  which uses every layer whose weights have arrived. The owner of a completed partition picks first, then the others in
  the order of their indices; at the start of a slot all pick in that order. Then all delays are computed anew, as a
  pick changes the load that slows the others.
- Between events, each user's delay costs `query rate x delay` per second.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from dnnmig_env.arrays import Int8s
from dnnmig_env.compiling.jit import copy, fill, jit_inlined, jit_without_refcounts
from dnnmig_env.simulation.kernel import effective_assignment, load_of, query_delay_s, slowdown_for
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State

FIRST_USER = cast(int, np.int64(0))  # Numba compiles functions once more for a literal 0


@jit_inlined
def _offloads(assignment: Int8s) -> bool:
    for node in assignment:  # noqa: SIM110  generators do not compile
        if node != 0:
            return True
    return False


@jit_inlined
def _differ(one: Int8s, other: Int8s) -> bool:
    for v in range(one.shape[0]):  # noqa: SIM110
        if one[v] != other[v]:
            return True
    return False


@jit_inlined
def _pick(packed: PackedScenarios, b: int, state: State, i: int, u: int) -> bool:
    """Let one user pick the fastest of its present assignment, the device alone, and its effective assignment.

    On a tie the one named first wins. Returns whether the user's assignment, and so perhaps its load, has changed.
    """
    slot, device_s, changed = state.slot[i], state.device_delay_s[i, u], False
    present, effective, slowdown = state.assignment[i, u], state.effective[i, u], state.slowdown[i]
    finish_s, free_s = state.finish_s[i], state.free_s[i]
    slowdown_for(packed, b, u, state.load[i], slowdown)
    best_s = query_delay_s(packed, b, u, slot, present, slowdown, finish_s, free_s) if _offloads(present) else device_s
    effective_assignment(packed, b, u, state.node[i, u], state.usable[i, u], effective)
    if device_s < best_s:
        best_s, changed = device_s, True
        fill(present, 0)
    if _differ(effective, present):
        composed_s = query_delay_s(packed, b, u, slot, effective, slowdown, finish_s, free_s)
        if composed_s < best_s:
            best_s, changed = composed_s, True
            copy(present, effective)
    state.delay_s[i, u] = best_s
    if changed:
        load_of(packed, b, u, slot, present, state.load[i, u])
    return changed


@jit_without_refcounts
def _react(packed: PackedScenarios, b: int, state: State, i: int, first: int) -> None:
    """Let every present user pick, `first` before the others; then compute all delays anew and log the event.

    A user for whom nothing has changed since its last pick (`state.stale`) would pick the same again and is left out.
    """
    slot, num_users = state.slot[i], packed.num_users[b]
    for turn in range(num_users):
        u = _user_at(turn, first)
        if packed.query_rate_hz[b, slot, u] == 0.0:
            state.delay_s[i, u] = state.device_delay_s[i, u]
        elif turn == 0 or state.stale[i, u]:
            if _pick(packed, b, state, i, u):
                fill(state.stale[i], True)
            state.stale[i, u] = False
    for u in range(num_users):  # users whose pick came before another's load changed
        if state.stale[i, u] and packed.query_rate_hz[b, slot, u] > 0.0:
            slowdown_for(packed, b, u, state.load[i], state.slowdown[i])
            state.delay_s[i, u] = query_delay_s(
                packed, b, u, slot, state.assignment[i, u], state.slowdown[i], state.finish_s[i], state.free_s[i]
            )
    event = state.num_events[i]
    if event < state.event_time_s.shape[1]:
        state.event_time_s[i, event] = state.time_s[i]
        copy(state.event_delay_s[i, event], state.delay_s[i])
        copy(state.event_assignment[i, event], state.assignment[i])
        state.num_events[i] = event + 1


@jit_without_refcounts
def _user_at(turn: int, first: int) -> int:
    """Return the user who picks at a turn: `first` at turn 0, then the others in the order of their indices."""
    if turn == 0:
        return first
    return turn - 1 if turn <= first else turn


@jit_without_refcounts
def begin(packed: PackedScenarios, b: int, state: State, i: int) -> None:
    """Set row `i` to the start of scenario `b`: time 0, with only those weights on servers that `uploaded` names."""
    state.time_s[i], state.slot[i], state.cost_s[i], state.expected_queries[i], state.num_events[i] = (
        0.0,
        0,
        0.0,
        0.0,
        0,
    )
    copy(state.node[i], packed.uploaded[b])
    fill(state.assignment[i], 0)
    fill(state.load[i], 0.0)
    copy(state.memory_left_bytes[i], packed.memory_bytes[b])
    fill(state.effective[i], 0)
    fill(state.slowdown[i], 1.0)
    for u in range(packed.num_users[b]):
        state.device_delay_s[i, u] = query_delay_s(
            packed, b, u, state.slot[i], state.assignment[i, u], state.slowdown[i], state.finish_s[i], state.free_s[i]
        )
        for v in range(packed.num_layers[b, u]):
            server = packed.uploaded[b, u, v]
            state.usable[i, u, v] = server != 0
            if server != 0:
                state.memory_left_bytes[i, server - 1] -= packed.weight_bytes[b, u, v]
        for slot in range(packed.num_slots[b]):
            slot_s = packed.slot_edges_s[b, slot + 1] - packed.slot_edges_s[b, slot]
            state.expected_queries[i] += packed.query_rate_hz[b, slot, u] * slot_s
    fill(state.stale[i], True)
    _react(packed, b, state, i, FIRST_USER)


@jit_without_refcounts
def horizon_s(packed: PackedScenarios, b: int) -> float:
    """Return the scenario's horizon in seconds."""
    return float(packed.slot_edges_s[b, packed.num_slots[b]])


@jit_without_refcounts
def advance(packed: PackedScenarios, b: int, state: State, i: int, until_s: float) -> None:
    """Let time pass until `until_s` (at most the horizon), adding the cost of delays and beginning slots on the way."""
    until_s = min(until_s, horizon_s(packed, b))
    while state.time_s[i] < until_s:
        edge_s = packed.slot_edges_s[b, state.slot[i] + 1]
        stop_s = min(until_s, edge_s)
        rate_of_cost = 0.0
        for u in range(packed.num_users[b]):
            rate_of_cost += packed.query_rate_hz[b, state.slot[i], u] * state.delay_s[i, u]
        state.cost_s[i] += rate_of_cost * (stop_s - state.time_s[i])
        state.time_s[i] = stop_s
        if stop_s == edge_s and state.slot[i] + 1 < packed.num_slots[b]:
            state.slot[i] += 1
            for u in range(packed.num_users[b]):
                load_of(packed, b, u, state.slot[i], state.assignment[i, u], state.load[i, u])
            fill(state.stale[i], True)
            _react(packed, b, state, i, FIRST_USER)


@jit_without_refcounts
def send(packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int, server: int) -> bool:
    """Let time pass until one layer's weights are on `server` (1..S); return whether that is so by the horizon.

    The upload waits until its user is present. The layer does not become usable here: when the whole partition has
    arrived, the caller marks its layers as usable and calls `complete`.
    """
    while packed.query_rate_hz[b, state.slot[i], u] == 0.0:
        if state.slot[i] + 1 == packed.num_slots[b]:
            advance(packed, b, state, i, horizon_s(packed, b))
            return False
        advance(packed, b, state, i, packed.slot_edges_s[b, state.slot[i] + 1])
    remaining_bytes = packed.weight_bytes[b, u, v]
    state.node[i, u, v] = server
    state.memory_left_bytes[i, server - 1] -= remaining_bytes
    while state.time_s[i] < horizon_s(packed, b):
        slot = state.slot[i]
        rate, edge_s = packed.up_bytes_per_s[b, slot, u, server - 1], packed.slot_edges_s[b, slot + 1]
        end_s = state.time_s[i] + remaining_bytes / rate
        if end_s <= edge_s:
            advance(packed, b, state, i, end_s)
            return True
        remaining_bytes -= rate * (edge_s - state.time_s[i])
        advance(packed, b, state, i, edge_s)
    return False


@jit_without_refcounts
def complete(packed: PackedScenarios, b: int, state: State, i: int, u: int) -> None:
    """Let all users react, `u` first, to a partition of user `u` whose layers have just become usable."""
    _react(packed, b, state, i, u)


@jit_without_refcounts
def upload(packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int, server: int) -> None:
    """Upload one layer as a partition of its own: it becomes usable as soon as its last byte has arrived."""
    if send(packed, b, state, i, u, v, server):
        state.usable[i, u, v] = True
        _react(packed, b, state, i, u)
