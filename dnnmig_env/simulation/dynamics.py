"""What happens as time passes: uploads arrive, slots begin, users pick where to run; compiled.

Every function works on one row `i` of a `State` under one scenario `b` of a `Problem`; callers loop over rows. Delays
come from `dnnmig_env.simulation.kernel`; the rules are those of the README's section "The model":

- At every event (a partition completes, a slot begins) each present user picks the fastest of: the device only,
  its present assignment, every layer whose weights have arrived. The owner of a completed partition picks first,
  then the others in index order; at a slot's start all pick in index order. Then all delays are taken anew.
- Uploads share one channel; one that has begun goes on to its last byte, across slots.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from dnnmig_env.compiling.jit import copy, fill, inlined, uncounted
from dnnmig_env.simulation.kernel import compose, load_of, query_delay_s, slowdown_for
from dnnmig_env.simulation.packed import Problem, Small
from dnnmig_env.simulation.state import State

FIRST_USER = cast(int, np.int64(0))  # a plain 0 would have its callees compiled once more, for the literal


@inlined
def _offloads(assignment: Small) -> bool:
    for node in assignment:  # noqa: SIM110  generators do not compile
        if node != 0:
            return True
    return False


@inlined
def _differ(one: Small, other: Small) -> bool:
    for v in range(one.shape[0]):  # noqa: SIM110
        if one[v] != other[v]:
            return True
    return False


@inlined
def _pick(p: Problem, b: int, s: State, i: int, u: int) -> bool:
    """Let one user choose the fastest of its present assignment, device only, and every available layer.

    Ties keep the present assignment. Returns whether the choice, and so perhaps the user's load, changed.
    """
    slot, device_s, changed = s.slot[i], s.device_delay_s[i, u], False
    present, composed, slowdown = s.assignment[i, u], s.composed[i, u], s.slowdown[i]
    finish_s, free_s = s.finish_s[i], s.free_s[i]
    slowdown_for(p, b, u, s.load[i], slowdown)
    best_s = query_delay_s(p, b, u, slot, present, slowdown, finish_s, free_s) if _offloads(present) else device_s
    compose(p, b, u, s.node[i, u], s.usable[i, u], composed)
    if device_s < best_s:
        best_s, changed = device_s, True
        fill(present, 0)
    if _differ(composed, present):
        composed_s = query_delay_s(p, b, u, slot, composed, slowdown, finish_s, free_s)
        if composed_s < best_s:
            best_s, changed = composed_s, True
            copy(present, composed)
    s.delay_s[i, u] = best_s
    if changed:
        load_of(p, b, u, slot, present, s.load[i, u])
    return changed


@uncounted
def _react(p: Problem, b: int, s: State, i: int, first: int) -> None:
    """Let every present user pick, `first` before the others, then take all delays anew and log the event.

    A user for whom nothing has changed since it last picked would pick the same again, and is not asked.
    """
    slot, num_users = s.slot[i], p.num_users[b]
    for turn in range(num_users):
        u = _user_at(turn, first)
        if p.query_rate_hz[b, slot, u] == 0.0:
            s.delay_s[i, u] = s.device_delay_s[i, u]
        elif turn == 0 or s.stale[i, u]:
            if _pick(p, b, s, i, u):
                fill(s.stale[i], True)
            s.stale[i, u] = False
    for u in range(num_users):  # those who picked before the last load settled
        if s.stale[i, u] and p.query_rate_hz[b, slot, u] > 0.0:
            slowdown_for(p, b, u, s.load[i], s.slowdown[i])
            s.delay_s[i, u] = query_delay_s(
                p, b, u, slot, s.assignment[i, u], s.slowdown[i], s.finish_s[i], s.free_s[i]
            )
    event = s.num_events[i]
    if event < s.event_time_s.shape[1]:
        s.event_time_s[i, event] = s.time_s[i]
        copy(s.event_delay_s[i, event], s.delay_s[i])
        copy(s.event_assignment[i, event], s.assignment[i])
        s.num_events[i] = event + 1


@uncounted
def _user_at(turn: int, first: int) -> int:
    """Return whose turn it is: `first`, then the others in index order."""
    if turn == 0:
        return first
    return turn - 1 if turn <= first else turn


@uncounted
def begin(p: Problem, b: int, s: State, i: int) -> None:
    """Set row `i` to the start of scenario `b`: time 0, nothing uploaded but what the scenario says."""
    s.time_s[i], s.slot[i], s.cost_s[i], s.queries[i], s.num_events[i] = 0.0, 0, 0.0, 0.0, 0
    copy(s.node[i], p.uploaded[b])
    fill(s.assignment[i], 0)
    fill(s.load[i], 0.0)
    copy(s.memory_left_bytes[i], p.memory_bytes[b])
    fill(s.composed[i], 0)
    fill(s.slowdown[i], 1.0)
    for u in range(p.num_users[b]):
        s.device_delay_s[i, u] = query_delay_s(
            p, b, u, s.slot[i], s.assignment[i, u], s.slowdown[i], s.finish_s[i], s.free_s[i]
        )
        for v in range(p.num_layers[b, u]):
            server = p.uploaded[b, u, v]
            s.usable[i, u, v] = server != 0
            if server != 0:
                s.memory_left_bytes[i, server - 1] -= p.weight_bytes[b, u, v]
        for slot in range(p.num_slots[b]):
            slot_s = p.slot_edges_s[b, slot + 1] - p.slot_edges_s[b, slot]
            s.queries[i] += p.query_rate_hz[b, slot, u] * slot_s
    fill(s.stale[i], True)
    _react(p, b, s, i, FIRST_USER)


@uncounted
def horizon_s(p: Problem, b: int) -> float:
    """Return the scenario's horizon."""
    return float(p.slot_edges_s[b, p.num_slots[b]])


@uncounted
def advance(p: Problem, b: int, s: State, i: int, until_s: float) -> None:
    """Let time pass until `until_s` (at most the horizon), charging delay and starting slots on the way."""
    until_s = min(until_s, horizon_s(p, b))
    while s.time_s[i] < until_s:
        edge_s = p.slot_edges_s[b, s.slot[i] + 1]
        stop_s = min(until_s, edge_s)
        rate_of_cost = 0.0
        for u in range(p.num_users[b]):
            rate_of_cost += p.query_rate_hz[b, s.slot[i], u] * s.delay_s[i, u]
        s.cost_s[i] += rate_of_cost * (stop_s - s.time_s[i])
        s.time_s[i] = stop_s
        if stop_s == edge_s and s.slot[i] + 1 < p.num_slots[b]:
            s.slot[i] += 1
            for u in range(p.num_users[b]):
                load_of(p, b, u, s.slot[i], s.assignment[i, u], s.load[i, u])
            fill(s.stale[i], True)
            _react(p, b, s, i, FIRST_USER)


@uncounted
def send(p: Problem, b: int, s: State, i: int, u: int, v: int, server: int) -> bool:
    """Upload one layer's weights to `server` (1..S), time passing meanwhile; return whether the last byte got in.

    The upload waits until its user is present. The layer does not become usable here: `complete` does that for its
    whole partition.
    """
    while p.query_rate_hz[b, s.slot[i], u] == 0.0:
        if s.slot[i] + 1 == p.num_slots[b]:
            advance(p, b, s, i, horizon_s(p, b))
            return False
        advance(p, b, s, i, p.slot_edges_s[b, s.slot[i] + 1])
    remaining_bytes = p.weight_bytes[b, u, v]
    s.node[i, u, v] = server
    s.memory_left_bytes[i, server - 1] -= remaining_bytes
    while s.time_s[i] < horizon_s(p, b):
        slot = s.slot[i]
        rate, edge_s = p.up_bytes_per_s[b, slot, u, server - 1], p.slot_edges_s[b, slot + 1]
        end_s = s.time_s[i] + remaining_bytes / rate
        if end_s <= edge_s:
            advance(p, b, s, i, end_s)
            return True
        remaining_bytes -= rate * (edge_s - s.time_s[i])
        advance(p, b, s, i, edge_s)
    return False


@uncounted
def complete(p: Problem, b: int, s: State, i: int, u: int) -> None:
    """Note that a partition of user `u` is in: everybody reacts, its owner first."""
    _react(p, b, s, i, u)


@uncounted
def upload(p: Problem, b: int, s: State, i: int, u: int, v: int, server: int) -> None:
    """Upload one layer as a partition of its own."""
    if send(p, b, s, i, u, v, server):
        s.usable[i, u, v] = True
        _react(p, b, s, i, u)
