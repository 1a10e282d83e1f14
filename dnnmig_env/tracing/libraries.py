"""Networks of torchvision, timm and transformers by name, built without weights and without downloads."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from dnnmig_env.tracing import InputSpec

_TOKENS = InputSpec((1, 128), "int64")


@dataclass(frozen=True)
class Recipe:
    """A module on the meta device with the inputs that it is usually given.

    Attributes:
        module: The network.
        inputs: Its inputs.
        version: Library and version.
    """

    module: nn.Module
    inputs: tuple[InputSpec, ...]
    version: str


def from_torchvision(name: str) -> Recipe:
    """Build a torchvision model; of a detector the backbone and the heads.

    Raises:
        ValueError: If there is no such model, or it is a detector whose head works on selected regions.
    """
    import torchvision
    from torchvision import models

    if name not in models.list_models():
        _unknown("torchvision", name, models.list_models())
    options: dict[str, Any] = {"weights": None}
    if name in (*models.list_models(models.detection), *models.list_models(models.segmentation)):
        options["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    module = _without_memory(lambda: models.get_model(name, **options))
    if name in models.list_models(models.detection):
        module = _DenseDetector(module, name)
    preset = models.get_model_weights(name).DEFAULT.transforms()
    size = getattr(preset, "crop_size", None) or getattr(preset, "resize_size", None) or [_DETECTOR_SIZE.get(name, 640)]
    shape = (1, 3, size[0], size[-1])
    return Recipe(module, (InputSpec(shape),), f"torchvision {torchvision.__version__}")


def from_timm(name: str) -> Recipe:
    """Build a timm model.

    Raises:
        ValueError: If there is no such model.
    """
    import timm

    if not timm.is_model(name):
        _unknown("timm", name, timm.list_models())
    module = _without_memory(lambda: timm.create_model(name, pretrained=False))
    return Recipe(module, (InputSpec((1, *module.default_cfg["input_size"])),), f"timm {timm.__version__}")


def from_transformers(name: str) -> Recipe:
    """Build a transformers model from its published configuration.

    Raises:
        ValueError: If there is no recipe for it.
    """
    import transformers

    if name not in _TRANSFORMERS:
        _unknown("transformers", name, _TRANSFORMERS)
    build, inputs = _TRANSFORMERS[name]
    module = _without_memory(lambda: build(transformers))
    return Recipe(module, inputs, f"transformers {transformers.__version__}")


def _without_memory(build: Callable[[], nn.Module]) -> nn.Module:
    try:
        with torch.device("meta"):
            return build()
    except NotImplementedError:  # it computes its own layout with tensors, whose values it needs
        return build()


class _DenseDetector(nn.Module):
    """A one-stage detector up to its raw predictions: which boxes are kept depends on values."""

    def __init__(self, detector: nn.Module, name: str) -> None:
        super().__init__()
        if not hasattr(detector, "head"):
            raise ValueError(f"torchvision:{name} selects regions before its head; give a one-stage detector.")
        self.backbone = detector.backbone
        self.head = detector.head

    def forward(self, image: Tensor) -> Any:
        features = self.backbone(image)
        return self.head([features] if isinstance(features, Tensor) else list(features.values()))


_DETECTOR_SIZE = {"ssd300_vgg16": 300, "ssdlite320_mobilenet_v3_large": 320}


def _albert_base(library: Any) -> nn.Module:
    config = library.AlbertConfig(hidden_size=768, num_attention_heads=12, intermediate_size=3072)
    return library.AlbertModel(config)


def _bert_mini(library: Any) -> nn.Module:
    config = library.BertConfig(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024)
    return library.BertModel(config)


def _detr_resnet50(library: Any) -> nn.Module:
    backbone = library.ResNetConfig(out_features=["stage4"])
    config = library.DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=backbone
    )
    return library.DetrForObjectDetection(config)


def _gpt2(library: Any) -> nn.Module:
    return library.GPT2LMHeadModel(library.GPT2Config(use_cache=False))


def _segformer_b0(library: Any) -> nn.Module:
    return library.SegformerForSemanticSegmentation(library.SegformerConfig(num_labels=150))


def _whisper_tiny_encoder(library: Any) -> nn.Module:
    return library.WhisperModel(library.WhisperConfig()).encoder


def _yolos_tiny(library: Any) -> nn.Module:
    config = library.YolosConfig(
        hidden_size=192,
        num_attention_heads=3,
        intermediate_size=768,
        image_size=[800, 1333],
        use_mid_position_embeddings=False,
        num_labels=91,
    )
    return library.YolosForObjectDetection(config)


_TRANSFORMERS: Mapping[str, tuple[Callable[[Any], nn.Module], tuple[InputSpec, ...]]] = {
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


def _unknown(library: str, name: str, known: Iterable[str]) -> NoReturn:
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3) or known[:10]
    raise ValueError(f"{library} has no model {name!r} that can be traced; try {', '.join(close)}.")
