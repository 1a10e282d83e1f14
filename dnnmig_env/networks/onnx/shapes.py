"""Infers the shapes of all tensors in an ONNX network, operator by operator, and computes shapes that are data.

ONNX's own inference over a whole model gives up where the network computes a shape itself, for example to reshape a
tensor to the shape of another, which exporters often write. So operators on known values are run for real here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TypeProto, ValueInfoProto, defs, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

Shape = tuple[int, ...]

_MOST_ELEMENTS = 2**20
"""Most elements of a constant whose values are kept; larger ones are weights, on whose values no shape depends."""


@dataclass(frozen=True)
class TensorType:
    """Shape and ONNX element type of a tensor."""

    shape: Shape
    element_type: int


def infer_types(model: onnx.ModelProto) -> Mapping[str, TensorType]:
    """Infer the shape and element type of each tensor.

    Args:
        model: A network whose inputs have fixed shapes.

    Returns:
        The type of each tensor whose shape could be inferred, by the tensor's name.

    Raises:
        ValueError: If an operator does not fit its operands.
    """
    inference = _Inference(model)
    for node in model.graph.node:
        inference.add(node)
    known = {name: _tensor_type(entry) for name, entry in inference.types.items()}
    return {name: tensor_type for name, tensor_type in known.items() if tensor_type is not None}


class _Inference:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.types: dict[str, TypeProto] = {}
        self._values: dict[str, NDArray[np.generic]] = {}
        self._model = model
        self._opsets = {entry.domain: entry.version for entry in model.opset_import}
        self._stored: dict[str, ValueInfoProto] = {entry.name: entry for entry in model.graph.value_info}
        for entry in model.graph.input:
            self.types[entry.name] = entry.type
        for tensor in model.graph.initializer:
            self.types[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            if not tensor.external_data and np.prod(tensor.dims) <= _MOST_ELEMENTS:
                self._values[tensor.name] = numpy_helper.to_array(tensor)

    def add(self, node: NodeProto) -> None:
        """Infer the types of an operator's outputs, and their values if they depend on constants and shapes alone."""
        value = self._value_of(node)
        if value is not None:
            self._values.update(zip(node.output, value, strict=False))
            for name, array in zip(node.output, value, strict=False):
                element_type = helper.np_dtype_to_tensor_dtype(array.dtype)
                self.types[name] = helper.make_tensor_type_proto(element_type, array.shape)
            return
        operands = [name for name in node.input if name]
        known = {name: self.types[name] for name in operands if name in self.types}
        data = {name: numpy_helper.from_array(self._values[name], name) for name in operands if name in self._values}
        opsets = list(self._model.opset_import)
        try:
            schema = defs.get_schema(node.op_type, self._opsets[node.domain], node.domain)
            inferred = shape_inference.infer_node_outputs(
                schema, node, known, data, opset_imports=opsets, ir_version=self._model.ir_version
            )
        except (KeyError, defs.SchemaError):  # not a standard operator: take the types that the file states
            inferred = {name: self._stored[name].type for name in node.output if name in self._stored}
        except shape_inference.InferenceError as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise ValueError(
                f"ONNX operator {node.op_type!r} (node {node.name or node.output[0]!r}) does not fit its operands: "
                f"{reason}; check the input shapes."
            ) from error
        self.types.update(inferred)

    def _value_of(self, node: NodeProto) -> Iterable[NDArray[np.generic]] | None:
        first = _tensor_type(self.types[node.input[0]]) if node.input and node.input[0] in self.types else None
        if node.op_type in ("Shape", "Size") and first is not None:
            limits = {attribute.name: attribute.i for attribute in node.attribute}
            shape = np.array(first.shape[limits.get("start", 0) : limits.get("end")], dtype=np.int64)
            return [shape] if node.op_type == "Shape" else [np.array(shape.prod(), dtype=np.int64)]
        operands = [name for name in node.input if name]
        if node.domain or not all(name in self._values for name in operands) or node.op_type.startswith("Random"):
            return None
        try:
            run = ReferenceEvaluator(node, opsets=self._opsets).run(
                None, {name: self._values[name] for name in operands}
            )
        except Exception:  # ONNX itself does not implement the operator: its type suffices
            return None
        arrays = [np.asarray(array) for array in run if isinstance(array, np.ndarray | np.generic)]
        return arrays if len(arrays) == len(run) else None


def _tensor_type(entry: TypeProto) -> TensorType | None:
    tensor = entry.tensor_type
    if not tensor.HasField("shape") or not all(size.HasField("dim_value") for size in tensor.shape.dim):
        return None
    return TensorType(tuple(size.dim_value for size in tensor.shape.dim), tensor.elem_type)
