"""What is really sent as a network's input changes what crosses links, and nothing that layers compute or read."""

from __future__ import annotations

import pytest

from dnnmig_env.networks import zoo
from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.networks.measured_profile import size_of
from dnnmig_env.networks.preprocessing import prepare
from dnnmig_env.networks.sent_input import Sent, network_input_bytes, with_sent_input


def two_inputs(origin: str = "") -> LayerGraph:
    """An image of 1200 bytes and 10 token ids of 8 bytes; both are read by the last layer too."""
    layers = (
        Layer("conv", 100, 40, 300, (-1,)),
        Layer("embed", 0, 80, 40, (-2,)),
        Layer("join", 10, 4, 8, (-2, -1, 0, 1), internal_bytes=5),
    )
    return LayerGraph("pair", 1280, layers, origin, inputs=(1200, 80))


def test_bytes_by_hand() -> None:
    graph = with_sent_input(two_inputs(), Sent(input_bytes=(100, 70)))
    assert (graph.input_bytes, graph.inputs) == (170, (100, 70))
    assert [layer.internal_bytes for layer in graph.layers] == [1100, 10, 1115]
    assert graph.bytes_moved.tolist() == two_inputs().bytes_moved.tolist()
    assert graph.flops.tolist() == two_inputs().flops.tolist()
    assert graph.origin.endswith("; sends 170 for 1280 bytes of input")


@pytest.mark.parametrize(
    ("sent", "sizes"),
    [
        (Sent(dtype="uint8"), (300, 80)),  # token ids are sent as they are
        (Sent(dtype="float16"), (600, 80)),
        (Sent(dtype="bfloat16"), (600, 80)),
        (Sent(dtype="uint8", ratio=10), (30, 80)),
        (Sent(ratio=7), (172, 80)),  # 171.4 bytes
        (Sent(ratio=0.5), (2400, 80)),
        (Sent(), (1200, 80)),
    ],
)
def test_types_and_compression_change_inputs_of_floating_point_numbers(sent: Sent, sizes: tuple[int, ...]) -> None:
    graph = with_sent_input(two_inputs("python -m dnnmig_env trace a:b --input-shape 1x300 10:int64; torch 2"), sent)
    assert graph.inputs == sizes


def test_networks_whose_origin_is_not_known_read_float32() -> None:
    graph = LayerGraph("net", 400, (Layer("a", 1, 4, 4, (-1,)),), "drawn by hand")
    assert with_sent_input(graph, Sent(dtype="uint8")).input_bytes == 100
    half = LayerGraph("net", 400, (Layer("a", 1, 4, 4, (-1,)),), "made --input-shape 1x200:float16 --state a")
    assert with_sent_input(half, Sent(dtype="uint8")).input_bytes == 200


def test_the_networks_of_the_zoo() -> None:
    image, tokens = zoo.load_prepared("yolos_tiny", 8), zoo.load_prepared("bert_mini", 8)
    assert with_sent_input(image, Sent(dtype="uint8")).input_bytes == image.input_bytes // 4
    assert with_sent_input(tokens, Sent(dtype="uint8", ratio=10)).input_bytes == tokens.input_bytes


def test_what_is_sent_may_be_stated_before_and_after_merging_and_again() -> None:
    raw, sent = zoo.load("resnet18"), Sent(dtype="uint8", ratio=10)
    assert prepare(with_sent_input(raw, sent), 6) == with_sent_input(prepare(raw, 6), sent)
    once = with_sent_input(raw, sent)
    assert network_input_bytes(once) == raw.input_bytes
    assert size_of(once) == size_of(raw)  # so profiles of the network still fit
    again = with_sent_input(once, Sent(input_bytes=(1000,)))
    assert (again.input_bytes, network_input_bytes(again)) == (1000, raw.input_bytes)
    assert again.bytes_moved.tolist() == raw.bytes_moved.tolist()


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (Sent(input_bytes=(5,)), "input_bytes has 1 numbers for 2 inputs; give one for each"),
        (Sent(input_bytes=(5, -1)), r"input_bytes is \[5, -1\]; it must not be negative"),
        (Sent(input_bytes=(5, 1), ratio=2), "input_bytes is given with input_dtype or input_ratio; give either"),
        (Sent(dtype="jpeg"), "input_dtype is 'jpeg'; give the type of a number such as uint8"),
        (Sent(dtype="str"), "input_dtype is 'str'; give the type of a number such as uint8"),
        (Sent(ratio=0), "input_ratio is 0; give how many times smaller the input becomes"),
        (Sent(ratio=float("nan")), "input_ratio is nan"),
    ],
)
def test_mistakes_are_explained(sent: Sent, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_sent_input(two_inputs(), sent)


def test_unknown_types_are_not_guessed() -> None:
    graph = two_inputs("imported with --input-shape 1x300 10:int64 4x4")
    with pytest.raises(ValueError, match="the types of the 2 inputs of 'pair' are not known; give the bytes of each"):
        with_sent_input(graph, Sent(dtype="uint8"))
