"""From where a layer would come to a server first: from its user's device, or by the wire of a server; compiled."""

from __future__ import annotations

import numpy as np

from dnnmig_env.compiling.jit import fill, jit_without_refcounts
from dnnmig_env.simulation.contention import UPLINK, cycle_s
from dnnmig_env.simulation.moving.share import LEAST_SHARE
from dnnmig_env.simulation.moving.transfers import NONE, lane_from, link_bytes_per_s, source_of
from dnnmig_env.simulation.packed import INDEPENDENT, SHARED, PackedScenarios
from dnnmig_env.simulation.state import State


@jit_without_refcounts
def survey_lanes(packed: PackedScenarios, b: int, state: State, i: int) -> bool:
    """Write for each lane how long it is still busy and which share of it is left to weights; say if any is idle.

    Where all scenarios have one lane (`Limits.lanes`) nothing asks for that: then shares are not written, and the lane
    is busy for ever. What has ended must have been taken off its lane.
    """
    wait_s, servers, timed = state.lane_wait_s[i], packed.memory_bytes.shape[1], packed.copies.shape[3] > 0
    fill(wait_s, 0.0)
    if timed:
        _write_shares(packed, b, state, i)
    if state.on_the_way[i] == 0:
        return True
    slot = state.slot[i]
    for place in range(state.moving_user.shape[1]):
        u = state.moving_user[i, place]
        if u >= 0:
            source = source_of(packed, place)
            lane = lane_from(packed, b, slot, u, source)
            if timed:
                rate = link_bytes_per_s(packed, b, slot, u, source, state.moving_to[i, place])
                wait_s[lane] += state.left_bytes[i, place] / (rate * state.lane_share[i, lane])
            else:
                wait_s[lane] = np.inf
    if packed.moves[b]:
        for s in range(packed.num_servers[b]):
            if wait_s[servers + 1 + s] == 0.0:
                return True
    for u in range(packed.num_users[b]):
        if packed.query_rate_hz[b, slot, u] > 0.0 and wait_s[packed.home[b, slot, u]] == 0.0:
            return True
    return False


@jit_without_refcounts
def _write_shares(packed: PackedScenarios, b: int, state: State, i: int) -> None:
    """Write `moving.share.weights_share` of all lanes at once."""
    share, slot, nodes = state.lane_share[i], state.slot[i], packed.execution_s.shape[3]
    fill(share, 1.0)
    if packed.uplink[b] == INDEPENDENT:
        return
    shared = packed.uplink[b] == SHARED
    for u in range(packed.num_users[b]):
        if packed.query_rate_hz[b, slot, u] > 0.0:
            cycle = cycle_s(packed.query_rate_hz[b, slot, u], state.delay_s[i, u])
            home = packed.home[b, slot, u]
            if shared:
                share[home] += state.present[i, u, UPLINK]
            elif state.seconds[i, u, UPLINK] > 0.0:
                share[home] -= state.seconds[i, u, UPLINK] / cycle
            for node in range(1, nodes):
                if shared:
                    share[nodes - 1 + node] += state.present[i, u, nodes - 1 + node]
                elif state.seconds[i, u, nodes - 1 + node] > 0.0:
                    share[nodes - 1 + node] -= state.seconds[i, u, nodes - 1 + node] / cycle
    for lane in range(share.shape[0]):
        share[lane] = 1.0 / share[lane] if shared else max(share[lane], LEAST_SHARE)


@jit_without_refcounts
def first_source(packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int, server: int) -> int:
    """Return the node from which a layer would be on a server (1..S) first if its transfer began now; `NONE` if none.

    `survey_lanes` must have been called since anything changed. Where weights do not move, only the device sends. At a
    tie the device comes first, then the server of lower number.
    """
    slot = state.slot[i]
    if not packed.moves[b]:
        return 0
    if state.held[i, u, v, server - 1] != 0:
        return NONE
    source, least_s, weight_bytes = NONE, np.inf, packed.weight_bytes[b, u, v]
    rate = packed.up_bytes_per_s[b, slot, u, server - 1]
    if rate > 0.0:
        lane = packed.home[b, slot, u]
        source, least_s = 0, state.lane_wait_s[i, lane] + weight_bytes / (rate * state.lane_share[i, lane])
    if state.arrivals[i] > 0:
        for s in range(packed.num_servers[b]):
            if state.held[i, u, v, s] > 0:
                rate, lane = packed.between_bytes_per_s[b, s, server - 1], packed.memory_bytes.shape[1] + s + 1
                end_s = state.lane_wait_s[i, lane] + weight_bytes / (rate * state.lane_share[i, lane])
                if rate > 0.0 and (source < 0 or end_s < least_s):
                    source, least_s = s + 1, end_s
    return source


@jit_without_refcounts
def is_idle(packed: PackedScenarios, b: int, state: State, i: int, u: int, source: int) -> bool:
    """Return whether the lane that carries weights of user `u` from node `source` is idle, as `survey_lanes` found."""
    return bool(state.lane_wait_s[i, lane_from(packed, b, state.slot[i], u, source)] == 0.0)
