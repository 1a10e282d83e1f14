"""Where episodes stand: what `dnnmig_env.simulation.dynamics` reads and writes as time passes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Int8s, Ints
from dnnmig_env.compiling.jit import copy, jit_without_refcounts
from dnnmig_env.simulation.packed import PackedScenarios


class State(NamedTuple):
    """Where B episodes stand. The log keeps the first M events of each row; M = 0 keeps none."""

    time_s: Floats  # (B,)
    slot: Ints  # (B,)
    node: Int8s  # (B, U, L): server each layer is or will be uploaded to, 0 = none
    usable: Bools  # (B, U, L): the weights have arrived
    assignment: Int8s  # (B, U, L): node on which queries run each layer at present
    effective: Int8s  # (B, U, L): scratch, the assignment that uses every available layer
    finish_s: Floats  # (B, L): scratch, finish times of the latest query
    free_s: Floats  # (B, S + 1): scratch, when each node is free again in the latest query
    slowdown: Floats  # (B, S + 1): scratch, how the other users slow the user at hand on each node
    load: Floats  # (B, U, S): share of each server's time that a user's queries take
    stale: Bools  # (B, U): rates or another user's load have changed since the user last picked
    delay_s: Floats  # (B, U): delay of a query raised now
    device_delay_s: Floats  # (B, U): delay on the device alone
    memory_left_bytes: Floats  # (B, S)
    cost_s: Floats  # (B,): integral so far of query rate x delay, over users
    expected_queries: Floats  # (B,): integral over the whole horizon of the query rates of all users
    num_events: Ints  # (B,)
    event_time_s: Floats  # (B, M)
    event_delay_s: Floats  # (B, M, U)
    event_assignment: Int8s  # (B, M, U, L)


def new_state(packed: PackedScenarios, rows: int, events: int = 0) -> State:
    """Return an unset state of `rows` rows with room for `events` logged events each; `begin` sets a row."""
    _, users, layers, nodes = packed.execution_s.shape
    return State(
        time_s=np.zeros(rows),
        slot=np.zeros(rows, np.int64),
        node=np.zeros((rows, users, layers), np.int8),
        usable=np.zeros((rows, users, layers), np.bool_),
        assignment=np.zeros((rows, users, layers), np.int8),
        effective=np.zeros((rows, users, layers), np.int8),
        finish_s=np.zeros((rows, layers)),
        free_s=np.zeros((rows, nodes)),
        slowdown=np.zeros((rows, nodes)),
        load=np.zeros((rows, users, nodes - 1)),
        stale=np.zeros((rows, users), np.bool_),
        delay_s=np.zeros((rows, users)),
        device_delay_s=np.zeros((rows, users)),
        memory_left_bytes=np.zeros((rows, nodes - 1)),
        cost_s=np.zeros(rows),
        expected_queries=np.zeros(rows),
        num_events=np.zeros(rows, np.int64),
        event_time_s=np.zeros((rows, events)),
        event_delay_s=np.zeros((rows, events, users)),
        event_assignment=np.zeros((rows, events, users, layers), np.int8),
    )


@jit_without_refcounts
def copy_row(state: State, source: int, ahead: State, target: int) -> None:
    """Copy a row to a row of the same or another state, but for its scratch, its log and the number of queries."""
    ahead.time_s[target], ahead.slot[target], ahead.cost_s[target] = (
        state.time_s[source],
        state.slot[source],
        state.cost_s[source],
    )
    copy(ahead.node[target], state.node[source])
    copy(ahead.usable[target], state.usable[source])
    copy(ahead.assignment[target], state.assignment[source])
    copy(ahead.load[target], state.load[source])
    copy(ahead.stale[target], state.stale[source])
    copy(ahead.delay_s[target], state.delay_s[source])
    copy(ahead.device_delay_s[target], state.device_delay_s[source])
    copy(ahead.memory_left_bytes[target], state.memory_left_bytes[source])
