"""Small ONNX files whose graphs can be written down by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dnnmig_env.networks.onnx.reader import import_onnx
from dnnmig_env.networks.tracing import trace
from tests.dnnmig_env.networks.onnx.files import node, rows, save, weights


def test_a_residual_network_by_hand(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        [
            node("Conv", "image w b", "conv", pads=[1, 1, 1, 1]),
            node("BatchNormalization", "conv scale shift mean var", "norm"),
            node("Relu", "norm", "relu"),
            node("Dropout", "relu", "drop mask"),
            node("Add", "drop image", "add"),
            node("Flatten", "add", "flat"),
            node("Gemm", "flat m c", "head", transB=1),
            node("Tanh", "relu", "dead"),
        ],
        {"image": ("batch", 3, 8, 8)},
        ["head"],
        {
            **{"w": weights(3, 3, 3, 3), "b": weights(3), "m": weights(10, 192), "c": weights(10)},
            **{name: weights(3) for name in ("scale", "shift", "mean", "var")},
        },
    )
    image = 4 * 3 * 8 * 8
    graph = import_onnx(path)
    assert rows(graph) == [
        ("conv", 2 * 64 * 3 * 27, 4 * 84, image, (-1,)),
        ("norm", 0, 24, image, (0,)),  # running statistics are no parameters
        ("relu", 0, 0, image, (1,)),
        ("add", 0, 0, image, (-1, 2)),
        ("head", 2 * 1920, 4 * 1930, 40, (3,)),
    ]
    assert (graph.name, graph.input_bytes) == ("net", image)
    assert f"onnx {onnx.__version__}" in graph.origin


def test_it_agrees_with_tracing_the_same_network(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Tokens(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.words, self.qkv = torch.nn.Embedding(50, 8), torch.nn.Linear(8, 24, bias=False)
            self.norm, self.out = torch.nn.LayerNorm(8), torch.nn.Linear(8, 50)

        def forward(self, ids: Any) -> Any:
            query, key, value = self.qkv(self.norm(self.words(ids))).chunk(3, -1)
            return self.out((query @ key.transpose(1, 2)).softmax(-1) @ value)

    path = save(
        tmp_path,
        [
            node("Gather", "table ids", "words"),
            node("LayerNormalization", "words scale shift", "norm"),
            node("MatMul", "norm w", "qkv"),
            node("Split", "qkv", "query key value", axis=2, num_outputs=3),
            node("Transpose", "key", "keys", perm=[0, 2, 1]),
            node("MatMul", "query keys", "scores"),
            node("Softmax", "scores", "attention"),
            node("MatMul", "attention value", "mixed"),
            node("MatMul", "mixed v", "product"),
            node("Add", "product c", "out"),
        ],
        {"ids": (1, 6)},
        ["out"],
        {
            **{"table": weights(50, 8), "scale": weights(8), "shift": weights(8), "w": weights(8, 24)},
            **{"v": weights(8, 50), "c": weights(50)},
        },
        input_type=TensorProto.INT64,
    )
    ours, theirs = import_onnx(path), trace(Tokens(), torch.zeros(1, 6, dtype=torch.long))
    assert ours.flops.sum() == theirs.flops.sum()
    assert ours.weight_bytes.sum() == theirs.weight_bytes.sum()
    assert ours.input_bytes == theirs.input_bytes
    # All but the end, where torch adds the bias within the product.
    assert [row[1:] for row in rows(ours)[:-2]] == [row[1:] for row in rows(theirs)[:-1]]


def test_one_of_several_slices_is_charged_as_such(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        [node("Relu", "x", "relu"), node("Slice", "relu zero one one", "first"), node("Exp", "first", "exp")],
        {"x": (1, 10)},
        ["exp"],
        {"zero": np.array([0]), "one": np.array([1])},
    )
    relu, _ = import_onnx(path).layers
    assert (relu.output_bytes, relu.internal_bytes) == (4, 36)


@pytest.mark.parametrize(
    ("operator", "attributes", "operands", "macs"),
    [
        ("ConvTranspose", {"strides": [2, 2], "group": 2}, {"x": (1, 4, 5, 5), "w": (4, 3, 3, 3)}, 5 * 5 * 4 * 3 * 9),
        ("Conv", {"group": 4}, {"x": (1, 4, 5, 5), "w": (8, 1, 3, 3)}, 3 * 3 * 8 * 9),
        ("Gemm", {"transA": 1}, {"x": (4, 3), "w": (4, 5)}, 3 * 4 * 5),
        ("MatMul", {}, {"x": (2, 3, 4), "w": (4, 5)}, 2 * 3 * 4 * 5),
        ("Einsum", {"equation": "bik, kj -> bij"}, {"x": (2, 3, 4), "w": (4, 5)}, 2 * 3 * 4 * 5),
        # Seven steps; four gates of five units read eight numbers and the five of the state.
        ("LSTM", {"hidden_size": 5}, {"x": (7, 1, 8), "w": (1, 20, 8), "r": (1, 20, 5)}, 7 * (20 * 8 + 20 * 5)),
        ("GRU", {"hidden_size": 5}, {"x": (7, 1, 8), "w": (1, 15, 8), "r": (1, 15, 5)}, 7 * (15 * 8 + 15 * 5)),
    ],
)
def test_products_by_hand(
    tmp_path: Path, operator: str, attributes: dict[str, Any], operands: dict[str, tuple[int, ...]], macs: int
) -> None:
    shapes = dict(operands)
    path = save(
        tmp_path,
        [node(operator, " ".join(operands), "y", **attributes)],
        {"x": shapes.pop("x")},
        ["y"],
        {name: weights(*shape) for name, shape in shapes.items()},
    )
    graph = import_onnx(path)
    assert graph.flops.tolist() == [2 * macs]
    assert graph.weight_bytes.sum() == 4 * sum(np.prod(shape) for shape in shapes.values())


def test_shapes_that_the_network_computes_itself_and_weights_behind_constants(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        [
            node("Shape", "x", "shape"),
            node("Gather", "shape zero", "batch"),
            node("Unsqueeze", "batch zeros", "batches"),
            node("Concat", "batches rest", "target", axis=0),
            node("Constant", "", "rest", value=numpy_helper.from_array(np.array([-1]))),
            node("Reshape", "x target", "flat"),
            node("Expand", "bias target2", "biases"),
            node("Add", "flat biases", "y"),
        ],
        {"x": ("n", 2, 3)},
        ["y"],
        {"zero": np.array(0), "zeros": np.array([0]), "bias": weights(6), "target2": np.array([1, 6])},
    )
    model = onnx.load(path)
    model.graph.node.insert(0, model.graph.node.pop(4))  # operators must be in order
    onnx.save(model, path)
    assert rows(import_onnx(path)) == [("y", 0, 24, 24, (-1,))]
    assert rows(import_onnx(path, (2, 2, 3))) == [("y", 0, 24, 48, (-1,))]


def test_one_number_is_a_setting_and_integers_are_indices(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        [node("Mul", "x factor", "scaled"), node("Gather", "scaled index", "y", axis=1)],
        {"x": (1, 8)},
        ["y"],
        {"factor": np.float32(0.125), "index": np.arange(4)},
    )
    assert import_onnx(path).weight_bytes.sum() == 0


def test_local_functions_are_inlined(tmp_path: Path) -> None:
    body = [helper.make_node("MatMul", ["a", "b"], ["product"]), helper.make_node("Relu", ["product"], ["c"])]
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("mine", 1)]
    function = helper.make_function("mine", "Block", ["a", "b"], ["c"], body, opsets[:1])
    graph = helper.make_graph(
        [helper.make_node("Block", ["x", "w"], ["y"], domain="mine")],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4))],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(weights(4, 5), "w")],
    )
    onnx.save(helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=9), tmp_path / "f.onnx")
    assert import_onnx(tmp_path / "f.onnx").flops.tolist() == [40, 0]


def test_a_dynamic_dimension_other_than_the_batch_must_be_given(tmp_path: Path) -> None:
    path = save(tmp_path, [node("Relu", "x", "y")], {"x": ("batch", "length", 4)}, ["y"])
    message = r"input 'x' has the shape \(batch, length, 4\); give input shapes that fix it"
    with pytest.raises(ValueError, match=message):
        import_onnx(path)
    with pytest.raises(ValueError, match=r"has the shape \(batch, length, 4\), not \[1, 2\]; give"):
        import_onnx(path, (1, 2))
    with pytest.raises(ValueError, match=r"2 input shapes for 1 inputs \(x\); give one for each"):
        import_onnx(path, (1, 2, 4), (1,))
    assert import_onnx(path, (1, 7, 4), name="mine").input_bytes == 4 * 7 * 4
    assert import_onnx(path, (1, 7, 4), name="mine").name == "mine"


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            [node("NonMaxSuppression", "x x", "n"), node("Cast", "n", "y", to=1)],
            r"tensor 'n' .*: what ONNX operator 'NonMaxSuppression' \(node '/n'\) returns has a shape that depends on "
            "values .*; end the network before it",
        ),
        (
            [helper.make_node("Fancy", ["x"], ["y"], domain="mine")],
            r"'mine.Fancy' \(node 'y'\) is not known, and the file does not state the shapes of what it returns; write",
        ),
        ([node("NonZero", "x", "n"), node("Cast", "n", "y", to=1)], "NonZero"),
        ([node("MatMul", "x x", "y")], r"'MatMul' \(node '/y'\) does not fit its operands: .*; check the input shapes"),
        ([node("Einsum", "x x", "y", equation="abc, acb -> a")], "does not fit its operands: dimension 'c' is 3 and 2"),
    ],
)
def test_what_cannot_be_imported_is_explained(tmp_path: Path, nodes: list[onnx.NodeProto], message: str) -> None:
    path = save(tmp_path, nodes, {"x": (1, 2, 3)}, ["y"])
    with pytest.raises(ValueError, match=message) as caught:
        import_onnx(path)
    assert "\n" not in str(caught.value)


def test_a_missing_or_damaged_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read .*gone.onnx: No such file or directory; give an existing"):
        import_onnx(tmp_path / "gone.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"not a network")
    with pytest.raises(ValueError, match=r"cannot read .*bad.onnx: it is damaged or no ONNX file; export it again"):
        import_onnx(tmp_path / "bad.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"cannot read .*empty.onnx: it holds no operators"):
        import_onnx(tmp_path / "empty.onnx")
