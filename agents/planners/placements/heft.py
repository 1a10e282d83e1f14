"""HEFT: layers in order of their upward rank, each on the node where it finishes earliest, in gaps where it fits.

Topcuoglu, Hariri and Wu, "Performance-Effective and Low-Complexity Task Scheduling for Heterogeneous Computing", IEEE
TPDS 13(3), 2002. A DNN is a graph of tasks, its device and the servers are the processors. First every layer gets its
upward rank, the seconds from its start to the end of a query if every node and every link were an average one:

    rank(v) = mean over nodes of execution_s(v) + max over readers r of (mean over links of transfer_s(v) + rank(r))

For a result, its return to the device takes the place of the readers. Then layers are placed, the greatest rank first:

    EST(v, n) = start of the first gap on node n of at least execution_s(v, n), from when the inputs of v are at n on
    node(v) = the n of least EST(v, n) + execution_s(v, n)

Reconstruction: the return of a result counts into its layer's finish; a server without room for a layer is no choice
for it; weightless layers, which are not decided in this model, are scheduled where their latest predecessor on a server
runs or, if they share weights, where these are; layers already uploaded where they are. Users come in index order, and
each schedules one query of its own with nobody else at work. The schedule is HEFT's estimate: queries run their layers
in topological order, without insertion.

O(U L^2 S) for L layers, in plain Python.
"""

from __future__ import annotations

import math
from bisect import insort
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from agents.planners.placements.transfers import transfers_s
from agents.planners.protocol import Placement
from agents.planners.slot_zero import memory_left_bytes, movable_layers, reachable_servers, slot_zero_packed
from dnnmig_env.arrays import Int32s
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import PackedScenarios


class Tasks(NamedTuple):
    """One user's network as tasks; tensor v is the output of layer v, tensors -1, -2, ... are its inputs."""

    predecessors: list[list[int]]  # per layer: tensors
    shares: list[list[int]]  # per layer: layers whose weights it needs too
    on_device: list[bool]  # per layer
    is_output: list[bool]  # per layer
    execution_s: list[list[float]]  # per layer and node
    transfer_s: list[list[list[float]]]  # per tensor, source and target
    weight_bytes: list[float]  # per layer
    movable: list[bool]  # per layer: its node is to be decided
    held: list[int]  # per layer: server that holds it already, 0 = none


def heft(scenario: Scenario, rng: np.random.Generator) -> Placement:
    """Place each user's layers, in index order of the users, where HEFT schedules them.

    Args:
        scenario: The scenario.
        rng: Not used.
    """
    packed, movable, reachable = slot_zero_packed(scenario), movable_layers(scenario), reachable_servers(scenario)
    left_bytes = [math.inf, *memory_left_bytes(scenario).tolist()]
    placement = [np.array(user.uploaded, np.int8) for user in scenario.users]
    for user_index in np.flatnonzero(movable.any(axis=1)).tolist():
        mine = movable[user_index, : len(placement[user_index])]
        tasks = tasks_of(packed, user_index, mine.tolist())
        nodes = [0, *(np.flatnonzero(reachable[user_index]) + 1).tolist()]
        placement[user_index][mine] = np.array(schedule(tasks, nodes, left_bytes), np.int8)[mine]
    return tuple(placement)


def tasks_of(packed: PackedScenarios, user: int, movable: list[bool]) -> Tasks:
    """Return a user's network as tasks."""
    count = len(movable)
    return Tasks(
        _per_layer(packed.predecessor_offsets[0, user], packed.predecessors[0, user], count),
        _per_layer(packed.share_offsets[0, user], packed.shares[0, user], count),
        packed.on_device[0, user, :count].tolist(),
        packed.is_output[0, user, :count].tolist(),
        packed.execution_s[0, user, :count].tolist(),
        transfers_s(packed, 0, user, 0).tolist(),
        packed.weight_bytes[0, user, :count].tolist(),
        movable,
        packed.uploaded[0, user, :count].tolist(),
    )


def _per_layer(offsets: Int32s, values: Int32s, count: int) -> list[list[int]]:
    return [values[offsets[layer] : offsets[layer + 1]].tolist() for layer in range(count)]


def upward_ranks_s(tasks: Tasks, nodes: list[int]) -> list[float]:
    """Return the upward rank of each layer, averaged over some nodes, in seconds."""
    rank_s = [0.0] * len(tasks.is_output)
    for layer in reversed(range(len(rank_s))):  # all readers have been seen: rank_s[layer] is the most that they need
        if tasks.is_output[layer]:
            rank_s[layer] = max(rank_s[layer], _mean([tasks.transfer_s[layer][node][0] for node in nodes]))
        rank_s[layer] += _mean([tasks.execution_s[layer][node] for node in nodes])
        for predecessor in tasks.predecessors[layer]:
            if predecessor >= 0:
                seconds = [tasks.transfer_s[predecessor][one][two] for one in nodes for two in nodes if one != two]
                rank_s[predecessor] = max(rank_s[predecessor], _mean(seconds) + rank_s[layer])
    return rank_s


def schedule(tasks: Tasks, nodes: list[int], left_bytes: list[float]) -> list[int]:
    """Return the node of each layer.

    Args:
        tasks: The network.
        nodes: The nodes in reach, the device (0) first.
        left_bytes: Memory left on each node; what is placed is taken off.
    """
    rank_s = upward_ranks_s(tasks, nodes)
    node_of, finish_s = [0] * len(rank_s), [0.0] * len(rank_s)
    busy: list[list[tuple[float, float]]] = [[] for _ in left_bytes]
    for layer in sorted(range(len(rank_s)), key=lambda layer: (-rank_s[layer], layer)):
        options = []
        for node in _choices(tasks, layer, nodes, node_of, left_bytes):
            lasting_s = tasks.execution_s[layer][node]
            start_s = _first_gap_s(busy[node], _ready_s(tasks, layer, node, node_of, finish_s), lasting_s)
            returning_s = tasks.transfer_s[layer][node][0] if tasks.is_output[layer] else 0.0
            options.append((start_s + lasting_s + returning_s, start_s, node))
        _, start_s, node = min(options, key=itemgetter(0))
        node_of[layer], finish_s[layer] = node, start_s + tasks.execution_s[layer][node]
        insort(busy[node], (start_s, finish_s[layer]))
        if tasks.movable[layer]:
            left_bytes[node] -= tasks.weight_bytes[layer]
    return node_of


def _choices(tasks: Tasks, layer: int, nodes: list[int], node_of: list[int], left_bytes: list[float]) -> list[int]:
    """Return the nodes on which a layer may run, at least one of them."""
    if tasks.movable[layer]:
        return [node for node in nodes if tasks.weight_bytes[layer] <= left_bytes[node]]
    if tasks.weight_bytes[layer] > 0.0:
        return [tasks.held[layer]]
    if tasks.on_device[layer]:
        return [0]
    if tasks.shares[layer]:
        return [node_of[tasks.shares[layer][0]]]
    return [
        next(
            (
                node_of[predecessor]
                for predecessor in reversed(tasks.predecessors[layer])
                if predecessor >= 0 and node_of[predecessor] > 0
            ),
            0,
        )
    ]


def _ready_s(tasks: Tasks, layer: int, node: int, node_of: list[int], finish_s: list[float]) -> float:
    """Return when all that a layer reads is on a node."""
    arrivals_s = [
        finish_s[predecessor] + tasks.transfer_s[predecessor][node_of[predecessor]][node]
        if predecessor >= 0
        else tasks.transfer_s[predecessor][0][node]
        for predecessor in tasks.predecessors[layer]
    ]
    return max(arrivals_s)


def _first_gap_s(busy: list[tuple[float, float]], ready_s: float, lasting_s: float) -> float:
    """Return the start of the first gap of at least `lasting_s` on a node, from when the layer is ready on."""
    for begin_s, end_s in busy:
        if ready_s + lasting_s <= begin_s:
            break
        ready_s = max(ready_s, end_s)
    return ready_s


def _mean(seconds: list[float]) -> float:
    """Return the mean of the finite values; where there is no link, nothing is sent."""
    finite = [each for each in seconds if math.isfinite(each)]
    return sum(finite) / len(finite) if finite else 0.0
