"""What a caller says of inputs: shapes, sizes of dimensions, and state that is neither sent nor returned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dnnmig_env.networks.onnx.inputs import Given
from dnnmig_env.networks.onnx.reader import import_onnx
from tests.dnnmig_env.networks.onnx.files import node, save, weights

CACHED = [
    node("MatMul", "x wk", "key"),
    node("Concat", "past.0.key key", "present.0.key", axis=1),
    node("Transpose", "present.0.key", "keys", perm=[0, 2, 1]),
    node("MatMul", "x keys", "scores"),
]
"""One step of attention with a cache of keys: batch, past tokens, four numbers each."""


def cached(folder: Path) -> Path:
    past = ("batch", "past_sequence", 4)
    return save(
        folder, CACHED, {"x": ("batch", 1, 4), "past.0.key": past}, ["scores", "present.0.key"], {"wk": weights(4, 4)}
    )


def test_the_cache_of_a_decoder_stays_where_it_is_read(tmp_path: Path) -> None:
    graph = import_onnx(cached(tmp_path), given=Given(sizes={"past_sequence": 127}))
    _, concat, scores = graph.layers
    assert (graph.input_bytes, graph.inputs, graph.outputs) == (16, (), ())
    assert [layer.predecessors for layer in graph.layers] == [(-1,), (0,), (-1, 1)]
    assert (concat.output_bytes, concat.internal_bytes) == (128 * 16, 127 * 16)
    assert (scores.flops, scores.output_bytes) == (2 * 4 * 128, 128 * 4)
    assert "state that stays where it is used: past.*.key, present.*.key" in graph.origin
    assert [graph.layers[index].name for index in graph.output_layers] == ["scores"]


def test_inputs_that_are_marked_are_state_besides_those_that_are_recognised(tmp_path: Path) -> None:
    given = Given(sizes={"past_sequence": 127}, marked=("past.0.key",))
    assert import_onnx(cached(tmp_path), given=given).outputs == ()
    graph = import_onnx(cached(tmp_path), given=Given(sizes={"past_sequence": 127}, state=(), marked=("past.0.key",)))
    assert (graph.inputs, graph.outputs) == ((), (1, 2))
    with pytest.raises(
        ValueError, match=r"'past' is not the name of an input of this network; there are x, past.0.key"
    ):
        import_onnx(cached(tmp_path), given=Given(sizes={"past_sequence": 127}, marked=("past",)))


def test_without_state_the_cache_crosses_the_links(tmp_path: Path) -> None:
    graph = import_onnx(cached(tmp_path), given=Given(sizes={"past_sequence": 127}, state=()))
    assert (graph.input_bytes, graph.inputs) == (16 + 127 * 16, (16, 127 * 16))
    assert [layer.predecessors for layer in graph.layers] == [(-1,), (-2, 0), (-1, 1)]
    assert graph.outputs == (1, 2)
    assert "state" not in graph.origin


def test_what_is_kept_and_read_by_nobody_stays_with_its_layer(tmp_path: Path) -> None:
    nodes = [node("Concat", "past x", "present", axis=1), node("Relu", "x", "y")]
    path = save(tmp_path, nodes, {"x": (1, 1, 4), "past": (1, 7, 4)}, ["y", "present"])
    graph = import_onnx(path)
    concat, relu = graph.layers
    assert (concat.output_bytes, concat.internal_bytes) == (0, 8 * 16 + 7 * 16)
    assert (graph.outputs, relu.output_bytes) == ((1,), 16)
    assert graph.bytes_moved[0] == 16 + 7 * 16 + 8 * 16


def test_any_inputs_and_outputs_can_be_called_state(tmp_path: Path) -> None:
    path = save(tmp_path, [node("Add", "x h", "hn"), node("Relu", "hn", "y")], {"x": (1, 4), "h": (1, 4)}, ["y", "hn"])
    assert import_onnx(path).inputs == (16, 16)
    assert import_onnx(path).outputs == (0, 1)
    graph = import_onnx(path, given=Given(state=("h*",)))
    assert (graph.input_bytes, graph.inputs, graph.outputs) == (16, (), ())
    with pytest.raises(
        ValueError, match=r"'hh' is not the name of an input or output of this network; did you mean 'h"
    ):
        import_onnx(path, given=Given(state=("hh",)))


@pytest.mark.parametrize("length", ["past_sequence_length", "past_len", "past_seqlen"])
def test_lengths_are_no_cache(tmp_path: Path, length: str) -> None:
    nodes = [node("Add", f"x {length}", "y"), node("Concat", "past_key x", "present_key", axis=0)]
    path = save(tmp_path, nodes, {"x": (1, 4), length: (1,), "past_key": (7, 4)}, ["y", "present_key"])
    assert import_onnx(path).inputs == (16, 4)


def test_inputs_are_told_apart(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "image w", "c"),
        node("ReduceMean", "c axes", "m", keepdims=0),
        node("MatMul", "vector v", "p"),
        node("Add", "m p", "y"),
    ]
    stored = {"w": weights(8, 3, 3, 3), "v": weights(16, 8), "axes": np.array([2, 3])}
    graph = import_onnx(save(tmp_path, nodes, {"image": (1, 3, 32, 32), "vector": (1, 16)}, ["y"], stored))
    assert graph.inputs == (12288, 64)
    assert [layer.predecessors for layer in graph.layers] == [(-1,), (0,), (-2,), (1, 2)]


def test_dimensions_are_given_by_name_position_or_input(tmp_path: Path) -> None:
    path = save(
        tmp_path, [node("MatMul", "x z", "y")], {"x": ("batch", "rows", 4), "z": ("batch", 4, "columns")}, ["y"]
    )
    sizes = {"rows": 3, "columns": 5}
    expected = [2 * 3 * 4 * 5]
    assert import_onnx(path, given=Given(sizes=sizes)).flops.tolist() == expected
    assert import_onnx(path, given=Given(sizes={"x": (1, 3, 4), "z": (1, 4, 5)})).flops.tolist() == expected
    assert import_onnx(path, (1, 3, 4), (1, 4, 5)).flops.tolist() == expected
    twice = import_onnx(path, given=Given(sizes={**sizes, "batch": 2}))
    assert twice.flops.tolist() == [2 * expected[0]]
    assert "--input-shape 2x3x4 2x4x5" in twice.origin
    with pytest.raises(ValueError, match=r"has the shape \(batch, rows, 4\); give .*, or sizes .*, e.g. rows=128"):
        import_onnx(path)
    with pytest.raises(ValueError, match=r"'row' is not the name of a dimension or input .*did you mean 'rows'"):
        import_onnx(path, given=Given(sizes={"row": 3}))


def test_scalars_dimensions_of_zero_and_inputs_without_a_shape(tmp_path: Path) -> None:
    path = save(tmp_path, [node("Mul", "x factor", "y")], {"x": (2, "n"), "factor": ()}, ["y"])
    graph = import_onnx(path, (2, 0), ())
    assert (graph.inputs, graph.layers[0].output_bytes) == ((0, 4), 0)
    assert "--input-shape 2x0 scalar" in graph.origin
    with pytest.raises(ValueError, match=r"input 'x': shape is \[2, -1\]; give whole numbers, not negative"):
        import_onnx(path, (2, -1), ())
    path = save(tmp_path, [node("Relu", "x", "y")], {"x": (1,)}, ["y"])
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    with pytest.raises(ValueError, match="input 'x' has no shape; give input shapes that fix it"):
        import_onnx(path)
    assert import_onnx(path, (3, 5)).input_bytes == 60


def test_only_a_first_dimension_that_may_be_a_batch_is_one_by_default(tmp_path: Path) -> None:
    path = save(tmp_path, [node("Relu", "x", "y")], {"x": ("sequence_length", 4)}, ["y"])
    with pytest.raises(ValueError, match=r"e\.g\. sequence_length=128"):
        import_onnx(path)
    assert import_onnx(save(tmp_path, [node("Relu", "x", "y")], {"x": ("?", 4)}, ["y"])).input_bytes == 16
    with pytest.raises(ValueError, match=r"has the shape \(\?, \?\); give input shapes that fix it\."):
        import_onnx(save(tmp_path, [node("Relu", "x", "y")], {"x": ("?", "?")}, ["y"]))


def test_element_types_that_contradict_the_file_and_inputs_that_are_no_tensors(tmp_path: Path) -> None:
    path = save(tmp_path, [node("Relu", "x", "y")], {"x": (1, 4)}, ["y"])
    with pytest.raises(ValueError, match="input 'x' holds float32, not int64; give its shape alone"):
        import_onnx(path, given=Given(shapes=[(1, 4)], element_types=["int64"]))
    graph = helper.make_graph(
        [node("SequenceAt", "x zero", "y")],
        "test",
        [helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, (1, 4))],
        [helper.make_empty_tensor_value_info("y")],
    )
    model: Any = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="input 'x' is no tensor; export the network with tensors as its inputs"):
        import_onnx(path)
