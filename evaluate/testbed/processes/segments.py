"""Runs one node's share of a query: its layers in order, in segments between which values come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor

from dnnmig_env.arrays import Floats
from dnnmig_env.networks.execution.layer_runner import LayerRunner
from dnnmig_env.networks.execution.steps import Values
from evaluate.testbed.processes.inbox import Inbox
from evaluate.testbed.processes.pacing import Processor


@dataclass(frozen=True)
class Segment:
    """Layers that one node runs without waiting for anything between them.

    Attributes:
        layers: The layers, in order.
        takes: Values of other nodes that it waits for.
        sends: Values that leave when it ends, each with the nodes that need them.
    """

    layers: tuple[int, ...]
    takes: tuple[int, ...]
    sends: tuple[tuple[int, tuple[int, ...]], ...]


def segments_of(runner: LayerRunner, assignment: Sequence[int], node: int) -> tuple[Segment, ...]:
    """Divide the layers of a node into segments.

    Args:
        runner: The network.
        assignment: Node of each layer.
        node: The node.
    """
    targets = targets_of(runner, assignment)
    maker = {value: assignment[layer] for layer, cut in enumerate(runner.cuts) for value in cut.sends}
    maker.update(dict.fromkeys(runner.inputs, 0))
    segments: list[Segment] = []
    layers: list[int] = []
    takes: list[int] = []
    taken: set[int] = set()

    def close(sends: tuple[tuple[int, tuple[int, ...]], ...] = ()) -> None:
        if layers:
            segments.append(Segment(tuple(layers), tuple(takes), sends))
        layers.clear()
        takes.clear()

    for layer, cut in enumerate(runner.cuts):
        if assignment[layer] != node:
            continue
        new = [value for value in cut.reads if maker[value] != node and value not in taken]
        if new:
            close()
            takes += new
            taken.update(new)
        layers.append(layer)
        sends = tuple((value, targets[value]) for value in cut.sends if targets[value])
        if sends:
            close(sends)
    close()
    return tuple(segments)


def targets_of(runner: LayerRunner, assignment: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """Return for each value that leaves a layer, and each input, the other nodes that need it."""
    source = dict.fromkeys(runner.inputs, 0)
    needed: dict[int, set[int]] = {value: set() for value in runner.inputs}
    for layer, cut in enumerate(runner.cuts):
        for value in cut.sends:
            source[value] = assignment[layer]
            needed[value] = {0} if value in cut.returned else set()
    for layer, cut in enumerate(runner.cuts):
        for value in cut.reads:
            needed[value].add(assignment[layer])
    return {value: tuple(sorted(nodes - {source[value]})) for value, nodes in needed.items()}


class Share:
    """One node's share of the queries of one user.

    Args:
        runner: The user's network.
        node: The node.
        layer_s: Seconds that each layer is to take here, shape (L,).
        processor: The node's processor.
        inbox: Where values of other nodes arrive.
        send: Function that sends a value to a node: query, event, value, node, tensor.
        user: Index of the user.
    """

    def __init__(
        self,
        runner: LayerRunner,
        node: int,
        layer_s: Floats,
        processor: Processor,
        inbox: Inbox,
        send: Callable[[int, int, int, int, Tensor], None],
        user: int,
    ) -> None:
        self._runner, self._node, self._layer_s, self._processor = runner, node, layer_s.tolist(), processor
        self._inbox, self._send, self._user = inbox, send, user
        self._known: dict[tuple[int, ...], tuple[Segment, ...]] = {}

    def run(self, query: int, event: int, assignment: Sequence[int]) -> tuple[Values, list[dict[str, Any]]]:
        """Run the node's layers of one query; return its values and a record of each segment."""
        key = tuple(assignment)
        if key not in self._known:
            self._known[key] = segments_of(self._runner, assignment, self._node)
        values, records = self._runner.begin(with_inputs=self._node == 0), []
        for segment in self._known[key]:
            values.update(self._inbox.take(query, segment.takes))
            records.append({"user": self._user, "query": query, "layers": segment.layers, **self._run(segment, values)})
            for value, nodes in segment.sends:
                for node in nodes:
                    self._send(query, event, value, node, values[value])
        return values, records

    def inputs_for(self, assignment: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
        """Return the inputs of the network that leave the device, each with the nodes that need it."""
        targets = targets_of(self._runner, assignment)
        return [(value, targets[value]) for value in self._runner.inputs if targets[value]]

    def _run(self, segment: Segment, values: Values) -> dict[str, Any]:
        """Run a segment at the speed of the node that is played; return what was measured, in seconds."""
        target_s = sum(self._layer_s[layer] for layer in segment.layers)
        readings = [time.monotonic()]
        self._processor.begin(self._user, target_s)
        for layer in segment.layers:
            self._runner.run(layer, values)
            readings.append(time.monotonic())
        due_s = self._processor.end(self._user)
        return {
            "begin_s": readings[0],
            "executed_s": [end_s - start_s for start_s, end_s in pairwise(readings)],
            "due_s": due_s,
            "end_s": time.monotonic(),
        }
