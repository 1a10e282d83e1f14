"""Room on servers: when a layer does not fit, what nobody needs there is dropped; compiled.

This is done only where weights may move (`PackedScenarios.moves`). In this order, as much as is needed:

- layers of users who have left (absent now, present before): those of the user who is absent longest first, and of one
  user those that arrived first;
- layers of present users that their home server, another one, holds too: those that arrived first.

Nothing else is ever dropped. If all that is not enough, nothing is.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from dnnmig_env.compiling.jit import copy, jit_without_refcounts
from dnnmig_env.simulation.moving.holding import find
from dnnmig_env.simulation.moving.transfers import NONE
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State

HERE, NOT_YET = -1, cast(int, np.int64(-2))  # Numba compiles functions once more for a literal
"""Stand for the last slot of a user's presence if it is present now, or has not been present yet."""


@jit_without_refcounts
def last_slot(state: State, i: int, u: int) -> int:
    """Return the latest slot in which an absent user was present; `HERE` if it is now, `NOT_YET` if it never was."""
    last = state.last_present[i, u]
    return HERE if last == state.slot[i] else last


@jit_without_refcounts
def write_room(packed: PackedScenarios, b: int, state: State, i: int) -> None:
    """Write the memory of each server that is free or can be made free to `state.room_bytes`."""
    copy(state.room_bytes[i], state.memory_left_bytes[i])
    if packed.moves[b]:
        for u in range(packed.num_users[b]):
            last = last_slot(state, i, u)
            if last != NOT_YET:
                for v in range(packed.num_layers[b, u]):
                    for s in range(packed.num_servers[b]):
                        if _is_needless(packed, b, state, i, u, v, s, last):
                            state.room_bytes[i, s] += packed.weight_bytes[b, u, v]


@jit_without_refcounts
def _is_needless(packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int, s: int, last: int) -> bool:
    """Return whether nobody needs a layer on server s, given the user's `last_slot`."""
    if state.held[i, u, v, s] <= 0 or last == NOT_YET:
        return False
    if last >= 0:
        return True
    home = packed.home[b, state.slot[i], u]
    return bool(home != 0 and home != s + 1 and state.held[i, u, v, home - 1] > 0)


@jit_without_refcounts
def has_room(packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int, server: int) -> bool:
    """Return whether a layer fits on a server (1..S), or can be made to; without moves, `check_plan` sees to it."""
    weight_bytes = packed.weight_bytes[b, u, v]
    if not packed.moves[b] or weight_bytes <= state.memory_left_bytes[i, server - 1]:
        return True
    write_room(packed, b, state, i)
    return bool(weight_bytes <= state.room_bytes[i, server - 1])


@jit_without_refcounts
def make_room(packed: PackedScenarios, b: int, state: State, i: int, server: int, size_bytes: float) -> bool:
    """Drop on a server (1..S) what nobody needs until a layer of `size_bytes` fits.

    Returns:
        Whether anything of a present user was dropped, so that all users have to react.
    """
    concerned = False
    while state.memory_left_bytes[i, server - 1] < size_bytes:
        u, v = _next_to_drop(packed, b, state, i, server - 1)
        if u < 0:
            break
        state.held[i, u, v, server - 1] = 0
        state.memory_left_bytes[i, server - 1] += packed.weight_bytes[b, u, v]
        find(packed, b, state, i, u, v)
        if _is_used_on(packed, b, state, i, u, v, server):
            state.lost[i, u] = True
        concerned = concerned or packed.query_rate_hz[b, state.slot[i], u] > 0.0
    return concerned


@jit_without_refcounts
def _is_used_on(packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int, server: int) -> bool:
    """Return whether a user's queries use the weights of a layer on a server (1..S) at present."""
    for w in range(packed.num_layers[b, u]):
        if state.assignment[i, u, w] == server:
            if w == v:
                return True
            for e in range(packed.share_offsets[b, u, w], packed.share_offsets[b, u, w + 1]):
                if packed.shares[b, u, e] == v:
                    return True
    return False


@jit_without_refcounts
def _next_to_drop(packed: PackedScenarios, b: int, state: State, i: int, s: int) -> tuple[int, int]:
    """Return user and layer of what is dropped next on server s; `NONE` for both if nothing can be."""
    user = layer = NONE
    num_users = packed.num_users[b]
    behind_all = packed.num_slots[b] * num_users
    first_turn, first_arrival = behind_all, state.arrivals[i] + 1
    for u in range(num_users):
        last = last_slot(state, i, u)
        turn = last * num_users + u if last >= 0 else behind_all
        for v in range(packed.num_layers[b, u]):
            if _is_needless(packed, b, state, i, u, v, s, last):
                arrival = state.held[i, u, v, s]
                if turn < first_turn or (turn == first_turn and arrival < first_arrival):
                    user, layer, first_turn, first_arrival = u, v, turn, arrival
    return user, layer
