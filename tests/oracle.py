"""The model once more, slow and obvious: the oracle against which the compiled kernel is checked.

Written from the model's description, not from the kernel: a query by recursion over layers, the channel as a schedule
worked out first, then a list of events in order of time, at each of which everybody chooses anew. Nothing is kept that
can be worked out again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan

Assignment = dict[int, int]  # layer -> node


@dataclass
class Outcome:
    mean_delay_s: float
    curve: list[tuple[float, list[float]]]  # after every event: its time, the delay of every user
    assignments: list[list[Assignment]]  # after every event: the assignment of every user
    uploads: list[tuple[float, float]]  # start and end of every partition, infinite when not before the horizon


def simulate(scenario: Scenario, plan: Plan) -> Outcome:
    sent = channel(scenario, plan)
    users = range(len(scenario.users))
    placed = [{v: int(s) for v, s in enumerate(np.asarray(user.uploaded)) if s > 0} for user in scenario.users]
    assignments = [dict.fromkeys(range(len(user.graph)), 0) for user in scenario.users]

    events = [(float(time_s), 0, slot) for slot, time_s in enumerate(np.asarray(scenario.slot_starts_s))]
    events += [(layers[-1][1], 1, index) for index, layers in enumerate(sent) if layers[-1][1] < math.inf]
    events.sort()  # by time; a slot begins before a partition that completes at the same time is noticed

    slot, queries, seconds = 0, 0.0, 0.0
    outcome = Outcome(math.nan, [], [], [(layers[0][0], layers[-1][1]) for layers in sent])
    for (time_s, kind, index), until_s in zip(events, [*(e[0] for e in events[1:]), scenario.horizon_s], strict=True):
        turns = list(users)
        if kind == 0:
            slot = index
        else:
            upload = plan.uploads[index]
            placed[upload.user].update(dict.fromkeys(upload.layers, upload.server))
            turns.sort(key=lambda u: u != upload.user)  # the owner first
        for u in turns:
            if rate_hz(scenario, slot, u) > 0:
                everything = everything_available(scenario, u, placed[u])
                choices = [assignments[u], dict.fromkeys(assignments[u], 0), everything]  # at a tie the first of them
                assignments[u] = min(choices, key=lambda choice: delay_s(scenario, slot, u, choice, assignments))
        delays = []
        for u in users:
            used = assignments[u] if rate_hz(scenario, slot, u) > 0 else dict.fromkeys(assignments[u], 0)
            delays.append(delay_s(scenario, slot, u, used, assignments))
            queries += rate_hz(scenario, slot, u) * (until_s - time_s)
            seconds += rate_hz(scenario, slot, u) * (until_s - time_s) * delays[u]
        outcome.curve.append((time_s, delays))
        outcome.assignments.append([dict(assignment) for assignment in assignments])
    outcome.mean_delay_s = seconds / queries
    return outcome


def channel(scenario: Scenario, plan: Plan) -> list[list[tuple[float, float]]]:
    """When each layer of each partition is sent: one after another, each once its user is present."""
    slot_ends_s = [*np.asarray(scenario.slot_starts_s)[1:].tolist(), scenario.horizon_s]
    now_s, sent = 0.0, []
    for upload in plan.uploads:
        layers = []
        for layer in upload.layers:
            now_s = max(now_s, upload.not_before_s)
            while now_s < scenario.horizon_s and rate_hz(scenario, slot_at(scenario, now_s), upload.user) == 0:
                now_s = slot_ends_s[slot_at(scenario, now_s)]
            start_s = now_s if now_s < scenario.horizon_s else math.inf
            left_bytes = float(scenario.users[upload.user].graph.weight_bytes[layer])
            while left_bytes > 0 and now_s < scenario.horizon_s:
                slot = slot_at(scenario, now_s)
                rate = float(np.asarray(scenario.links.up_bytes_per_s)[slot, upload.user, upload.server - 1])
                needed_s = left_bytes / rate if rate > 0 else math.inf
                if now_s + needed_s <= slot_ends_s[slot]:
                    left_bytes, now_s = 0.0, now_s + needed_s
                else:
                    left_bytes, now_s = left_bytes - rate * (slot_ends_s[slot] - now_s), slot_ends_s[slot]
            layers.append((start_s, now_s if left_bytes == 0 else math.inf))
        sent.append(layers)
    return sent


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


def delay_s(scenario: Scenario, slot: int, user: int, assignment: Assignment, assignments: list[Assignment]) -> float:
    """Delay of a query of one user beside what the others run."""
    slowdown = {0: 1.0}
    for server in range(1, len(scenario.servers) + 1):
        load = 0.0
        for other, theirs in enumerate(assignments):
            if other != user:
                seconds = sum(execution_s(scenario, other, v, n) for v, n in theirs.items() if n == server)
                load += rate_hz(scenario, slot, other) * seconds
        slowdown[server] = 1.0 / (1.0 - min(load, 0.95))
    return query_delay_s(scenario, slot, user, assignment, slowdown)


def query_delay_s(
    scenario: Scenario, slot: int, user: int, assignment: Assignment, slowdown: Mapping[int, float]
) -> float:
    graph = scenario.users[user].graph

    @cache
    def finish_s(layer: int) -> float:
        node = assignment[layer]
        waits_s = [arrive_s(tensor, node) for tensor in graph.layers[layer].predecessors]
        earlier = [other for other in range(layer) if assignment[other] == node]
        if earlier:
            waits_s.append(finish_s(earlier[-1]))
        return max(waits_s) + execution_s(scenario, user, layer, node) * slowdown[node]

    def arrive_s(tensor: int, node: int) -> float:
        source, ready_s = (0, 0.0) if tensor < 0 else (assignment[tensor], finish_s(tensor))
        return ready_s + transfer_s(scenario, slot, user, source, node, graph.tensor_bytes(tensor))

    return max(arrive_s(sink, 0) for sink in graph.output_layers)


def transfer_s(scenario: Scenario, slot: int, user: int, source: int, target: int, size_bytes: float) -> float:
    if source == target:
        return 0.0
    rate, latency_s = link(scenario, slot, user, source, target)
    if size_bytes == 0:
        return latency_s
    return size_bytes / rate + latency_s if rate > 0 else math.inf


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
