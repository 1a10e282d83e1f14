"""A DNN as a directed acyclic graph of layers, with what each layer computes, reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from dnnmig_env.arrays import Floats

NETWORK_INPUT = -1
"""Index that stands for the network's input among a layer's predecessors."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a DNN, or several layers that were fused or merged into one.

    Attributes:
        name: Name, unique within its graph.
        flops: Floating-point operations of one inference (a multiply-add counts as two).
        weight_bytes: Bytes to upload before a server can run the layer; 0 for a weightless layer.
        output_bytes: Bytes of the layer's output, of all its tensors together.
        predecessors: Indices of the layers whose outputs it reads, ascending; `NETWORK_INPUT` (-1) stands for the
            network's input.
        internal_bytes: Bytes of memory traffic beyond inputs, weights and output. Zero for a single operator; fusing
            and merging add the traffic of tensors that became internal, so that the total traffic is conserved.
        operators: Number of operators that a node launches to run the layer, each of which takes the node's
            `layer_overhead_s`. One for a single operator, zero for a view (reshape, dropout in inference), the sum over
            the parts after fusing and merging.
    """

    name: str
    flops: float
    weight_bytes: int
    output_bytes: int
    predecessors: tuple[int, ...]
    internal_bytes: int = 0
    operators: int = 1


@dataclass(frozen=True)
class LayerGraph:
    """A DNN: its layers in topological order.

    Attributes:
        name: Name of the network.
        input_bytes: Bytes of one query's input.
        layers: Layers in topological order.
        origin: How the graph was made (command and versions); free text.

    Raises:
        ValueError: If the graph is empty or cyclic, a name repeats, a layer reads nothing, or a number is negative, NaN
            or infinite.
    """

    name: str
    input_bytes: int
    layers: tuple[Layer, ...]
    origin: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError(f"network {self.name!r} has no layers; give at least one.")
        _check_number(self.name, "input_bytes", self.input_bytes)
        seen: set[str] = set()
        for index, layer in enumerate(self.layers):
            where = f"{self.name}: layer {index} ({layer.name!r})"
            if layer.name in seen:
                raise ValueError(f"{where} repeats an earlier name; layer names must be unique.")
            seen.add(layer.name)
            for quantity in ("flops", "weight_bytes", "output_bytes", "internal_bytes", "operators"):
                _check_number(where, quantity, getattr(layer, quantity))
            _check_predecessors(where, index, layer.predecessors, len(self.layers))

    def __len__(self) -> int:
        return len(self.layers)

    @cached_property
    def flops(self) -> Floats:
        """FLOPs per layer, shape (L,)."""
        return _read_only([layer.flops for layer in self.layers])

    @cached_property
    def weight_bytes(self) -> Floats:
        """Weight bytes per layer, shape (L,)."""
        return _read_only([layer.weight_bytes for layer in self.layers])

    @cached_property
    def output_bytes(self) -> Floats:
        """Output bytes per layer, shape (L,)."""
        return _read_only([layer.output_bytes for layer in self.layers])

    @cached_property
    def operators(self) -> Floats:
        """Operators launched per layer, shape (L,)."""
        return _read_only([layer.operators for layer in self.layers])

    @cached_property
    def bytes_moved(self) -> Floats:
        """Memory traffic per layer in bytes (inputs + weights + output + internal), shape (L,)."""
        return _read_only(
            [
                sum(self.tensor_bytes(predecessor) for predecessor in layer.predecessors)
                + layer.weight_bytes
                + layer.output_bytes
                + layer.internal_bytes
                for layer in self.layers
            ]
        )

    @cached_property
    def successors(self) -> tuple[tuple[int, ...], ...]:
        """For each layer, the indices of the layers that read its output."""
        found: list[list[int]] = [[] for _ in self.layers]
        for index, layer in enumerate(self.layers):
            for predecessor in layer.predecessors:
                if predecessor != NETWORK_INPUT:
                    found[predecessor].append(index)
        return tuple(tuple(successors) for successors in found)

    @cached_property
    def sinks(self) -> tuple[int, ...]:
        """Indices of the layers that no layer reads; their outputs return to the device."""
        return tuple(index for index, successors in enumerate(self.successors) if not successors)

    def tensor_bytes(self, index: int) -> int:
        """Return the bytes of one layer's output, or of the network's input for `NETWORK_INPUT`."""
        return self.input_bytes if index == NETWORK_INPUT else self.layers[index].output_bytes

    def to_dict(self) -> dict[str, Any]:
        """Return the graph as plain data that JSON can hold; `from_dict` reads it back."""
        rows = [
            {
                "name": layer.name,
                "flops": layer.flops,
                "weight_bytes": layer.weight_bytes,
                "output_bytes": layer.output_bytes,
                "predecessors": list(layer.predecessors),
                "internal_bytes": layer.internal_bytes,
                "operators": layer.operators,
            }
            for layer in self.layers
        ]
        return {"name": self.name, "input_bytes": self.input_bytes, "origin": self.origin, "layers": rows}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LayerGraph:
        """Build a graph from what `to_dict` returned.

        Raises:
            ValueError: If a key is missing or unknown, or the graph is not valid.
        """
        try:
            layers = tuple(Layer(**{**row, "predecessors": tuple(row["predecessors"])}) for row in data["layers"])
            return cls(data["name"], data["input_bytes"], layers, data.get("origin", ""))
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"network {data.get('name', '?')!r}: {error}; expected the keys name, input_bytes and layers, "
                "each layer with name, flops, weight_bytes, output_bytes and predecessors."
            ) from error


def _check_number(where: str, quantity: str, value: float) -> None:
    if not (np.isfinite(value) and value >= 0):
        raise ValueError(f"{where}: {quantity} is {value!r}; it must be finite and not negative.")


def _check_predecessors(where: str, index: int, predecessors: tuple[int, ...], count: int) -> None:
    if not predecessors:
        raise ValueError(f"{where} reads nothing; use predecessors=[{NETWORK_INPUT}] for the network's input.")
    if list(predecessors) != sorted(set(predecessors)):
        raise ValueError(f"{where} has predecessors {list(predecessors)}; list each once, in ascending order.")
    for predecessor in predecessors:
        if not NETWORK_INPUT <= predecessor < count:
            raise ValueError(f"{where} has predecessor {predecessor}; known layers are 0 to {count - 1}.")
        if predecessor >= index:
            raise ValueError(
                f"{where} reads layer {predecessor}, which does not come before it: the graph is cyclic or not in "
                "topological order; list every layer after its predecessors."
            )


def _read_only(values: list[Any]) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    array.flags.writeable = False
    return array
