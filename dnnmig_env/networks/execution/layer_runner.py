"""Runs the layers of a prepared graph one by one, each with nothing but its weights and the values that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor

from dnnmig_env.networks.execution.cuts import LayerCut
from dnnmig_env.networks.execution.steps import Look, Values
from dnnmig_env.networks.execution.tape import Tape
from dnnmig_env.networks.layer_graph import LayerGraph


class LayerRunner:
    """The layers of one network on one node, ready to run.

    Args:
        graph: The prepared graph.
        cuts: Its layers.
        kept: Constants that every node has.
        tape: The recorded forward pass.
        result: How the network's result looks at its values.
        inputs: The tensors of the network's inputs.

    Attributes:
        graph: The prepared graph.
        cuts: Its layers.
        inputs: The values of the network's inputs.
    """

    def __init__(
        self,
        graph: LayerGraph,
        cuts: tuple[LayerCut, ...],
        kept: Values,
        tape: Tape,
        result: Sequence[Look],
        inputs: Sequence[Tensor],
    ) -> None:
        self.graph, self.cuts = graph, cuts
        self.inputs = tuple(range(len(inputs)))
        self._tape, self._result = tape, tuple(result)
        self._everywhere = {**tape.given, **kept}
        self._input_tensors = [tensor.detach().clone() for tensor in inputs]

    def begin(self, with_inputs: bool) -> Values:
        """Return the values that a node has at the start of a query: weights, constants and, on the device, inputs."""
        values = dict(self._everywhere)
        if with_inputs:
            values.update(zip(self.inputs, self._input_tensors, strict=True))
        return values

    def run(self, layer: int, values: Values) -> None:
        """Run one layer on the values that a node has, and add those that it makes."""
        with torch.no_grad():
            for step, needed in self.cuts[layer].steps:
                step.run(values, needed)

    def run_all(self) -> Values:
        """Run all layers in order and return all values."""
        values = self.begin(with_inputs=True)
        for layer in range(len(self.graph)):
            self.run(layer, values)
        return values

    def result(self, values: Values) -> list[Tensor]:
        """Return the tensors that the network returns."""
        return [look.at(values[look.value]) for look in self._result]

    def num_bytes(self, value: int) -> int:
        """Return the bytes of a value."""
        return self._tape.num_bytes[value]

    def sent_bytes(self, layer: int) -> int:
        """Return the bytes that leave a layer, which for most layers are the `output_bytes` of the graph."""
        return sum(map(self.num_bytes, self.cuts[layer].sends))

    def received(self, value: int) -> tuple[Tensor, memoryview]:
        """Return a tensor for a value that another node sends, and its memory, to be filled."""
        made = self._tape.made(value)
        raw = torch.empty(self.num_bytes(value), dtype=torch.uint8)
        tensor = torch.empty(0, dtype=made.dtype)
        tensor.set_(raw.untyped_storage(), made.storage_offset(), made.size(), made.stride())
        return tensor, memory_of(tensor)

    def weights(self, layer: int) -> list[memoryview]:
        """Return the memory of each of a layer's own weights, in the order in which they are sent."""
        return [memory_of(self._everywhere[value]) for value in self.cuts[layer].weights]

    def input_tensor(self, value: int) -> Tensor:
        """Return the tensor of one of the network's inputs."""
        return self._input_tensors[value]

    def forget_weights(self, held: Sequence[int] = ()) -> None:
        """Overwrite all weights that have to be sent, so that no layer works before its weights have arrived.

        Args:
            held: Layers whose weights are here from the start.
        """
        for layer in set(range(len(self.graph))) - set(held):
            for value in self.cuts[layer].weights:
                tensor = self._everywhere[value]
                with suppress(RuntimeError), torch.no_grad():
                    tensor.fill_(float("nan"))


def memory_of(tensor: Tensor) -> memoryview:
    """Return all memory that a tensor looks at, as bytes."""
    raw = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
    return raw.numpy().data
