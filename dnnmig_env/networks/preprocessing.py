"""Makes layers fewer and larger: fuses cheap layers, merges layers to a given number, or cuts a graph into blocks.

All of this only regroups layers (see `grouping`): FLOPs, weight bytes, operators and memory traffic are conserved
exactly. Nothing is modelled as a faster, fused kernel: a group still launches each operator and moves each tensor.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from itertools import pairwise

from dnnmig_env.networks.grouping import Grouping, Groups
from dnnmig_env.networks.layer_graph import Layer, LayerGraph

_LITTLE_BYTES = 2**16
"""Bytes of weights that are little to upload in any network."""


def fuse(graph: LayerGraph) -> LayerGraph:
    """Fuse cheap single-input layers (activation, normalisation, pooling, dropout) into a neighbour.

    A layer is cheap if it has no FLOPs and no weights, or at most a scale and a shift per output element, as a
    normalisation has: these are little to upload, at most 64 KiB or an eighth of all weights. Where no layer has FLOPs,
    they are not known, and only layers without weights are cheap. Weights that it shares count as its own.

    A cheap layer is fused with the layer that it reads. Where that layer has other readers too, or the cheap layer
    reads the network's input, it is fused with its only reader; if it has several, it stays. The cost of a group is the
    sum of the costs of its parts.

    Args:
        graph: Any layer graph.

    Returns:
        A graph of the same network; a group has the name of its costliest member.
    """
    return _fused(graph).to_graph(_costliest_name)


def merge(graph: LayerGraph, max_layers: int) -> LayerGraph:
    """Merge neighbouring layers until at most `max_layers` remain.

    This is greedy: of all pairs that may be joined, it joins the one with the least

        share of all FLOPs + share of all weight bytes - share of all output bytes,

    where the first two shares are those of the pair and the last is that of the tensor that becomes internal. So groups
    stay balanced in work and in upload, and the tensors that remain between them are cheap to send. Parallel branches
    have no tensor between them, so they are joined late. On a tie the earlier layers are joined.

    Args:
        graph: Any layer graph.
        max_layers: Most layers to keep, at least 1.

    Returns:
        A graph of the same network; a group of several layers is named `first..last`.

    Raises:
        ValueError: If `max_layers` is less than 1, or less than what layers that stay on the device leave apart.
    """
    return _merged(graph, max_layers).to_graph(_span_name)


def prepare(graph: LayerGraph, max_layers: int | None = None) -> LayerGraph:
    """Fuse cheap layers of a graph; then merge its layers to at most `max_layers`, unless that is None."""
    fused = fuse(graph)
    return fused if max_layers is None else merge(fused, max_layers)


def keep_on_device(graph: LayerGraph, patterns: Iterable[str]) -> LayerGraph:
    """Return a graph some layers of which stay on the user's device, e.g. because what they read is private.

    Do this before layers are fused or merged. Layers that share weights with one that stays stay as well, because these
    weights are never uploaded.

    Args:
        graph: Any layer graph.
        patterns: Names of layers, in which * stands for any characters, ? for one, and [...] for one of several.

    Raises:
        ValueError: If a pattern matches no layer.
    """
    return _kept(graph, _named(graph, patterns), ())


def keep_fused_on_device(graph: LayerGraph, patterns: Iterable[str]) -> LayerGraph:
    """Do as `keep_on_device`, and let what would be fused with a layer that stays stay too: groups remain as they are.

    So a profile of the fused layers fits whichever layers stay.

    Raises:
        ValueError: If a pattern matches no layer.
    """
    staying = {index for index, layer in enumerate(graph.layers) if layer.on_device}
    return _kept(graph, staying | _named(graph, patterns), prepared_groups(graph))


def _named(graph: LayerGraph, patterns: Iterable[str]) -> set[int]:
    """Return the layers whose names match a pattern."""
    named: set[int] = set()
    for pattern in patterns:
        found = {index for index, layer in enumerate(graph.layers) if fnmatchcase(layer.name, pattern)}
        if not found:
            nearest = get_close_matches(pattern, [layer.name for layer in graph.layers], n=3, cutoff=0.0)
            raise ValueError(
                f"on_device names {pattern!r}, which no layer of {graph.name!r} is called; do you mean "
                f"{' or '.join(map(repr, nearest))}? Names may contain * for any characters."
            )
        named |= found
    return named


def _kept(graph: LayerGraph, staying: set[int], groups: Groups) -> LayerGraph:
    """Return a graph in which some layers stay, and with them those that share their weights or a group with them."""
    size = -1
    while size < len(staying):
        size = len(staying)
        staying |= {index for index, layer in enumerate(graph.layers) if staying.intersection(layer.shares)}
        staying |= {index for group in groups if staying.intersection(group) for index in group}
    layers = (replace(layer, on_device=layer.on_device or index in staying) for index, layer in enumerate(graph.layers))
    return replace(graph, layers=tuple(layers))


def merged_groups(graph: LayerGraph, max_layers: int) -> Groups:
    """Return which layers of a graph each layer of `merge(graph, max_layers)` consists of."""
    return _merged(graph, max_layers).groups


def prepared_groups(graph: LayerGraph, max_layers: int | None = None) -> Groups:
    """Return which layers of a graph each layer of `prepare(graph, max_layers)` consists of."""
    fused = _fused(graph)
    if max_layers is None:
        return fused.groups
    members = fused.groups
    merged = merged_groups(fused.to_graph(_costliest_name), max_layers)
    return tuple(tuple(sorted(layer for part in parts for layer in members[part])) for parts in merged)


def blocks(graph: LayerGraph) -> LayerGraph:
    """Cut a graph at the dominators of its output: the layers through which everything flows.

    Args:
        graph: Any layer graph; if it has several outputs, everything after their last common dominator is one block.

    Returns:
        A chain of blocks: each reads one tensor, the output of the block before it; the first reads the network's
        input.

    Raises:
        ValueError: If some layers stay on the device: a block runs in one place.
    """
    if any(layer.on_device for layer in graph.layers):
        raise ValueError(f"{graph.name!r} has layers that stay on the device, so it cannot be cut into blocks.")
    grouping, edges = Grouping(graph), block_edges(graph)
    for first, end in pairwise(edges):
        for member in range(first, end - 1):
            grouping.join(member, end - 1)
    return grouping.to_graph(_span_name)


def block_edges(graph: LayerGraph) -> list[int]:
    """Return the index of the first layer of each block of `blocks`, and at the end the number of layers."""
    edges, last = [0], len(graph) - 1
    furthest = max(index for index, layer in enumerate(graph.layers) if layer.predecessors[0] < 0)
    for index, readers in enumerate(graph.successors):
        if not readers or index in graph.output_layers:
            furthest = last  # outputs lie in the last block
        if furthest <= index:  # no tensor from before this layer is needed after it
            edges.append(index + 1)
        furthest = max(furthest, *readers, 0)
    return edges


def _fused(graph: LayerGraph) -> Grouping:
    grouping = Grouping(graph)
    most_bytes = max(_LITTLE_BYTES, graph.weight_bytes.sum() / 8) if graph.flops.any() else 0.0
    cheap = [index for index, layer in enumerate(graph.layers) if _is_cheap(layer, most_bytes)]
    for index in cheap:
        for source in list(grouping.sources[index]):
            if grouping.may_join(source, index):
                grouping.join(source, index)
    for index in cheap:
        if len(grouping.readers[index]) == 1 and set(grouping.members[index]).issubset(cheap):
            reader = next(iter(grouping.readers[index]))
            if reader != grouping.device and grouping.may_join(index, reader):
                grouping.join(index, reader)
    return grouping


def _merged(graph: LayerGraph, max_layers: int) -> Grouping:
    if max_layers < 1:
        raise ValueError(f"max_layers is {max_layers}; keep at least 1 layer.")
    grouping = Grouping(graph)
    queue = _JoinQueue(graph, grouping)
    while grouping.count > max_layers:
        if not queue.join_cheapest():
            raise ValueError(
                f"max_layers is {max_layers}, but {graph.name!r} keeps {grouping.count} layers, as layers that stay on "
                f"the device are not merged with others; give at least {grouping.count}."
            )
    return grouping


class _JoinQueue:
    """The pairs of groups that may be joined, cheapest first."""

    def __init__(self, graph: LayerGraph, grouping: Grouping) -> None:
        self._grouping = grouping
        total_flops, total_weight_bytes = graph.flops.sum() or 1.0, graph.weight_bytes.sum() or 1.0
        total_output_bytes = graph.output_bytes.sum() or 1.0
        self._load: list[float] = (graph.flops / total_flops + graph.weight_bytes / total_weight_bytes).tolist()
        self._output: list[float] = (graph.output_bytes / total_output_bytes).tolist()
        self._pairs: list[tuple[float, int, int]] = []
        for group in range(len(graph)):
            self._propose(group)

    def join_cheapest(self) -> bool:
        """Join the cheapest pair and propose the pairs that it makes possible; return whether there was one."""
        while True:
            if not self._pairs:
                return False
            pair = heapq.heappop(self._pairs)
            _, first, second = pair
            # Proposals stay in the queue for good: skip those that later joins have made impossible or repriced.
            if self._is_alive(first, second) and pair == self._priced(first, second):
                break
        self._load[second] += self._load[first]
        if self._grouping.readers[first] != {second}:
            self._output[second] += self._output[first]
        self._grouping.join(first, second)
        self._propose(second)
        for source in self._grouping.sources[second]:
            self._propose(source)
        return True

    def _is_alive(self, first: int, second: int) -> bool:
        grouping = self._grouping
        return bool(grouping.members[first] and grouping.members[second]) and grouping.may_join(first, second)

    def _priced(self, first: int, second: int) -> tuple[float, int, int]:
        hidden = self._output[first] if self._grouping.readers[first] == {second} else 0.0
        return self._load[first] + self._load[second] - hidden, first, second

    def _propose(self, group: int) -> None:
        """Propose each pair of a group with its next reader or with one that has the same readers."""
        readers, sources = self._grouping.readers, self._grouping.sources
        next_reader = min(readers[group])  # a later reader never may be: this one does not read it
        if next_reader != self._grouping.device:
            if self._grouping.may_join(group, next_reader):
                heapq.heappush(self._pairs, self._priced(group, next_reader))
            twins = [other for other in sources[next_reader] if readers[other] == readers[group]]
        else:
            twins = [other for other, theirs in enumerate(readers) if theirs == readers[group]]
        for twin in twins:
            if twin != group and self._grouping.may_join(*sorted((group, twin))):
                heapq.heappush(self._pairs, self._priced(*sorted((group, twin))))


def _is_cheap(layer: Layer, most_bytes: float) -> bool:
    # Reading weights that belong to other layers is a part of the internal traffic.
    weight_bytes = layer.weight_bytes + (layer.internal_bytes if layer.shares else 0)
    fits = weight_bytes <= min(2 * layer.output_bytes, most_bytes)
    return layer.flops == 0 and fits and len(layer.predecessors) == 1


def _costliest_name(members: list[Layer]) -> str:
    return max(members, key=lambda layer: (layer.flops, layer.weight_bytes)).name


def _span_name(members: list[Layer]) -> str:
    return f"{members[0].name}..{members[-1].name}"
