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
    kept: set[Value] = field(default_factory=set)
    seen: dict[tuple[Value, Hashable], int] = field(default_factory=dict)

    @property
    def written_bytes(self) -> int:
        """Bytes of all outputs of which something is read, each in full."""
        return sum(self.writes[value] for value in {value for value, _ in self.seen})

    @property
    def kept_bytes(self) -> int:
        """Bytes of outputs that stay where they are computed, and that nothing else reads."""
        return sum(self.writes[value] for value in self.kept - {value for value, _ in self.seen})

    @property
    def output_bytes(self) -> int:
        """Bytes of the outputs that are read: less than `written_bytes` if all readers read the same slice."""
        looked_at: dict[Value, int] = {}
        for (value, _), num_bytes in self.seen.items():
            looked_at[value] = looked_at.get(value, 0) + num_bytes
        return sum(min(num_bytes, self.writes[value]) for value, num_bytes in looked_at.items())


class OperatorLog:
    """The operators of one inference.

    A value is an input of the network, a weight, state, the output of an operator, or a constant. A constant is
    anything else, and whatever is computed from constants, weights and state alone. Constants cost no traffic; the
    FLOPs of computing a constant, and the weights from which it is computed, are charged to the first operator that
    reads it. Each weight is uploaded once, with the first operator that reads it; later readers share it, and have its
    memory traffic. State is where it is needed: reading it is memory traffic and nothing else.

    Attributes:
        unread_weights: The weights that no layer of the graph needs that was made last.
    """

    def __init__(self) -> None:
        self._operators: list[_Operator] = []
        self._producer: dict[Value, int] = {}
        self._sources: dict[Value, tuple[Value, ...]] = {}
        self._weight_bytes: dict[Value, int] = {}
        self._state_bytes: dict[Value, int] = {}
        self._constant_flops: dict[Value, float] = {}
        self._inputs: list[int] = []
        self.unread_weights: frozenset[Value] = frozenset()

    def start_over(self) -> None:
        """Forget the inputs and operators, but not from which weights constants were computed."""
        self._operators, self._producer, self._inputs = [], {}, []
        for weight in self._weight_bytes:  # a run may have overwritten it, e.g. a buffer that holds a cache
            self._sources.setdefault(weight, (weight,))

    def add_input(self, value: Value, num_bytes: int) -> None:
        """Declare an input of the network."""
        self._producer[value] = NETWORK_INPUT - len(self._inputs)
        self._inputs.append(num_bytes)

    def add_state(self, value: Value, num_bytes: int) -> None:
        """Declare an input that stays where it is needed, as the cache of a language model does."""
        self._state_bytes[value] = num_bytes
        self._weight_bytes[value] = 0
        self._sources[value] = (value,)

    def add_weight(self, value: Value, num_bytes: int) -> None:
        """Declare a weight."""
        self._weight_bytes[value] = num_bytes
        self._sources[value] = (value,)

    def is_constant(self, value: Value) -> bool:
        """Return whether a value is a weight, state, or computed from these."""
        return value in self._sources

    def depends_on_input(self, value: Value) -> bool:
        """Return whether a value is an input of the network or computed from it: no weight, no state, no constant."""
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
                sources.append(_Computed(len(self._constant_flops)))
                self._constant_flops[sources[-1]] = flops
                self._weight_bytes[sources[-1]] = 0
            self._sources.update(dict.fromkeys(writes, tuple(sources)))
            return
        for value in writes:
            self._producer[value] = len(self._operators)
            self._sources.pop(value, None)
        self._operators.append(_Operator(name, flops, tensors, sources, writes))

    def to_graph(self, name: str, outputs: Iterable[Read], origin: str = "", kept: Iterable[Read] = ()) -> LayerGraph:
        """Turn the log into a graph of the operators that the outputs depend on.

        Args:
            name: Name of the network.
            outputs: What the network returns.
            origin: How the graph was made.
            kept: What it computes besides, and keeps where it computed it.

        Raises:
            ValueError: If no output is computed from the network's input.
        """
        outputs = list(outputs)
        alive = self._mark_alive(outputs, kept)
        returned = {
            self._producer[read.value] for read in outputs if self._producer.get(read.value, NETWORK_INPUT) >= 0
        }
        if not returned:
            raise ValueError(
                f"network {name!r}: no output is computed from its input; give a network that returns the tensors "
                "it computes."
            )
        position = {index: place for place, index in enumerate(alive)}
        position |= {NETWORK_INPUT - number: NETWORK_INPUT - number for number in range(len(self._inputs))}
        names = _unique_names([self._operators[index].name for index in alive])
        owners: dict[Value, int] = {}
        layers = []
        for place, (layer_name, index) in enumerate(zip(names, alive, strict=True)):
            operator = self._operators[index]
            sources = operator.sources
            for source in sources:
                owners.setdefault(source, place)
            own = [source for source in sources if owners[source] == place]
            own_bytes = sum(self._weight_bytes[source] for source in own)
            read_bytes = sum(self._weight_bytes[source] + self._state_bytes.get(source, 0) for source in sources)
            shares = {owners[source] for source in sources if self._weight_bytes[source]} - {place}
            layers.append(
                Layer(
                    name=layer_name,
                    flops=operator.flops + sum(self._constant_flops.get(source, 0.0) for source in own),
                    weight_bytes=own_bytes,
                    output_bytes=operator.output_bytes,
                    predecessors=tuple(sorted({position[producer] for producer, *_ in operator.tensors})),
                    internal_bytes=operator.written_bytes
                    - operator.output_bytes
                    + operator.kept_bytes
                    + read_bytes
                    - own_bytes,
                    shares=tuple(sorted(shares)),
                )
            )
        self.unread_weights = frozenset(self._weight_bytes) - owners.keys()
        read = {source for layer in layers for source in layer.predecessors}
        returning = sorted(position[index] for index in returned)
        unread = [place for place in range(len(layers)) if place not in read]
        return LayerGraph(
            name,
            sum(self._inputs),
            tuple(layers),
            origin,
            tuple(self._inputs) if len(self._inputs) > 1 else (),
            () if returning == unread else tuple(returning),
        )

    def _mark_alive(self, outputs: Iterable[Read], kept: Iterable[Read]) -> list[int]:
        """Record what is read of each operator's outputs; return the indices of operators whose outputs are needed."""
        self._look((self._producer[read.value], *read) for read in outputs if read.value in self._producer)
        for read in kept:
            if self._producer.get(read.value, NETWORK_INPUT) >= 0:
                self._operators[self._producer[read.value]].kept.add(read.value)
        alive = set()
        for index in range(len(self._operators) - 1, -1, -1):
            if self._operators[index].seen or self._operators[index].kept:
                alive.add(index)
                self._look(self._operators[index].tensors)
        return sorted(alive)

    def _look(self, looks: Iterable[tuple[int, Value, Hashable, int]]) -> None:
        for producer, value, part, num_bytes in looks:
            if producer >= 0:
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
