"""The cold start once more, slow and obvious: bytes flow, layers run, and time goes from one happening to the next.

Where the compiled procedure works out closed intervals partition by partition, this one watches everything at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, Upload
from tests.oracle import everything_available, execution_s, link, rate_hz, slot_at


@dataclass
class Flow:
    """A tensor on its way between two nodes."""

    user: int
    tensor: int
    source: int
    target: int
    left_bytes: float


@dataclass
class World:
    scenario: Scenario
    assignment: list[dict[int, int]]
    usable: list[set[int]]
    weights_there: list[set[int]]
    raised_s: list[float]
    now_s: float = 0.0
    flows: list[Flow] = field(default_factory=list)
    calendar: list[tuple[float, str, int, int, int]] = field(default_factory=list)  # what ends when: user, what, node
    there: set[tuple[int, int, int]] = field(default_factory=set)  # (user, tensor, node) that has arrived
    started: set[tuple[int, int]] = field(default_factory=set)
    finished: set[tuple[int, int]] = field(default_factory=set)


def cold_start_s(scenario: Scenario, plan: Plan, *, serial: bool = False) -> list[float]:
    """The delay of each user's one query, NaN for a user that is never present.

    Serial: a layer joins the queue for the channel, alone, once the query needs it; the order of the plan is lost.
    """
    world = _beginning(scenario, plan)
    queue = [(upload, layer) for upload in plan.uploads for layer in upload.layers]
    queue, needed = ([], queue) if serial else (queue, [])
    left_bytes, sending = 0.0, False
    done_s: dict[int, float] = {}
    while len(done_s) < len(scenario.users):
        _start_what_can_start(world)
        _queue_up(world, needed, queue)
        for user, row in enumerate(scenario.users):
            if user not in done_s and all((user, sink, 0) in world.there for sink in row.graph.output_layers):
                done_s[user] = world.now_s - world.raised_s[user]
        slot = slot_at(scenario, world.now_s)
        if serial and not sending:
            _let_past_who_is_away(scenario, slot, queue)
        if queue and not sending:
            upload, layer = queue[0]
            if world.now_s >= upload.not_before_s and rate_hz(scenario, slot, upload.user) > 0:
                sending, left_bytes = True, float(scenario.users[upload.user].graph.weight_bytes[layer])

        speeds = [link(scenario, slot, flow.user, flow.source, flow.target)[0] for flow in world.flows]
        data_first = any(flow.source == 0 and speed > 0 for flow, speed in zip(world.flows, speeds, strict=True))
        speed = link(scenario, slot, queue[0][0].user, 0, queue[0][0].server)[0] if sending and not data_first else 0.0

        happenings = [start_s for start_s in scenario.slot_starts_s if start_s > world.now_s]
        happenings += [upload.not_before_s for upload, _ in queue[:1] if upload.not_before_s > world.now_s]
        happenings += [entry[0] for entry in world.calendar]
        arrivals_s = [
            world.now_s + flow.left_bytes / each if each > 0 else math.inf
            for flow, each in zip(world.flows, speeds, strict=True)
        ]
        weights_s = world.now_s + left_bytes / speed if speed > 0 else math.inf
        next_s = min([*happenings, *arrivals_s, weights_s], default=math.inf)
        if next_s == math.inf:
            break  # nothing will ever happen again

        for flow, each, arrival_s in zip(list(world.flows), speeds, arrivals_s, strict=True):
            flow.left_bytes -= each * (next_s - world.now_s)
            if arrival_s == next_s:
                world.flows.remove(flow)
                latency_s = link(scenario, slot, flow.user, flow.source, flow.target)[1]
                world.calendar.append((next_s + latency_s, "tensor", flow.user, flow.tensor, flow.target))
        left_bytes -= speed * (next_s - world.now_s)
        if weights_s == next_s:
            upload, layer = queue.pop(0)
            sending = False
            if layer == upload.layers[-1]:
                world.usable[upload.user] |= set(upload.layers)
                world.weights_there[upload.user] |= set(upload.layers)
        world.now_s = next_s
    never = [math.nan if raised_s == math.inf else math.inf for raised_s in world.raised_s]
    return [done_s.get(user, never[user]) for user in range(len(scenario.users))]


def _beginning(scenario: Scenario, plan: Plan) -> World:
    held = [{v: int(s) for v, s in enumerate(np.asarray(user.uploaded)) if s > 0} for user in scenario.users]
    placed = [dict(layers) for layers in held]
    for upload in plan.uploads:
        placed[upload.user].update(dict.fromkeys(upload.layers, upload.server))
    assignment = [everything_available(scenario, user, layers) for user, layers in enumerate(placed)]
    # What needs no upload is usable at once: on the device, without weights, or there before.
    usable = [
        {v for v, node in nodes.items() if node == 0 or user.graph.weight_bytes[v] == 0 or v in layers}
        for user, nodes, layers in zip(scenario.users, assignment, held, strict=True)
    ]
    raised_s = []
    for user in scenario.users:
        here = np.asarray(scenario.slot_starts_s)[np.asarray(user.query_rate_hz) > 0]
        raised_s.append(float(here[0]) if len(here) else math.inf)
    world = World(scenario, assignment, usable, [set(layers) for layers in held], raised_s)
    world.calendar = [
        (time_s, "tensor", user, tensor, 0)
        for user, time_s in enumerate(raised_s)
        for tensor in range(-scenario.users[user].graph.num_inputs, 0)
        if time_s < math.inf
    ]
    return world


def _start_what_can_start(world: World) -> None:
    """Let everything begin that can at this moment, and all that ends as soon as it begins end."""
    while True:
        due = [entry for entry in world.calendar if entry[0] <= world.now_s]
        world.calendar = [entry for entry in world.calendar if entry[0] > world.now_s]
        for _, kind, user, what, node in due:
            if kind == "layer":
                world.finished.add((user, what))
            world.there.add((user, what, node))
            if node == (world.assignment[user][what] if what >= 0 else 0):
                _send(world, user, what, node)
        _start_layers(world)
        if not any(entry[0] <= world.now_s for entry in world.calendar):
            return


def _start_layers(world: World) -> None:
    """A layer starts when its inputs are there, its weights too, and the layers before it on its node are through."""
    for user, row in enumerate(world.scenario.users):
        nodes = world.assignment[user]
        for v, layer in enumerate(row.graph.layers):
            ready = all((user, tensor, nodes[v]) in world.there for tensor in layer.predecessors)
            free = all((user, other) in world.finished for other in range(v) if nodes[other] == nodes[v])
            weights = v in world.usable[user] and (nodes[v] == 0 or set(layer.shares) <= world.weights_there[user])
            if (user, v) not in world.started and ready and free and weights:
                world.started.add((user, v))
                seconds = execution_s(world.scenario, user, v, nodes[v])
                world.calendar.append((world.now_s + seconds, "layer", user, v, nodes[v]))


def _queue_up(world: World, needed: list[tuple[Upload, int]], queue: list[tuple[Upload, int]]) -> None:
    """A query asks for weights when a layer's inputs are on its server and the server layers before it have run."""
    for user, row in enumerate(world.scenario.users):
        nodes = world.assignment[user]
        for v, layer in enumerate(row.graph.layers):
            ready = all((user, tensor, nodes[v]) in world.there for tensor in layer.predecessors)
            if nodes[v] != 0 and ready and all((user, w) in world.finished for w in range(v) if nodes[w] != 0):
                for wanted in (v, *layer.shares):  # its own weights first
                    for upload, which in [entry for entry in needed if (entry[0].user, entry[1]) == (user, wanted)]:
                        needed.remove((upload, which))
                        queue.append((Upload(user, upload.server, (which,)), which))


def _let_past_who_is_away(scenario: Scenario, slot: int, queue: list[tuple[Upload, int]]) -> None:
    """The first in the queue whose user is present goes to its head."""
    here = [place for place, (upload, _) in enumerate(queue) if rate_hz(scenario, slot, upload.user) > 0]
    if here:
        queue.insert(0, queue.pop(here[0]))


def _send(world: World, user: int, tensor: int, source: int) -> None:
    """Send a new tensor once to every other node that needs it."""
    graph, nodes = world.scenario.users[user].graph, world.assignment[user]
    targets = {nodes[v] for v, layer in enumerate(graph.layers) if tensor in layer.predecessors}
    if tensor in graph.output_layers:
        targets.add(0)
    for target in targets - {source}:
        size_bytes = float(graph.tensor_bytes(tensor))
        if size_bytes > 0:
            world.flows.append(Flow(user, tensor, source, target, size_bytes))
        else:
            latency_s = link(world.scenario, slot_at(world.scenario, world.now_s), user, source, target)[1]
            world.calendar.append((world.now_s + latency_s, "tensor", user, tensor, target))
