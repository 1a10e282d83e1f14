"""The zoo's networks are the published ones, and reading them is quick and needs no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dnnmig_env.networks import zoo
from dnnmig_env.networks.graph_file import read_graph, write_graph
from dnnmig_env.networks.layer_graph import Layer, LayerGraph

# Parameters and GMAC. Of torchvision's models: the figures in its weight metadata (`num_params`, `_ops`).
TORCHVISION = {
    "alexnet": (61100840, 0.714),
    "convnext_tiny": (28589128, 4.456),
    "densenet121": (7978856, 2.834),
    "densenet201": (20013928, 4.291),
    "efficientnet_b0": (5288548, 0.386),
    "googlenet": (6624904, 1.498),
    "inception_v3": (27161264 - 3326696, 5.713),  # the second is the auxiliary head, which inference does not use
    "mnasnet1_0": (4383312, 0.314),
    "mobilenet_v2": (3504872, 0.301),
    "mobilenet_v3_small": (2542856, 0.057),
    "regnet_y_400mf": (4344144, 0.402),
    "resnet18": (11689512, 1.814),
    "resnet50": (25557032, 4.089),
    "resnet152": (60192808, 11.514),
    "resnext50_32x4d": (25028904, 4.23),
    "shufflenet_v2_x1_0": (2278604, 0.145),
    "squeezenet1_1": (1235496, 0.349),
    "ssd300_vgg16": (35641826, 34.858),
    "ssdlite320_mobilenet_v3_large": (3440060, 0.583),
    "swin_t": (28288354, 4.491),
    "vgg16": (138357544, 15.47),
    "vit_b_16": (86567656, 17.564),
}
# Millions of parameters and GMAC as the authors or timm round them: one unit of the last digit, or 2 % of the work.
ROUNDED = {
    "cspdarknet53": (27.64, 6.57),
    "darknet53": (41.61, 9.31),
    "inception_v4": (42.68, 12.28),
    "mobilevit_small": (5.58, 2.03),
    "nasnetalarge": (88.75, 23.89),
    "segformer_b0": (3.75, 8.4),
}


def encoder_macs(layers: int, width: int, inner: int, tokens: int) -> int:
    """Four projections and two of the feed-forward part per token; each query with each key, then with each value."""
    return layers * (tokens * (4 * width**2 + 2 * width * inner) + 2 * tokens**2 * width)


def encoder_parameters(layers: int, width: int, inner: int) -> int:
    """The same matrices with their biases, and two normalisations."""
    return layers * (4 * width**2 + 4 * width + 2 * width * inner + inner + width + 4 * width)


# By hand from the published configurations, 128 tokens.
BY_HAND = {
    # Words, positions, segments, a normalisation; the encoder; the pooler on one token.
    "bert_base": (
        (30522 + 512 + 2 + 2) * 768 + encoder_parameters(12, 768, 3072) + 768**2 + 768,
        encoder_macs(12, 768, 3072, 128) + 768**2,
    ),
    "bert_mini": (
        (30522 + 512 + 2 + 2) * 256 + encoder_parameters(4, 256, 1024) + 256**2 + 256,
        encoder_macs(4, 256, 1024, 128) + 256**2,
    ),
    "distilbert_base": (
        (30522 + 512 + 2) * 768 + encoder_parameters(6, 768, 3072),
        encoder_macs(6, 768, 3072, 128),
    ),
    # Words and positions, a last normalisation; the head shares the words' table.
    "gpt2": (
        (50257 + 1024 + 2) * 768 + encoder_parameters(12, 768, 3072),
        encoder_macs(12, 768, 3072, 128) + 128 * 768 * 50257,
    ),
    # Twelve times the same layer, so one layer's parameters; words of 128 numbers that are mapped to 768.
    "albert_base": (
        (30000 + 512 + 2 + 2) * 128 + 128 * 768 + 768 + encoder_parameters(1, 768, 3072) + 768**2 + 768,
        encoder_macs(12, 768, 3072, 128) + 128 * 128 * 768 + 768**2,
    ),
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_figures(name: str) -> None:
    parameters, gmac = TORCHVISION[name]
    graph = zoo.load(name)
    assert graph.weight_bytes.sum() == 4 * parameters
    assert graph.flops.sum() / 2e9 == pytest.approx(gmac, abs=0.00051)


@pytest.mark.parametrize("name", ROUNDED)
def test_rounded_figures(name: str) -> None:
    millions, gmac = ROUNDED[name]
    graph = zoo.load(name)
    assert graph.weight_bytes.sum() / 4e6 == pytest.approx(millions, abs=0.01)
    assert graph.flops.sum() / 2e9 == pytest.approx(gmac, rel=0.02)


@pytest.mark.parametrize("name", BY_HAND)
def test_figures_by_hand(name: str) -> None:
    parameters, macs = BY_HAND[name]
    graph = zoo.load(name)
    assert graph.weight_bytes.sum() == 4 * parameters
    assert graph.flops.sum() == 2 * macs
    assert graph.input_bytes == 128 * 8


def test_published_totals_that_the_hand_made_ones_must_meet() -> None:
    assert BY_HAND["bert_base"][0] == 109_482_240
    assert BY_HAND["gpt2"][0] == 124_439_808


def test_frozen_normalisation_counts_as_parameters_of_retinanet() -> None:
    # torchvision's 34014999 leaves out the 26560 scales and shifts of ResNet-50, which its training keeps frozen.
    assert zoo.load("retinanet_resnet50_fpn").weight_bytes.sum() == 4 * (34014999 + 2 * 26560)


def test_split_is_disjoint_complete_and_spans_the_families() -> None:
    assert not set(zoo.TRAIN_NETWORKS) & set(zoo.TEST_NETWORKS)
    assert set(zoo.TRAIN_NETWORKS) | set(zoo.TEST_NETWORKS) == set(zoo.networks())
    assert {path.stem for path in zoo.FOLDER.glob("*.json")} == set(zoo.networks())
    assert len(zoo.networks()) >= 24
    assert len(zoo.TEST_NETWORKS) >= 6
    families = {"cspdarknet53", "distilbert_base", "swin_t", "yolos_tiny", "ssdlite320_mobilenet_v3_large"}
    assert families <= set(zoo.TEST_NETWORKS)


def test_the_networks_that_measure_generalisation_stay_the_same() -> None:
    # Published agents were trained on all others: with one of these moved, their results would no longer be comparable.
    assert set(zoo.TEST_NETWORKS) == {
        "cspdarknet53",
        "densenet201",
        "distilbert_base",
        "googlenet",
        "mobilenet_v3_small",
        "mobilevit_small",
        "resnet152",
        "ssdlite320_mobilenet_v3_large",
        "swin_t",
        "yolos_tiny",
    }


@pytest.mark.parametrize("name", zoo.networks())
def test_each_network_is_whole_and_says_where_it_is_from(name: str) -> None:
    graph = zoo.load(name)
    assert graph.name == name
    assert f"trace {zoo.SOURCES[name]} " in graph.origin
    assert "torch 2." in graph.origin
    assert (graph.operators == 1).all(), "views are folded away"
    assert graph.input_bytes > 0
    assert (graph.output_bytes > 0).all()
    reached = {-1}
    for index, layer in enumerate(graph.layers):
        reached |= {index} if reached.intersection(layer.predecessors) else set()
    assert len(reached) == len(graph) + 1
    prepared = zoo.load_prepared(name, 16)
    assert len(prepared) == min(16, len(zoo.load_prepared(name)))
    assert prepared.bytes_moved.sum() == graph.bytes_moved.sum()


def test_networks_are_cached() -> None:
    assert zoo.load("alexnet") is zoo.load("alexnet")
    assert zoo.load_prepared("alexnet", 4) is zoo.load_prepared("alexnet", 4)


def test_an_unknown_network_is_explained() -> None:
    with pytest.raises(ValueError, match=r"unknown network 'resnet51'; did you mean 'resnet50'\? The zoo has albert_"):
        zoo.load("resnet51")
    with pytest.raises(ValueError, match="unknown network '!!'; the zoo has albert_base, alexnet"):
        zoo.load_prepared("!!", 16)


def test_loading_all_imports_no_torch_and_takes_a_moment() -> None:
    code = (
        "import sys, time\nfrom dnnmig_env.networks import zoo\nstart = time.perf_counter()\n"
        "for name in zoo.networks(): zoo.load_prepared(name, 16)\n"
        "print('torch' in sys.modules, 'onnx' in sys.modules, time.perf_counter() - start)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    torch, onnx, seconds = result.stdout.split()
    assert (torch, onnx) == ("False", "False")
    assert float(seconds) < 4  # 0.25 s on an idle machine


GRAPH = LayerGraph(
    "net",
    8,
    (
        Layer("a", 3.0, 4, 5, (-1,)),
        Layer("b", 0.5, 0, 5, (-1, 0), internal_bytes=7, operators=2),
        Layer("view", 0.0, 0, 5, (1,), operators=0),
    ),
    "by hand",
)


def test_a_file_keeps_everything(tmp_path: Path) -> None:
    write_graph(GRAPH, tmp_path / "net.json")
    assert read_graph(tmp_path / "net.json") == GRAPH
    assert read_graph(tmp_path / "net.json").origin == "by hand"
    assert sum('"name":' in line for line in (tmp_path / "net.json").read_text().splitlines()[1:]) == 1 + len(GRAPH)
    assert list(tmp_path.iterdir()) == [tmp_path / "net.json"]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "net.json").mkdir()
    with pytest.raises(ValueError, match=r"cannot write .*net.json: Is a directory; move what has this name"):
        write_graph(GRAPH, tmp_path / "net.json")
    assert list(tmp_path.iterdir()) == [tmp_path / "net.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot read the network"),
        ("[1]", r"\[1\]; must be a mapping of keys to values"),
        (json.dumps({"name": "net", "input_bytes": 1}), "layers: missing; add it"),
        (json.dumps({"name": "net", "input_bytes": 1, "layers": []}), "has no layers"),
    ],
)
def test_a_damaged_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "net.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_graph(tmp_path / "net.json")


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read the network .*gone.json: No such file or directory"):
        read_graph(tmp_path / "gone.json")
