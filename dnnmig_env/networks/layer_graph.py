"""A DNN as a directed acyclic graph of layers, with what each layer computes, reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from dnnmig_env.arrays import Bools, Floats

NETWORK_INPUT = -1
"""Index that stands for the network's first input among a layer's predecessors; -2 is the second input, and so on."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a DNN, or several layers that were fused or merged into one.

    Attributes:
        name: Name, unique within its graph.
        flops: Floating-point operations of one inference (a multiply-add counts as two).
        weight_bytes: Bytes to upload before a server can run the layer; 0 for a weightless layer. Weights that several
            layers use count once, in one of these layers; the others name it in `shares`.
        output_bytes: Bytes of the layer's output, of all its tensors together.
        predecessors: Indices of the layers whose outputs it reads, ascending; `NETWORK_INPUT` (-1) stands for the
            network's first input, -2 for its second, and so on.
        internal_bytes: Bytes of memory traffic beyond inputs, own weights and output, e.g. for reading weights that
            belong to another layer. Fusing and merging add the traffic of tensors that became internal, so that the
            total traffic is conserved.
        operators: Number of operators that a node launches to run the layer, each of which takes the node's
            `layer_overhead_s`. One for a single operator, zero for a view (reshape, dropout in inference), the sum over
            the parts after fusing and merging.
        shares: Indices of other layers whose weights the layer needs besides its own, ascending. A server can run the
            layer only while it holds these as well; they are uploaded with the layers that they belong to.
        on_device: Whether the layer has to run on the user's device, e.g. because what it reads is private.
    """

    name: str
    flops: float
    weight_bytes: int
    output_bytes: int
    predecessors: tuple[int, ...]
    internal_bytes: int = 0
    operators: int = 1
    shares: tuple[int, ...] = ()
    on_device: bool = False


@dataclass(frozen=True)
class LayerGraph:
    """A DNN: its layers in topological order.

    Attributes:
        name: Name of the network.
        input_bytes: Bytes of one query's input, of all its tensors together.
        layers: Layers in topological order.
        origin: How the graph was made (command and versions); free text.
        inputs: Bytes of each input tensor, for a network with several; empty if there is one, of `input_bytes`.
        outputs: Indices of the layers whose outputs return to the device, ascending. Empty if these are the layers that
            no layer reads; else other layers may read an output as well, and what neither returns nor is read stays
            where it was computed (as the cache of a language model does).

    Raises:
        ValueError: If the graph is empty or cyclic, a name repeats, a layer reads nothing, a number is negative, NaN
            or infinite, `inputs` do not add up to `input_bytes`, or `shares` or `outputs` name what is not there.
    """

    name: str
    input_bytes: int
    layers: tuple[Layer, ...]
    origin: str = field(default="", compare=False)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError(f"network {self.name!r} has no layers; give at least one.")
        _check_number(self.name, "input_bytes", self.input_bytes)
        for number, size_bytes in enumerate(self.inputs):
            _check_number(self.name, f"inputs[{number}]", size_bytes)
        if self.inputs and sum(self.inputs) != self.input_bytes:
            raise ValueError(
                f"{self.name}: inputs is {list(self.inputs)}, together {sum(self.inputs)} bytes, but input_bytes is "
                f"{self.input_bytes}; make them agree."
            )
        _check_indices(f"{self.name}: outputs", self.outputs, len(self.layers))
        seen: set[str] = set()
        for index, layer in enumerate(self.layers):
            where = f"{self.name}: layer {index} ({layer.name!r})"
            if layer.name in seen:
                raise ValueError(f"{where} repeats an earlier name; layer names must be unique.")
            seen.add(layer.name)
            for quantity in ("flops", "weight_bytes", "output_bytes", "internal_bytes", "operators"):
                _check_number(where, quantity, getattr(layer, quantity))
            _check_predecessors(where, index, layer.predecessors, len(self.layers), self.num_inputs)
            _check_indices(f"{where}: shares", layer.shares, len(self.layers))
            for owner in layer.shares:
                if owner == index or not self.layers[owner].weight_bytes:
                    raise ValueError(
                        f"{where} shares weights of layer {owner}, which "
                        f"{'is itself' if owner == index else 'has none'}; name other layers with weights."
                    )

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
    def movable(self) -> Bools:
        """Which layers can be uploaded, shape (L,): those that have weights and need not stay on the device."""
        movable = np.array([layer.weight_bytes > 0 and not layer.on_device for layer in self.layers])
        movable.flags.writeable = False
        return movable

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
                if predecessor >= 0:
                    found[predecessor].append(index)
        return tuple(tuple(successors) for successors in found)

    @cached_property
    def output_layers(self) -> tuple[int, ...]:
        """Indices of the layers whose outputs return to the device: `outputs` or, if empty, those that nobody reads."""
        return self.outputs or tuple(index for index, successors in enumerate(self.successors) if not successors)

    @property
    def num_inputs(self) -> int:
        """Number of input tensors of a query."""
        return len(self.inputs) or 1

    def tensor_bytes(self, index: int) -> int:
        """Return the bytes of one layer's output or, for `NETWORK_INPUT` and the indices below, of an input."""
        if index >= 0:
            return self.layers[index].output_bytes
        return self.inputs[NETWORK_INPUT - index] if self.inputs else self.input_bytes

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
                "shares": list(layer.shares),
                "on_device": layer.on_device,
            }
            for layer in self.layers
        ]
        return {
            "name": self.name,
            "input_bytes": self.input_bytes,
            "origin": self.origin,
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "layers": rows,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LayerGraph:
        """Build a graph from what `to_dict` returned.

        Raises:
            ValueError: If a key is missing or unknown, or the graph is not valid.
        """
        try:
            layers = tuple(
                Layer(**{**row, "predecessors": tuple(row["predecessors"]), "shares": tuple(row.get("shares", ()))})
                for row in data["layers"]
            )
            inputs, outputs = tuple(data.get("inputs", ())), tuple(data.get("outputs", ()))
            return cls(data["name"], data["input_bytes"], layers, data.get("origin", ""), inputs, outputs)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"network {data.get('name', '?')!r}: {error}; expected the keys name, input_bytes and layers, "
                "each layer with name, flops, weight_bytes, output_bytes and predecessors."
            ) from error


def _check_number(where: str, quantity: str, value: float) -> None:
    if not (np.isfinite(value) and value >= 0):
        raise ValueError(f"{where}: {quantity} is {value!r}; it must be finite and not negative.")


def _check_predecessors(where: str, index: int, predecessors: tuple[int, ...], count: int, num_inputs: int) -> None:
    if not predecessors:
        raise ValueError(f"{where} reads nothing; use predecessors=[{NETWORK_INPUT}] for the network's input.")
    if list(predecessors) != sorted(set(predecessors)):
        raise ValueError(f"{where} has predecessors {list(predecessors)}; list each once, in ascending order.")
    for predecessor in predecessors:
        if not -num_inputs <= predecessor < count:
            raise ValueError(
                f"{where} has predecessor {predecessor}; known layers are 0 to {count - 1}, known inputs "
                f"{NETWORK_INPUT} to {-num_inputs}."
            )
        if predecessor >= index:
            raise ValueError(
                f"{where} reads layer {predecessor}, which does not come before it: the graph is cyclic or not in "
                "topological order; list every layer after its predecessors."
            )


def _check_indices(what: str, indices: tuple[int, ...], count: int) -> None:
    if list(indices) != sorted(set(indices)) or not all(0 <= index < count for index in indices):
        raise ValueError(
            f"{what} is {list(indices)}; list layers from 0 to {count - 1}, each once, in ascending order."
        )


def _read_only(values: list[Any]) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    array.flags.writeable = False
    return array
