"""What query data leave of a lane (the uplink of a cell, or the outgoing wire of a server) to weights, compiled."""

from __future__ import annotations

from typing import cast

import numpy as np

from dnnmig_env.compiling.jit import jit_without_refcounts
from dnnmig_env.simulation.contention import UPLINK, cycle_s, meets_at
from dnnmig_env.simulation.packed import INDEPENDENT, SHARED, PackedScenarios
from dnnmig_env.simulation.state import State

RADIO = cast(int, np.int64(UPLINK))  # Numba compiles functions once more for a literal

LEAST_SHARE = 0.02
"""Share of a lane that weights have at least, however much data the users' queries send."""


@jit_without_refcounts
def weights_share(packed: PackedScenarios, b: int, state: State, i: int, cell: int, station: int) -> float:
    """Return the share of a lane's rate at which weights move at present.

    Under `priority` they move while no query sends data, which leaves 1 - sum over the users of (seconds of a query's
    data on the lane) / (time between two of its starts), and at least `LEAST_SHARE`. Under `shared` the transfer is one
    customer beside the users' data; under `independent` they do not meet.

    Args:
        packed: The scenarios.
        b: The scenario.
        state: The state.
        i: Its row.
        cell: Cell of the lane, if it is an uplink; only the users in it send data there.
        station: Station of the lane: the uplink or the wire of a server.
    """
    slot = state.slot[i]
    if packed.uplink[b] == INDEPENDENT:
        return 1.0
    if packed.uplink[b] == SHARED:
        customers = 1.0
        for u in range(packed.num_users[b]):
            if meets_at(station, packed.home[b, slot, u], cell):
                customers += state.present[i, u, station]
        return 1.0 / customers
    free = 1.0
    for u in range(packed.num_users[b]):
        if (
            state.seconds[i, u, station] > 0.0
            and packed.query_rate_hz[b, slot, u] > 0.0
            and meets_at(station, packed.home[b, slot, u], cell)
        ):
            free -= state.seconds[i, u, station] / cycle_s(packed.query_rate_hz[b, slot, u], state.delay_s[i, u])
    return max(free, LEAST_SHARE)


@jit_without_refcounts
def radio_share(packed: PackedScenarios, b: int, state: State, i: int, u: int) -> float:
    """Return the share of the rates of a user's uplink at which weights move at present (`weights_share`)."""
    return weights_share(packed, b, state, i, packed.home[b, state.slot[i], u], RADIO)
