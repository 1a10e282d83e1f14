"""Lets time pass, compiled: uploads arrive, time slots begin, and users pick where their queries run.

Every function works on one row `i` of a `State` under one scenario `b` of a `PackedScenarios`; callers loop over rows.
The docstring of `dnnmig_env.simulation` says what the one-letter names mean. Delays come from
`dnnmig_env.simulation.kernel`. The rules (`docs/model.md` has them all):

- Uploads go one after another over one channel. An upload waits until its user is present. Once begun, it goes on to
  its last byte, even into later slots. What the uplink's reading (`uplink.Uplink`) leaves to weights is in
  `dnnmig_env.simulation.uplink`.
- An event is the start of a slot or the completion of a partition; under the reading `shared` also that the channel
  becomes busy or idle. At every event each present user picks the assignment under which a query takes the least time:
  the present one, the device alone, or the effective assignment, which uses every layer whose weights have arrived.
  The owner of a completed partition picks first, then the others in the order of their indices; at other events all
  pick in that order. A pick changes how the others are slowed. So the delays of all for whom something has changed are
  computed anew, in at most `SWEEPS` sweeps over the users. They pick again at the next event.
- Between events, each user's delay costs `query rate x delay` per second.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from dnnmig_env.arrays import Int8s
from dnnmig_env.compiling.jit import copy, fill, jit_without_refcounts
from dnnmig_env.simulation.contention import TOLERANCE, UPLINK, slowdown_for, write_presence, write_seconds
from dnnmig_env.simulation.kernel import effective_assignment, query_delay_s
from dnnmig_env.simulation.packed import SHARED, PackedScenarios
from dnnmig_env.simulation.state import State
from dnnmig_env.simulation.uplink import weights_share

FIRST_USER = cast(int, np.int64(0))  # Numba compiles functions once more for a literal 0

SWEEPS = 2
"""Most sweeps over the users after they have picked."""


@jit_without_refcounts
def _offloads(assignment: Int8s) -> bool:
    for node in assignment:  # noqa: SIM110  generators do not compile
        if node != 0:
            return True
    return False


@jit_without_refcounts
def _differ(one: Int8s, other: Int8s) -> bool:
    for v in range(one.shape[0]):  # noqa: SIM110
        if one[v] != other[v]:
            return True
    return False


@jit_without_refcounts
def _pick(packed: PackedScenarios, b: int, state: State, i: int, u: int) -> bool:
    """Let one user pick the fastest of its present assignment, the device alone, and its effective assignment.

    On a tie the one named first wins. Returns whether its presence at stations, which slows the others, has changed.
    """
    slot, device_s, changed = state.slot[i], state.device_delay_s[i, u], False
    present, effective, slowdown = state.assignment[i, u], state.effective[i, u], state.slowdown[i, u]
    finish_s, free_s = state.finish_s[i], state.free_s[i]
    slowdown_for(u, state.present[i], slowdown)
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
        write_seconds(packed, b, u, slot, present, state.seconds[i, u])
    return _announce(packed, b, state, i, u)


@jit_without_refcounts
def _measure(packed: PackedScenarios, b: int, state: State, i: int, u: int) -> bool:
    """Compute one user's delay under its present assignment anew; return whether its presence has changed."""
    slot, present, slowdown = state.slot[i], state.assignment[i, u], state.slowdown[i, u]
    slowdown_for(u, state.present[i], slowdown)
    if not _offloads(present):
        return False
    state.delay_s[i, u] = query_delay_s(packed, b, u, slot, present, slowdown, state.finish_s[i], state.free_s[i])
    return _announce(packed, b, state, i, u)


@jit_without_refcounts
def _announce(packed: PackedScenarios, b: int, state: State, i: int, u: int) -> bool:
    """Write one user's presence at the stations; return whether it has changed, so that the others are concerned."""
    rate_hz = packed.query_rate_hz[b, state.slot[i], u]
    if not write_presence(
        rate_hz, state.delay_s[i, u], state.seconds[i, u], state.slowdown[i, u], state.present[i, u], TOLERANCE
    ):
        return False
    fill(state.stale[i], True)
    fill(state.outdated[i], True)
    return True


@jit_without_refcounts
def _react(packed: PackedScenarios, b: int, state: State, i: int, first: int) -> None:
    """Let every present user pick, `first` before the others; compute delays until they fit together; log the event.

    A user for whom nothing has changed since its last pick (`state.stale`) would pick the same again and is left out.
    """
    slot, num_users = state.slot[i], packed.num_users[b]
    state.stale[i, first], settled = True, True
    for turn in range(num_users):
        u = _user_at(turn, first)
        if state.stale[i, u] and packed.query_rate_hz[b, slot, u] > 0.0:
            if _pick(packed, b, state, i, u):
                settled = False
            state.stale[i, u], state.outdated[i, u] = False, False
    for _ in range(SWEEPS):
        if settled:
            break
        settled = True
        for turn in range(num_users):
            u = _user_at(turn, first)
            if state.outdated[i, u] and packed.query_rate_hz[b, slot, u] > 0.0:
                if _measure(packed, b, state, i, u):
                    settled = False
                state.outdated[i, u] = False
    event = state.num_events[i]
    if event < state.event_time_s.shape[1]:
        state.event_time_s[i, event] = state.time_s[i]
        copy(state.event_delay_s[i, event], state.delay_s[i])
        copy(state.event_assignment[i, event], state.assignment[i])
        copy(state.event_slowdown[i, event], state.slowdown[i])
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
    fill(state.seconds[i], 0.0)
    fill(state.present[i], 0.0)
    copy(state.memory_left_bytes[i], packed.memory_bytes[b])
    fill(state.effective[i], 0)
    fill(state.slowdown[i], 1.0)
    for u in range(packed.num_users[b]):
        state.device_delay_s[i, u] = query_delay_s(
            packed,
            b,
            u,
            state.slot[i],
            state.assignment[i, u],
            state.slowdown[i, u],
            state.finish_s[i],
            state.free_s[i],
        )
        for v in range(packed.num_layers[b, u]):
            server = packed.uploaded[b, u, v]
            state.usable[i, u, v] = server != 0
            if server != 0:
                state.memory_left_bytes[i, server - 1] -= packed.weight_bytes[b, u, v]
        for slot in range(packed.num_slots[b]):
            slot_s = packed.slot_edges_s[b, slot + 1] - packed.slot_edges_s[b, slot]
            state.expected_queries[i] += packed.query_rate_hz[b, slot, u] * slot_s
    _begin_slot(packed, b, state, i)


@jit_without_refcounts
def _begin_slot(packed: PackedScenarios, b: int, state: State, i: int) -> None:
    """Let all users react to the rates of the present slot. Users who are absent in it leave all stations."""
    slot = state.slot[i]
    for u in range(packed.num_users[b]):
        if packed.query_rate_hz[b, slot, u] > 0.0:
            write_seconds(packed, b, u, slot, state.assignment[i, u], state.seconds[i, u])
        else:
            state.delay_s[i, u] = state.device_delay_s[i, u]
            fill(state.present[i, u], 0.0)
    fill(state.stale[i], True)
    _react(packed, b, state, i, FIRST_USER)


@jit_without_refcounts
def horizon_s(packed: PackedScenarios, b: int) -> float:
    """Return the scenario's horizon in seconds."""
    return float(packed.slot_edges_s[b, packed.num_slots[b]])


@jit_without_refcounts
def advance(packed: PackedScenarios, b: int, state: State, i: int, until_s: float) -> None:
    """Let time pass with an idle channel until `until_s` (at most the horizon)."""
    if state.time_s[i] < min(until_s, horizon_s(packed, b)):
        _occupy_uplink(packed, b, state, i, 0.0)
    _pass_time(packed, b, state, i, until_s)


@jit_without_refcounts
def _pass_time(packed: PackedScenarios, b: int, state: State, i: int, until_s: float) -> None:
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
            _begin_slot(packed, b, state, i)


@jit_without_refcounts
def _occupy_uplink(packed: PackedScenarios, b: int, state: State, i: int, uploads: float) -> None:
    """Under the reading `shared`, let all users react to the number of uploads in flight (0 or 1) if that is new."""
    if packed.uplink[b] == SHARED and state.present[i, -1, UPLINK] != uploads:
        state.present[i, -1, UPLINK] = uploads
        fill(state.stale[i], True)
        _react(packed, b, state, i, FIRST_USER)


@jit_without_refcounts
def send(packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int, server: int) -> float:
    """Let time pass until one layer's weights are on `server` (1..S); return what is left then.

    What is left is the number of bytes that do not get there by the horizon, mostly 0. The upload waits until its user
    is present. The layer does not become usable here: when the whole partition has
    arrived, the caller marks its layers as usable and calls `complete`.
    """
    while packed.query_rate_hz[b, state.slot[i], u] == 0.0:
        if state.slot[i] + 1 == packed.num_slots[b]:
            advance(packed, b, state, i, horizon_s(packed, b))
            return float(packed.weight_bytes[b, u, v])
        advance(packed, b, state, i, packed.slot_edges_s[b, state.slot[i] + 1])
    remaining_bytes = packed.weight_bytes[b, u, v]
    state.node[i, u, v] = server
    state.memory_left_bytes[i, server - 1] -= remaining_bytes
    while state.time_s[i] < horizon_s(packed, b):
        rate, edge_s = packed.up_bytes_per_s[b, state.slot[i], u, server - 1], packed.slot_edges_s[b, state.slot[i] + 1]
        _occupy_uplink(packed, b, state, i, 1.0 if rate > 0.0 else 0.0)
        rate *= weights_share(packed, b, state, i)
        end_s = state.time_s[i] + remaining_bytes / rate
        if end_s <= edge_s:
            _pass_time(packed, b, state, i, end_s)
            return 0.0
        remaining_bytes -= rate * (edge_s - state.time_s[i])
        _pass_time(packed, b, state, i, edge_s)
    return float(remaining_bytes)


@jit_without_refcounts
def complete(packed: PackedScenarios, b: int, state: State, i: int, u: int) -> None:
    """Let all users react, `u` first, to a partition of user `u` whose layers have just become usable."""
    _react(packed, b, state, i, u)


@jit_without_refcounts
def upload(packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int, server: int) -> None:
    """Upload one layer as a partition of its own: it becomes usable as soon as its last byte has arrived."""
    if send(packed, b, state, i, u, v, server) == 0.0:
        state.usable[i, u, v] = True
        _react(packed, b, state, i, u)
