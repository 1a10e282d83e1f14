"""One query, slow and obvious: how long it takes, and what it needs of the stations on its way.

Nothing here knows of time that passes or of weights that move; `tests.oracle` does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache

import numpy as np

from dnnmig_env.scenarios.scenario import Scenario

Assignment = dict[int, int]  # layer -> node
Station = int | str  # a server by its node, a link by its name
Slowdown = Mapping[Station, float]


def everything_available(scenario: Scenario, user: int, placed: Mapping[int, int]) -> Assignment:
    """Layers with weights where they are; weightless ones with their latest predecessor that is on a server.

    Shared weights have to be in the same place; what has no others follows them. What must stay on the device does.
    """
    graph = scenario.users[user].graph
    assignment: Assignment = {}
    for v, layer in enumerate(graph.layers):
        homes = {placed.get(owner, 0) for owner in layer.shares}
        if layer.weight_bytes > 0:
            homes.add(placed.get(v, 0))
        elif not homes:
            servers = [assignment[p] for p in sorted(layer.predecessors) if p >= 0 and assignment[p] > 0]
            homes = {servers[-1] if servers else 0}
        assignment[v] = homes.pop() if len(homes) == 1 and not layer.on_device else 0
    return assignment


def delay_s(scenario: Scenario, slot: int, user: int, assignment: Assignment, slowdown: Slowdown) -> float:
    """Delay of a query of one user that finds others at stations."""
    graph = scenario.users[user].graph

    @cache
    def finish_s(layer: int) -> float:
        node = assignment[layer]
        waits_s = [arrive_s(tensor, node) for tensor in graph.layers[layer].predecessors]
        earlier = [other for other in range(layer) if assignment[other] == node]
        if earlier:
            waits_s.append(finish_s(earlier[-1]))
        return max(waits_s) + execution_s(scenario, user, layer, node) * slowdown.get(node, 1.0)

    def arrive_s(tensor: int, node: int) -> float:
        source, ready_s = (0, 0.0) if tensor < 0 else (assignment[tensor], finish_s(tensor))
        if source == node:
            return ready_s
        factor = slowdown.get(link_station(source, node), 1.0)
        moving_s = moving_alone_s(scenario, slot, user, source, node, graph.tensor_bytes(tensor))
        return ready_s + moving_s * factor + link(scenario, slot, user, source, node)[1]

    return max(arrive_s(sink, 0) for sink in graph.output_layers)


def seconds_at_stations(scenario: Scenario, slot: int, user: int, assignment: Assignment) -> dict[Station, float]:
    """What a query needs at each station if nobody else is there; a tensor goes to each node once."""
    graph = scenario.users[user].graph
    wanted = {(tensor, assignment[v]) for v, layer in enumerate(graph.layers) for tensor in layer.predecessors}
    wanted |= {(sink, 0) for sink in graph.output_layers}
    found: dict[Station, float] = {}
    for layer, node in assignment.items():
        if node > 0:
            found[node] = found.get(node, 0.0) + execution_s(scenario, user, layer, node)
    for tensor, target in wanted:
        source = 0 if tensor < 0 else assignment[tensor]
        if source != target:
            seconds = moving_alone_s(scenario, slot, user, source, target, graph.tensor_bytes(tensor))
            at = link_station(source, target)
            found[at] = found.get(at, 0.0) + seconds
    return found


def link_station(source: int, target: int) -> Station:
    return "uplink" if source == 0 else "downlink" if target == 0 else f"wire of {source}"


def moving_alone_s(scenario: Scenario, slot: int, user: int, source: int, target: int, size_bytes: float) -> float:
    rate = link(scenario, slot, user, source, target)[0]
    return 0.0 if size_bytes == 0 else size_bytes / rate if rate > 0 else math.inf


def link(scenario: Scenario, slot: int, user: int, source: int, target: int) -> tuple[float, float]:
    """Bytes per second and latency between two different nodes."""
    links = scenario.links
    if source == 0:
        rate, latency = np.asarray(links.up_bytes_per_s), np.asarray(links.up_latency_s)
        return float(rate[slot, user, target - 1]), float(latency[slot, user, target - 1])
    if target == 0:
        rate, latency = np.asarray(links.down_bytes_per_s), np.asarray(links.down_latency_s)
        return float(rate[slot, user, source - 1]), float(latency[slot, user, source - 1])
    rate, latency = np.asarray(links.between_bytes_per_s), np.asarray(links.between_latency_s)
    return float(rate[source - 1, target - 1]), float(latency[source - 1, target - 1])


def execution_s(scenario: Scenario, user: int, layer: int, node: int) -> float:
    """The roofline, or what was measured."""
    owner = scenario.users[user]
    if owner.profile_s is not None:
        return float(np.asarray(owner.profile_s)[layer, node])
    machine = owner.device if node == 0 else scenario.servers[node - 1]
    row = owner.graph.layers[layer]
    read_bytes = sum(owner.graph.tensor_bytes(tensor) for tensor in row.predecessors)
    moved_bytes = read_bytes + row.weight_bytes + row.output_bytes + row.internal_bytes
    running_s = max(row.flops / machine.flops_per_s, moved_bytes / machine.memory_bytes_per_s)
    return running_s + row.operators * machine.layer_overhead_s


def rate_hz(scenario: Scenario, slot: int, user: int) -> float:
    return float(np.asarray(scenario.users[user].query_rate_hz)[slot])


def slot_at(scenario: Scenario, time_s: float) -> int:
    """The slot that holds at a time; the last one for ever after."""
    return max(slot for slot, start_s in enumerate(np.asarray(scenario.slot_starts_s)) if start_s <= time_s)


def cell(scenario: Scenario, slot: int, user: int) -> int:
    """The server in whose cell a user is; 0 if all share one cell."""
    return int(np.asarray(scenario.links.home)[slot, user])
