"""The zoo: real networks that were traced once and are kept as files; drawn scenarios are made of them.

`python -m dnnmig_env zoo` writes the files, which lie in `graphs/`; reading them needs no torch. A query sends what the
network reads: images as 32-bit numbers, also those of detectors, and token ids as 64-bit ones. `sent_input` states what
is really sent, e.g. a JPEG.
"""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path

from dnnmig_env.networks.graph_file import read_graph
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.preprocessing import prepare

SOURCES: dict[str, str] = {
    # Convolutional classifiers.
    "alexnet": "torchvision:alexnet",
    "convnext_tiny": "torchvision:convnext_tiny",
    "cspdarknet53": "timm:cspdarknet53",
    "darknet53": "timm:darknet53",
    "densenet121": "torchvision:densenet121",
    "densenet201": "torchvision:densenet201",
    "efficientnet_b0": "torchvision:efficientnet_b0",
    "googlenet": "torchvision:googlenet",
    "inception_v3": "torchvision:inception_v3",
    "inception_v4": "timm:inception_v4",
    "mnasnet1_0": "torchvision:mnasnet1_0",
    "mobilenet_v2": "torchvision:mobilenet_v2",
    "mobilenet_v3_small": "torchvision:mobilenet_v3_small",
    "nasnetalarge": "timm:nasnetalarge",
    "regnet_y_400mf": "torchvision:regnet_y_400mf",
    "resnet18": "torchvision:resnet18",
    "resnet50": "torchvision:resnet50",
    "resnet152": "torchvision:resnet152",
    "resnext50_32x4d": "torchvision:resnext50_32x4d",
    "shufflenet_v2_x1_0": "torchvision:shufflenet_v2_x1_0",
    "squeezenet1_1": "torchvision:squeezenet1_1",
    "vgg16": "torchvision:vgg16",
    # Transformers for images, text and speech.
    "albert_base": "transformers:albert_base",
    "bert_base": "transformers:bert_base",
    "bert_mini": "transformers:bert_mini",
    "distilbert_base": "transformers:distilbert_base",
    "gpt2": "transformers:gpt2",
    "mobilevit_small": "transformers:mobilevit_small",
    "swin_t": "torchvision:swin_t",
    "vit_b_16": "torchvision:vit_b_16",
    "whisper_tiny_encoder": "transformers:whisper_tiny_encoder",
    # Detectors and segmentation, without the selection of boxes.
    "deeplabv3_mobilenet_v3_large": "torchvision:deeplabv3_mobilenet_v3_large",
    "detr_resnet50": "transformers:detr_resnet50",
    "fcn_resnet50": "torchvision:fcn_resnet50",
    "retinanet_resnet50_fpn": "torchvision:retinanet_resnet50_fpn",
    "segformer_b0": "transformers:segformer_b0",
    "ssd300_vgg16": "torchvision:ssd300_vgg16",
    "ssdlite320_mobilenet_v3_large": "torchvision:ssdlite320_mobilenet_v3_large",
    "yolos_tiny": "transformers:yolos_tiny",
}
"""For each network, the source from which `python -m dnnmig_env trace` makes it."""

TEST_NETWORKS: tuple[str, ...] = (
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
)
"""Networks that no agent is trained on: they measure generalisation. Fixed, so that results stay comparable."""

TRAIN_NETWORKS: tuple[str, ...] = tuple(name for name in SOURCES if name not in TEST_NETWORKS)
"""Networks to train on: all others."""

FOLDER = Path(__file__).with_name("graphs")
"""Folder of the traced networks."""


def networks() -> tuple[str, ...]:
    """Return the names of all networks, sorted."""
    return tuple(sorted(SOURCES))


def check(name: str) -> None:
    """Check that the zoo has a network of a name.

    Raises:
        ValueError: If it has none.
    """
    if name not in SOURCES:
        close = difflib.get_close_matches(name, SOURCES, n=1)
        hint = f"did you mean {close[0]!r}? The zoo has" if close else "the zoo has"
        raise ValueError(f"unknown network {name!r}; {hint} {', '.join(networks())}.")


@cache
def load(name: str) -> LayerGraph:
    """Read a network as it was traced: one layer per operator.

    Args:
        name: One of `networks()`.

    Raises:
        ValueError: If there is no such network.
    """
    check(name)
    return read_graph(FOLDER / f"{name}.json")


@cache
def load_prepared(name: str, max_layers: int | None = None) -> LayerGraph:
    """Read a network, fused and then merged to at most `max_layers` layers (None: only fused).

    Raises:
        ValueError: If there is no such network, or `max_layers` is less than 1.
    """
    return prepare(load(name), max_layers)
