"""Where episodes stand: the arrays that `dnnmig_env.simulation.dynamics` reads and writes as time passes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Int8s, Int32s, Ints
from dnnmig_env.compiling.jit import copy, jit_without_refcounts
from dnnmig_env.simulation.contention import num_stations
from dnnmig_env.simulation.packed import PackedScenarios


class State(NamedTuple):
    """Where B episodes stand, one per row.

    U, L and S are those of the `PackedScenarios`, K is the number of stations (`contention.num_stations`). A
    row's log (`event_...`) keeps its first M events; with M = 0 it keeps none. Scratch arrays hold what a function
    computes on its way and mean nothing afterwards.
    """

    time_s: Floats  # (B,): present time
    slot: Ints  # (B,): present time slot
    node: Int8s  # (B, U, L): server to which each layer is or will be uploaded, 0 = none
    usable: Bools  # (B, U, L): the layer's weights have arrived on its server
    held: (
        Int32s  # (B, U, L, S): for each server that holds the layer, the number of its arrival; 0 = it does not hold it
    )
    arrivals: Ints  # (B,): how many arrivals have been numbered, which is done only where weights may move
    on_the_way: Ints  # (B,): transfers in flight; a row of the arrays of N = U + S transfers is the radio transfer of
    # user n for n < U, and that on the wire of server n - U + 1 for other n (`dnnmig_env.simulation.moving.transfers`)
    moving_user: Ints  # (B, N): user whose layer is on its way, -1 = none
    moving_layer: Ints  # (B, N): the layer
    moving_to: Ints  # (B, N): server to which it goes, 1..S
    left_bytes: Floats  # (B, N): bytes that have not been sent yet
    speed: Floats  # (B, N): scratch, bytes per second at which it moves
    end_s: Floats  # (B, N): scratch, when it ends at that speed
    queued: Ints  # (B, N): number of the transfer in the order in which transfers have joined their lanes
    joined: Ints  # (B,): how many have joined a lane
    item: Ints  # (B, N): index of the transfer's layer in the plan that is played
    lane_wait_s: Floats  # (B, 2S + 1): scratch, seconds until each lane is idle
    lane_share: Floats  # (B, 2S + 1): scratch, share of each lane's rate that is left to weights
    lane_is_claimed: Bools  # (B, 2S + 1): scratch, an earlier layer of the plan waits for the lane
    last_present: Ints  # (B, U): latest slot in which the user was present, -2 = none yet
    lost: Bools  # (B, U): scratch, a layer was dropped from the server on which the user's present assignment runs it
    room_bytes: Floats  # (B, S): scratch, memory of each server that is free or can be made free
    assignment: Int8s  # (B, U, L): node on which queries run each layer at present
    effective: Int8s  # (B, U, L): scratch, the assignment that uses every available layer
    finish_s: Floats  # (B, L): scratch, finish times of the latest query
    free_s: Floats  # (B, S + 1): scratch, time at which each node is free again in the latest query
    slowdown: Floats  # (B, U, K): factor by which the others slow each user at each station
    seconds: Floats  # (B, U, K): seconds that one query of each user needs at each station if nobody else is there
    present: (
        Floats  # (B, U + 1, K): mean number of queries of each user at each station; of weights on wires in the last
    )
    sending: (
        Floats  # (B, S + 1): transfers of weights that move on each cell's uplink, noted under the reading "shared"
    )
    stale: Bools  # (B, U): rates or the presence of others have changed since the user last picked
    outdated: Bools  # (B, U): scratch, the presence of others has changed since the user's delay was computed
    delay_s: Floats  # (B, U): delay of a query that is raised now
    device_delay_s: Floats  # (B, U): delay of a query on the device alone
    memory_left_bytes: Floats  # (B, S): memory of each server that holds no weights
    cost_s: Floats  # (B,): integral so far of query rate x delay, summed over users
    user_cost_s: Floats  # (B, U): the same of each user
    expected_queries: Floats  # (B,): integral of all users' query rates over the whole horizon
    num_events: Ints  # (B,): events in the log
    event_time_s: Floats  # (B, M): time of each event
    event_delay_s: Floats  # (B, M, U): `delay_s` from each event on
    event_assignment: Int8s  # (B, M, U, L): `assignment` from each event on
    event_slowdown: Floats  # (B, M, U, K): `slowdown` from each event on


def new_state(packed: PackedScenarios, rows: int, events: int = 0) -> State:
    """Return an unset state of `rows` rows with room for `events` logged events each; `dynamics.begin` sets a row."""
    _, users, layers, nodes = packed.execution_s.shape
    stations, servers = num_stations(nodes), nodes - 1
    transfers, lanes = users + servers, 2 * servers + 1
    return State(
        time_s=np.zeros(rows),
        slot=np.zeros(rows, np.int64),
        node=np.zeros((rows, users, layers), np.int8),
        usable=np.zeros((rows, users, layers), np.bool_),
        held=np.zeros((rows, *packed.copies.shape[1:]), np.int32),
        arrivals=np.zeros(rows, np.int64),
        on_the_way=np.zeros(rows, np.int64),
        moving_user=np.full((rows, transfers), -1),
        moving_layer=np.zeros((rows, transfers), np.int64),
        moving_to=np.zeros((rows, transfers), np.int64),
        left_bytes=np.zeros((rows, transfers)),
        speed=np.zeros((rows, transfers)),
        end_s=np.zeros((rows, transfers)),
        queued=np.zeros((rows, transfers), np.int64),
        joined=np.zeros(rows, np.int64),
        item=np.zeros((rows, transfers), np.int64),
        lane_wait_s=np.zeros((rows, lanes)),
        lane_share=np.zeros((rows, lanes)),
        lane_is_claimed=np.zeros((rows, lanes), np.bool_),
        last_present=np.zeros((rows, users), np.int64),
        lost=np.zeros((rows, users), np.bool_),
        room_bytes=np.zeros((rows, servers)),
        assignment=np.zeros((rows, users, layers), np.int8),
        effective=np.zeros((rows, users, layers), np.int8),
        finish_s=np.zeros((rows, layers)),
        free_s=np.zeros((rows, nodes)),
        slowdown=np.zeros((rows, users, stations)),
        seconds=np.zeros((rows, users, stations)),
        present=np.zeros((rows, users + 1, stations)),
        sending=np.zeros((rows, nodes)),
        stale=np.zeros((rows, users), np.bool_),
        outdated=np.zeros((rows, users), np.bool_),
        delay_s=np.zeros((rows, users)),
        device_delay_s=np.zeros((rows, users)),
        memory_left_bytes=np.zeros((rows, nodes - 1)),
        cost_s=np.zeros(rows),
        user_cost_s=np.zeros((rows, users)),
        expected_queries=np.zeros(rows),
        num_events=np.zeros(rows, np.int64),
        event_time_s=np.zeros((rows, events)),
        event_delay_s=np.zeros((rows, events, users)),
        event_assignment=np.zeros((rows, events, users, layers), np.int8),
        event_slowdown=np.zeros((rows, events, users, stations)),
    )


@jit_without_refcounts
def run_alike(state: State, one: int, other: int) -> bool:
    """Return whether queries run every layer of every user on the same node in two rows."""
    for u in range(state.assignment.shape[1]):
        for v in range(state.assignment.shape[2]):
            if state.assignment[one, u, v] != state.assignment[other, u, v]:
                return False
    return True


@jit_without_refcounts
def meet_alike(state: State, one: int, other: int, tolerance: float) -> bool:
    """Return whether all users are at each station for the same share of their time in two rows.

    The rows may run alike and differ in this: within the tolerance of `contention`, it depends on what went before.
    """
    for u in range(state.present.shape[1]):
        for k in range(state.present.shape[2]):
            if abs(state.present[one, u, k] - state.present[other, u, k]) > tolerance:
                return False
    for cell in range(state.sending.shape[1]):  # noqa: SIM110  generators do not compile
        if state.sending[one, cell] != state.sending[other, cell]:
            return False
    return True


@jit_without_refcounts
def copy_row(state: State, source: int, other: State, target: int) -> None:
    """Copy a row to a row of the same or another state, all but scratch arrays, the log and `expected_queries`.

    Nothing may be in flight in the source.
    """
    if state.arrivals[source] > 0 or other.arrivals[target] > 0:
        copy(other.held[target], state.held[source])
        other.arrivals[target] = state.arrivals[source]
    copy(other.last_present[target], state.last_present[source])
    other.time_s[target], other.slot[target], other.cost_s[target] = (
        state.time_s[source],
        state.slot[source],
        state.cost_s[source],
    )
    copy(other.user_cost_s[target], state.user_cost_s[source])
    copy(other.node[target], state.node[source])
    copy(other.usable[target], state.usable[source])
    copy(other.assignment[target], state.assignment[source])
    copy(other.slowdown[target], state.slowdown[source])
    copy(other.seconds[target], state.seconds[source])
    copy(other.present[target], state.present[source])
    copy(other.sending[target], state.sending[source])
    copy(other.stale[target], state.stale[source])
    copy(other.delay_s[target], state.delay_s[source])
    copy(other.device_delay_s[target], state.device_delay_s[source])
    copy(other.memory_left_bytes[target], state.memory_left_bytes[source])
