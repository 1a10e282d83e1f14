"""What a scenario file says of a user's network: shapes of an ONNX file, what is sent, and tables of seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from dnnmig_env.networks import zoo
from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.file import load_scenario, save_scenario
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from tests.dnnmig_env.networks.onnx.files import body, node, save, weights


def load(folder: Path, **user: Any) -> User:
    """Load a scenario with one user and one server, and return the user."""
    rates = {"flops_per_s": 1e9, "memory_bytes_per_s": 1e9}
    scenario = {
        "horizon_s": 10.0,
        "servers": [{"name": "edge", **rates}],
        "default_link": {"up_mbps": 8.0},
        "users": [{"name": "me", "device": rates, **user}],
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(scenario).replace("e+09", ".0e+9"))
    return load_scenario(folder / "mine.yaml").users[0]


def test_shapes_of_a_dynamic_onnx_file(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x m", "h"), node("Add", "h z", "y")]
    save(tmp_path, nodes, {"x": ("batch", "rows", 8), "z": ("batch", "rows", 4)}, ["y"], {"m": weights(8, 4)})
    for shape in ({"rows": 3}, {"x": [1, 3, 8], "z": [1, 3, 4]}, [[1, 3, 8], [1, 3, 4]]):
        assert load(tmp_path, network="net.onnx", input_shape=shape).graph.inputs == (96, 48)
    assert load(tmp_path, network="net.onnx", input_shape={"rows": 3, "batch": 2}).graph.inputs == (192, 96)
    with pytest.raises(ValueError, match=r"users\[0\].network: input 'x' has the shape .*, e.g. rows=128"):
        load(tmp_path, network="net.onnx")
    with pytest.raises(ValueError, match=r"users\[0\].network: 'row' is not the name .*did you mean 'rows'"):
        load(tmp_path, network="net.onnx", input_shape={"row": 3})
    for shape in ([1, -3], {"rows": 1.5}, 3, [[1, 2], 3], {"rows": True}):
        with pytest.raises(ValueError, match=r"users\[0\].input_shape.*must be a list of whole numbers"):
            load(tmp_path, network="net.onnx", input_shape=shape)


def test_one_input_of_an_onnx_file(tmp_path: Path) -> None:
    save(tmp_path, [node("MatMul", "x m", "y")], {"x": ("n", "rows", 8)}, ["y"], {"m": weights(8, 4)})
    assert load(tmp_path, network="net.onnx", input_shape=[1, 5, 8]).graph.input_bytes == 160


def test_values_and_state_of_an_onnx_file(tmp_path: Path) -> None:
    taken = body([node("MatMul", "h m", "t")], "", "t")
    nodes = [
        node("Concat", "cache x", "cache_out", axis=1),
        node("ReduceSum", "cache_out one", "h", keepdims=0),
        node("Cast", "rate", "fast", to=9),
        node("If", "fast", "y", then_branch=taken, else_branch=body([node("Relu", "h", "t")], "", "t")),
    ]
    inputs: Any = {"x": (1, 1, 8), "cache": (1, "past", 8), "rate": ()}
    save(tmp_path, nodes, inputs, ["y", "cache_out"], {"m": weights(8, 4), "one": np.array([1])})
    given: Any = {"network": "net.onnx", "input_shape": {"past": 7}, "input_values": {"rate": 1}}
    user = load(tmp_path, **given)
    assert (user.graph.inputs, user.graph.outputs, user.graph.flops.sum()) == ((32, 224), (0, 1), 64)
    user = load(tmp_path, **given, state=["cache*"])
    assert (user.graph.input_bytes, user.graph.inputs) == (32, ())
    assert [user.graph.layers[index].name for index in user.graph.output_layers] == ["t"]
    with pytest.raises(ValueError, match=r"its condition .* is computed from values of the network's input"):
        load(tmp_path, **{**given, "input_values": {}})


@pytest.mark.parametrize("key", ["input_shape", "input_values", "state"])
def test_keys_that_only_onnx_files_have(tmp_path: Path, key: str) -> None:
    value = {"input_shape": [1, 2], "input_values": {"x": 1}, "state": ["x"]}[key]
    with pytest.raises(ValueError, match=rf"users\[0\].network: {key} is given, but only an .onnx file"):
        load(tmp_path, network="resnet18", **{key: value})


def test_what_is_sent(tmp_path: Path) -> None:
    raw = zoo.load_prepared("resnet18", 4)
    for keys, sent_bytes in (
        ({"input_dtype": "uint8"}, 3 * 224 * 224),
        ({"input_dtype": "uint8", "input_ratio": 10}, 15053),
        ({"input_ratio": 40.0}, 15053),
        ({"input_bytes": 9000}, 9000),
        ({"input_bytes": [9000]}, 9000),
    ):
        user = load(tmp_path, network="resnet18", max_layers=4, **keys)
        assert user.graph.input_bytes == sent_bytes
        assert user.graph.bytes_moved.tolist() == raw.bytes_moved.tolist()
    profile = {"device": "resnet50_xeon_core"}
    user = load(tmp_path, network="resnet50", max_layers=4, profile=profile, input_bytes=9000)
    assert user.graph.input_bytes == 9000  # and the profile, measured with all bytes, fits
    with pytest.raises(ValueError, match=r"users\[0\]: input_bytes has 2 numbers for 1 inputs"):
        load(tmp_path, network="resnet18", input_bytes=[1, 2])
    with pytest.raises(ValueError, match=r"users\[0\].input_ratio: 0; must be positive"):
        load(tmp_path, network="resnet18", input_ratio=0)


LAYERS = {
    "name": "net",
    "input_bytes": 1000,
    "layers": [
        {"name": "conv", "flops": 100, "weight_bytes": 400, "output_bytes": 800},
        {"name": "relu", "flops": 0, "weight_bytes": 0, "output_bytes": 800},
        {"name": "mid", "flops": 60, "weight_bytes": 300, "output_bytes": 40},
        {"name": "head", "flops": 50, "weight_bytes": 300, "output_bytes": 40},
    ],
}


@pytest.mark.parametrize(
    ("rows", "max_layers", "seconds"),
    [
        ([1.0, 2.0, 4.0, 8.0], None, [1, 2, 4, 8]),
        ([1.0, 2.0, 4.0, 8.0], 3, [3, 4, 8]),  # as given: relu is fused with conv
        ([1.0, 2.0, 4.0, 8.0], 2, [7, 8]),  # merging hides the large tensor behind relu
        ([3.0, 4.0, 8.0], 2, [7, 8]),  # fused, then merged
        ([7.0, 8.0], 2, [7, 8]),  # as merged
    ],
)
def test_seconds_are_merged_like_layers(
    tmp_path: Path, rows: list[float], max_layers: int | None, seconds: list[float]
) -> None:
    table = [[row, row / 10] for row in rows]
    limit = {} if max_layers is None else {"max_layers": max_layers}
    user = load(tmp_path, network=LAYERS, profile_s=table, **limit)
    assert np.asarray(user.profile_s).T.tolist() == [
        pytest.approx(seconds),
        pytest.approx([value / 10 for value in seconds]),
    ]


def test_seconds_of_other_numbers_of_layers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"users\[0\].profile_s: 5 rows of 2 numbers; give 2 rows of 2"):
        load(tmp_path, network=LAYERS, max_layers=2, profile_s=[[1.0, 1.0]] * 5)
    with pytest.raises(ValueError, match=r"users\[0\].profile_s: 4 rows of 1 numbers; give 4 rows of 2"):
        load(tmp_path, network=LAYERS, max_layers=2, profile_s=[[1.0]] * 4)


def test_seconds_of_the_operators_of_the_zoo(tmp_path: Path) -> None:
    count = len(zoo.load("resnet18"))
    user = load(tmp_path, network="resnet18", max_layers=6, profile_s=[[1.0, 0.5]] * count)
    assert np.asarray(user.profile_s).sum(axis=0).tolist() == [count, count / 2]
    assert np.asarray(user.profile_s)[:, 0].tolist() == [layer.operators for layer in user.graph.layers]


def test_all_that_a_graph_says_is_saved_and_comes_back(tmp_path: Path) -> None:
    layers = (
        Layer("table", 10, 400, 80, (-1,)),
        Layer("mid", 10, 100, 80, (-2, 0), on_device=True),
        Layer("head", 10, 0, 40, (1,), internal_bytes=400, shares=(0,)),
    )
    graph = LayerGraph("net", 30, layers, "by hand", inputs=(10, 20), outputs=(0, 2))
    device, edge = (Node(tier.value, tier, 1e9, 1e9) for tier in (Tier.DEVICE, Tier.EDGE))
    scenario = Scenario((User("me", graph, device),), (edge,), Links(1e6), 10.0)
    save_scenario(scenario, tmp_path / "saved.yaml")
    assert load_scenario(tmp_path / "saved.yaml").users[0].graph == graph


def test_layers_that_stay_on_the_device(tmp_path: Path) -> None:
    user = load(tmp_path, network="resnet18", max_layers=6, on_device=["conv1", "layer1.*"])
    names = [layer.name for layer in user.graph.layers if layer.on_device]
    assert names and all(name.startswith(("conv1", "layer1")) for name in names)
    assert user.graph.weight_bytes.sum() == zoo.load("resnet18").weight_bytes.sum()
    profile = {"device": "resnet50_xeon_core"}
    assert load(tmp_path, network="resnet50", max_layers=9, on_device=["conv1"], profile=profile).profile_s is not None
    assert [layer.on_device for layer in load(tmp_path, network=LAYERS, on_device=["mid"]).graph.layers] == [
        *(False, False, True, False)
    ]
    with pytest.raises(ValueError, match=r"users\[0\].network: on_device names 'convolution'"):
        load(tmp_path, network=LAYERS, on_device=["convolution"])
