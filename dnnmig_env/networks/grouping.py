"""Joins the layers of a graph into groups, and makes the smaller graph whose layers are the groups.

A group costs what its members cost: a tensor that only members read becomes part of the group's `internal_bytes`. For
this to be exact, all outputs of a group must have the same readers; otherwise a reader would be charged for a tensor
that it does not read. So `Grouping.may_join` allows two groups to become one if

- the first is read by the second alone, or
- every other group that reads one of the two reads both.

The device counts as one more reader, which comes after all layers: it reads what returns to it. Neither kind of join
can close a cycle, and as long as two groups are left some pair may be joined. Layers that stay on the device are joined
only with each other; where there are some, more groups may be left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dnnmig_env.networks.layer_graph import Layer, LayerGraph

Groups = tuple[tuple[int, ...], ...]
"""For each group, the layers that it consists of, ascending; the groups are in topological order."""


class Grouping:
    """Groups that can be joined further. A group is identified by its last layer: so groups stay in topological order.

    Args:
        graph: The graph whose layers are grouped; at first each layer is a group of its own.

    Attributes:
        members: For each layer, the layers of the group that it identifies; empty if it identifies none.
        device: Index that stands for the device among readers: the number of layers.
        readers: For each group, the groups that read it; `device` if its output returns, or if nobody reads it.
        sources: For each group, the groups that it reads.
        count: Number of groups.
    """

    def __init__(self, graph: LayerGraph) -> None:
        self.members: list[list[int]] = [[index] for index in range(len(graph))]
        self.device = len(graph)
        self.readers: list[set[int]] = [set(successors) or {self.device} for successors in graph.successors]
        for index in graph.output_layers:
            self.readers[index].add(self.device)
        self.sources: list[set[int]] = [
            {source for source in layer.predecessors if source >= 0} for layer in graph.layers
        ]
        self.count = len(graph)
        self._graph = graph

    def may_join(self, first: int, second: int) -> bool:
        """Return whether two groups, `first` the earlier one, may be joined: their outputs would share all readers."""
        readers, layers = self.readers[first], self._graph.layers
        if layers[first].on_device != layers[second].on_device:
            return False
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
        for reader in self.readers[first] - {self.device}:
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
        groups, graph = self.groups, self._graph
        home = {-1 - number: -1 - number for number in range(graph.num_inputs)}
        for position, members in enumerate(groups):
            home.update(dict.fromkeys(members, position))
        layers = graph.layers
        outputs = {index: graph.tensor_bytes(index) for index in home if index < 0}
        joined: list[Layer] = []
        for position, members in enumerate(groups):
            outputs[position] = sum(layers[index].output_bytes for index in members if self._is_visible(index, home))
            sources = sorted({home[source] for index in members for source in layers[index].predecessors} - {position})
            shares = sorted({home[owner] for index in members for owner in layers[index].shares} - {position})
            if len(members) == 1:
                joined.append(replace(layers[members[0]], predecessors=tuple(sources), shares=tuple(shares)))
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
                    shares=tuple(shares),
                    on_device=layers[members[0]].on_device,
                )
            )
        returned = tuple(sorted({home[index] for index in graph.outputs}))
        return LayerGraph(graph.name, graph.input_bytes, tuple(joined), graph.origin, graph.inputs, returned)

    def _is_visible(self, index: int, home: dict[int, int]) -> bool:
        graph = self._graph
        return index in graph.output_layers or any(home[reader] != home[index] for reader in graph.successors[index])

    def _bytes_moved(self, index: int) -> int:
        layer = self._graph.layers[index]
        read = sum(self._graph.tensor_bytes(source) for source in layer.predecessors)
        return read + layer.weight_bytes + layer.output_bytes + layer.internal_bytes
