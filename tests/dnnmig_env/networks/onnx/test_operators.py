"""What operators cost and store: quantised weights, attention with a past, ONNX Runtime's operators, unknown ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dnnmig_env.networks.onnx.reader import import_onnx
from tests.dnnmig_env.networks.onnx.files import body, node, rows, save, weights

MS = "com.microsoft"


def zeros(kind: str, *shape: int) -> TensorProto:
    """A stored tensor of a type that numpy does not have."""
    element_type = getattr(TensorProto, kind)
    return helper.make_tensor("stored", element_type, shape, np.zeros(int(np.prod(shape))).astype(int).tolist())


@pytest.mark.parametrize(
    ("kind", "shape", "num_bytes"),
    [
        ("INT4", (64, 64), 2048),
        ("UINT4", (64, 64), 2048),
        ("UINT4", (3, 3), 5),  # the last byte is filled in half
        ("FLOAT4E2M1", (64, 64), 2048),
        ("FLOAT8E4M3FN", (64, 64), 4096),
        ("FLOAT8E5M2", (64, 64), 4096),
        ("INT8", (64, 64), 4096),
        ("FLOAT16", (64, 64), 8192),
        ("BFLOAT16", (64, 64), 8192),
        ("DOUBLE", (64, 64), 32768),
    ],
)
def test_weights_have_the_bytes_of_the_file(tmp_path: Path, kind: str, shape: tuple[int, ...], num_bytes: int) -> None:
    if not hasattr(TensorProto, kind):
        pytest.skip("this onnx has no such elements")
    wide = shape[0]
    nodes = [node("Cast", "w", "cast", to=TensorProto.FLOAT), node("MatMul", "x cast", "y")]
    opset = min(23, onnx.defs.onnx_opset_version())
    path = save(tmp_path, nodes, {"x": (1, wide)}, ["y"], {"w": zeros(kind, *shape)}, opset=opset)
    assert rows(import_onnx(path)) == [("y", 2 * wide * shape[1], num_bytes, 4 * shape[1], (-1,))]


@pytest.mark.parametrize("kind", ["INT2", "UINT2"])
def test_weights_of_two_bits(tmp_path: Path, kind: str) -> None:
    if not hasattr(TensorProto, kind):
        pytest.skip("this onnx has no elements of two bits")
    nodes = [node("Cast", "w", "cast", to=TensorProto.FLOAT), node("MatMul", "x cast", "y")]
    path = save(tmp_path, nodes, {"x": (1, 64)}, ["y"], {"w": zeros(kind, 64, 64)}, opset=25)
    assert import_onnx(path).weight_bytes.tolist() == [1024]


def test_weights_of_four_bits_with_their_scales(tmp_path: Path) -> None:
    nodes = [node("DequantizeLinear", "q scales", "w", axis=1, block_size=32), node("MatMul", "x w", "y")]
    stored = {"q": zeros("INT4", 64, 64), "scales": weights(64, 2)}
    graph = import_onnx(save(tmp_path, nodes, {"x": (1, 64)}, ["y"], stored, opset=21))
    assert graph.weight_bytes.tolist() == [2048 + 512]
    assert graph.flops.tolist() == [2 * 64 * 64]


@pytest.mark.skipif(onnx.defs.onnx_opset_version() < 23, reason="this onnx does not know attention")
def test_attention_reads_the_past_too(tmp_path: Path) -> None:
    shapes = {"q": (1, 8, 1, 64), "k": (1, 8, 1, 64), "v": (1, 8, 1, 64)}
    shapes |= {"past_key": (1, 8, 127, 64), "past_value": (1, 8, 127, 64)}
    nodes = [node("Attention", "q k v _ past_key past_value", "y present_key present_value")]
    graph = import_onnx(save(tmp_path, nodes, shapes, ["y", "present_key", "present_value"], opset=23))
    cache = 4 * 8 * 64
    assert graph.flops.tolist() == [2 * 2 * 8 * 128 * 64]
    assert graph.inputs == (cache, cache, cache // 1)
    assert graph.layers[0].internal_bytes == 2 * 127 * cache + 2 * 128 * cache


@pytest.mark.parametrize(
    ("operator", "attributes", "operands", "stored", "flops", "output"),
    [
        ("MatMulNBits", {"K": 64, "N": 32, "bits": 4, "block_size": 32}, "x q s", {"q": np.zeros((32, 2, 16), np.uint8),
         "s": weights(64)}, 2 * 5 * 64 * 32, 4 * 5 * 32),
        ("FusedMatMul", {"transB": 1}, "x w", {"w": weights(32, 64)}, 2 * 5 * 64 * 32, 4 * 5 * 32),
        ("GemmFastGelu", {}, "x w", {"w": weights(64, 32)}, 2 * 5 * 64 * 32, 4 * 5 * 32),
        ("DynamicQuantizeMatMul", {}, "x w s", {"w": np.zeros((64, 32), np.int8), "s": np.float32(1)},
         2 * 5 * 64 * 32, 4 * 5 * 32),
        # The projection to three times 64 numbers, then five queries and keys of four heads.
        ("Attention", {"num_heads": 4}, "x w b", {"w": weights(64, 192), "b": weights(192)},
         2 * 5 * 64 * 192 + 4 * 5 * 5 * 64, 4 * 5 * 64),
        ("MultiHeadAttention", {"num_heads": 4}, "x x x", {}, 4 * 5 * 5 * 64, 4 * 5 * 64),
        # Four heads of queries, two of keys and of values, eight numbers each.
        ("GroupQueryAttention", {"num_heads": 4, "kv_num_heads": 2}, "x _ _ _ _ l t",
         {"l": np.array([4], np.int32), "t": np.array([5], np.int32)}, 4 * 4 * 5 * 5 * 8, 4 * 5 * 32),
        ("SkipLayerNormalization", {}, "x x w", {"w": weights(64)}, 0, 4 * 5 * 64),
        # Two of eight experts, each 64 x 16 and 16 x 64.
        ("MoE", {"k": 2}, "x r f _ g", {"r": weights(5, 8), "f": weights(8, 64, 16), "g": weights(8, 16, 64)},
         2 * 5 * 2 * 2 * 64 * 16, 4 * 5 * 64),
    ],
)  # fmt: skip
def test_operators_of_onnx_runtime(
    tmp_path: Path, operator: str, attributes: Any, operands: str, stored: Any, flops: float, output: int
) -> None:
    nodes = [node("Relu", "x0", "x"), node(operator, operands, "y", domain=MS, **attributes)]
    graph = import_onnx(save(tmp_path, nodes, {"x0": (1, 5, 64)}, ["y"], stored, domain=MS))
    assert (graph.flops[-1], graph.layers[-1].output_bytes) == (flops, output)
    assert graph.weight_bytes.sum() == sum(np.asarray(array).nbytes for array in stored.values() if np.ndim(array))
    assert "not known" not in graph.origin


def test_a_step_of_grouped_query_attention_reads_its_cache(tmp_path: Path) -> None:
    cache = (1, 2, 127, 8)
    nodes = [node("GroupQueryAttention", "x _ _ past_key past_value l t", "y present_key present_value", domain=MS,
                  num_heads=4, kv_num_heads=2)]  # fmt: skip
    stored = {"l": np.array([127], np.int32), "t": np.array([128], np.int32)}
    outputs = ["y", "present_key", "present_value"]
    inputs: Any = {"x": (1, 1, 64), "past_key": cache, "past_value": cache}
    unknown = save(tmp_path, nodes, {**inputs, "l": (1,), "t": (1,)}, outputs, domain=MS)
    assert import_onnx(unknown).flops.tolist() == [4 * 4 * 128 * 8]
    graph = import_onnx(save(tmp_path, nodes, inputs, outputs, stored, domain=MS))
    assert graph.flops.tolist() == [4 * 4 * 128 * 8]
    assert graph.layers[0].output_bytes == 4 * 32
    assert graph.layers[0].internal_bytes == 2 * 4 * 2 * 8 * (127 + 128)


def test_operators_whose_flops_nobody_knows_are_named(tmp_path: Path) -> None:
    nodes = [node("Mystery", "x w", "h", domain="mine"), node("Relu", "h", "y")]
    path = save(tmp_path, nodes, {"x": ("batch", 8)}, ["y"], {"w": weights(8, 4)}, domain="mine")
    model = onnx.load(path)
    model.graph.value_info.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, ("batch", 4)))
    onnx.save(model, path)
    graph = import_onnx(path)
    assert rows(graph) == [("h", 0, 128, 16, (-1,)), ("y", 0, 0, 16, (0,))]
    assert "FLOPs of mine.Mystery are not known and count as 0" in graph.origin


@pytest.mark.parametrize(
    ("equation", "shapes", "flops"),
    [
        ("...ij,...jk->...ik", [(2, 3, 4), (2, 4, 5)], 2 * 2 * 3 * 4 * 5),
        ("bij,jk,kl->bil", [(2, 3, 4), (4, 5), (5, 6)], 2 * 2 * 3 * 4 * 5 + 2 * 2 * 3 * 5 * 6),
        ("...i->...", [(2, 3)], 0),
    ],
)
def test_einsum_of_any_number_of_operands(tmp_path: Path, equation: str, shapes: Any, flops: int) -> None:
    inputs = {f"x{number}": shape for number, shape in enumerate(shapes)}
    nodes = [node("Einsum", " ".join(inputs), "y", equation=equation)]
    assert import_onnx(save(tmp_path, nodes, inputs, ["y"])).flops.tolist() == [flops]


@pytest.mark.parametrize(
    ("operator", "attributes", "x", "stored", "message"),
    [
        ("Conv", {}, (1, 3, 8, 8), [(4, 5, 3, 3)], "the number of input channels is 3, but must be 5"),
        ("Conv", {"group": 3}, (1, 3, 8, 8), [(4, 1, 3, 3)], "the remainder of output channels by groups is 1"),
        ("Conv", {}, (1, 3, 8, 8), [(4, 3, 3, 3), (5,)], r"the shape of the bias is \(5,\), but must be \(4,\)"),
        ("ConvTranspose", {}, (1, 3, 8, 8), [(4, 5, 3, 3)], "the number of input channels is 3, but must be 4"),
        ("Gemm", {}, (2, 3), [(4, 5)], "Incompatible|mismatch|the inner dimension of the product is 3, but must be 4"),
        (
            "LSTM",
            {"hidden_size": 5},
            (7, 1, 8),
            [(1, 20, 9), (1, 20, 5)],
            "number of input features is 8, but must be 9",
        ),
        ("GRU", {"hidden_size": 5}, (7, 1, 8), [(1, 20, 8), (1, 15, 5)], "the shape of the input's weight"),
        (
            "BatchNormalization",
            {},
            (1, 3, 8, 8),
            [(4,)] * 4,
            r"mismatch|the shape of the scale is \(4,\), but must be \(3,\)",
        ),
        ("LayerNormalization", {}, (1, 8), [(7,)], "whether .* can be repeated over .* is False"),
        ("PRelu", {}, (1, 3, 8, 8), [(4, 1, 1)], "whether .* can be repeated|[Ii]ncompatible"),
        ("MatMul", {}, (1, 3), [(4, 5)], "Incompatible dimensions"),
        ("Add", {}, (1, 3), [(4,)], "[Ii]ncompatible dimensions"),
        ("Conv", {"kernel_shape": [5, 5]}, (1, 3, 8, 8), [(4, 3, 3, 3)], r"kernel's shape is \(3, 3\), but must be"),
        ("ConvTranspose", {"kernel_shape": [5, 5]}, (1, 4, 8, 8), [(4, 3, 3, 3)], r"kernel's shape is \(3, 3\)"),
        ("Gemm", {"transA": 1}, (3, 2), [(3, 4), (5,)], r"whether \(5,\) can be repeated over \(2, 4\) is False"),
        ("GRU", {"hidden_size": 5}, (7, 1, 8), [(1, 15, 8), (1, 15, 5), (1, 20)], r"bias is .*, but must be \(1, 30\)"),
        ("GroupNormalization", {"num_groups": 2}, (1, 4, 8), [(6,), (6,)], r"\(6,\) of the scale is one of \(\(4,\)"),
        ("Attention", {}, (1, 8, 1, 64), [(1, 8, 5, 32), (1, 8, 5, 64)], "width of a key is 32, but must be 64"),
        ("Attention", {}, (1, 8, 1, 64), [(1, 3, 5, 64), (1, 3, 5, 64)], "heads by those of keys is 2, but must be 0"),
        ("Attention", {}, (1, 8, 1, 64), [(1, 4, 5, 64), (1, 4, 6, 64)], "the number of values is 6, but must be 5"),
        ("Attention", {}, (1, 8, 1, 64), [(1, 4, 5, 64), (1, 2, 5, 64)], "heads of values is 2, but must be 4"),
        (
            "Attention",
            {"q_num_heads": 8, "kv_num_heads": 2},
            (1, 1, 512),
            [(1, 5, 512), (1, 5, 512)],
            "the width of a key is 256.0, but must be 64.0",
        ),
    ],
)
def test_operands_that_do_not_fit_are_refused(
    tmp_path: Path, operator: str, attributes: Any, x: Any, stored: Any, message: str
) -> None:
    tensors = {f"w{number}": weights(*shape) for number, shape in enumerate(stored)}
    outputs = "_ y" if operator in ("LSTM", "GRU") else "y"
    nodes = [node(operator, " ".join(["x", *tensors]), outputs, **attributes)]
    path = save(tmp_path, nodes, {"x": x}, ["y"], tensors, opset=23)
    with pytest.raises(ValueError, match=f"operator '{operator}' .*does not fit its operands: .*({message})"):
        import_onnx(path)


def test_a_reshape_to_another_number_of_elements_is_refused(tmp_path: Path) -> None:
    nodes = [node("Reshape", "x to", "h"), node("Relu", "h", "y")]
    path = save(tmp_path, nodes, {"x": ("batch", 6)}, ["y"], {"to": np.array([1, 6])})
    assert import_onnx(path).input_bytes == 24
    with pytest.raises(ValueError, match=r"elements of \(2, 6\) as \(1, 6\) is 12, but must be 6"):
        import_onnx(path, (2, 6))


def test_a_weight_that_several_operators_read_belongs_to_the_first(tmp_path: Path) -> None:
    nodes = [
        node("Gather", "table ids", "words"),
        node("MatMul", "words m", "hidden"),
        node("Transpose", "table", "head"),
        node("MatMul", "hidden head", "logits"),
    ]
    stored = {"table": weights(50, 8), "m": weights(8, 8)}
    graph = import_onnx(save(tmp_path, nodes, {"ids": (1, 6)}, ["logits"], stored, input_type=TensorProto.INT64))
    assert graph.weight_bytes.tolist() == [1600, 256, 0]
    assert [layer.shares for layer in graph.layers] == [(), (), (0,)]
    assert graph.layers[2].internal_bytes == 1600


def test_an_output_that_is_read_inside_returns_too(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x a", "f"), node("MatMul", "f b", "y")]
    path = save(tmp_path, nodes, {"x": (1, 16)}, ["y", "f"], {"a": weights(16, 8), "b": weights(8, 4)})
    graph = import_onnx(path)
    assert graph.outputs == (0, 1)
    assert sum(graph.layers[index].output_bytes for index in graph.output_layers) == 48


def test_one_element_of_a_tensor_is_a_view(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "h"), node("Gather", "h zero", "first", axis=1), node("Exp", "first", "y")]
    graph = import_onnx(save(tmp_path, nodes, {"x": (1, 9, 4)}, ["y"], {"zero": np.array(0)}))
    assert [layer.name for layer in graph.layers] == ["h", "y"]
    assert (graph.layers[0].output_bytes, graph.layers[0].internal_bytes) == (16, 8 * 16)


def test_sparse_weights_have_the_bytes_that_are_stored(tmp_path: Path) -> None:
    path = save(tmp_path, [node("MatMul", "x w", "y")], {"x": (1, 64)}, ["y"])
    model = onnx.load(path)
    values = helper.make_tensor("w", TensorProto.FLOAT, (3,), [1.0, 2.0, 3.0])
    places = helper.make_tensor("places", TensorProto.INT64, (3,), [5, 9, 70])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, (64, 32)))
    onnx.save(model, path)
    assert rows(import_onnx(path)) == [("y", 2 * 64 * 32, 3 * 4 + 3 * 8, 128, (-1,))]


def test_weights_in_constants_and_in_bodies_are_found(tmp_path: Path) -> None:
    taken = body([helper.make_node("Constant", [], ["m"], value_floats=[1.0] * 8), node("Mul", "x m", "t")], "", "t")
    nodes = [node("If", "true", "y", then_branch=taken, else_branch=taken)]
    graph = import_onnx(save(tmp_path, nodes, {"x": (1, 8)}, ["y"], {"true": np.array(True)}))
    assert graph.weight_bytes.tolist() == [32]


def test_a_grid_is_a_product(tmp_path: Path) -> None:
    path = save(
        tmp_path, [node("AffineGrid", "x size", "y")], {"x": (1, 2, 3)}, ["y"], {"size": np.array([1, 3, 5, 4])}
    )
    assert import_onnx(path).flops.tolist() == [2 * 5 * 4 * 2 * 3]


@pytest.mark.parametrize(("operator", "domain"), [("Inverse", MS), ("Det", "")])
def test_operators_on_matrices_without_a_formula_are_named(tmp_path: Path, operator: str, domain: str) -> None:
    path = save(tmp_path, [node(operator, "x", "y", domain=domain)], {"x": (1, 4, 4)}, ["y"], domain=MS)
    assert f"{operator} are not known and count as 0" in import_onnx(path).origin


def test_parameters_of_classic_models_stand_in_attributes(tmp_path: Path) -> None:
    tree = {"coefficients": [0.5] * 12, "intercepts": [0.1] * 3, "targets": 3}
    path = save(tmp_path, [node("LinearRegressor", "x", "y", domain="ai.onnx.ml", **tree)], {"x": ("batch", 4)}, ["y"],
                domain="ai.onnx.ml")  # fmt: skip
    model = onnx.load(path)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, ("batch", 3)))
    onnx.save(model, path)
    graph = import_onnx(path)
    assert rows(graph) == [("y", 0, 60, 12, (-1,))]
    assert "FLOPs of ai.onnx.ml.LinearRegressor are not known" in graph.origin


def test_operators_on_blocks_of_channels(tmp_path: Path) -> None:
    """As ONNX Runtime saves an optimised convolution: a block of eight channels, three of which are filled."""
    nodes = [
        node("Conv", "x w b", "h", domain=f"{MS}.nchwc", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("MaxPool", "h", "p", domain=f"{MS}.nchwc", kernel_shape=[2, 2], strides=[2, 2]),
        node("GlobalAveragePool", "p", "g", domain=f"{MS}.nchwc"),
        node("ReorderOutput", "g", "y", domain=f"{MS}.nchwc", channels=3),
    ]
    stored = {"w": weights(8, 3, 3, 3), "b": weights(8)}
    graph = import_onnx(save(tmp_path, nodes, {"x": (1, 3, 8, 8)}, ["y"], stored, domain=f"{MS}.nchwc"))
    assert [layer.output_bytes for layer in graph.layers] == [4 * 8 * 16, 4 * 8 * 4, 4 * 8, 4 * 3]
    assert (graph.flops.sum(), graph.weight_bytes.sum()) == (2 * 8 * 16 * 27, 4 * (216 + 8))


def test_embeddings_of_onnx_runtime(tmp_path: Path) -> None:
    nodes = [node("EmbedLayerNormalization", "ids _ words places _ scale shift", "y mask", domain=MS)]
    stored = {"words": weights(50, 8), "places": weights(16, 8), "scale": weights(8), "shift": weights(8)}
    path = save(tmp_path, nodes, {"ids": (1, 6)}, ["y", "mask"], stored, input_type=TensorProto.INT32, domain=MS)
    assert rows(import_onnx(path)) == [("y", 0, 4 * (400 + 128 + 16), 4 * 6 * 8 + 4, (-1,))]


def test_an_operator_without_outputs_computes_nothing(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "y"), helper.make_node("Print", ["x"], [], domain="mine")]
    assert len(import_onnx(save(tmp_path, nodes, {"x": (1, 8)}, ["y"], domain="mine"))) == 1
