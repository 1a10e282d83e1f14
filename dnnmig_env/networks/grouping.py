"""Joins the layers of a graph into groups, and makes the smaller graph whose layers are the groups.

A group costs what its members cost: a tensor that only members read becomes part of the group's `internal_bytes`. For
this to be exact, all outputs of a group must have the same readers; otherwise a reader would be charged for a tensor
that it does not read. So `Grouping.may_join` allows two groups to become one if

- the first is read by the second alone, or
- every other group that reads one of the two reads both.

Neither kind of join can close a cycle, and as long as two groups are left some pair may be joined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dnnmig_env.networks.layer_graph import NETWORK_INPUT, Layer, LayerGraph

Groups = tuple[tuple[int, ...], ...]
"""For each group, the layers that it consists of, ascending; the groups are in topological order."""


class Grouping:
    """Groups that can be joined further. A group is identified by its last layer: so groups stay in topological order.

    Args:
        graph: The graph whose layers are grouped; at first each layer is a group of its own.

    Attributes:
        members: For each layer, the layers of the group that it identifies; empty if it identifies none.
        readers: For each group, the groups that read it.
        sources: For each group, the groups that it reads.
        count: Number of groups.
    """

    def __init__(self, graph: LayerGraph) -> None:
        self.members: list[list[int]] = [[index] for index in range(len(graph))]
        self.readers: list[set[int]] = [set(successors) for successors in graph.successors]
        self.sources: list[set[int]] = [set(layer.predecessors) - {NETWORK_INPUT} for layer in graph.layers]
        self.count = len(graph)
        self._graph = graph

    def may_join(self, first: int, second: int) -> bool:
        """Return whether two groups, `first` the earlier one, may be joined: their outputs would share all readers."""
        readers = self.readers[first]
        if second in readers:
            # The first's other readers read the second too, so they come after it: no path leads from the first over
            # another group to the second.
            return len(readers) == 1 or (
                len(readers) == len(self.readers[second]) + 1 and readers > self.readers[second]
            )
        return readers == self.readers[second]

    def join(self, first: int, second: int) -> None:
        """Put the earlier group `first` into the later group `second`."""
        for source in self.sources[first]:
            self.readers[source].discard(first)
            self.readers[source].add(second)
        for reader in self.readers[first]:
            self.sources[reader].discard(first)
            self.sources[reader].add(second)
        self.members[second] += self.members[first]
        self.sources[second] = (self.sources[second] | self.sources[first]) - {second}
        self.readers[second] = (self.readers[second] | self.readers[first]) - {second}
        self.members[first], self.sources[first], self.readers[first] = [], set(), set()
        self.count -= 1

    @property
    def groups(self) -> Groups:
        """The groups as they are now, in the order of the layers of `to_graph`."""
        return tuple(tuple(sorted(members)) for members in self.members if members)

    def to_graph(self, name_of: Callable[[list[Layer]], str]) -> LayerGraph:
        """Return the graph whose layers are the groups.

        Args:
            name_of: Function that names a group of several layers, given in topological order.
        """
        groups = self.groups
        home = {NETWORK_INPUT: NETWORK_INPUT}
        for position, members in enumerate(groups):
            home.update(dict.fromkeys(members, position))
        layers = self._graph.layers
        outputs = {NETWORK_INPUT: self._graph.input_bytes}
        joined: list[Layer] = []
        for position, members in enumerate(groups):
            outputs[position] = sum(layers[index].output_bytes for index in members if self._is_visible(index, home))
            sources = sorted({home[source] for index in members for source in layers[index].predecessors} - {position})
            if len(members) == 1:
                joined.append(replace(layers[members[0]], predecessors=tuple(sources)))
                continue
            weight_bytes = sum(layers[index].weight_bytes for index in members)
            boundary_bytes = sum(outputs[source] for source in sources) + outputs[position]
            joined.append(
                Layer(
                    name=name_of([layers[index] for index in members]),
                    flops=sum(layers[index].flops for index in members),
                    weight_bytes=weight_bytes,
                    output_bytes=outputs[position],
                    predecessors=tuple(sources),
                    internal_bytes=sum(map(self._bytes_moved, members)) - weight_bytes - boundary_bytes,
                    operators=sum(layers[index].operators for index in members),
                )
            )
        return LayerGraph(self._graph.name, self._graph.input_bytes, tuple(joined), self._graph.origin)

    def _is_visible(self, index: int, home: dict[int, int]) -> bool:
        readers = self._graph.successors[index]
        return not readers or any(home[reader] != home[index] for reader in readers)

    def _bytes_moved(self, index: int) -> int:
        layer = self._graph.layers[index]
        read = sum(self._graph.tensor_bytes(source) for source in layer.predecessors)
        return read + layer.weight_bytes + layer.output_bytes + layer.internal_bytes
