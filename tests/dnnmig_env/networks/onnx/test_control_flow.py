"""Branches and loops become the operators that run; what decides about them has to be known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dnnmig_env.networks.onnx import writer
from dnnmig_env.networks.onnx.inputs import Given
from dnnmig_env.networks.onnx.reader import import_onnx
from tests.dnnmig_env.networks.onnx.files import body, node, rows, save, weights

KERNELS = {"w1": weights(4, 3, 3, 3), "w2": weights(4, 4, 1, 1), "w3": weights(4, 3, 3, 3)}


def branching(folder: Path, batch: int, captured: str = "w2") -> Path:
    """A network that takes the branch with a convolution if its batch is one."""
    taken = body([node("Conv", f"h {captured}", "t")], "", "t")
    other = body([node("Identity", "h", "e")], "", "e", {"unused": weights(100)})
    return save(
        folder,
        [
            node("Conv", "x w1", "h"),
            node("Shape", "h", "s"),
            node("Gather", "s zero", "c"),
            node("Equal", "c one", "q"),
            node("If", "q", "y", then_branch=taken, else_branch=other),
            node("Conv", "x w3", "r"),
            node("Add", "r y", "z"),
        ],
        {"x": (batch, 3, 8, 8)},
        ["z"],
        {**KERNELS, "zero": np.array(0), "one": np.array(1)},
    )


def test_the_branch_that_is_taken_is_part_of_the_network(tmp_path: Path) -> None:
    product, image = 2 * 4 * 36 * 27, 4 * 4 * 36
    graph = import_onnx(branching(tmp_path, 1))
    assert rows(graph) == [
        ("h", product, 4 * 108, image, (-1,)),
        ("t", 2 * 4 * 36 * 4, 4 * 16, image, (0,)),
        ("r", product, 4 * 108, image, (-1,)),
        ("z", 0, 0, image, (1, 2)),
    ]
    assert "without 400 bytes of weights that it never reads" in graph.origin  # those of the other branch


def test_weights_of_a_branch_that_is_not_taken_are_counted_as_unread(tmp_path: Path) -> None:
    graph = import_onnx(branching(tmp_path, 2))
    assert [layer.name for layer in graph.layers] == ["h", "r", "z"]
    assert graph.layers[2].predecessors == (0, 1)
    assert "without 464 bytes of weights that it never reads" in graph.origin  # w2, and what no operator reads


def test_the_two_branches_may_use_the_same_names_and_stand_within_each_other(tmp_path: Path) -> None:
    inner = body([node("MatMul", "h m", "t")], "", "t", {"m": weights(8, 2)})
    outer = body([node("If", "true", "t", then_branch=inner, else_branch=inner)], "", "t")
    nodes = [node("Relu", "x", "h")]
    nodes += [node("If", "true", f"y{number}", then_branch=outer, else_branch=inner) for number in (1, 2)]
    nodes += [node("Concat", "y1 y2", "z", axis=1)]
    graph = import_onnx(save(tmp_path, nodes, {"x": (1, 8)}, ["z"], {"true": np.array(True)}))
    assert graph.flops.tolist() == [0, 32, 32, 0]
    assert graph.weight_bytes.tolist() == [0, 64, 64, 0]
    assert [layer.predecessors for layer in graph.layers] == [(-1,), (0,), (0,), (1, 2)]


def test_a_condition_that_depends_on_the_input_is_refused_unless_its_value_is_given(tmp_path: Path) -> None:
    taken = body([node("MatMul", "x m", "t")], "", "t", {"m": weights(8, 2)})
    other = body([node("MatMul", "x n", "t")], "", "t", {"n": weights(8, 4)})
    path = save(
        tmp_path,
        [node("Equal", "rate right", "q"), node("If", "q", "y", then_branch=taken, else_branch=other)],
        {"x": (1, 8), "rate": ()},
        ["y"],
        {"right": np.float32(16000)},
    )
    with pytest.raises(
        ValueError, match=r"'If' \(node '/y'\) cannot be written out: its condition \(tensor 'q'\) is comp"
    ):
        import_onnx(path)
    nodes, own = [node("If", "rate", "y", then_branch=taken, else_branch=other)], tmp_path / "own"
    own.mkdir()
    with pytest.raises(ValueError, match=r"its condition \(tensor 'rate'\) is an input of the network; export the"):
        import_onnx(save(own, nodes, {"x": (1, 8), "rate": ()}, ["y"]))
    fast = import_onnx(path, given=Given(values={"rate": 16000}))
    slow = import_onnx(path, given=Given(values={"rate": 8000}))
    assert (fast.flops.tolist(), slow.flops.tolist()) == ([32], [64])
    assert fast.input_bytes == 32  # the rate is a constant, and not sent
    assert "--input-value rate=16000.0" in fast.origin


def counting(trips: Any, cond: str = "go_on") -> list[Any]:
    """A loop whose steps multiply what they carry by the same weight, add the step's number, and collect the sums."""
    step = body(
        [
            node("MatMul", "carried m", "product"),
            node("Cast", "number", "n", to=TensorProto.FLOAT),
            node("Add", "product n", "sum"),
            node("Identity", cond, "goes_on"),
        ],
        "number go_on carried",
        "goes_on sum product",
    )
    return [node("Loop", f"{trips} _ x", "last all", body=step), node("Relu", "last", "y")]


def test_a_loop_of_known_length_is_written_out(tmp_path: Path) -> None:
    path = save(tmp_path, counting("three"), {"x": (1, 8)}, ["y", "all"], {"three": np.array(3), "m": weights(8, 8)})
    graph = import_onnx(path)
    assert graph.flops.tolist() == [128, 0, 128, 0, 128, 0, 0, 0]
    assert graph.weight_bytes.tolist() == [256, 0, 0, 0, 0, 0, 0, 0]  # one weight, which every step reads
    assert [layer.shares for layer in graph.layers][:5] == [(), (), (0,), (), (0,)]
    assert {layer.name for layer in graph.layers} >= {"product", "product#2", "product#3"}
    stacked = next(layer for layer in graph.layers if layer.output_bytes == 3 * 32)
    assert stacked.predecessors == (0, 2, 4)
    assert graph.input_bytes == 32
    assert "FLOPs" not in graph.origin  # those of the condition, which each step passes on, are known: none


def test_a_loop_ends_when_its_condition_is_false(tmp_path: Path) -> None:
    step = body(
        [node("MatMul", "carried m", "product"), node("Less", "number one", "goes_on")],
        "number go_on carried",
        "goes_on product",
    )
    nodes = [node("Loop", "_ true x", "y", body=step)]
    stored = {"true": np.array(True), "one": np.array(1), "m": weights(8, 8)}
    assert import_onnx(save(tmp_path, nodes, {"x": (1, 8)}, ["y"], stored)).flops.tolist() == [128, 128]


def test_a_loop_of_unknown_length_or_too_many_steps_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = {"three": np.array(3), "m": weights(8, 8)}
    nodes = [node("ReduceSum", "x", "sum", keepdims=0), node("Cast", "sum", "n", to=TensorProto.INT64), *counting("n")]
    with pytest.raises(
        ValueError, match=r"'Loop' .* how often it repeats its body \(tensor 'n'\) is computed from value"
    ):
        import_onnx(save(tmp_path, nodes, {"x": (1, 8)}, ["y"], stored))
    path = save(tmp_path, counting("three"), {"x": (1, 8)}, ["y"], stored)
    monkeypatch.setattr(writer, "MOST_OPERATORS", 9)
    with pytest.raises(ValueError, match="is number 10, with loops written out; give shapes with fewer steps"):
        import_onnx(path)


def test_what_no_output_needs_may_depend_on_values(tmp_path: Path) -> None:
    branch = body([node("MatMul", "x m", "t")], "", "t", {"m": weights(8, 8)})
    nodes = [
        node("MatMul", "x w", "y"),
        node("ReduceMax", "x", "largest", keepdims=0),
        node("Cast", "largest", "q", to=9),
        node("If", "q", "unread", then_branch=branch, else_branch=body([node("Identity", "x", "e")], "", "e")),
        node("Add", "unread x", "too"),
    ]
    graph = import_onnx(save(tmp_path, nodes, {"x": (1, 8)}, ["y"], {"w": weights(8, 4)}))
    assert [(layer.name, layer.flops) for layer in graph.layers] == [("y", 64)]
    assert "without 256 bytes of weights that it never reads" in graph.origin


def test_a_missing_file_is_the_reason_why_a_loop_cannot_be_written_out(tmp_path: Path) -> None:
    for count, reason in (("three", "is in"), ("sum", "may follow from")):
        step = body(
            [node("MatMul", "carried m", "product"), node("Identity", "go", "on")], "n go carried", "on product"
        )
        nodes = [node("Add", "three three", "sum"), node("Loop", f"{count} _ x", "y", body=step)]
        path = save(tmp_path, nodes, {"x": (1, 8)}, ["y"], {"three": np.array(3), "m": weights(8, 8)})
        model = onnx.load(path)
        stored = model.graph.initializer[0]
        stored.ClearField("raw_data")
        stored.data_location = onnx.TensorProto.EXTERNAL
        stored.external_data.add(key="location", value="net.data")
        onnx.save(model, path)
        with pytest.raises(ValueError, match=f"{reason} the file 'net.data', which cannot be read; put it beside the"):
            import_onnx(path)


@pytest.mark.parametrize("opset", [9, 11, 16])
def test_a_scan_reads_one_slice_after_another(tmp_path: Path, opset: int) -> None:
    step = body([node("MatMul", "part m", "product"), node("Add", "product state", "sum")], "state part", "sum product")
    nodes = [
        node("Scan", "start x", "last all", body=step, num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[1]),
        node("Relu", "all", "y"),
    ]
    stored = {"start": weights(2, 4), "m": weights(8, 4)}
    graph = import_onnx(save(tmp_path, nodes, {"x": (2, 3, 8)}, ["y", "last"], stored, opset=opset))
    assert graph.flops.sum() == 3 * 2 * 2 * 8 * 4
    assert graph.weight_bytes.sum() == 4 * (8 + 32)
    assert graph.layers[-1].output_bytes == 4 * 2 * 3 * 4
    assert sorted(graph.layers[index].output_bytes for index in graph.output_layers) == [32, 96]


def test_a_step_of_a_loop_that_starts_from_constants_costs_as_much_as_the_others(tmp_path: Path) -> None:
    step = body([node("MatMul", "state r", "recurrent"), node("Add", "recurrent part", "next")], "state part", "next")
    nodes = [node("Scan", "start x", "last", body=step, num_scan_inputs=1), node("Relu", "last", "y")]
    path = save(tmp_path, nodes, {"x": (3, 1, 4)}, ["y"], {"start": np.zeros((1, 4), np.float32), "r": weights(4, 4)})
    graph = import_onnx(path)
    assert graph.flops.tolist() == [32, 32, 0, 32, 0, 0]  # the first product counts for the sum that reads it
    assert graph.weight_bytes.sum() == 4 * (4 + 16)


@pytest.mark.parametrize(("backward", "turned", "width"), [(0, 0, 4), (1, 0, 3), (0, 1, 3), (1, 1, 4)])
def test_a_scan_goes_forward_or_backward(tmp_path: Path, backward: int, turned: int, width: int) -> None:
    """The sizes 3, 2 and 4 are scanned, and a tensor gets them as its shape; its last size tells their order."""
    step = body([node("Identity", "part", "same")], "part", "same")
    nodes = [
        node("Scan", "sizes", "shape", body=step, num_scan_inputs=1, scan_input_directions=[backward],
             scan_output_directions=[turned]),
        node("Reshape", "x shape", "r"),
        node("MatMul", "r m", "y"),
    ]  # fmt: skip
    stored = {"sizes": np.array([3, 2, 4]), "m": weights(width, 5)}
    assert import_onnx(save(tmp_path, nodes, {"x": (1, 24)}, ["y"], stored)).flops.tolist() == [2 * 24 * 5]


def test_tensors_are_put_into_and_taken_out_of_sequences(tmp_path: Path) -> None:
    """Tensors of one, two and three columns; products tell which of them is where."""
    nodes = [
        node("SequenceConstruct", "a b", "two"),
        node("SequenceInsert", "two c one", "three"),  # a, c, b
        node("SequenceAt", "three one", "middle"),
        node("MatMul", "middle m3", "p"),
        node("SequenceErase", "three zero", "rest"),  # c, b
        node("SequenceAt", "rest one", "last"),
        node("MatMul", "last m2", "q"),
        node("SequenceErase", "rest", "first"),  # c
        node("ConcatFromSequence", "first", "r", axis=1),
        node("Concat", "p q r", "y", axis=1),
    ]
    stored = {"zero": np.array(0), "one": np.array(1), "m3": weights(3, 7), "m2": weights(2, 7)}
    path = save(tmp_path, nodes, {"a": (1, 1), "b": (1, 2), "c": (1, 3)}, ["y"], stored)
    assert [(layer.name, layer.flops) for layer in import_onnx(path).layers if layer.flops] == [("p", 42), ("q", 28)]
    assert import_onnx(path).layers[-1].output_bytes == 4 * (7 + 7 + 3)


def test_sequences_of_tensors_are_their_tensors(tmp_path: Path) -> None:
    nodes = [
        node("SplitToSequence", "x", "parts", axis=1, keepdims=0),
        node("SequenceAt", "parts last", "part"),
        node("MatMul", "part m", "product"),
        node("SequenceEmpty", "", "none"),
        node("SequenceInsert", "none product", "one"),
        node("SequenceInsert", "one part zero", "two"),
        node("ConcatFromSequence", "two", "y", axis=1),
        node("SequenceLength", "two", "length"),
        node("Cast", "length", "unread", to=TensorProto.FLOAT),
    ]
    stored = {"last": np.array(-1), "zero": np.array(0), "m": weights(8, 2)}
    assert rows(import_onnx(save(tmp_path, nodes, {"x": (1, 3, 8)}, ["y"], stored))) == [
        ("product", 32, 64, 8, (-1,)),
        ("Concat_y", 0, 0, 40, (-1, 0)),
    ]
    nodes[1] = node("SequenceAt", "parts three", "part")
    path = save(tmp_path, nodes, {"x": (1, 3, 8)}, ["y"], {**stored, "three": np.array(3)})
    with pytest.raises(ValueError, match="reads place 3 of 3 tensors"):
        import_onnx(path)


def test_a_body_runs_for_each_tensor_of_a_sequence(tmp_path: Path) -> None:
    each = body([node("MatMul", "part m", "product")], "part", "product")
    nodes = [
        node("SplitToSequence", "x two", "parts", axis=1),
        node("SequenceMap", "parts", "products", body=each),
        node("ConcatFromSequence", "products", "y", axis=1),
    ]
    stored = {"two": np.array(2), "m": weights(8, 3)}
    graph = import_onnx(save(tmp_path, nodes, {"x": (1, 5, 8)}, ["y"], stored))
    assert graph.flops.tolist() == [96, 96, 48, 0]  # parts of two, two and one
    assert graph.layers[-1].output_bytes == 4 * 15


def test_parts_of_given_sizes(tmp_path: Path) -> None:
    nodes = [
        node("SplitToSequence", "x sizes", "parts", axis=-1),
        node("SequenceAt", "parts one", "part"),
        node("MatMul", "part m", "y"),
    ]
    stored = {"sizes": np.array([1, 5, 2]), "one": np.array(1), "m": weights(5, 3)}
    assert import_onnx(save(tmp_path, nodes, {"x": (1, 8)}, ["y"], stored)).flops.tolist() == [30]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Loop", "three _ x", "y")], "operator 'Loop' .* is not valid: it needs body; export"),
        ([node("If", "three", "y")], "'If' .* is not valid: it needs .*then_branch"),
        ([node("Scan", "x", "y", num_scan_inputs=1)], "'Scan' .* is not valid: it needs body; export"),
        ([node("SequenceAt", "x", "y")], "'SequenceAt' .* is not valid: it needs 2 to 2 inputs instead of 1; export"),
        ([node("If", "two", "y", then_branch=body([], "", "x"), else_branch=body([], "", "x"))],
         r"'If' .*: its condition \(tensor 'two'\) has 2 values instead of one"),
        ([node("If", "three", "y z", then_branch=body([], "", "x"), else_branch=body([], "", "x"))],
         "'If' .* has more outputs than its body"),
    ],
)  # fmt: skip
def test_operators_that_are_not_valid_are_refused(tmp_path: Path, nodes: list[Any], message: str) -> None:
    stored = {"three": np.array(3), "two": np.array([1, 1])}
    with pytest.raises(ValueError, match=message):
        import_onnx(save(tmp_path, nodes, {"x": (1, 8)}, ["y"], stored))


def test_types_that_a_body_states_count(tmp_path: Path) -> None:
    taken = body([node("Mystery", "x", "h", domain="mine"), node("Relu", "h", "t")], "", "t")
    taken.value_info.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, ("batch", 4)))
    nodes = [node("If", "true", "y", then_branch=taken, else_branch=taken)]
    path = save(tmp_path, nodes, {"x": ("batch", 8)}, ["y"], {"true": np.array(True)}, domain="mine")
    assert [layer.output_bytes for layer in import_onnx(path).layers] == [16, 16]


def test_operators_may_stand_in_any_order_but_not_in_a_circle(tmp_path: Path) -> None:
    taken = body([node("MatMul", "h m", "t")], "", "t")
    nodes = [
        node("If", "true", "y", then_branch=taken, else_branch=taken),
        node("Relu", "x", "h"),
        helper.make_node("Constant", [], ["true"], value_int=1),
    ]
    path = save(tmp_path, nodes, {"x": (1, 8)}, ["y"], {"m": weights(8, 2)})
    assert import_onnx(path).flops.tolist() == [0, 32]
    path = save(tmp_path, [node("Add", "x b", "a"), node("Relu", "a", "b")], {"x": (1, 8)}, ["b"])
    with pytest.raises(ValueError, match=r"'Add' \(node '/a'\) reads what is computed from its own output"):
        import_onnx(path)
