"""Makes a `LayerGraph` from an ONNX file: the file's operators, with the shapes that ONNX infers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, inliner

from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.onnx.operators import READS_SHAPE_ONLY, SETTINGS, SLICES, VIEWS, flops
from dnnmig_env.networks.onnx.shapes import Shape, infer_types
from dnnmig_env.networks.operator_log import OperatorLog, Read

_NO_PARAMETER_TYPES = frozenset({TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING})


def import_onnx(path: str | Path, *input_shapes: Sequence[int], name: str | None = None) -> LayerGraph:
    """Read an ONNX network as a layer graph, by the rules of `dnnmig_env.networks.tracing.trace`.

    Two rules differ. Every reshape, transpose, slice and split is a view, as ONNX does not say which of them copy.
    Weights are all stored tensors except integers (shapes, indices), single numbers, running statistics and settings
    such as the factors of a resize, since ONNX does not say which tensors were trained.

    Args:
        path: The file; weights that are stored in files beside it are not read.
        *input_shapes: Shape of each input, in the file's order. They are needed if a dimension other than the batch is
            dynamic; by default a dynamic batch is 1.
        name: Name of the network; by default the file's name.

    Raises:
        ValueError: If the file is missing or damaged, an operator is unknown, or a shape cannot be inferred.
    """
    path = Path(path)
    model = _read(path)
    inputs = _fix_input_shapes(model, input_shapes)
    reader = _Reader(model)
    for entry in inputs:
        reader.log.add_input(entry.name, reader.num_bytes(entry.name))
    for node in model.graph.node:
        reader.add(node)
    outputs = [reader.look_at(output.name) for output in model.graph.output]
    origin = f"imported from {path.name} with onnx {onnx.__version__}"
    return reader.log.to_graph(name or path.stem, outputs, origin)


class _Reader:
    """Logs the operators (nodes) of an ONNX graph, one after another."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.log = OperatorLog()
        self._types = infer_types(model)
        self._views: dict[str, Read] = {}
        self._uses = Counter(value for node in graph.node for value in node.input)
        self._uses.update(output.name for output in graph.output)
        settings = Counter(
            node.input[place]
            for node in graph.node
            for place in SETTINGS.get(node.op_type, ())
            if place < len(node.input)
        )
        self._settings = {value for value, count in settings.items() if count == self._uses[value]}
        for tensor in graph.initializer:
            self._add_stored(tensor.name, tensor)

    def add(self, node: NodeProto) -> None:
        """Log one operator."""
        operands = [value for value in node.input if value]
        outputs = [value for value in node.output if self._uses[value]]
        if node.op_type == "Constant":
            if node.attribute[0].HasField("t"):
                self._add_stored(node.output[0], node.attribute[0].t)
        elif node.op_type in READS_SHAPE_ONLY:
            self.log.add_operator(node.name, 0.0, [], dict.fromkeys(outputs, 0))
        elif not any(self.log.depends_on_input(self.look_at(value).value) for value in operands):
            self.log.add_operator(node.name, 0.0, map(self.look_at, operands), dict.fromkeys(outputs, 0))
        elif node.op_type in VIEWS:
            self._views[node.output[0]] = self.look_at(operands[0])
        elif node.op_type in SLICES:
            root = self.look_at(operands[0]).value
            self._views.update((value, Read(root, value, self.num_bytes(value))) for value in outputs)
        else:
            name = node.name.strip("/") or f"{node.op_type}_{node.output[0]}"
            count = flops(node, self.shape_of)
            writes = {value: self.num_bytes(value) for value in outputs}
            self.log.add_operator(name, count, map(self.look_at, operands), writes)

    def look_at(self, value: str) -> Read:
        """Return the part of memory that a tensor shows."""
        if value in self._views:
            return self._views[value]
        # The size of a constant does not matter, and may be unknown.
        return Read(value, None, self.num_bytes(value) if self.log.depends_on_input(value) else 0)

    def shape_of(self, value: str) -> Shape:
        """Return a tensor's shape.

        Raises:
            ValueError: If it is not known.
        """
        if value not in self._types:
            raise ValueError(
                f"the shape of tensor {value!r} cannot be inferred; give the shape of every input, or store the "
                "network with fixed shapes (e.g. with onnxsim)."
            )
        return self._types[value].shape

    def num_bytes(self, value: str) -> int:
        """Return a tensor's bytes."""
        return math.prod(self.shape_of(value)) * _item_bytes(self._types[value].element_type)

    def _add_stored(self, name: str, tensor: TensorProto) -> None:
        """Declare a stored tensor if it is a weight."""
        if tensor.dims and name not in self._settings and tensor.data_type not in _NO_PARAMETER_TYPES:
            self.log.add_weight(name, self.num_bytes(name))


def _read(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; give an existing ONNX file.") from error
    except DecodeError as error:
        raise ValueError(f"cannot read {path}: it is damaged or no ONNX file; export it again.") from error
    if not model.graph.node:
        raise ValueError(f"cannot read {path}: it holds no operators; give a complete ONNX file.")
    return inliner.inline_local_functions(model) if model.functions else model


def _fix_input_shapes(model: onnx.ModelProto, input_shapes: Sequence[Sequence[int]]) -> list[ValueInfoProto]:
    """Write fixed shapes into the network's inputs and return these inputs; stored tensors do not count as inputs."""
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in stored]
    if input_shapes and len(input_shapes) != len(inputs):
        names = ", ".join(entry.name for entry in inputs)
        raise ValueError(f"{len(input_shapes)} input shapes for {len(inputs)} inputs ({names}); give one for each.")
    for position, entry in enumerate(inputs):
        dimensions = entry.type.tensor_type.shape.dim
        fixed = [dimension.dim_value if dimension.dim_value > 0 else None for dimension in dimensions]
        shape = list(input_shapes[position]) if input_shapes else [1, *fixed[1:]] if fixed[:1] == [None] else fixed
        if None in shape or len(shape) != len(fixed):
            sizes = zip(fixed, dimensions, strict=True)
            text = ", ".join(str(size or dimension.dim_param or "?") for size, dimension in sizes)
            given = f", not {shape}" if input_shapes else ""
            raise ValueError(f"input {entry.name!r} has the shape ({text}){given}; give input shapes that fix it.")
        for dimension, size in zip(dimensions, shape, strict=True):
            dimension.dim_value = size
    return inputs


def _item_bytes(element_type: int) -> int:
    return int(helper.tensor_dtype_to_np_dtype(element_type).itemsize)
