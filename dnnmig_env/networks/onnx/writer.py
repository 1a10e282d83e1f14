"""The list of operators as which an ONNX network is written, with what is known of its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, SparseTensorProto, TensorProto, helper

from dnnmig_env.networks.onnx.operands import described
from dnnmig_env.networks.onnx.shapes import Inference
from dnnmig_env.networks.onnx.tensor_type import TensorType

MOST_OPERATORS = 50_000
"""Most operators that a network may have once its loops are written out."""


class Writer:
    """A growing list of operators without control flow, in the order in which they run.

    Args:
        inference: The types and values of the tensors that are known so far, to which those of each operator are added.

    Attributes:
        nodes: The operators.
        stored: For the name of each stored tensor None, or its bytes if it is stored as sparse.
        sequences: The tensors of each sequence, by the sequence's name.
    """

    def __init__(self, inference: Inference) -> None:
        self.inference = inference
        self.nodes: list[NodeProto] = []
        self.stored: dict[str, int | None] = {}
        self.sequences: dict[str, list[str]] = {}
        self._made: set[str] = set()

    def emit(self, node: NodeProto) -> None:
        """Add an operator.

        Raises:
            ValueError: If it does not fit its operands, makes a tensor that is there already, or is one too many.
        """
        if len(self.nodes) >= MOST_OPERATORS:
            raise ValueError(
                f"{described(node)} is number {MOST_OPERATORS + 1}, with loops written out; give shapes with fewer "
                "steps."
            )
        for value in node.output:
            if value in self._made:
                raise ValueError(
                    f"{described(node)} makes tensor {value!r}, which is there already; export the network again."
                )
        self._made.update(value for value in node.output if value)
        self.inference.add(node)
        self.nodes.append(node)

    def store(self, name: str, tensor: TensorProto) -> None:
        """Add a stored tensor."""
        self.stored[name] = None
        self._made.add(name)
        self.inference.store(name, tensor)

    def store_sparse(self, name: str, tensor: SparseTensorProto) -> None:
        """Add a tensor that is stored as its numbers other than zero and their places."""
        stored = [TensorType(tuple(part.dims), part.data_type) for part in (tensor.values, tensor.indices)]
        self.stored[name] = sum(part.num_bytes for part in stored)
        self.inference.types[name] = TensorType(tuple(tensor.dims), tensor.values.data_type).to_proto()

    def make(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """Add an operator that the file does not have."""
        self.emit(helper.make_node(kind, inputs, outputs, f"{kind}_{outputs[0]}", **attributes))

    def make_with(self, kind: str, source: str, outputs: Sequence[str], **settings: list[int]) -> None:
        """Add an operator whose settings are attributes in old operator sets and inputs in newer ones."""
        if self.inference.opsets.get("", 1) < _INPUTS_SINCE[kind]:
            self.make(kind, [source], outputs, **settings)
            return
        inputs = [source]
        for setting, numbers in settings.items():
            inputs.append(f"{setting} of {outputs[0]}")
            self.inference.know(inputs[-1], np.array(numbers, dtype=np.int64))
        self.make(kind, inputs, outputs)

    def rename(self, sources: Iterable[str], names: Iterable[str]) -> None:
        """Give tensors, or sequences of them, further names."""
        for source, name in zip(sources, names, strict=False):
            if name and source in self.sequences:
                self.sequences[name] = self.sequences[source]
            elif name:
                self.make("Identity", [source], [name])

    def known(self, node: NodeProto, value: str, what: str) -> NDArray[np.generic]:
        """Return the values of a tensor that decides how a network is written.

        Args:
            node: The operator that needs it.
            value: The tensor's name.
            what: What it says, in words.

        Raises:
            ValueError: If they are not known.
        """
        if value not in self.inference.values:
            raise ValueError(
                f"{described(node)} cannot be written out: {what} (tensor {value!r}) {self._reason(value)}."
            )
        return self.inference.values[value]

    def number(self, node: NodeProto, value: str, what: str) -> int:
        """Return the only value of such a tensor; raise a ValueError if it is not known, or has several."""
        numbers = self.known(node, value, what).reshape(-1)
        if len(numbers) != 1:
            raise ValueError(f"{described(node)}: {what} (tensor {value!r}) has {len(numbers)} values instead of one.")
        return int(numbers[0])

    def _reason(self, value: str) -> str:
        files = self.inference.missing_files
        if value in files or (files and value in self._made):
            file = files.get(value, next(iter(files.values())))
            how = "is in" if value in files else "may follow from"
            return f"{how} the file {file!r}, which cannot be read; put it beside the network's file"
        return (
            f"{_UNKNOWN if value in self._made else 'is an input of the network'}; export the network without it, or "
            "give the value of an input that decides it (--input-value NAME=VALUE, or input_values in a scenario file)"
        )

    def stack(self, node: NodeProto, name: str, parts: list[str], axis: int) -> None:
        """Put the tensors that the steps of a loop returned side by side along a new axis."""
        if not name:
            return
        if not parts:
            raise ValueError(
                f"{described(node)} runs no step, so that its output {name!r} is empty; give other shapes."
            )
        for part in parts:
            self.make_with("Unsqueeze", part, [f"{part} in {name}"], axes=[axis])
        self.make("Concat", [f"{part} in {name}" for part in parts], [name], axis=axis)

    def sequence(self, node: NodeProto) -> list[str]:
        """Return the tensors of the sequence that an operator reads."""
        if node.input[0] not in self.sequences:
            raise ValueError(
                f"{described(node)} reads a sequence of tensors whose number {_UNKNOWN}; export it without."
            )
        return self.sequences[node.input[0]]


_UNKNOWN = "is computed from values of the network's input"

_INPUTS_SINCE = {"Slice": 10, "Squeeze": 13, "Unsqueeze": 13}
"""Operator sets since which settings are inputs."""
