"""Facts about weights in several lanes: who is in which cell, which servers hold what, and what is on its way.

Observations have these parts only in environments whose scenarios may have cells of their own, or weights that move
between servers (`Limits.lanes`). Elsewhere they are empty.
"""

from __future__ import annotations

from dnnmig_env.arrays import Float32s
from dnnmig_env.compiling.jit import jit_without_refcounts
from dnnmig_env.envs.facts.network import log_scaled
from dnnmig_env.envs.features import Feature, positions
from dnnmig_env.simulation.moving.room import last_slot
from dnnmig_env.simulation.moving.transfers import is_first, lane_from, source_of
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State

CELL_FEATURES = (Feature("home", "1 if the user is in the cell of the server", "1", "x"),)
COPY_FEATURES = (
    Feature(
        "arrival",
        "number of the layer's arrival on the server by that of the latest arrival of any; 0 = it is not there, -1 = "
        "it is on its way there",
        "1",
        "x",
    ),
)
TRANSFER_FEATURES = (
    Feature("exists", "1 for a transfer in flight, 0 if there is none", "1", "x"),
    Feature("user", "number of the user whose layer it is, from 1 on", "1", "x / U"),
    Feature("layer", "number of the layer, from 1 on", "1", "x / L"),
    Feature("server", "number of the server to which it goes, from 1 on", "1", "x / S"),
    Feature("log_left", "time until its lane is idle, at the present rates", "s", "log10 x / 2"),
    Feature("waits", "1 if another transfer is before it in its lane", "1", "x"),
)
ABSENCE_FEATURES = (
    Feature("absent_for", "share of the horizon since the user has left; 0 if it is here or to come", "1", "x"),
)
ROOM_FEATURES = (Feature("log_room", "memory that is free or holds what nobody needs", "bytes", "(log10 x - 8) / 3"),)
LANE_PARTS = {
    "cells": CELL_FEATURES,
    "copies": COPY_FEATURES,
    "transfers": TRANSFER_FEATURES,
    "absences": ABSENCE_FEATURES,
    "rooms": ROOM_FEATURES,
}
"""The features of each part. The transfers are those by radio of each user, then those by the wire of each server."""

_TRANSFER = positions(TRANSFER_FEATURES)
_TRANSFER_WIDTH = len(TRANSFER_FEATURES)


def lane_shapes(users: int, layers: int, servers: int) -> dict[str, tuple[int, ...]]:
    """Return the sizes of each part, without the features' axis."""
    return {
        "cells": (users, servers),
        "copies": (users, layers, servers),
        "transfers": (users + servers,),
        "absences": (users,),
        "rooms": (servers,),
    }


@jit_without_refcounts
def observe_lanes(packed: PackedScenarios, b: int, state: State, i: int, first: int, out: Float32s) -> None:
    """Write all these facts of row `i`; the first part begins at `out[first]`.

    `survey_lanes` and `write_room` must have been called since anything changed.
    """
    users, layers, servers = packed.copies.shape[1:]
    slot, num_users = state.slot[i], packed.num_users[b]
    copies_at = first + users * servers
    transfers_at = copies_at + users * layers * servers
    absences_at = transfers_at + (users + servers) * _TRANSFER_WIDTH
    rooms_at = absences_at + users
    for u in range(num_users):
        present = packed.query_rate_hz[b, slot, u] > 0.0
        for s in range(packed.num_servers[b]):
            out[first + u * servers + s] = 1.0 if present and packed.home[b, slot, u] == s + 1 else 0.0
        out[absences_at + u] = _absent_for(packed, b, state, i, u)
    if packed.moves[b]:
        per_arrival = 1.0 / max(state.arrivals[i], 1)
        for u in range(num_users):
            for v in range(packed.num_layers[b, u]):
                for s in range(packed.num_servers[b]):
                    held = state.held[i, u, v, s]
                    out[copies_at + (u * layers + v) * servers + s] = -1.0 if held < 0 else held * per_arrival
    for place in range(state.moving_user.shape[1]):
        _observe_transfer(packed, b, state, i, place, transfers_at + place * _TRANSFER_WIDTH, out)
    for s in range(packed.num_servers[b]):
        out[rooms_at + s] = log_scaled(state.room_bytes[i, s], 8.0, 3.0)


@jit_without_refcounts
def _absent_for(packed: PackedScenarios, b: int, state: State, i: int, u: int) -> float:
    last = last_slot(state, i, u)
    if last < 0:
        return 0.0
    return float((state.time_s[i] - packed.slot_edges_s[b, last + 1]) / packed.slot_edges_s[b, packed.num_slots[b]])


@jit_without_refcounts
def _observe_transfer(
    packed: PackedScenarios, b: int, state: State, i: int, place: int, first: int, out: Float32s
) -> None:
    users, layers, servers = packed.copies.shape[1:]
    u = state.moving_user[i, place]
    for k in range(_TRANSFER_WIDTH):
        out[first + k] = 0.0
    if u >= 0:
        lane = lane_from(packed, b, state.slot[i], u, source_of(packed, place))
        out[first + _TRANSFER.exists] = 1.0
        out[first + _TRANSFER.user] = (u + 1) / users
        out[first + _TRANSFER.layer] = (state.moving_layer[i, place] + 1) / layers
        out[first + _TRANSFER.server] = state.moving_to[i, place] / servers
        out[first + _TRANSFER.log_left] = log_scaled(state.lane_wait_s[i, lane], 0.0, 2.0)
        out[first + _TRANSFER.waits] = 0.0 if is_first(packed, b, state, i, place) else 1.0
