"""Lets users pick where their queries run, and computes the delays that follow, compiled.

Every function works on one row `i` of a `State` under one scenario `b` of a `PackedScenarios`, as those of
`dnnmig_env.simulation.dynamics` do, which says when users pick.
"""

from __future__ import annotations

from dnnmig_env.arrays import Int8s
from dnnmig_env.compiling.jit import copy, fill, jit_without_refcounts
from dnnmig_env.simulation.contention import TOLERANCE, slowdown_for, write_presence, write_seconds
from dnnmig_env.simulation.kernel import effective_assignment, query_delay_s
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State

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
    slowdown_for(u, packed.home[b, slot], state.present[i], state.sending[i], slowdown)
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
    slowdown_for(u, packed.home[b, slot], state.present[i], state.sending[i], slowdown)
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
def react(packed: PackedScenarios, b: int, state: State, i: int, first: int) -> None:
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
