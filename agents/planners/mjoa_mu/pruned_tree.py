"""The pruned binary tree of PBT-DP, compiled: what a node is, how it grows and when it is cut off.

A node has decided the first layers of one user's network. Its times are those of a query that waits for weights
(`dnnmig_env.simulation.cold_start.cold_query`), and each level of the tree times one more layer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Int8s, Ints
from dnnmig_env.compiling.jit import copy, fill, jit, jit_without_refcounts
from dnnmig_env.simulation.cold_start.cold_query import (
    ColdQueries,
    asked_s,
    awaited,
    execute_layer,
    execute_layers,
    inputs_s,
    missing,
    weights_in_s,
)
from dnnmig_env.simulation.kernel import effective_assignment
from dnnmig_env.simulation.packed import PackedScenarios

ROUNDING = 1e-12
"""Relative difference of two delays that are the same but for rounding."""


class Task(NamedTuple):
    """What is to be placed: the layers of the only user of a scenario with one slot, on its device or one server."""

    server: int  # 1..S
    movable: Bools  # (L,): layers that may be uploaded
    left_bytes: float  # memory left on the server
    serial: bool
    ahead_s: Floats  # (L,): least seconds from a layer's end to the end of the query; -inf if no output waits for it
    last_reader: Ints  # (L,): the last layer that reads a layer's output
    usable: Bools  # (L,): all true
    effective: Int8s  # (L,): scratch, where the layers of the node at hand run


class Nodes(NamedTuple):
    """R nodes of the tree: what each has decided. How its query runs so far is kept in `ColdQueries`."""

    placed: Int8s  # (R, L): server of each layer with weights
    channel_s: Floats  # (R,): time at which its last weights are in
    uplink_s: Floats  # (R,): seconds of the uplink that it has used
    sent_bytes: Floats  # (R,): bytes of weights that it has uploaded
    bound_s: Floats  # (R,): no placement that continues it has a smaller delay


def new_task(packed: PackedScenarios, server: int, movable: Bools, left_bytes: float, serial: bool) -> Task:
    """Return the task of placing the movable layers of the only user in `packed` on its device or one server."""
    layers = packed.weight_bytes.shape[2]
    task = Task(
        server,
        np.array(movable),
        left_bytes,
        serial,
        np.zeros(layers),
        np.zeros(layers, np.int64),
        np.ones(layers, np.bool_),
        np.zeros(layers, np.int8),
    )
    _look_ahead(packed, task)
    return task


@jit
def search(packed: PackedScenarios, task: Task, queries: ColdQueries, nodes: Nodes, placed: Int8s) -> float:
    """Write the best placement found, shape (L,), and return its cold-start delay.

    Args:
        packed: The packed scenario.
        task: What is to be placed.
        queries: The query of each node of the tree: arrays of `ColdQueries` with the nodes as their first axis, all
            blank.
        nodes: The nodes, all blank.
        placed: Receives the server of each layer with weights.
    """
    num_layers = int(packed.num_layers[0, 0])
    rows, beam = len(nodes.bound_s), (len(nodes.bound_s) - 2) // 4
    best_s = _best_cut(packed, task, queries, nodes, rows - 1, rows - 2, placed)
    kept, order, frontier = np.zeros(beam, np.int64), np.zeros(2 * beam, np.int64), np.zeros(num_layers, np.int64)
    kept[0], count = rows - 1, 1
    for v in range(num_layers):
        first = last = v % 2 * 2 * beam  # the children of a level take the place of their grandparents
        for parent in kept[:count]:
            for place in (0, task.server):
                if place == 0 or _fits(packed, task, nodes, parent, v):
                    _copy(queries, nodes, parent, last)
                    _decide(packed, task, queries, nodes, last, v, place)
                    last += nodes.bound_s[last] < best_s * (1.0 - ROUNDING)
        width = 0
        for before in range(v + 1):
            if task.last_reader[before] > v:
                frontier[width] = before
                width += 1
        _sort(nodes.bound_s, first, last, order)
        count = 0
        for row in order[: last - first]:
            if count < beam and not _dominated(packed, task, queries, nodes, row, kept[:count], frontier[:width]):
                kept[count] = row
                count += 1
    if count > 0:
        best_s = nodes.bound_s[kept[0]]
        copy(placed, nodes.placed[kept[0]])
    return best_s


@jit_without_refcounts
def _look_ahead(packed: PackedScenarios, task: Task) -> None:
    """Write the least seconds that lie ahead of every layer, and which layer is the last to read its output.

    Each later layer is taken at its faster place, without transfers and waiting.
    """
    ahead_s, last_reader = task.ahead_s, task.last_reader
    fill(ahead_s, -np.inf)  # no output waits for the layer
    for v in range(packed.num_layers[0, 0] - 1, -1, -1):
        if packed.is_output[0, 0, v]:
            ahead_s[v] = max(ahead_s[v], 0.0)
        seconds = packed.execution_s[0, 0, v]
        least_s = seconds[packed.uploaded[0, 0, v]]
        if task.movable[v]:
            least_s = min(least_s, seconds[task.server])
        elif packed.share_offsets[0, 0, v] < packed.share_offsets[0, 0, v + 1]:
            least_s = min(least_s, seconds[0])
        if packed.weight_bytes[0, 0, v] == 0.0:
            for node in range(len(seconds)):
                least_s = min(least_s, seconds[node])
        for e in range(packed.predecessor_offsets[0, 0, v], packed.predecessor_offsets[0, 0, v + 1]):
            before = packed.predecessors[0, 0, e]
            if before >= 0:
                ahead_s[before] = max(ahead_s[before], least_s + ahead_s[v])
                last_reader[before] = max(last_reader[before], v)
        for e in range(packed.share_offsets[0, 0, v], packed.share_offsets[0, 0, v + 1]):
            owner = packed.shares[0, 0, e]  # where its weights are matters until then
            last_reader[owner] = max(last_reader[owner], v)


@jit_without_refcounts
def _best_cut(
    packed: PackedScenarios, task: Task, queries: ColdQueries, nodes: Nodes, blank: int, trial: int, placed: Int8s
) -> float:
    """Write the best placement with one end of the network, all or nothing of it on the server; return its delay."""
    best_s, num_layers = np.inf, packed.num_layers[0, 0]
    for cut in range(num_layers + 1):
        for from_start in (True, False):
            _copy(queries, nodes, blank, trial)
            for v in range(num_layers):
                there = (v < cut) == from_start and _fits(packed, task, nodes, trial, v)
                _decide(packed, task, queries, nodes, trial, v, task.server if there else 0)
                if nodes.bound_s[trial] >= best_s:
                    break
            if nodes.bound_s[trial] < best_s:
                best_s = nodes.bound_s[trial]
                copy(placed, nodes.placed[trial])
    return best_s


@jit_without_refcounts
def _fits(packed: PackedScenarios, task: Task, nodes: Nodes, row: int, v: int) -> bool:
    """Return whether layer `v` may go to the server and there is room for it."""
    return bool(task.movable[v] and nodes.sent_bytes[row] + packed.weight_bytes[0, 0, v] <= task.left_bytes)


@jit_without_refcounts
def _decide(
    packed: PackedScenarios, task: Task, queries: ColdQueries, nodes: Nodes, row: int, v: int, place: int
) -> None:
    """Decide layer `v` in a node of the tree and time it, after its weights where it has to be uploaded."""
    query, placed = _row(queries, row), nodes.placed[row]
    if place != 0:
        placed[v] = place
    effective_assignment(packed, 0, 0, placed, task.usable, task.effective)
    copy(query.assignment[0, : v + 1], task.effective[: v + 1])
    known, channel_s = query.num_sent[0], nodes.channel_s[row]
    inputs_s(packed, 0, 0, v, query)
    too_early = packed.shares.shape[2] > 0  # where weights are shared, what is decided now may move what was before
    for n in range(known, query.num_sent[0]):
        too_early |= query.sent_start_s[n] < channel_s
    if too_early:
        channel_s = _run_anew(packed, task, placed, v + 1, query)
    else:
        if place != 0:
            start_s = asked_s(packed, 0, 0, v, query) if task.serial else channel_s
            channel_s = weights_in_s(packed, 0, 0, place - 1, start_s, packed.weight_bytes[0, 0, v], query)
            query.uploaded_s[0, v] = channel_s
        execute_layer(packed, 0, 0, v, query)
    nodes.channel_s[row] = channel_s
    if place != 0:
        nodes.sent_bytes[row] += packed.weight_bytes[0, 0, v]
    uplink_s = nodes.sent_bytes[row] / packed.up_bytes_per_s[0, 0, 0, task.server - 1]
    for n in range(query.num_sent[0]):
        uplink_s += query.sent_end_s[n] - query.sent_start_s[n]
    nodes.uplink_s[row] = uplink_s
    bound_s = query.end_s[0]
    for before in range(v + 1):
        bound_s = max(bound_s, query.finish_s[0, before] + task.ahead_s[before])
    nodes.bound_s[row] = bound_s - query.raised_s[0]


@jit_without_refcounts
def _run_anew(packed: PackedScenarios, task: Task, placed: Int8s, count: int, query: ColdQueries) -> float:
    """Time the first `count` layers anew, as a tensor goes before weights already timed; return when all are in."""
    query.num_sent[0] = 0
    fill(query.arrival_s, -1.0)
    for v in range(count):
        if task.movable[v] and placed[v] != 0:
            query.uploaded_s[0, v] = np.inf
    channel_s = 0.0
    while True:
        execute_layers(packed, 0, 0, count, query)
        if task.serial:
            v, owner = awaited(packed, 0, 0, count, query)
        else:
            v = owner = missing(0, count, query)
        if v < 0 or channel_s == np.inf:
            return channel_s
        start_s = max(channel_s, asked_s(packed, 0, 0, v, query)) if task.serial else channel_s
        channel_s = weights_in_s(packed, 0, 0, task.server - 1, start_s, packed.weight_bytes[0, 0, owner], query)
        query.uploaded_s[0, owner] = channel_s


@jit_without_refcounts
def _dominated(
    packed: PackedScenarios, task: Task, queries: ColdQueries, nodes: Nodes, row: int, kept: Ints, frontier: Ints
) -> bool:
    """Return whether some node that is kept is no worse than node `row` for whatever is still to be decided."""
    for other in kept:
        worse = queries.end_s[other, 0] > queries.end_s[row, 0]
        worse |= not task.serial and nodes.uplink_s[other] > nodes.uplink_s[row]
        worse |= task.left_bytes < np.inf and nodes.sent_bytes[other] > nodes.sent_bytes[row]
        for node in range(queries.free_s.shape[2]):
            worse |= queries.free_s[other, 0, node] > queries.free_s[row, 0, node]
        for before in frontier:
            worse |= queries.assignment[other, 0, before] != queries.assignment[row, 0, before]
            worse |= queries.finish_s[other, 0, before] > queries.finish_s[row, 0, before]
        if not worse:
            return True
    return False


@jit_without_refcounts
def _sort(values: Floats, first: int, last: int, order: Ints) -> None:
    """Write the rows from `first` to `last` - 1 to `order`, sorted by their values, the least first."""
    for row in range(first, last):
        k = row - first
        while k > 0 and values[order[k - 1]] > values[row]:
            order[k] = order[k - 1]
            k -= 1
        order[k] = row


@jit_without_refcounts
def _copy(queries: ColdQueries, nodes: Nodes, source: int, target: int) -> None:
    """Copy all of a node and its query that changes as layers are decided to another node."""
    nodes.channel_s[target], nodes.sent_bytes[target] = nodes.channel_s[source], nodes.sent_bytes[source]
    queries.end_s[target, 0], queries.num_sent[target, 0] = queries.end_s[source, 0], queries.num_sent[source, 0]
    for v in range(nodes.placed.shape[1]):
        nodes.placed[target, v] = nodes.placed[source, v]
        queries.assignment[target, 0, v] = queries.assignment[source, 0, v]
        queries.uploaded_s[target, 0, v], queries.finish_s[target, 0, v] = (
            queries.uploaded_s[source, 0, v],
            queries.finish_s[source, 0, v],
        )
    for node in range(queries.free_s.shape[2]):
        queries.free_s[target, 0, node] = queries.free_s[source, 0, node]
        for tensor in range(queries.arrival_s.shape[2]):
            queries.arrival_s[target, 0, tensor, node] = queries.arrival_s[source, 0, tensor, node]
    for n in range(queries.num_sent[source, 0]):
        queries.sent_start_s[target, n], queries.sent_end_s[target, n] = (
            queries.sent_start_s[source, n],
            queries.sent_end_s[source, n],
        )
        queries.sent_server[target, n] = queries.sent_server[source, n]


@jit_without_refcounts
def _row(queries: ColdQueries, row: int) -> ColdQueries:
    """Return the query of one node of the tree."""
    return ColdQueries(
        queries.assignment[row],
        queries.raised_s[row],
        queries.uploaded_s[row],
        queries.finish_s[row],
        queries.free_s[row],
        queries.end_s[row],
        queries.arrival_s[row],
        queries.num_sent[row],
        queries.sent_start_s[row],
        queries.sent_end_s[row],
        queries.sent_user[row],
        queries.sent_server[row],
    )
