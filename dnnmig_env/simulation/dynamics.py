"""Lets time pass, compiled: weights arrive, time slots begin, and users pick where their queries run.

Every function works on one row `i` of a `State` under one scenario `b` of a `PackedScenarios`; `dnnmig_env.simulation`
says what the one-letter names mean. Delays come from `dnnmig_env.simulation.kernel`, and how transfers are kept says
`dnnmig_env.simulation.moving`. The rules (`docs/model.md` has them all):

- A transfer takes the rate of its link times the share that query data leave to weights, constant between two events.
- An event is the start of a slot or the end of a transfer; under the reading `shared` also that a lane becomes busy or
  idle. At every event each present user picks the assignment under which a query takes the least time: the present one,
  the device alone, or the effective assignment, which uses every layer whose weights can be used. The owner of a
  completed partition picks first, then the others in the order of their indices; at other events all pick in that
  order. A pick changes how the others are slowed. So the delays of all for whom something has changed are computed
  anew, in at most `SWEEPS` sweeps over the users (`dnnmig_env.simulation.picks`). They pick again at the next event.
- Between events, each user's delay costs `query rate x delay` per second.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from dnnmig_env.arrays import Int8s
from dnnmig_env.compiling.jit import fill, jit_without_refcounts
from dnnmig_env.simulation.contention import write_seconds
from dnnmig_env.simulation.kernel import effective_assignment, query_delay_s
from dnnmig_env.simulation.moving.holding import find_all, hold, hold_first
from dnnmig_env.simulation.moving.room import NOT_YET, make_room
from dnnmig_env.simulation.moving.transfers import (
    NONE,
    break_off,
    change_lanes,
    clear_transfers,
    is_first,
    lane_from,
    link_bytes_per_s,
    put_on_its_way,
    share_of_lane,
    source_of,
    take_off,
)
from dnnmig_env.simulation.packed import SHARED, PackedScenarios
from dnnmig_env.simulation.picks import react
from dnnmig_env.simulation.state import State

FIRST_USER = DEVICE = cast(int, np.int64(0))  # Numba compiles functions once more for a literal 0


@jit_without_refcounts
def begin(packed: PackedScenarios, b: int, state: State, i: int) -> None:
    """Set row `i` to the start of scenario `b`: time 0, with only those weights on servers that `uploaded` names."""
    state.time_s[i], state.cost_s[i], state.expected_queries[i] = 0.0, 0.0, 0.0
    state.slot[i], state.num_events[i], state.joined[i] = 0, 0, 0
    fill(state.user_cost_s[i], 0.0)
    clear_transfers(state, i)
    fill(state.last_present[i], NOT_YET)
    fill(state.assignment[i], 0)
    fill(state.seconds[i], 0.0)
    fill(state.present[i], 0.0)
    fill(state.sending[i], 0.0)
    hold_first(packed, b, state, i)
    fill(state.effective[i], 0)
    fill(state.slowdown[i], 1.0)
    for u in range(packed.num_users[b]):
        on_device, slowdown = state.assignment[i, u], state.slowdown[i, u]
        finish_s, free_s = state.finish_s[i], state.free_s[i]
        state.device_delay_s[i, u] = query_delay_s(packed, b, u, state.slot[i], on_device, slowdown, finish_s, free_s)
        for slot in range(packed.num_slots[b]):
            slot_s = packed.slot_edges_s[b, slot + 1] - packed.slot_edges_s[b, slot]
            state.expected_queries[i] += packed.query_rate_hz[b, slot, u] * slot_s
    _begin_slot(packed, b, state, i)


@jit_without_refcounts
def _begin_slot(packed: PackedScenarios, b: int, state: State, i: int) -> None:
    """Let all users react to the rates of the present slot. Users who are absent in it leave all stations."""
    slot = state.slot[i]
    if state.on_the_way[i] > 0 and slot > 0:
        if packed.moves[b]:
            break_off(packed, b, state, i)
        change_lanes(packed, b, state, i)
    find_all(packed, b, state, i)
    for u in range(packed.num_users[b]):
        if packed.query_rate_hz[b, slot, u] > 0.0:
            state.last_present[i, u] = slot
            if packed.moves[b] and not _reaches_all(packed, b, slot, u, state.assignment[i, u]):
                fill(state.assignment[i, u], 0)
            write_seconds(packed, b, u, slot, state.assignment[i, u], state.seconds[i, u])
        else:
            state.delay_s[i, u] = state.device_delay_s[i, u]
            fill(state.present[i, u], 0.0)
    fill(state.stale[i], True)
    react(packed, b, state, i, FIRST_USER)


@jit_without_refcounts
def _reaches_all(packed: PackedScenarios, b: int, slot: int, u: int, assignment: Int8s) -> bool:
    """Return whether a user has a connection to every server that an assignment uses."""
    for node in assignment:  # noqa: SIM110  generators do not compile
        if node != 0 and packed.up_bytes_per_s[b, slot, u, node - 1] == 0.0:
            return False
    return True


@jit_without_refcounts
def horizon_s(packed: PackedScenarios, b: int) -> float:
    """Return the scenario's horizon in seconds."""
    return float(packed.slot_edges_s[b, packed.num_slots[b]])


@jit_without_refcounts
def pass_time(packed: PackedScenarios, b: int, state: State, i: int, until_s: float) -> int:
    """Let time pass until the end of a transfer, the start of the next slot, or `until_s`, whichever comes first.

    `until_s` must lie after the present time and within the horizon. If a transfer ends where a slot begins, the slot
    begins first.

    Returns:
        The place of a transfer whose last byte has arrived, which the caller has to land or to take off; `NONE` if
        there is none. Others may have ended at the same time (`first_ended`).
    """
    notice_transfers(packed, b, state, i)
    before_s, edge_s = state.time_s[i], packed.slot_edges_s[b, state.slot[i] + 1]
    stop_s, ended = min(until_s, edge_s), NONE
    unseen, place = state.on_the_way[i], 0
    while unseen > 0:
        if state.moving_user[i, place] >= 0:
            state.speed[i, place] = _bytes_per_s(packed, b, state, i, place)
            state.end_s[i, place] = _end_s(state, i, place)
            if state.end_s[i, place] < stop_s or (state.end_s[i, place] == stop_s and ended < 0):
                stop_s, ended = state.end_s[i, place], place
            unseen -= 1
        place += 1
    unseen, place = state.on_the_way[i], 0
    while unseen > 0:
        if state.moving_user[i, place] >= 0:
            sent_bytes = state.speed[i, place] * (stop_s - before_s)
            left_bytes = max(state.left_bytes[i, place] - sent_bytes, 0.0)
            state.left_bytes[i, place] = left_bytes if state.end_s[i, place] > stop_s else 0.0
            unseen -= 1
        place += 1
    rate_of_cost = 0.0
    for u in range(packed.num_users[b]):
        of_user = packed.query_rate_hz[b, state.slot[i], u] * state.delay_s[i, u]
        rate_of_cost += of_user
        state.user_cost_s[i, u] += of_user * (stop_s - before_s)
    state.cost_s[i] += rate_of_cost * (stop_s - before_s)
    state.time_s[i] = stop_s
    if stop_s == edge_s and state.slot[i] + 1 < packed.num_slots[b]:
        state.slot[i] += 1
        _begin_slot(packed, b, state, i)
        if ended >= 0:
            return first_ended(state, i)  # the user of the other one may have just left
    return ended


@jit_without_refcounts
def first_ended(state: State, i: int) -> int:
    """Return the first place whose transfer has nothing left to send, `NONE` if there is none."""
    if state.on_the_way[i] > 0:
        for place in range(state.moving_user.shape[1]):
            if state.moving_user[i, place] >= 0 and state.left_bytes[i, place] == 0.0:
                return place
    return NONE


@jit_without_refcounts
def _end_s(state: State, i: int, place: int) -> float:
    """Return when the transfer of a place ends if it goes on at its speed.

    What has nothing left ends now, even if it waits in another lane meanwhile: what ends at the same time as something
    else may have to.
    """
    left_bytes, speed = state.left_bytes[i, place], state.speed[i, place]
    if left_bytes == 0.0:
        return float(state.time_s[i])
    return float(state.time_s[i] + left_bytes / speed) if speed > 0.0 else np.inf


@jit_without_refcounts
def _bytes_per_s(packed: PackedScenarios, b: int, state: State, i: int, place: int) -> float:
    """Return the rate at which the transfer of a place moves at present."""
    if not is_first(packed, b, state, i, place):
        return 0.0
    u, source = state.moving_user[i, place], source_of(packed, place)
    rate = link_bytes_per_s(packed, b, state.slot[i], u, source, state.moving_to[i, place])
    return rate * share_of_lane(packed, b, state, i, u, source)


@jit_without_refcounts
def notice_transfers(packed: PackedScenarios, b: int, state: State, i: int) -> bool:
    """Under the reading `shared`, let all users react to the number of transfers in each lane, 0 or 1, if it is new.

    Return whether it is. Time passes only afterwards (`pass_time`).
    """
    if packed.uplink[b] != SHARED:
        return False
    changed, slot, cells = False, state.slot[i], state.sending.shape[1]
    for lane in range(state.lane_wait_s.shape[1]):
        moving = 0.0
        for place in range(state.moving_user.shape[1]):
            u, source = state.moving_user[i, place], source_of(packed, place)
            if (
                u >= 0
                and lane_from(packed, b, slot, u, source) == lane
                and is_first(packed, b, state, i, place)
                and link_bytes_per_s(packed, b, slot, u, source, state.moving_to[i, place]) > 0.0
            ):
                moving = 1.0
        if lane < cells:
            changed = changed or state.sending[i, lane] != moving
            state.sending[i, lane] = moving
        else:
            changed = changed or state.present[i, -1, lane] != moving
            state.present[i, -1, lane] = moving
    if changed:
        fill(state.stale[i], True)
        react(packed, b, state, i, FIRST_USER)
    return changed


@jit_without_refcounts
def begin_transfer(
    packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int, server: int, source: int
) -> int:
    """Begin the transfer of a layer from node `source`, whose lane is idle, to a server (1..S); return its place.

    Where weights may move, room is made for it before.
    """
    if not packed.moves[b]:
        return put_on_its_way(packed, b, state, i, u, v, server, source)
    fill(state.lost[i], False)
    concerned = make_room(packed, b, state, i, server, packed.weight_bytes[b, u, v])
    place = put_on_its_way(packed, b, state, i, u, v, server, source)
    for w in range(packed.num_users[b]):
        if state.lost[i, w]:
            present = state.assignment[i, w]
            fill(present, 0)
            if packed.query_rate_hz[b, state.slot[i], w] > 0.0:
                effective_assignment(packed, b, w, state.node[i, w], state.usable[i, w], present)
                write_seconds(packed, b, w, state.slot[i], present, state.seconds[i, w])
    if concerned:
        fill(state.stale[i], True)
        react(packed, b, state, i, FIRST_USER)
    return place


@jit_without_refcounts
def land(packed: PackedScenarios, b: int, state: State, i: int, place: int) -> None:
    """Let all users react to a layer, a partition of its own, whose last byte has arrived."""
    u, v, server = state.moving_user[i, place], state.moving_layer[i, place], state.moving_to[i, place]
    take_off(state, i, place)
    hold(packed, b, state, i, u, v, server)
    react(packed, b, state, i, u)


@jit_without_refcounts
def advance(packed: PackedScenarios, b: int, state: State, i: int, until_s: float) -> None:
    """Let time pass until `until_s` (at most the horizon); what arrives meanwhile becomes usable."""
    until_s = min(until_s, horizon_s(packed, b))
    while state.time_s[i] < until_s:
        ended = pass_time(packed, b, state, i, until_s)
        if ended >= 0:
            land(packed, b, state, i, ended)


@jit_without_refcounts
def send(packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int, server: int) -> float:
    """Let time pass until one layer's weights are on `server` (1..S), with nothing else in flight.

    Return the number of bytes that do not get there by the horizon, mostly 0. The layer comes from its user's device,
    and waits until its user is present. It does not become usable here: when the whole partition has arrived, the
    caller marks its layers as usable and calls `complete`.
    """
    while packed.query_rate_hz[b, state.slot[i], u] == 0.0:
        if state.slot[i] + 1 == packed.num_slots[b]:
            advance(packed, b, state, i, horizon_s(packed, b))
            return float(packed.weight_bytes[b, u, v])
        advance(packed, b, state, i, packed.slot_edges_s[b, state.slot[i] + 1])
    place = begin_transfer(packed, b, state, i, u, v, server, DEVICE)
    while state.time_s[i] < horizon_s(packed, b) and state.moving_user[i, place] >= 0:
        if pass_time(packed, b, state, i, horizon_s(packed, b)) == place:
            take_off(state, i, place)
            return 0.0
    clear_transfers(state, i)
    return float(state.left_bytes[i, place])


@jit_without_refcounts
def complete(packed: PackedScenarios, b: int, state: State, i: int, u: int) -> None:
    """Let all users react, `u` first, to a partition of user `u` whose layers have just become usable."""
    react(packed, b, state, i, u)


@jit_without_refcounts
def upload(packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int, server: int) -> None:
    """Upload one layer as a partition of its own: it becomes usable as soon as its last byte has arrived."""
    if send(packed, b, state, i, u, v, server) == 0.0:
        hold(packed, b, state, i, u, v, server)
        react(packed, b, state, i, u)
