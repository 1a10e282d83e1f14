"""Makes layers fewer and larger: fuses cheap layers, merges layers to a given number, or cuts a graph into blocks.

All of this only regroups layers (see `grouping`): FLOPs, weight bytes, operators and memory traffic are conserved
exactly. Nothing is modelled as a faster, fused kernel: a group still launches each operator and moves each tensor.
"""

from __future__ import annotations

import heapq
from itertools import pairwise

from dnnmig_env.networks.grouping import Grouping, Groups
from dnnmig_env.networks.layer_graph import NETWORK_INPUT, Layer, LayerGraph


def fuse(graph: LayerGraph) -> LayerGraph:
    """Fuse cheap single-input layers (activation, normalisation, pooling, dropout) into a neighbour.

    A layer is cheap if it has no FLOPs and no weights, or at most a scale and a shift per output element, as a
    normalisation has. It is fused with the layer that it reads. Where that layer has other readers too, or the cheap
    layer reads the network's input, it is fused with its only reader; if it has several, it stays. The cost of a group
    is the sum of the costs of its parts.

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
        ValueError: If `max_layers` is less than 1.
    """
    return _merged(graph, max_layers).to_graph(_span_name)


def prepare(graph: LayerGraph, max_layers: int | None = None) -> LayerGraph:
    """Fuse cheap layers of a graph; then merge its layers to at most `max_layers`, unless that is None."""
    fused = fuse(graph)
    return fused if max_layers is None else merge(fused, max_layers)


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
    """
    grouping, edges = Grouping(graph), block_edges(graph)
    for first, end in pairwise(edges):
        for member in range(first, end - 1):
            grouping.join(member, end - 1)
    return grouping.to_graph(_span_name)


def block_edges(graph: LayerGraph) -> list[int]:
    """Return the index of the first layer of each block of `blocks`, and at the end the number of layers."""
    edges, last = [0], len(graph) - 1
    furthest = max(index for index, layer in enumerate(graph.layers) if NETWORK_INPUT in layer.predecessors)
    for index, readers in enumerate(graph.successors):
        if furthest <= index:  # no tensor from before this layer is needed after it
            edges.append(index + 1)
        furthest = max(furthest, *readers) if readers else last
    return edges


def _fused(graph: LayerGraph) -> Grouping:
    grouping = Grouping(graph)
    cheap = [index for index, layer in enumerate(graph.layers) if _is_cheap(layer)]
    for index in cheap:
        for source in list(grouping.sources[index]):
            if grouping.may_join(source, index):
                grouping.join(source, index)
    for index in cheap:
        if len(grouping.readers[index]) == 1 and set(grouping.members[index]).issubset(cheap):
            grouping.join(index, next(iter(grouping.readers[index])))
    return grouping


def _merged(graph: LayerGraph, max_layers: int) -> Grouping:
    if max_layers < 1:
        raise ValueError(f"max_layers is {max_layers}; keep at least 1 layer.")
    grouping = Grouping(graph)
    queue = _JoinQueue(graph, grouping)
    while grouping.count > max_layers:
        queue.join_cheapest()
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

    def join_cheapest(self) -> None:
        """Join the cheapest pair and propose the pairs that may be joined from then on."""
        while True:
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

    def _is_alive(self, first: int, second: int) -> bool:
        grouping = self._grouping
        return bool(grouping.members[first] and grouping.members[second]) and grouping.may_join(first, second)

    def _priced(self, first: int, second: int) -> tuple[float, int, int]:
        hidden = self._output[first] if self._grouping.readers[first] == {second} else 0.0
        return self._load[first] + self._load[second] - hidden, first, second

    def _propose(self, group: int) -> None:
        """Propose each pair of a group with its next reader or with one that has the same readers."""
        readers, sources = self._grouping.readers, self._grouping.sources
        if readers[group]:
            next_reader = min(readers[group])  # a later reader never may be: this one does not read it
            if self._grouping.may_join(group, next_reader):
                heapq.heappush(self._pairs, self._priced(group, next_reader))
            twins = [other for other in sources[next_reader] if readers[other] == readers[group]]
        else:
            twins = [other for other, members in enumerate(self._grouping.members) if members and not readers[other]]
        for twin in twins:
            if twin != group:
                heapq.heappush(self._pairs, self._priced(*sorted((group, twin))))


def _is_cheap(layer: Layer) -> bool:
    return layer.flops == 0 and layer.weight_bytes <= 2 * layer.output_bytes and len(layer.predecessors) == 1


def _costliest_name(members: list[Layer]) -> str:
    return max(members, key=lambda layer: (layer.flops, layer.weight_bytes)).name


def _span_name(members: list[Layer]) -> str:
    return f"{members[0].name}..{members[-1].name}"
