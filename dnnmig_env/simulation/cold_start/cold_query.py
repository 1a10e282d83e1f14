"""Cold queries, which wait for weights: computes when their layers run, their tensors travel and their weights arrive.

This is the compiled arithmetic under `cold_start`. Each user raises one query, as soon as it is present. Tensors sent
from a device have priority over weights and stop these while they move. At every time the rates are those of its slot;
after the last slot its rates go on for ever. The queries, one per user, do not slow each other down, neither on servers
nor on links. A time that depends on weights whose arrival has not been computed yet is infinite until it has.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np

from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.compiling.jit import jit, jit_without_refcounts
from dnnmig_env.simulation.packed import PackedScenarios

DEVICE = cast(int, np.int64(0))  # Numba compiles functions once more for a literal 0


class ColdQueries(NamedTuple):
    """The cold queries of all users of one scenario, as far as they are known; unknown times are infinite.

    N is the most tensors that can be sent from devices.
    """

    assignment: Ints  # (U, L): node on which each layer runs
    raised_s: Floats  # (U,): time at which each user's query is raised; infinite if it never is
    uploaded_s: Floats  # (U, L): time at which the layer's weights are on its node
    finish_s: Floats  # (U, L): time at which the layer has run
    free_s: Floats  # (U, S + 1): time at which each node has run the layers considered so far
    end_s: Floats  # (U,): time at which the last output considered so far is on the device
    arrival_s: Floats  # (U, L + I, S + 1): time at which each tensor reaches each node; -1 = not sent yet
    num_sent: Ints  # (1,): number of tensors sent from devices so far
    sent_start_s: Floats  # (N,): time at which the first byte of each may leave
    sent_end_s: Floats  # (N,): time at which its last byte leaves
    sent_user: Ints  # (N,): user whose device sends it
    sent_server: Ints  # (N,): server that receives it, 0..S-1


@jit
def new_cold_queries(packed: PackedScenarios, b: int) -> ColdQueries:
    """Return cold queries that have been raised and no more, with every layer on the device."""
    num_users, num_layers, num_nodes = packed.execution_s.shape[1:]
    raised_s = np.zeros(num_users)
    for u in range(packed.num_users[b]):
        raised_s[u] = present_from_s(packed, b, u, 0.0)
    num_tensors = packed.tensor_bytes.shape[2]
    most_sent = num_users * num_tensors * (num_nodes - 1)
    return ColdQueries(
        np.zeros((num_users, num_layers), np.int64),
        raised_s,
        np.zeros((num_users, num_layers)),
        np.full((num_users, num_layers), np.inf),
        np.repeat(raised_s, num_nodes).reshape((num_users, num_nodes)),
        np.zeros(num_users),
        np.full((num_users, num_tensors, num_nodes), -1.0),
        np.zeros(1, np.int64),
        np.zeros(most_sent),
        np.zeros(most_sent),
        np.zeros(most_sent, np.int64),
        np.zeros(most_sent, np.int64),
    )


@jit_without_refcounts
def execute_layers(packed: PackedScenarios, b: int, u: int, count: int, query: ColdQueries) -> float:
    """Compute when the first `count` layers of one user run, as far as known; return the delay of their results."""
    query.free_s[u], query.end_s[u] = query.raised_s[u], 0.0
    for v in range(count):
        execute_layer(packed, b, u, v, query)
    return float(query.end_s[u] - query.raised_s[u])  # NaN for a query that is never raised


@jit_without_refcounts
def execute_layer(packed: PackedScenarios, b: int, u: int, v: int, query: ColdQueries) -> None:
    """Compute when one layer runs, as far as known; for the layers before it this must have been done already."""
    node = query.assignment[u, v]
    start_s = max(query.free_s[u, node], inputs_s(packed, b, u, v, query))
    if node != 0:
        start_s = max(start_s, query.uploaded_s[u, v])
        for e in range(packed.share_offsets[b, u, v], packed.share_offsets[b, u, v + 1]):
            start_s = max(start_s, query.uploaded_s[u, packed.shares[b, u, e]])
    query.finish_s[u, v] = start_s + packed.execution_s[b, u, v, node]
    query.free_s[u, node] = query.finish_s[u, v]
    if packed.is_output[b, u, v]:
        query.end_s[u] = max(query.end_s[u], _reach_s(packed, b, u, v, DEVICE, query))


@jit_without_refcounts
def inputs_s(packed: PackedScenarios, b: int, u: int, v: int, query: ColdQueries) -> float:
    """Return the time at which all inputs of a layer are on its node; send there those that have not been sent."""
    arrived_s = query.raised_s[u]
    for e in range(packed.predecessor_offsets[b, u, v], packed.predecessor_offsets[b, u, v + 1]):
        tensor = int(packed.predecessors[b, u, e])
        arrived_s = max(arrived_s, _reach_s(packed, b, u, tensor, query.assignment[u, v], query))
    return float(arrived_s)


@jit_without_refcounts
def missing(u: int, count: int, query: ColdQueries) -> int:
    """Return the first of a user's first `count` layers whose own weights have not arrived; -1 if there is none."""
    for v in range(count):
        if query.uploaded_s[u, v] == np.inf:
            return v
    return -1


@jit_without_refcounts
def awaited(packed: PackedScenarios, b: int, u: int, count: int, query: ColdQueries) -> tuple[int, int]:
    """Return the first of a user's first `count` layers that waits for weights, and the layer to which these belong.

    The weights are its own or, once these are there, those of a layer with which it shares; (-1, -1) if no layer waits.
    """
    for v in range(count):
        if query.assignment[u, v] != 0:
            if query.uploaded_s[u, v] == np.inf:
                return v, v
            for e in range(packed.share_offsets[b, u, v], packed.share_offsets[b, u, v + 1]):
                owner = int(packed.shares[b, u, e])
                if query.uploaded_s[u, owner] == np.inf:
                    return v, owner
    return -1, -1


@jit_without_refcounts
def asked_s(packed: PackedScenarios, b: int, u: int, v: int, query: ColdQueries) -> float:
    """Return the time at which serial uploading asks for a layer's weights.

    By then the layer's inputs are on its server, and the layers on servers before it, in topological order, have run.
    When these run must have been computed.
    """
    when_s = inputs_s(packed, b, u, v, query)
    for before in range(v):
        if query.assignment[u, before] != 0:
            when_s = max(when_s, query.finish_s[u, before])
    return when_s


@jit_without_refcounts
def _reach_s(packed: PackedScenarios, b: int, u: int, tensor: int, target: int, query: ColdQueries) -> float:
    """Return the time at which a tensor (below 0, an input) is on a node; send it if it has not been sent."""
    source, ready_s = DEVICE, query.raised_s[u]
    if tensor >= 0:
        source, ready_s = query.assignment[u, tensor], query.finish_s[u, tensor]
    if source == target or ready_s == np.inf:
        return float(ready_s)
    if query.arrival_s[u, tensor, target] < 0.0:
        size_bytes = packed.tensor_bytes[b, u, tensor]
        query.arrival_s[u, tensor, target] = _send_tensor(packed, b, u, source, target, ready_s, size_bytes, query)
    return float(query.arrival_s[u, tensor, target])


@jit_without_refcounts
def _send_tensor(
    packed: PackedScenarios,
    b: int,
    u: int,
    source: int,
    target: int,
    ready_s: float,
    size_bytes: float,
    query: ColdQueries,
) -> float:
    """Send a tensor that is ready at `ready_s`, return when it arrives, and record it if a device sends it."""
    if source != 0 and target != 0:
        rate = packed.between_bytes_per_s[b, source - 1, target - 1]
        moving_s = 0.0 if size_bytes == 0.0 else size_bytes / rate
        return float(ready_s + moving_s + packed.between_latency_s[b, source - 1, target - 1])
    uplink, server = source == 0, max(source, target) - 1
    rates = packed.up_bytes_per_s[b, :, u, server] if uplink else packed.down_bytes_per_s[b, :, u, server]
    latencies_s = packed.up_latency_s[b, :, u, server] if uplink else packed.down_latency_s[b, :, u, server]
    slot, end_s = _slot_at(packed, b, ready_s), ready_s
    while size_bytes > 0.0 and end_s < np.inf:
        rate, edge_s = rates[slot], _slot_end_s(packed, b, slot)
        if rate > 0.0 and size_bytes <= rate * (edge_s - end_s):
            end_s += size_bytes / rate
            break
        size_bytes -= 0.0 if rate == 0.0 else rate * (edge_s - end_s)
        end_s = edge_s
        slot = min(slot + 1, packed.num_slots[b] - 1)
    if uplink:
        n = query.num_sent[0]
        query.sent_start_s[n], query.sent_end_s[n] = ready_s, end_s
        query.sent_user[n], query.sent_server[n] = u, server
        query.num_sent[0] = n + 1
    return float(end_s + latencies_s[slot])


@jit_without_refcounts
def weights_in_s(
    packed: PackedScenarios, b: int, u: int, server: int, start_s: float, size_bytes: float, query: ColdQueries
) -> float:
    """Return the time at which the last byte of one layer's weights arrives; infinite if it never does.

    The weights stand still while tensors from devices move.

    Args:
        packed: The scenarios.
        b: The scenario.
        u: The user.
        server: The server, 0..S-1.
        start_s: Time from which the channel is free for these weights, except for tensors.
        size_bytes: Bytes of the weights.
        query: The cold queries; every tensor that can stop these weights must have been recorded.
    """
    now_s = start_s
    while now_s < np.inf:
        slot = _slot_at(packed, b, now_s)
        rate, free_until_s, busy_until_s = (
            packed.up_bytes_per_s[b, slot, u, server],
            _slot_end_s(packed, b, slot),
            now_s,
        )
        for n in range(query.num_sent[0]):
            # A tensor stops the weights only while its own link is up; otherwise it waits as well.
            if packed.up_bytes_per_s[b, slot, query.sent_user[n], query.sent_server[n]] > 0.0:
                if query.sent_start_s[n] > now_s:
                    free_until_s = min(free_until_s, query.sent_start_s[n])
                else:
                    busy_until_s = max(busy_until_s, min(query.sent_end_s[n], _slot_end_s(packed, b, slot)))
        if busy_until_s > now_s:
            now_s = busy_until_s
            continue
        if rate > 0.0:
            if size_bytes <= rate * (free_until_s - now_s):
                return float(now_s + size_bytes / rate)
            size_bytes -= rate * (free_until_s - now_s)
        now_s = free_until_s
    return np.inf


@jit_without_refcounts
def present_from_s(packed: PackedScenarios, b: int, u: int, time_s: float) -> float:
    """Return the first time from `time_s` on at which a user is present; infinite if never."""
    for slot in range(_slot_at(packed, b, time_s), packed.num_slots[b]):
        if packed.query_rate_hz[b, slot, u] > 0.0:
            return float(max(time_s, packed.slot_edges_s[b, slot]))
    return np.inf


@jit_without_refcounts
def _slot_at(packed: PackedScenarios, b: int, time_s: float) -> int:
    """Return the slot in which a time lies; the last slot for any time after it."""
    slot = 0
    while slot + 1 < packed.num_slots[b] and packed.slot_edges_s[b, slot + 1] <= time_s:
        slot += 1
    return slot


@jit_without_refcounts
def _slot_end_s(packed: PackedScenarios, b: int, slot: int) -> float:
    """Return the time at which a slot ends; infinite for the last one, whose rates go on for ever."""
    return float(packed.slot_edges_s[b, slot + 1]) if slot + 1 < packed.num_slots[b] else np.inf
