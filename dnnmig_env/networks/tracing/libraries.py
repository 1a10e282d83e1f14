"""Builds networks of torchvision, timm and transformers by name, without downloads."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from dnnmig_env.networks.tracing import InputSpec

_TOKENS = InputSpec((1, 128), "int64")


@dataclass(frozen=True)
class Recipe:
    """A module with the inputs that it is usually given.

    Attributes:
        module: The network. Unless weights were asked for, it is on the meta device if it can be built there.
        inputs: Its inputs.
        version: Library and version; empty for the user's own code.
    """

    module: nn.Module
    inputs: tuple[InputSpec, ...]
    version: str


Make = Callable[[Callable[[], Any]], Any]
"""Way to build a module: calls a function that builds it, and returns the module."""


def without_memory(build: Callable[[], Any]) -> Any:
    """Build a module on the meta device, or for real if its construction depends on values of tensors."""
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of weights that are not loaded
            return build()
    except Exception:  # whatever the builder does with tensors that have no values
        return build()


def with_weights(build: Callable[[], Any]) -> Any:
    """Build a module for real, with the random parameters that its own code draws; they are the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def from_torchvision(name: str, make: Make = without_memory) -> Recipe:
    """Build a torchvision model; of a detector only the backbone and the heads.

    Raises:
        ValueError: If there is no such model, or it is a detector whose head works on selected regions.
    """
    models = _import("torchvision").models
    if name not in models.list_models():
        _refuse("torchvision", name, models.list_models())
    detectors = models.list_models(models.detection)
    options: dict[str, Any] = {"weights": None}
    if name in (*detectors, *models.list_models(models.segmentation)):
        options["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False  # would take a minute, and values do not matter
    module = make(lambda: models.get_model(name, **options))
    if name in detectors:
        module = _DenseDetector(module, name)
    preset = models.get_model_weights(name).DEFAULT.transforms()
    sizes = (
        getattr(preset, "crop_size", None) or getattr(preset, "resize_size", None) or [_DETECTOR_SIZES.get(name, 640)]
    )
    return Recipe(module, (InputSpec((1, 3, sizes[0], sizes[-1])),), _version("torchvision"))


def from_timm(name: str, make: Make = without_memory) -> Recipe:
    """Build a timm model.

    Raises:
        ValueError: If there is no such model.
    """
    timm = _import("timm")
    if not timm.is_model(name):
        _refuse("timm", name, timm.list_models())
    module = make(lambda: timm.create_model(name, pretrained=False))
    return Recipe(module, (InputSpec((1, *module.default_cfg["input_size"])),), _version("timm"))


def from_transformers(name: str, make: Make = without_memory) -> Recipe:
    """Build a transformers model from its published configuration, which is written in this module.

    Raises:
        ValueError: If this module has no configuration for it.
    """
    if name not in _TRANSFORMERS:
        _refuse("transformers", name, _TRANSFORMERS)
    build, inputs = _TRANSFORMERS[name]
    transformers = _import("transformers")
    return Recipe(make(lambda: build(transformers)), inputs, _version("transformers"))


LIBRARIES: Mapping[str, Callable[..., Recipe]] = {
    "timm": from_timm,
    "torchvision": from_torchvision,
    "transformers": from_transformers,
}
"""For each library, the function that builds its models, given a name and optionally a `Make`."""


class _DenseDetector(nn.Module):
    """A one-stage detector up to its raw predictions; which boxes are then kept would depend on tensor values."""

    def __init__(self, detector: Any, name: str) -> None:
        super().__init__()
        if not hasattr(detector, "head"):
            raise ValueError(f"torchvision:{name} selects regions before its head; give a one-stage detector.")
        self.backbone = detector.backbone
        self.head = detector.head

    def forward(self, image: Tensor) -> Any:
        features = self.backbone(image)
        return self.head([features] if isinstance(features, Tensor) else list(features.values()))


_DETECTOR_SIZES = {"ssd300_vgg16": 300, "ssdlite320_mobilenet_v3_large": 320}


def _boxes_only(detector: Any) -> Any:
    """Let a detector return its predictions without the hidden states from which it computes them."""

    class Detector(type(detector)):  # type: ignore[misc]
        def forward(self, pixel_values: Tensor) -> Any:
            found = super().forward(pixel_values)
            return {"logits": found.logits, "pred_boxes": found.pred_boxes}

    detector.__class__ = Detector
    return detector


def _albert_base(library: Any) -> Any:
    config = library.AlbertConfig(hidden_size=768, num_attention_heads=12, intermediate_size=3072)
    return library.AlbertModel(config)


def _bert_mini(library: Any) -> Any:
    config = library.BertConfig(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024)
    return library.BertModel(config)


def _detr_resnet50(library: Any) -> Any:
    backbone = library.ResNetConfig(out_features=["stage4"])
    config = library.DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=backbone
    )
    return _boxes_only(library.DetrForObjectDetection(config))


def _gpt2(library: Any) -> Any:
    return library.GPT2LMHeadModel(library.GPT2Config(use_cache=False))


def _segformer_b0(library: Any) -> Any:
    return library.SegformerForSemanticSegmentation(library.SegformerConfig(num_labels=150))


def _whisper_tiny_encoder(library: Any) -> Any:
    return library.WhisperModel(library.WhisperConfig()).encoder


def _yolos_tiny(library: Any) -> Any:
    config = library.YolosConfig(
        hidden_size=192,
        num_attention_heads=3,
        intermediate_size=768,
        image_size=[800, 1333],
        use_mid_position_embeddings=False,
        num_labels=91,
    )
    return _boxes_only(library.YolosForObjectDetection(config))


_TRANSFORMERS: Mapping[str, tuple[Callable[[Any], Any], tuple[InputSpec, ...]]] = {
    "albert_base": (_albert_base, (_TOKENS,)),
    "bert_base": (lambda library: library.BertModel(library.BertConfig()), (_TOKENS,)),
    "bert_mini": (_bert_mini, (_TOKENS,)),
    "detr_resnet50": (_detr_resnet50, (InputSpec((1, 3, 800, 1066)),)),
    "distilbert_base": (lambda library: library.DistilBertModel(library.DistilBertConfig()), (_TOKENS,)),
    "gpt2": (_gpt2, (_TOKENS,)),
    "mobilevit_small": (
        lambda library: library.MobileViTForImageClassification(library.MobileViTConfig(num_labels=1000)),
        (InputSpec((1, 3, 256, 256)),),
    ),
    "segformer_b0": (_segformer_b0, (InputSpec((1, 3, 512, 512)),)),
    "whisper_tiny_encoder": (_whisper_tiny_encoder, (InputSpec((1, 80, 3000)),)),
    "yolos_tiny": (_yolos_tiny, (InputSpec((1, 3, 512, 683)),)),
}


def _import(library: str) -> Any:
    try:
        return importlib.import_module(library)
    except (ImportError, RuntimeError) as error:  # RuntimeError: the library was made for another torch
        reason = str(error).splitlines()[0]
        raise ValueError(f"cannot import {library}: {reason}; `make zoo` makes an environment with it.") from error


def _version(library: str) -> str:
    return f"{library} {importlib.metadata.version(library)}"


def _refuse(library: str, name: str, known: Iterable[str]) -> NoReturn:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3) or names[:10]
    raise ValueError(f"{library} has no model {name!r} that can be traced; try {', '.join(close)}.")
