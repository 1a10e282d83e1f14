"""The course of a query under an assignment: what it computes where and sends whither, and what waits for what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evaluate.truth.simulator.plain_scenario import DEVICE, PlainScenario

Assignment = tuple[int, ...]
"""The node of each layer of a user: 0 is its device, 1 to S are the servers."""


@dataclass(frozen=True, slots=True)
class Task:
    """One step of a query: layers that a node computes without a break, or a tensor that travels between two nodes.

    Attributes:
        station: Station that it occupies.
        amount: Seconds of computation on a node that does nothing else, or bytes to send.
        source: Node at which it begins.
        target: Node at which it ends; for a computation the same node.
        before: Indices of the tasks that have to end first.
        after: Indices of the tasks that wait for it.
        returns: Whether the query ends no earlier than this task, as it brings a result to the device.
    """

    station: int
    amount: float
    source: int
    target: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    returns: bool

    @property
    def travels(self) -> bool:
        """Whether it is a transfer."""
        return self.source != self.target


class Course:
    """What one query of a user does under an assignment.

    Args:
        user: Index of the user.
        assignment: Node of each layer.
        tasks: The tasks, each after all that it waits for.

    Attributes:
        num_returns: Number of tasks that bring a result to the device; the query ends with the last of them.
        waits_for: Number of tasks for which each task waits.
        first: Tasks that wait for nothing.
    """

    def __init__(self, user: int, assignment: Assignment, tasks: tuple[Task, ...]) -> None:
        self.user, self.assignment, self.tasks = user, assignment, tasks
        self.num_returns = sum(task.returns for task in tasks)
        self.waits_for = [len(task.before) for task in tasks]
        self.first = [index for index, task in enumerate(tasks) if not task.before]

    @property
    def offloads(self) -> bool:
        """Whether any layer runs on a server."""
        return any(self.assignment)

    def seconds(self, plain: PlainScenario, slot: int) -> list[float]:
        """Return the seconds that each task takes with nobody else around, without latency; infinite if a link is down.

        A tensor of no bytes takes none, even where the link is down.
        """
        found = []
        for task in self.tasks:
            rate = plain.bytes_per_s(slot, self.user, task.source, task.target) if task.travels else 1.0
            found.append(0.0 if task.amount == 0.0 else task.amount / rate if rate > 0.0 else math.inf)
        return found

    def latencies_s(self, plain: PlainScenario, slot: int) -> list[float]:
        """Return the seconds for which each task goes on without occupying its station; 0 for computations."""
        return [
            plain.latency_s(slot, self.user, task.source, task.target) if task.travels else 0.0 for task in self.tasks
        ]

    def delay_s(self, seconds: Sequence[float], latencies_s: Sequence[float], slowdown: Sequence[float]) -> float:
        """Return the delay of a query, section 3 of the model: the longest path through its tasks.

        Args:
            seconds: Seconds of each task alone.
            latencies_s: Latency of each task.
            slowdown: Factor by which other users slow each station.
        """
        finish_s: list[float] = []
        delay_s = 0.0
        for index, task in enumerate(self.tasks):
            start_s = 0.0
            for earlier in task.before:
                start_s = max(start_s, finish_s[earlier])
            end_s = start_s + seconds[index] * slowdown[task.station] + latencies_s[index]
            finish_s.append(end_s)
            if task.returns:
                delay_s = max(delay_s, end_s)
        return delay_s


def course_of(plain: PlainScenario, user: int, assignment: Assignment) -> Course:
    """Return what a query of a user does under an assignment.

    A node computes the layers that it has been given one at a time and in topological order. A tensor goes at most once
    to each node. Layers that a node computes one after another, without waiting for anything from elsewhere and without
    sending anything in between, are one task: where a server shares its time among users, it makes no difference
    whether work comes in one piece or in several that follow one another.
    """
    graph = plain.graphs[user]
    outputs, targets = set(graph.output_layers), _targets(plain, user, assignment)
    tasks: list[_Draft] = []
    latest: dict[int, int] = {}  # node -> task of the layer that it computes last so far
    brings: dict[tuple[int, int], int] = {}  # tensor and node that it reaches -> the transfer

    def send(tensor: int, source: int, before: tuple[int, ...]) -> None:
        for target in targets.get(tensor, ()):
            returns = target == DEVICE and tensor in outputs
            brings[tensor, target] = len(tasks)
            amount = float(graph.tensor_bytes(tensor))
            tasks.append(_Draft(plain.station_of(source, target), amount, source, target, before, returns))

    for tensor in range(-graph.num_inputs, 0):
        send(tensor, DEVICE, ())
    for layer, node in enumerate(assignment):
        seconds, task = plain.execution_s(user, layer, node), latest.get(node)
        arrivals = [brings[tensor, node] for tensor in graph.layers[layer].predecessors if (tensor, node) in brings]
        if task is None or tasks[task].is_complete or arrivals:
            before = sorted([*arrivals, *(() if task is None else (task,))])
            task = latest[node] = len(tasks)
            tasks.append(_Draft(node, 0.0, node, node, tuple(before), False))
        tasks[task].amount += seconds
        tasks[task].returns = layer in outputs and node == DEVICE
        tasks[task].is_complete = tasks[task].returns or layer in targets
        send(layer, node, (task,))
    return Course(user, assignment, _linked(tasks))


@dataclass(slots=True)
class _Draft:
    """A task whose layers are not all known yet; the fields are those of `Task`."""

    station: int
    amount: float
    source: int
    target: int
    before: tuple[int, ...]
    returns: bool
    is_complete: bool = False  # what it has computed last is sent or returned, so that no layer may follow


def _targets(plain: PlainScenario, user: int, assignment: Assignment) -> dict[int, list[int]]:
    """Return the other nodes to which each tensor is sent, for the tensors that are sent."""
    graph, readers = plain.graphs[user], dict[int, set[int]]()
    for layer, row in enumerate(graph.layers):
        for tensor in row.predecessors:
            readers.setdefault(tensor, set()).add(assignment[layer])
    for layer in graph.output_layers:
        readers.setdefault(layer, set()).add(DEVICE)
    others = {tensor: nodes - {assignment[tensor] if tensor >= 0 else DEVICE} for tensor, nodes in readers.items()}
    return {tensor: sorted(nodes) for tensor, nodes in others.items() if nodes}


def _linked(drafts: Sequence[_Draft]) -> tuple[Task, ...]:
    after: list[list[int]] = [[] for _ in drafts]
    for index, draft in enumerate(drafts):
        for earlier in draft.before:
            after[earlier].append(index)
    return tuple(
        Task(draft.station, draft.amount, draft.source, draft.target, draft.before, tuple(after[index]), draft.returns)
        for index, draft in enumerate(drafts)
    )
