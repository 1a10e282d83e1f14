"""The model once more, slow and obvious: the oracle against which the compiled kernel is checked.

Written from the model's description, not from the kernel: a query by recursion over layers, stations by their names,
tensors as a set, and one object that lets time pass and asks everybody at every event.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, Upload

Assignment = dict[int, int]  # layer -> node
Station = int | str  # a server by its node, a link by its name
Slowdown = Mapping[Station, float]


@dataclass
class Outcome:
    mean_delay_s: float
    curve: list[tuple[float, list[float]]]  # after every event: its time, the delay of every user
    assignments: list[list[Assignment]]  # after every event: the assignment of every user
    uploads: list[tuple[float, float]]  # start and end of every partition, infinite when not before the horizon


SWEEPS, TOLERANCE, LEAST_SHARE = 2, 2e-3, 0.02  # written down in contention.py and dynamics.py


class Simulation:
    """Plays a plan event by event; `now` is the time, `slot` the slot, everything else is per user."""

    def __init__(self, scenario: Scenario, plan: Plan) -> None:
        self.scenario, self.users = scenario, range(len(scenario.users))
        self.placed = [{v: int(s) for v, s in enumerate(np.asarray(user.uploaded)) if s > 0} for user in scenario.users]
        self.assignments = [dict.fromkeys(range(len(user.graph)), 0) for user in scenario.users]
        self.delays = [math.nan for _ in self.users]
        self.known: list[dict[Station, float]] = [{} for _ in self.users]  # presence on which the others rely
        self.uploading = False
        self.must_choose: set[int] = set()
        self.outdated: set[int] = set()
        self.now, self.slot, self.queries, self.seconds = 0.0, 0, 0.0, 0.0
        self.outcome = Outcome(math.nan, [], [], [])
        self.begin_slot()
        for upload in plan.uploads:
            self.carry_out(upload)
        self.let_pass(scenario.horizon_s, uploading=False)
        self.outcome.mean_delay_s = self.seconds / self.queries

    def carry_out(self, upload: Upload) -> None:
        times = [self.send(upload, layer) for layer in upload.layers]
        self.outcome.uploads.append((times[0][0], times[-1][1]))
        if times[-1][1] < math.inf:
            self.placed[upload.user].update(dict.fromkeys(upload.layers, upload.server))
            self.everybody_chooses(first=upload.user)

    def send(self, upload: Upload, layer: int) -> tuple[float, float]:
        """When the first byte of a layer leaves and the last one arrives."""
        scenario, user = self.scenario, upload.user
        if self.now < upload.not_before_s:
            self.let_pass(upload.not_before_s, uploading=False)
        while self.now < scenario.horizon_s and rate_hz(scenario, self.slot, user) == 0:
            self.let_pass(self.slot_end_s(), uploading=False)
        start_s = self.now if self.now < scenario.horizon_s else math.inf
        left_bytes = float(scenario.users[user].graph.weight_bytes[layer])
        while left_bytes > 0 and self.now < scenario.horizon_s:
            link_rate = link(scenario, self.slot, user, 0, upload.server)[0]
            self.occupy(link_rate > 0)
            rate = link_rate * self.share_of_weights()
            needed_s = left_bytes / rate if rate > 0 else math.inf
            end_s = self.slot_end_s()
            if self.now + needed_s <= end_s:
                left_bytes, end_s = 0.0, self.now + needed_s
            else:
                left_bytes -= rate * (end_s - self.now)
            self.let_pass(end_s, uploading=link_rate > 0)
        return start_s, self.now if left_bytes == 0 else math.inf

    def share_of_weights(self) -> float:
        if self.scenario.uplink == "independent":
            return 1.0
        if self.scenario.uplink == "shared":
            return 1 / (1 + sum(known.get("uplink", 0.0) for known in self.known))
        busy = 0.0
        for u in self.users:
            if rate_hz(self.scenario, self.slot, u) > 0:
                data_s = seconds_at_stations(self.scenario, self.slot, u, self.assignments[u]).get("uplink", 0.0)
                busy += data_s / self.cycle_s(u)
        return max(1 - busy, LEAST_SHARE)

    def cycle_s(self, user: int) -> float:
        return max(1 / rate_hz(self.scenario, self.slot, user), self.delays[user])

    def slot_end_s(self) -> float:
        return [*np.asarray(self.scenario.slot_starts_s)[1:].tolist(), self.scenario.horizon_s][self.slot]

    def let_pass(self, until_s: float, uploading: bool) -> None:
        until_s = min(until_s, self.scenario.horizon_s)
        if self.now < until_s:
            self.occupy(uploading)
        while self.now < until_s:
            stop_s = min(until_s, self.slot_end_s())
            for u in self.users:
                queries = rate_hz(self.scenario, self.slot, u) * (stop_s - self.now)
                self.queries += queries
                self.seconds += queries * self.delays[u]
            self.now = stop_s
            if stop_s == self.slot_end_s() and stop_s < self.scenario.horizon_s:
                self.slot += 1
                self.begin_slot()

    def occupy(self, uploading: bool) -> None:
        """Only a reading under which uploads are customers notices them."""
        if self.scenario.uplink == "shared" and uploading != self.uploading:
            self.uploading = uploading
            self.must_choose = set(self.users)
            self.everybody_chooses(first=0)

    def begin_slot(self) -> None:
        for u in self.users:
            if rate_hz(self.scenario, self.slot, u) == 0:
                self.known[u] = {}
        self.must_choose = set(self.users)
        self.everybody_chooses(first=0)

    def everybody_chooses(self, first: int) -> None:
        present = [u for u in sorted(self.users, key=lambda u: u != first) if rate_hz(self.scenario, self.slot, u) > 0]
        self.must_choose.add(first)
        changes = [self.choose(u) for u in present if u in self.must_choose]
        for _ in range(SWEEPS):
            if not any(changes):
                break
            changes = [self.look_again(u) for u in present if u in self.outdated]
        for u in self.users:
            if u not in present:
                self.delays[u] = delay_s(self.scenario, self.slot, u, dict.fromkeys(self.assignments[u], 0), {})
        self.outcome.curve.append((self.now, list(self.delays)))
        self.outcome.assignments.append([dict(assignment) for assignment in self.assignments])

    def choose(self, user: int) -> bool:
        """Take the fastest; say whether the others are concerned."""
        now, slowdown = self.assignments[user], self.slowdown(user)
        everything = everything_available(self.scenario, user, self.placed[user])
        choices = [now, dict.fromkeys(now, 0), everything]  # at a tie the first of them
        self.assignments[user] = min(
            choices, key=lambda choice: delay_s(self.scenario, self.slot, user, choice, slowdown)
        )
        changed = self.look_again(user)
        self.must_choose.discard(user)
        return changed

    def look_again(self, user: int) -> bool:
        """See how long a query takes now; say whether the others are concerned."""
        scenario, slot, slowdown = self.scenario, self.slot, self.slowdown(user)
        self.delays[user] = delay_s(scenario, slot, user, self.assignments[user], slowdown)
        own = seconds_at_stations(scenario, slot, user, self.assignments[user])
        found = {at: min(1.0, s * slowdown.get(at, 1.0) / self.cycle_s(user)) for at, s in own.items()}
        stations = found.keys() | self.known[user].keys()
        changed = any(abs(found.get(at, 0.0) - self.known[user].get(at, 0.0)) > TOLERANCE for at in stations)
        if changed:
            self.known[user] = found
            self.must_choose = set(self.users)
            self.outdated = set(self.users)
        self.outdated.discard(user)
        return changed

    def slowdown(self, user: int) -> Slowdown:
        """One for the user, and what it finds of the others."""
        found: dict[Station, float] = {"uplink": 2.0 if self.uploading else 1.0}
        for other in self.users:
            if other != user:
                for at, number in self.known[other].items():
                    found[at] = found.get(at, 1.0) + number
        return found


def simulate(scenario: Scenario, plan: Plan) -> Outcome:
    return Simulation(scenario, plan).outcome


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
