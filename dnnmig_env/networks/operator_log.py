"""A log of the operators that ran, in order, with what each read and wrote; a `LayerGraph` is made from it.

Tracing a torch module and importing an ONNX file both write such a log, so that views, parameters, constants and dead
code are treated alike in both.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dnnmig_env.networks.layer_graph import NETWORK_INPUT, Layer, LayerGraph

Value = Hashable
"""Key that identifies a piece of memory: the address of a tensor's storage in torch, a tensor's name in ONNX."""


class Read(NamedTuple):
    """The reading of a value, or of a part of it.

    Attributes:
        value: The memory that is read.
        part: Key of the part that is read; None = all of it. If a part is read twice, its bytes count once.
        num_bytes: Bytes of the part.
    """

    value: Value
    part: Hashable
    num_bytes: int


class _Computed(NamedTuple):
    """Key of a computation of constants that has FLOPs."""

    number: int


@dataclass
class _Operator:
    name: str
    flops: float
    tensors: list[tuple[int, Value, Hashable, int]]
    sources: list[Value]
    writes: Mapping[Value, int]
    seen: dict[tuple[Value, Hashable], int] = field(default_factory=dict)

    @property
    def written_bytes(self) -> int:
        """Bytes of all outputs of which something is read, each in full."""
        return sum(self.writes[value] for value in {value for value, _ in self.seen})

    @property
    def output_bytes(self) -> int:
        """Bytes of the outputs that are read: less than `written_bytes` if all readers read the same slice."""
        looked_at: dict[Value, int] = {}
        for (value, _), num_bytes in self.seen.items():
            looked_at[value] = looked_at.get(value, 0) + num_bytes
        return sum(min(num_bytes, self.writes[value]) for value, num_bytes in looked_at.items())


class OperatorLog:
    """The operators of one inference.

    A value is the network's input, a weight, the output of an operator, or a constant. A constant is anything else, and
    whatever is computed from constants and weights alone. Constants cost nothing; the weights from which a constant is
    computed are charged to the operator that reads it. Each weight is uploaded once, with the first operator that reads
    it; later readers have only the memory traffic.
    """

    def __init__(self) -> None:
        self._operators: list[_Operator] = []
        self._producer: dict[Value, int] = {}
        self._sources: dict[Value, tuple[Value, ...]] = {}
        self._weight_bytes: dict[Value, int] = {}
        self._constant_flops: dict[Value, float] = {}
        self._input_bytes = 0
        self.unread_weights = {}

    def add_input(self, value: Value, num_bytes: int) -> None:
        """Declare a tensor of the network's input."""
        self._producer[value] = NETWORK_INPUT
        self._input_bytes += num_bytes

    def add_weight(self, value: Value, num_bytes: int) -> None:
        """Declare a weight."""
        self._weight_bytes[value] = num_bytes
        self._sources[value] = (value,)

    def start_over(self) -> None:
        """Forget the inputs and operators, but not from which weights constants were computed."""
        self._operators, self._producer, self._input_bytes = [], {}, 0

    def is_constant(self, value: Value) -> bool:
        """Return whether a value is a weight or known to be computed from constants and weights alone."""
        return value in self._sources

    def depends_on_input(self, value: Value) -> bool:
        """Return whether a value is the network's input or computed from it: neither a weight nor a constant."""
        return value in self._producer

    def add_operator(self, name: str, flops: float, reads: Iterable[Read], writes: Mapping[Value, int]) -> None:
        """Record that an operator ran.

        Args:
            name: Its name; a repeated name gets a number when the graph is made.
            flops: Its floating-point operations.
            reads: What it read, tensors that it updated included.
            writes: The values that it made or updated, with the bytes of each.
        """
        reads = list(reads)
        sources = list(dict.fromkeys(source for read in reads for source in self._sources.get(read.value, ())))
        tensors = [(self._producer[read.value], *read) for read in reads if read.value in self._producer]
        if not tensors:
            if flops:
                computed = _Computed(len(self._constant_flops))
                self._constant_flops[computed] = flops
                sources.append(computed)
            self._sources.update(dict.fromkeys(writes, tuple(sources)))
            return
        for value in writes:
            self._producer[value] = len(self._operators)
            self._sources.pop(value, None)
        self._operators.append(_Operator(name, flops, tensors, sources, writes))

    def to_graph(self, name: str, outputs: Iterable[Read], origin: str = "") -> LayerGraph:
        """Turn the log into a graph of the operators that the outputs depend on.

        Args:
            name: Name of the network.
            outputs: What the network returns.
            origin: How the graph was made.

        Raises:
            ValueError: If no output is computed from the network's input.
        """
        alive = self._mark_alive(list(outputs))
        if not alive:
            raise ValueError(
                f"network {name!r}: no output is computed from its input; give a network that returns the tensors "
                "it computes."
            )
        position = {NETWORK_INPUT: NETWORK_INPUT, **{index: place for place, index in enumerate(alive)}}
        names = _unique_names([self._operators[index].name for index in alive])
        unclaimed, uncounted = dict(self._weight_bytes), dict(self._constant_flops)
        layers = []
        for layer_name, index in zip(names, alive, strict=True):
            operator = self._operators[index]
            own_bytes = sum(unclaimed.pop(source, 0) for source in operator.sources)
            all_bytes = sum(self._weight_bytes.get(source, 0) for source in operator.sources)
            layers.append(
                Layer(
                    name=layer_name,
                    flops=operator.flops + sum(uncounted.pop(source, 0) for source in operator.sources),
                    weight_bytes=own_bytes,
                    output_bytes=operator.output_bytes,
                    predecessors=tuple(sorted({position[producer] for producer, *_ in operator.tensors})),
                    internal_bytes=operator.written_bytes - operator.output_bytes + all_bytes - own_bytes,
                )
            )
        self.unread_weights = unclaimed
        return LayerGraph(name, self._input_bytes, tuple(layers), origin)

    def _mark_alive(self, outputs: list[Read]) -> list[int]:
        """Record what is read of each operator's outputs; return the indices of operators whose outputs are read."""
        looks = [(self._producer[read.value], *read) for read in outputs if read.value in self._producer]
        alive = set()
        self._look(looks)
        for index in range(len(self._operators) - 1, -1, -1):
            if self._operators[index].seen:
                alive.add(index)
                self._look(self._operators[index].tensors)
        return sorted(alive)

    def _look(self, looks: Iterable[tuple[int, Value, Hashable, int]]) -> None:
        for producer, value, part, num_bytes in looks:
            if producer != NETWORK_INPUT:
                self._operators[producer].seen[value, part] = num_bytes


def _unique_names(names: list[str]) -> list[str]:
    taken: set[str] = set()
    counts: dict[str, int] = {}
    unique = []
    for name in names:
        candidate = name
        while candidate in taken:
            counts[name] = counts.get(name, 1) + 1
            candidate = f"{name}#{counts[name]}"
        taken.add(candidate)
        unique.append(candidate)
    return unique
