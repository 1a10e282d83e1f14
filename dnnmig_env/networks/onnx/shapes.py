"""Infers the shapes of all tensors in an ONNX network, operator by operator, and computes shapes that are data.

ONNX's own inference over a whole model gives up where the network computes a shape itself, for example to reshape a
tensor to the shape of another, which exporters often write. So operators on known values are run for real here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import (
    NodeProto,
    TensorProto,
    TypeProto,
    checker,
    defs,
    external_data_helper,
    helper,
    numpy_helper,
    shape_inference,
)
from onnx.reference import ReferenceEvaluator

from dnnmig_env.networks.onnx.contributed import output_types
from dnnmig_env.networks.onnx.old_operators import as_today
from dnnmig_env.networks.onnx.operands import attributes_of, check_operands, described
from dnnmig_env.networks.onnx.tensor_type import Shape, TensorType, tensor_type

Array = NDArray[np.generic]

_MOST_ELEMENTS = 2**20
"""Most elements of a constant whose values are kept; larger ones are weights, on whose values no shape depends."""

_MOST_DATA = 1024
"""Most elements of a list of constants that ONNX's inference is told of, which is enough for shapes."""

_OLDEST = 7
"""Oldest operator set that is supported."""

_AS_FIRST_INPUT = frozenset({"GroupNormalization", "MeanVarianceNormalization", "SimplifiedLayerNormalization"})
_AS_COMPARED = {"GreaterOrEqual": "Greater", "LessOrEqual": "Less"}
"""Operators for which ONNX has no inference in some versions, and what they are like."""


class Inference:
    """The types of tensors and, where they depend on constants and shapes alone, their values.

    Args:
        model: A network whose inputs have fixed shapes.
        folder: Folder of the file, beside which stored tensors may lie in other files.
        sizes: Sizes of dynamic dimensions that are known, by their names.
    """

    def __init__(self, model: onnx.ModelProto, folder: Path, sizes: Mapping[str, int]) -> None:
        self.types: dict[str, TypeProto] = {}
        self.values: dict[str, Array] = {}
        self.opsets = {entry.domain: entry.version for entry in model.opset_import}
        self.missing_files: dict[str, str] = {}
        self._model, self._folder = model, folder
        self._makers: dict[str, NodeProto] = {}
        self._stated: dict[str, TypeProto] = {}
        self._sizes = sizes
        for entry in model.graph.output:
            self.state(entry.name, entry.type)

    def state(self, name: str, entry: TypeProto) -> None:
        """Declare the type of a tensor that the file states, which counts where none can be inferred."""
        self._stated[name] = _with_sizes(entry, self._sizes)

    def store(self, name: str, tensor: TensorProto) -> None:
        """Declare a tensor that the file stores."""
        stored = TensorType(tuple(tensor.dims), tensor.data_type)
        self.types[name] = stored.to_proto()
        if min(tensor.dims, default=0) < 0:
            raise ValueError(f"the stored tensor {name!r} has the shape {stored.shape}: the file is damaged.")
        if tensor.HasField("raw_data") and len(tensor.raw_data) != stored.num_bytes:
            raise ValueError(
                f"the stored tensor {name!r} has {len(tensor.raw_data)} bytes, but must have {stored.num_bytes}: the "
                "file is damaged; export it again."
            )
        if math.prod(tensor.dims) > _MOST_ELEMENTS:
            return
        is_external = external_data_helper.uses_external_data(tensor)
        try:
            if is_external:
                external_data_helper.load_external_data_for_tensor(tensor, str(self._folder))
                tensor.data_location = TensorProto.DEFAULT
            self.values[name] = numpy_helper.to_array(tensor)
        except (
            Exception
        ):  # onnx reports missing, short and forbidden files, and types that it cannot read, in many ways
            if is_external:
                self.missing_files[name] = external_data_helper.ExternalDataInfo(tensor).location

    def know(self, name: str, value: Array) -> None:
        """Declare a tensor whose value is known."""
        self.values[name] = value
        self.types[name] = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)

    def add(self, node: NodeProto) -> None:
        """Infer the types of an operator's outputs, and their values if they depend on constants and shapes alone.

        Raises:
            ValueError: If the operator does not fit its operands.
        """
        self._makers.update((name, node) for name in node.output if name)
        self.types.update(self._inferred(node))
        check_operands(node, self.shape_if_known)
        sizes = [math.prod(shape) for name in node.output if (shape := self.shape_if_known(name)) is not None]
        value = self._value_of(node) if max(sizes, default=0) <= _MOST_ELEMENTS else None
        for name, array in zip(node.output, value or [], strict=False):
            self.know(name, array)

    def type_of(self, name: str) -> TensorType:
        """Return a tensor's type.

        Raises:
            ValueError: If it is not known.
        """
        found = tensor_type(self.types[name]) if name in self.types else None
        if found is None:
            raise ValueError(self._why_unknown(name))
        return found

    def shape_of(self, name: str) -> Shape:
        """Return a tensor's shape; raise a ValueError if it is not known."""
        return self.type_of(name).shape

    def shape_if_known(self, name: str) -> Shape | None:
        """Return a tensor's shape, or None if it is not known."""
        found = tensor_type(self.types[name]) if name in self.types else None
        return None if found is None else found.shape

    def _why_unknown(self, name: str) -> str:
        """Return why a tensor's shape is not known: what is the matter with the first operator that caused it."""
        node = self._makers.get(name)
        while node is not None:
            unknown = [value for value in node.input if value in self._makers and self.shape_if_known(value) is None]
            if not unknown:
                break
            node = self._makers[unknown[0]]
        start = f"the shape of tensor {name!r} cannot be inferred"
        if self.missing_files:
            file = next(iter(self.missing_files.values()))
            return (
                f"{start}, because the file {file!r}, which holds stored tensors of the network, cannot be read; put "
                "it beside the network's file."
            )
        if node is None:
            return f"{start}: nothing computes it; export the network again."
        if node.domain or not defs.has(node.op_type, defs.onnx_opset_version(), ""):
            return (
                f"{start}: {described(node)} is not known, and the file does not state the shapes of what it returns; "
                "write them into the file (e.g. with onnxruntime.tools.symbolic_shape_infer), or export the network "
                "with standard operators."
            )
        if self.opsets.get("", 1) < _OLDEST:
            return (
                f"{start}: {described(node)} is of operator set {self.opsets.get('', 1)}; convert the file to set "
                f"{_OLDEST} or newer (onnx.version_converter)."
            )
        return (
            f"{start}: what {described(node)} returns has a shape that depends on values of the network's input; end "
            "the network before it (e.g. before the selection of boxes), or give the values of inputs that decide it."
        )

    def _inferred(self, node: NodeProto) -> dict[str, TypeProto]:
        outputs = [name for name in node.output if name]
        inferred = self._by_onnx(node)
        known = {name: found for name in node.input if (found := self._type_if_known(name)) is not None}
        first = known.get(node.input[0]) if node.input else None
        if not node.domain and node.op_type in _AS_FIRST_INPUT and first is not None:
            inferred[outputs[0]] = first.to_proto()
        elif not inferred and not node.domain and node.op_type in _AS_COMPARED:
            like = helper.make_node(_AS_COMPARED[node.op_type], node.input, node.output)
            inferred = self._by_onnx(like)
        elif node.op_type == "Compress" and not node.domain and first is not None and node.input[1] in self.values:
            kept, axis = int(self.values[node.input[1]].sum()), attributes_of(node).get("axis")
            shape = list(first.shape) if axis is not None else [kept]
            shape[axis or 0] = kept
            inferred[outputs[0]] = TensorType(tuple(shape), first.element_type).to_proto()
        elif not inferred and node.domain:
            inferred = {name: found.to_proto() for name, found in output_types(node, known, self.values).items()}
        for name in outputs:
            if (name not in inferred or tensor_type(inferred[name]) is None) and name in self._stated:
                inferred[name] = self._stated[name]
        return inferred

    def _type_if_known(self, name: str) -> TensorType | None:
        return tensor_type(self.types[name]) if name in self.types else None

    def _by_onnx(self, node: NodeProto) -> dict[str, TypeProto]:
        operands = [name for name in node.input if name]
        known = {name: self.types[name] for name in operands if name in self.types}
        data = {
            name: numpy_helper.from_array(self.values[name], name)
            for name in operands
            if name in self.values and self.values[name].ndim < 2 and self.values[name].size <= _MOST_DATA
        }
        opsets = dict(self.opsets)
        try:
            if not node.domain and not defs.has(node.op_type, opsets.get("", 1), ""):
                opsets[""] = defs.onnx_opset_version()  # ONNX Runtime writes new operators into files of old sets
            schema = defs.get_schema(node.op_type, opsets[node.domain], node.domain)
            imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
            return dict(
                shape_inference.infer_node_outputs(
                    schema, node, known, data, opset_imports=imports, ir_version=self._model.ir_version
                )
            )
        except (KeyError, defs.SchemaError):  # not a standard operator
            return {}
        except checker.ValidationError as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            version = self.opsets[node.domain]
            raise ValueError(
                f"{described(node)} is not valid in operator set {version}: {reason}; export the network again."
            ) from error
        except shape_inference.InferenceError as error:
            if not all(name in self.types for name in operands):
                return {}  # it complains of types that nobody knows
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise ValueError(
                f"{described(node)} does not fit its operands: {reason}; check the input shapes."
            ) from error

    def _value_of(self, node: NodeProto) -> list[Array] | None:
        first = self.shape_if_known(node.input[0]) if node.input else None
        if node.op_type in ("Shape", "Size") and first is not None and not node.domain:
            limits = {attribute.name: attribute.i for attribute in node.attribute}
            shape = np.array(first[limits.get("start", 0) : limits.get("end")], dtype=np.int64)
            return [shape] if node.op_type == "Shape" else [np.array(shape.prod(), dtype=np.int64)]
        operands = [name for name in node.input if name]
        if node.domain or not all(name in self.values for name in operands) or node.op_type.startswith("Random"):
            return None
        values, opsets = {name: self.values[name] for name in operands}, self.opsets
        if (today := as_today(node)) is not None:
            node, moved = today
            values, opsets = {**values, **moved}, {"": defs.onnx_opset_version()}
        try:
            run = ReferenceEvaluator(node, opsets=opsets).run(None, values)
        except Exception:  # ONNX itself does not implement the operator: its type suffices
            return None
        arrays = [np.asarray(array) for array in run if isinstance(array, np.ndarray | np.generic)]
        return arrays if len(arrays) == len(run) else None


def _with_sizes(entry: TypeProto, sizes: Mapping[str, int]) -> TypeProto:
    """Return a type in which dynamic dimensions of known names have their sizes."""
    named = [size for size in entry.tensor_type.shape.dim if size.dim_param in sizes]
    for size in named:
        size.dim_value = sizes[size.dim_param]
    return entry
