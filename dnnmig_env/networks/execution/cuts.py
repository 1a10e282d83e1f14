"""Divides a recorded forward pass into the layers of a prepared graph: what each runs, reads, sends and weighs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dnnmig_env.networks.execution.steps import Look, Step, Values
from dnnmig_env.networks.execution.tape import Tape
from dnnmig_env.networks.grouping import Groups
from dnnmig_env.networks.layer_graph import LayerGraph


@dataclass(frozen=True, slots=True)
class LayerCut:
    """One layer, cut out of the forward pass.

    Attributes:
        steps: Its operators in order, each with the values that it must leave as they are.
        reads: Values that it needs from other layers or from the network's input.
        sends: Values that it makes and that other layers or the device need.
        returned: Those of them that return to the device.
        weights: Values of the weights that are sent with it.
    """

    steps: tuple[tuple[Step, frozenset[int]], ...]
    reads: tuple[int, ...]
    sends: tuple[int, ...]
    returned: tuple[int, ...]
    weights: tuple[int, ...]


def cut(
    graph: LayerGraph, groups: Groups, positions: Sequence[Sequence[int]], tape: Tape, result: Sequence[Look]
) -> tuple[tuple[LayerCut, ...], Values]:
    """Return the layers of a graph, and the constants that they have everywhere.

    Args:
        graph: The prepared graph.
        groups: Which layers of the traced graph each of its layers consists of.
        positions: For each layer of the traced graph, the positions of its operators.
        tape: The recorded forward pass.
        result: How the network's result looks at its values.

    Raises:
        ValueError: If the network changes its own buffers, or what runs is not what the graph says.
    """
    return _Division(graph, groups, positions, tape, result).layers()


class _Division:
    def __init__(
        self, graph: LayerGraph, groups: Groups, positions: Sequence[Sequence[int]], tape: Tape, result: Sequence[Look]
    ) -> None:
        self._graph, self._groups, self._positions, self._tape = graph, groups, positions, tape
        self._outputs = {look.value for look in result}
        self._layer_of = {
            position: layer for layer, group in enumerate(groups) for member in group for position in positions[member]
        }
        self._makers = {value: step for step in tape.steps for value in _written(step)}
        self._updated = {before for step in tape.steps for before, _ in step.updates}
        for value in self._updated & tape.given.keys():
            raise ValueError(
                f"{graph.name!r} changes a buffer of its own of {tape.num_bytes[value]} bytes while it runs; only "
                "networks without state can be run layer by layer."
            )

    def layers(self) -> tuple[tuple[LayerCut, ...], Values]:
        own = [self._own_steps(layer) for layer in range(len(self._graph))]
        steps = [self._with_constants(these) for these in own]
        made = [{value for step in these for value in _written(step)} for these in own]
        maker = {value: layer for layer, values in enumerate(made) for value in values}
        reads = [self._reads(these, maker) for these in steps]
        readers: dict[int, set[int]] = {}
        for layer, values in enumerate(reads):
            for value in values | made[layer]:
                readers.setdefault(value, set()).add(layer)
        weights = self._owned_weights()
        cuts = []
        for layer in range(len(self._graph)):
            returned = made[layer] & self._outputs
            sends = {value for value in made[layer] if readers[value] - {layer}} | returned
            # Whoever else reads what a layer updates may read it later, or on another node. (What the network returns
            # is no longer updated.)
            bound = frozenset(
                value for value in self._updated if value not in maker or readers[value] - {layer, maker[value]}
            )
            self._check(layer, {maker.get(value, -1) for value in reads[layer]} - {layer}, weights[layer])
            cuts.append(
                LayerCut(
                    tuple((step, bound) for step in steps[layer]),
                    tuple(sorted(reads[layer] - made[layer])),
                    tuple(sorted(sends)),
                    tuple(sorted(returned)),
                    tuple(weights[layer]),
                )
            )
        kept = {value: self._tape.made(value) for value in self._makers if self._is_kept(value)}
        return tuple(cuts), kept

    def _own_steps(self, layer: int) -> list[Step]:
        return [step for step in self._tape.steps if self._layer_of.get(step.position) == layer]

    def _with_constants(self, steps: list[Step]) -> list[Step]:
        """Return the operators of a layer, and before them those that compute what it reads of its weights."""
        found = {step.position: step for step in steps}
        waiting = list(steps)
        while waiting:
            for value in waiting.pop().reads:
                maker = self._makers.get(value)
                if maker and maker.position not in self._layer_of and not self._is_kept(value):
                    if maker.position not in found:
                        waiting.append(maker)
                    found[maker.position] = maker
        return [found[position] for position in sorted(found)]

    def _reads(self, steps: list[Step], maker: dict[int, int]) -> set[int]:
        """Return the values that come from other layers or are inputs of the network."""
        made: set[int] = set()
        reads: set[int] = set()
        for step in steps:
            reads |= {value for value in step.reads if value not in made and value not in self._tape.given}
            made |= set(_written(step))
        found = {value for value in reads if not self._is_kept(value)}
        for value in found:
            if value in self._makers and value not in maker:
                raise ValueError(
                    f"{self._graph.name!r} runs {self._tape.names[self._makers[value].position]} for several layers; "
                    "it cannot be run layer by layer."
                )
        return found

    def _is_kept(self, value: int) -> bool:
        """Return whether a value is a constant that everybody has: no layer's work, and of no weights."""
        maker = self._makers.get(value)
        if maker is None or maker.position in self._layer_of or value in self._updated:
            return False
        return all(
            (read in self._tape.given and read not in self._tape.weights) or self._is_kept(read) for read in maker.reads
        )

    def _owned_weights(self) -> list[list[int]]:
        """Return the weights of each layer: each belongs to the first operator, in order, that needs it."""
        owned: list[list[int]] = [[] for _ in self._groups]
        group_of = {member: layer for layer, group in enumerate(self._groups) for member in group}
        taken: set[int] = set()
        steps = {step.position: step for step in self._tape.steps}
        for member, positions in enumerate(self._positions):
            own = [steps[position] for position in positions if position in steps]
            for step in self._with_constants(own):
                for value in step.weights:
                    if value not in taken:
                        taken.add(value)
                        owned[group_of[member]].append(value)
        return owned

    def _check(self, layer: int, sources: set[int], weights: list[int]) -> None:
        row = self._graph.layers[layer]
        weight_bytes = sum(self._tape.num_bytes[value] for value in weights)
        if weight_bytes != row.weight_bytes:
            raise ValueError(
                f"layer {row.name!r} of {self._graph.name!r} has {weight_bytes} bytes of weights here and "
                f"{row.weight_bytes} in its graph; trace it again, or take a network whose weights do not overlap."
            )
        known = {max(source, -1) for source in row.predecessors}
        if not sources <= known:
            names = sorted(
                self._graph.layers[source].name if source >= 0 else "the input" for source in sources - known
            )
            raise ValueError(
                f"layer {row.name!r} of {self._graph.name!r} reads {names[0]} here, but not in its graph; trace it "
                "again."
            )


def _written(step: Step) -> Iterator[int]:
    yield from (value for _, value in step.makes)
    yield from (after for _, after in step.updates)
