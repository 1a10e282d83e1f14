"""Shapes that networks compute themselves, in every operator set, and stored tensors that lie in other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper

from dnnmig_env.networks.onnx.inputs import Given
from dnnmig_env.networks.onnx.reader import import_onnx
from tests.dnnmig_env.networks.onnx.files import node, rows, save, weights


@pytest.mark.parametrize("opset", [7, 8, 9, 10, 11, 12])
def test_a_reshape_as_old_exporters_write_it(tmp_path: Path, opset: int) -> None:
    nodes = [
        node("Conv", "x w", "h"),
        node("Shape", "h", "s"),
        node("Gather", "s i0", "b"),
        node("Unsqueeze", "b", "b1", axes=[0]),
        node("Concat", "b1 m1", "t", axis=0),
        node("Reshape", "h t", "f"),
        node("MatMul", "f m", "y"),
    ]
    stored = {"w": weights(4, 3, 3, 3), "m": weights(144, 10), "i0": np.array(0), "m1": np.array([-1])}
    path = save(tmp_path, nodes, {"x": ("N", 3, 8, 8)}, ["y"], stored, opset=opset)
    assert rows(import_onnx(path)) == [
        ("h", 2 * 4 * 36 * 27, 4 * 108, 4 * 144, (-1,)),
        ("y", 2 * 144 * 10, 4 * 1440, 40, (0,)),
    ]
    assert import_onnx(path, given=Given(sizes={"N": 2})).flops.tolist() == [4 * 4 * 36 * 27, 4 * 144 * 10]


@pytest.mark.parametrize(
    ("nodes", "opset", "shape"),
    [
        # The shape of x is (2, 3, 4); each computes a shape from it.
        ([node("Slice", "s", "t", starts=[1], ends=[3], axes=[0]), node("Concat", "two t", "to", axis=0)],
         9, (2, 3, 4)),
        ([node("Slice", "s", "t", starts=[-1], ends=[9]), node("Concat", "minus t", "to", axis=0)], 9, (6, 4)),
        ([node("Unsqueeze", "s", "u", axes=[0]), node("Slice", "u", "v", starts=[1], ends=[3], axes=[1]),
          node("Squeeze", "v", "t", axes=[0]), node("Concat", "two t", "to", axis=0)], 9, (2, 3, 4)),
        ([node("Shape", "x", "t", start=1), node("Concat", "two t", "to", axis=0)], 15, (2, 3, 4)),
        ([node("Shape", "x", "t", start=0, end=-1), node("Concat", "t minus", "to", axis=0)], 15, (2, 3, 4)),
        ([node("ReduceProd", "s", "to", axes=[0])], 11, (24,)),
        ([node("ReduceProd", "s", "p", axes=[0], keepdims=0), node("Unsqueeze", "p", "to", axes=[0])], 11, (24,)),
        ([node("ReduceSum", "s", "t", axes=[0]), node("Sub", "t seven", "u"), node("Concat", "minus u", "to", axis=0)],
         11, (12, 2)),
        ([node("Cast", "s", "f", to=TensorProto.FLOAT), node("Clip", "f", "c", min=4.0, max=6.0),
          node("Cast", "c", "d", to=TensorProto.INT64), node("Slice", "d", "e", starts=[0], ends=[1]),
          node("Concat", "e minus", "to", axis=0)], 9, (4, 6)),
        ([node("Cast", "s", "f", to=TensorProto.FLOAT), node("Pad", "f", "p", pads=[0, 1], value=1.0),
          node("Cast", "p", "to", to=TensorProto.INT64)], 10, (2, 3, 4, 1)),
        ([node("Split", "s", "a b", split=[1, 2], axis=0), node("Concat", "b a", "to", axis=0)], 11, (3, 4, 2)),
        ([node("Unsqueeze", "s", "u", axes=[0]), node("Squeeze", "u", "to", axes=[0])], 12, (2, 3, 4)),
        ([node("Cast", "s", "f", to=TensorProto.FLOAT), node("TopK", "f", "k places", k=3),
          node("Cast", "k", "to", to=TensorProto.INT64)], 9, (4, 3, 2)),
        ([node("Slice", "s one three zero", "t"), node("Concat", "two t", "to", axis=0)], 10, (2, 3, 4)),
        ([node("ReduceMax", "s", "t", axes=[0]), node("Concat", "t minus", "to", axis=0)], 13, (4, 6)),
        ([node("ReduceMin", "s zero", "t"), node("Concat", "t minus", "to", axis=0)], 18, (2, 12)),
        ([node("Cast", "s", "f", to=TensorProto.FLOAT), node("Dropout", "f", "g", ratio=0.3),
          node("Cast", "g", "to", to=TensorProto.INT64)], 10, (2, 3, 4)),
    ],
)  # fmt: skip
def test_shapes_computed_in_every_operator_set(
    tmp_path: Path, nodes: list[Any], opset: int, shape: tuple[int, ...]
) -> None:
    stored = {"two": np.array([2]), "minus": np.array([-1]), "seven": np.array([7]), "zero": np.array([0])}
    stored |= {"one": np.array([1]), "three": np.array([3])}
    nodes = [node("Shape", "x", "s"), *nodes, node("Reshape", "x to", "r"), node("MatMul", "r m", "y")]
    for width in (shape[-1], shape[-1] + 1):  # the reshaped tensor fits the one and not the other
        path = save(tmp_path, nodes, {"x": ("n", 3, 4)}, ["y"], {**stored, "m": weights(width, 5)}, opset=opset)
        if width == shape[-1]:
            assert import_onnx(path, (2, 3, 4)).flops.tolist() == [2 * 24 * 5]
        else:
            with pytest.raises(ValueError, match=r"'MatMul' .* does not fit its operands"):
                import_onnx(path, (2, 3, 4))


def test_a_constant_condition_chooses_a_known_number_of_elements(tmp_path: Path) -> None:
    nodes = [node("Compress", "x c", "n", axis=-1), node("Relu", "n", "y")]
    stored = {"c": np.array([True, False, True])}
    assert import_onnx(save(tmp_path, nodes, {"x": (1, 2, 3)}, ["y"], stored)).layers[-1].output_bytes == 16


def externally(path: Path, name: str) -> None:
    """Move a stored tensor into a file beside the network's."""
    model = onnx.load(path)
    tensor = next(entry for entry in model.graph.initializer if entry.name == name)
    (path.parent / "net.data").write_bytes(tensor.raw_data)
    external_data_helper.set_external_data(tensor, "net.data", 0, len(tensor.raw_data))
    tensor.ClearField("raw_data")
    onnx.save(model, path)


def test_tensors_in_other_files_are_read_where_shapes_need_them(tmp_path: Path) -> None:
    nodes = [node("Reshape", "x to", "r"), node("MatMul", "r m", "y")]
    path = save(tmp_path, nodes, {"x": (2, 12)}, ["y"], {"to": np.array([4, 6]), "m": weights(6, 5)})
    expected = import_onnx(path)
    externally(path, "to")
    assert import_onnx(path) == expected
    (tmp_path / "net.data").unlink()
    with pytest.raises(ValueError, match=r"cannot be inferred, because the file 'net.data', .* put it beside"):
        import_onnx(path)
    (tmp_path / "net.data").write_bytes(b"1234567")
    with pytest.raises(ValueError, match=r"the file 'net.data', .* cannot be read"):
        import_onnx(path)


def test_weights_in_other_files_need_not_be_there(tmp_path: Path) -> None:
    path = save(tmp_path, [node("MatMul", "x m", "y")], {"x": (2, 6)}, ["y"], {"m": weights(6, 5)})
    expected = import_onnx(path)
    externally(path, "m")
    (tmp_path / "net.data").unlink()
    assert import_onnx(path) == expected


def test_very_old_files_are_told_to_be_converted(tmp_path: Path) -> None:
    nodes = [node("Reshape", "x", "r", shape=[4, 6]), node("Relu", "r", "y")]
    with pytest.raises(ValueError, match="of operator set 4; convert the file to set 7 or newer"):
        import_onnx(save(tmp_path, nodes, {"x": (2, 12)}, ["y"], opset=4))


def test_the_standard_operators_have_two_names(tmp_path: Path) -> None:
    path = save(tmp_path, [helper.make_node("Relu", ["x"], ["y"], domain="ai.onnx")], {"x": (1, 4)}, ["y"])
    assert rows(import_onnx(path)) == [("Relu_y", 0, 0, 16, (-1,))]


def test_a_tensor_that_is_made_twice_is_refused(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "h"), node("Tanh", "x", "h"), node("Relu", "h", "y")]
    with pytest.raises(ValueError, match=r"'Tanh' \(node '/h'\) makes tensor 'h', which is there already; export"):
        import_onnx(save(tmp_path, nodes, {"x": (1, 4)}, ["y"]))


def test_a_stored_tensor_of_a_wrong_size_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, [node("MatMul", "x m", "y")], {"x": (2, 6)}, ["y"], {"m": weights(6, 5)})
    model = onnx.load(path)
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-3]
    onnx.save(model, path)
    with pytest.raises(ValueError, match="the stored tensor 'm' has 117 bytes, but must have 120: the file is damaged"):
        import_onnx(path)
    model.graph.initializer[0].dims[0] = -6
    onnx.save(model, path)
    with pytest.raises(ValueError, match=r"the stored tensor 'm' has the shape \(-6, 5\): the file is damaged"):
        import_onnx(path)
