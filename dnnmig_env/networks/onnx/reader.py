"""Makes a `LayerGraph` from an ONNX file: the file's operators, with the shapes that ONNX infers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import NodeProto, TensorProto, inliner

from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.onnx.contributed import contributed_flops
from dnnmig_env.networks.onnx.control_flow import Flattening
from dnnmig_env.networks.onnx.inputs import Given, Inputs, fixed_inputs
from dnnmig_env.networks.onnx.operands import described
from dnnmig_env.networks.onnx.operators import READS_SHAPE_ONLY, SETTINGS, SLICES, VIEWS, flops
from dnnmig_env.networks.onnx.shapes import Inference
from dnnmig_env.networks.onnx.tensor_type import TensorType
from dnnmig_env.networks.operator_log import OperatorLog, Read

_NO_PARAMETER_TYPES = frozenset({TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING})


def import_onnx(
    path: str | Path, *input_shapes: Sequence[int], name: str | None = None, given: Given | None = None
) -> LayerGraph:
    """Read an ONNX network as a layer graph, by the rules of `dnnmig_env.networks.tracing.trace`.

    These rules differ:

    - Every reshape, transpose, slice, split and selection of one element is a view, as ONNX does not say which of them
      copy.
    - Weights are all stored tensors except 64-bit integers (shapes, indices), single numbers, running statistics and
      settings such as the factors of a resize, since ONNX does not say which tensors were trained. They have the bytes
      of the file: two elements of 4 bits make one. What is computed from weights alone costs no FLOPs, as whoever runs
      the file does that once.
    - Branches and loops are written out (see `control_flow`).
    - Operators of ONNX Runtime are known as far as `contributed` says. Where FLOPs are not known, the graph's `origin`
      names the operators; weights that no operator needs for the outputs are named there too.
    - State (see `inputs.Given`) is neither sent nor returned; reading and writing it is memory traffic of its layers.

    Args:
        path: The file; weights that are stored in files beside it are not read.
        *input_shapes: Shape of each input, in the file's order. They are needed if a dimension other than the batch is
            dynamic; by default a dynamic batch is 1.
        name: Name of the network; by default the file's name.
        given: What else is known of the inputs.

    Raises:
        ValueError: If the file is missing or damaged, operands of an operator do not fit each other, a shape cannot be
            inferred, or the course of the network depends on values of its input.
    """
    path = Path(path)
    model = _read(path)
    given = given or Given()
    inputs = fixed_inputs(model, replace(given, shapes=input_shapes) if input_shapes else given)
    return _Reader(model, path, inputs).to_graph(name or path.stem)


class _Reader:
    """Logs the operators (nodes) of an ONNX graph, one after another."""

    def __init__(self, model: onnx.ModelProto, path: Path, inputs: Inputs) -> None:
        self._inputs, self._path = inputs, path
        self._known = Inference(model, path.parent, inputs.sizes)
        for name, entry in inputs.types.items():
            self._known.types[name] = entry.to_proto()
        for name, value in inputs.values.items():
            self._known.know(name, value)
        self._network = Flattening(self._known)
        self._network.add_graph(model.graph, {})
        outputs = [entry.name for entry in model.graph.output]
        self._outputs = [tensor for name in outputs for tensor in self._network.sequences.get(name, [name])]
        self._log = OperatorLog()
        self._views: dict[str, Read] = {}
        self._weight_bytes = 0
        self._unknown: dict[str, None] = {}
        nodes = self._network.nodes
        self._uses = Counter(value for node in nodes for value in node.input)
        self._uses.update(self._outputs)
        settings = Counter(
            node.input[place] for node in nodes for place in SETTINGS.get(node.op_type, ()) if place < len(node.input)
        )
        self._settings = {value for value, count in settings.items() if count == self._uses[value]}

    def to_graph(self, name: str) -> LayerGraph:
        """Return the graph of the operators that the network's outputs depend on."""
        state = self._inputs.state
        for value, entry in self._inputs.types.items():
            if value in state:
                self._log.add_state(value, entry.num_bytes)
            elif value not in self._inputs.values:
                self._log.add_input(value, entry.num_bytes)
        for value, num_bytes in self._network.stored.items():
            self._add_stored(value, num_bytes)
        for node in self._network.nodes:
            self._add(node)
        returned = [self._look_at(value) for value in self._outputs if value not in state]
        kept = [self._look_at(value) for value in self._outputs if value in state]
        graph = self._log.to_graph(name, returned, self._origin(), kept=kept)
        skipped = sum(map(_stored_bytes, self._network.skipped))
        unread = self._weight_bytes + skipped - int(graph.weight_bytes.sum())
        return (
            replace(graph, origin=f"{graph.origin}; without {unread} bytes of weights that it never reads")
            if unread
            else graph
        )

    def _origin(self) -> str:
        parts = [f"imported from {self._path.name} with onnx {onnx.__version__}, {self._inputs}"]
        if self._inputs.state:
            parts.append(f"state that stays where it is used: {', '.join(_in_short(self._inputs.state))}")
        if self._unknown:
            parts.append(f"FLOPs of {', '.join(self._unknown)} are not known and count as 0")
        return "; ".join(parts)

    def _add(self, node: NodeProto) -> None:
        """Log one operator."""
        operands = [value for value in node.input if value]
        outputs = [value for value in node.output if self._uses[value]]
        if node.op_type == "Constant" and not node.domain:
            self._add_stored(node.output[0], None)
        elif node.op_type in READS_SHAPE_ONLY and not node.domain:
            self._log.add_operator(node.name, 0.0, [], dict.fromkeys(outputs, 0))
        elif not any(self._log.depends_on_input(self._look_at(value).value) for value in operands):
            # Whoever runs the file computes constants once, but not those within the steps of a loop.
            count = self._flops(node) if node.output[0] in self._network.repeated else 0.0
            self._log.add_operator(node.name, count, map(self._look_at, operands), dict.fromkeys(outputs, 0))
        elif node.op_type in VIEWS and not node.domain:
            self._views[node.output[0]] = self._look_at(operands[0])
        elif self._is_slice(node):
            root = self._look_at(operands[0]).value
            self._views.update((value, Read(root, value, self._num_bytes(value))) for value in outputs)
        else:
            writes = {value: self._num_bytes(value) for value in outputs}
            reads = [self._look_at(value) for value in operands]
            if node.domain == "ai.onnx.ml" and (num_bytes := _attribute_bytes(node)):
                # Classic models, such as trees, store their parameters in attributes.
                weight = f"attributes of {node.output[0]}"
                self._weight_bytes += num_bytes
                self._log.add_weight(weight, num_bytes)
                reads.append(Read(weight, None, 0))
            self._log.add_operator(_layer_name(node), self._flops(node), reads, writes)

    def _is_slice(self, node: NodeProto) -> bool:
        """Return whether an operator's outputs are parts of its first input."""
        if node.op_type == "Gather" and not node.domain and node.input[1] in self._known.values:
            return self._known.values[node.input[1]].size == 1
        return node.op_type in SLICES and not node.domain

    def _flops(self, node: NodeProto) -> float:
        try:
            count = flops(node, self._known.shape_of)
        except IndexError:
            raise ValueError(f"{described(node)} does not fit its operands: one has too few dimensions.") from None
        if count is None:
            known = {value: self._known.type_of(value) for value in node.input if value in self._known.types}
            count = contributed_flops(node, known, self._known.values)
        if count is None:
            self._unknown[f"{node.domain}.{node.op_type}".lstrip(".")] = None
        return count or 0.0

    def _look_at(self, value: str) -> Read:
        """Return the part of memory that a tensor shows."""
        if value in self._views:
            return self._views[value]
        # The size of a constant does not matter, and may be unknown.
        return Read(value, None, self._num_bytes(value) if self._log.depends_on_input(value) else 0)

    def _num_bytes(self, value: str) -> int:
        return self._known.type_of(value).num_bytes

    def _add_stored(self, name: str, num_bytes: int | None) -> None:
        """Declare a stored tensor if it is a weight; `num_bytes`: its bytes in the file if it is stored as sparse."""
        entry = self._known.type_of(name)
        if entry.shape and name not in self._settings and entry.element_type not in _NO_PARAMETER_TYPES:
            size = entry.num_bytes if num_bytes is None else num_bytes
            self._weight_bytes += size
            self._log.add_weight(name, size)


def _read(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; give an existing ONNX file.") from error
    except DecodeError as error:
        raise ValueError(f"cannot read {path}: it is damaged or no ONNX file; export it again.") from error
    if not model.graph.node:
        raise ValueError(f"cannot read {path}: it holds no operators; give a complete ONNX file.")
    for entry in (*model.opset_import, *_nodes_of(model.graph)):
        if entry.domain == "ai.onnx":  # another name of the standard operators
            entry.domain = ""
    return inliner.inline_local_functions(model) if model.functions else model


def _nodes_of(graph: onnx.GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes_of(attribute.g)


def _stored_bytes(graph: onnx.GraphProto) -> int:
    """Return the bytes of the weights that a branch stores, the branches in it included."""
    nodes = list(_nodes_of(graph))
    tensors = [*graph.initializer]
    for node in nodes:
        for attribute in node.attribute:
            tensors += [attribute.t] if node.op_type == "Constant" and attribute.name == "value" else []
            tensors += attribute.g.initializer
    types = [TensorType(tuple(tensor.dims), tensor.data_type) for tensor in tensors]
    return sum(entry.num_bytes for entry in types if entry.shape and entry.element_type not in _NO_PARAMETER_TYPES)


def _attribute_bytes(node: NodeProto) -> int:
    """Return the bytes of the lists of numbers and the tensors in an operator's attributes."""
    tensors = [attribute.t for attribute in node.attribute if attribute.HasField("t")]
    stored = sum(TensorType(tuple(tensor.dims), tensor.data_type).num_bytes for tensor in tensors)
    return stored + sum(4 * len(attribute.floats) + 8 * len(attribute.ints) for attribute in node.attribute)


def _layer_name(node: NodeProto) -> str:
    return node.name.strip("/") or f"{node.op_type}_{node.output[0]}"


def _in_short(names: frozenset[str]) -> list[str]:
    """Return names in order, those that differ by numbers alone as one with * in place of the numbers."""
    return sorted({re.sub(r"\d+", "*", name) for name in names})
