"""Writes small ONNX files for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dnnmig_env.networks.layer_graph import LayerGraph

Shape = Sequence[int | str]


def save(
    folder: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, Shape],
    outputs: list[str],
    stored: dict[str, Any] | None = None,
    input_type: int = TensorProto.FLOAT,
    opset: int = 20,
    domain: str = "",
) -> Path:
    """Write a network; stored tensors are arrays or ONNX tensors, `domain` is one more set of operators."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, input_type, shape) for name, shape in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [tensor(name, array) for name, array in (stored or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


def tensor(name: str, array: Any) -> TensorProto:
    """Return a stored tensor, given as an array or already as an ONNX tensor."""
    if isinstance(array, TensorProto):
        array.name = name
        return array
    return numpy_helper.from_array(np.asarray(array), name)


def body(nodes: list[onnx.NodeProto], inputs: str, outputs: str, stored: dict[str, Any] | None = None) -> Any:
    """Return the body of a branch or of a loop; the types of its inputs follow from what it is given."""
    return helper.make_graph(
        nodes,
        "body",
        [helper.make_empty_tensor_value_info(name) for name in inputs.split()],
        [helper.make_empty_tensor_value_info(name) for name in outputs.split()],
        [tensor(name, array) for name, array in (stored or {}).items()],
    )


def weights(*shape: int) -> Any:
    """Different numbers everywhere, as trained weights have."""
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def rows(graph: LayerGraph) -> list[tuple[Any, ...]]:
    """Return what matters of each layer."""
    return [(x.name, x.flops, x.weight_bytes, x.output_bytes, x.predecessors) for x in graph.layers]


def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    """Return an operator; tensors are separated by blanks, and "_" stands for one that is left out."""
    words = [[value.replace("_", "", value == "_") for value in text.split()] for text in (inputs, output)]
    return helper.make_node(operator, *words, name=f"/{output.split()[0]}", **attributes)
