"""Transfers in flight: who sends which layer whither, in which lane, at which rate; compiled.

A user's device sends at most one layer at a time, and so does the wire of a server. So the transfers of a state's row
have fixed places: place u is the radio transfer of user u, and place U + n - 1 that on the wire of server n, for U
users and servers n from 1 to S. `NONE` stands for no place.

A lane is the uplink of a cell, whose number is that of the cell (0 to S), or the wire of server n, whose number is
S + n. A lane sends what has joined it first. What else is in it waits: a radio transfer goes on in the cell to which
its user moves, where another one may be in flight.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from dnnmig_env.compiling.jit import fill, jit_without_refcounts
from dnnmig_env.simulation.moving.share import RADIO, weights_share
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State

NONE = cast(int, np.int64(-1))  # Numba compiles functions once more for a literal -1

ON_ITS_WAY = cast(int, np.int64(-1))
"""Stands in `State.held` for a layer that is on its way to a server."""


@jit_without_refcounts
def clear_transfers(state: State, i: int) -> None:
    """Set row `i` to nothing in flight."""
    if state.on_the_way[i] > 0:
        fill(state.moving_user[i], NONE)
        state.on_the_way[i] = 0


@jit_without_refcounts
def source_of(packed: PackedScenarios, place: int) -> int:
    """Return the node that sends the transfer of a place: 0 is the user's device."""
    users = packed.num_layers.shape[1]
    return 0 if place < users else place - users + 1


@jit_without_refcounts
def place_of(packed: PackedScenarios, u: int, source: int) -> int:
    """Return the place of a transfer of user `u` from node `source`."""
    return u if source == 0 else packed.num_layers.shape[1] + source - 1


@jit_without_refcounts
def lane_from(packed: PackedScenarios, b: int, slot: int, u: int, source: int) -> int:
    """Return the lane that carries weights of user `u` from node `source` in a slot."""
    return int(packed.home[b, slot, u]) if source == 0 else packed.memory_bytes.shape[1] + source


@jit_without_refcounts
def link_bytes_per_s(packed: PackedScenarios, b: int, slot: int, u: int, source: int, server: int) -> float:
    """Return the rate from node `source` to a server (1..S), for weights of user `u` that have the link to themselves.

    The number of a lane that is a wire is that of its station as well.
    """
    if source == 0:
        return float(packed.up_bytes_per_s[b, slot, u, server - 1])
    return float(packed.between_bytes_per_s[b, source - 1, server - 1])


@jit_without_refcounts
def share_of_lane(packed: PackedScenarios, b: int, state: State, i: int, u: int, source: int) -> float:
    """Return the share of the rate that is left to weights of user `u` from node `source`."""
    if source == 0:
        return weights_share(packed, b, state, i, packed.home[b, state.slot[i], u], RADIO)
    return weights_share(packed, b, state, i, 0, packed.execution_s.shape[3] - 1 + source)


@jit_without_refcounts
def is_first(packed: PackedScenarios, b: int, state: State, i: int, place: int) -> bool:
    """Return whether the transfer of a place is the one that its lane sends."""
    users = packed.num_layers.shape[1]
    if place >= users or state.on_the_way[i] == 1:
        return True
    home = packed.home[b, state.slot[i]]
    for u in range(packed.num_users[b]):
        if state.moving_user[i, u] >= 0 and home[u] == home[place] and state.queued[i, u] < state.queued[i, place]:
            return False
    return True


@jit_without_refcounts
def put_on_its_way(
    packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int, server: int, source: int
) -> int:
    """Begin the transfer of a layer from node `source` to a server (1..S), and return its place.

    The lane must be idle. The memory that the layer takes is taken now, be it there or not.
    """
    place, weight_bytes = place_of(packed, u, source), packed.weight_bytes[b, u, v]
    state.moving_user[i, place], state.moving_layer[i, place], state.moving_to[i, place] = u, v, server
    state.left_bytes[i, place] = weight_bytes
    _join(state, i, place)
    state.on_the_way[i] += 1
    state.memory_left_bytes[i, server - 1] -= weight_bytes
    if packed.moves[b]:
        state.held[i, u, v, server - 1] = ON_ITS_WAY
    if not state.usable[i, u, v]:
        state.node[i, u, v] = server
    return place


@jit_without_refcounts
def _join(state: State, i: int, place: int) -> None:
    state.queued[i, place] = state.joined[i]
    state.joined[i] += 1


@jit_without_refcounts
def take_off(state: State, i: int, place: int) -> None:
    """End the transfer of a place; what it has sent is the caller's to note."""
    state.moving_user[i, place] = NONE
    state.on_the_way[i] -= 1


@jit_without_refcounts
def break_off(packed: PackedScenarios, b: int, state: State, i: int) -> None:
    """Break off what is on its way for users who are absent now, or by radio to a server that is out of reach now."""
    slot = state.slot[i]
    for place in range(state.moving_user.shape[1]):
        u = state.moving_user[i, place]
        if u < 0:
            continue
        v, server = state.moving_layer[i, place], state.moving_to[i, place]
        by_radio = source_of(packed, place) == 0
        lost = packed.query_rate_hz[b, slot, u] == 0.0
        if lost or (by_radio and packed.up_bytes_per_s[b, slot, u, server - 1] == 0.0):
            take_off(state, i, place)
            state.memory_left_bytes[i, server - 1] += packed.weight_bytes[b, u, v]
            state.held[i, u, v, server - 1] = 0


@jit_without_refcounts
def change_lanes(packed: PackedScenarios, b: int, state: State, i: int) -> None:
    """Let radio transfers of users who have just moved to another cell join the lane of that."""
    slot = state.slot[i]
    for u in range(packed.num_users[b]):
        if state.moving_user[i, u] >= 0 and packed.home[b, slot, u] != packed.home[b, slot - 1, u]:
            _join(state, i, u)
