"""Where networks come from: a library's model, an ONNX file, or the user's own code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from dnnmig_env.layer_graph import LayerGraph
from dnnmig_env.onnx_import import import_onnx
from dnnmig_env.tracing import InputSpec, trace
from dnnmig_env.tracing.libraries import LIBRARIES, without_memory


def trace_source(source: str, inputs: Sequence[InputSpec] = (), name: str | None = None) -> LayerGraph:
    """Trace what a command line names.

    Args:
        source: `torchvision:NAME`, `timm:NAME`, `transformers:NAME`, `FILE.onnx`, or `package.module:callable` where
            the callable (or class) makes a module without arguments, or is one.
        inputs: The network's inputs; needed for the user's own code.
        name: Name of the network; by default it follows from the source.

    Raises:
        ValueError: If the source cannot be found or traced.
    """
    if source.endswith(".onnx"):
        return import_onnx(source, *(entry.shape for entry in inputs), name=name)
    place, separator, attribute = source.partition(":")
    if not (place and separator and attribute):
        raise ValueError(
            f"source is {source!r}; give torchvision:NAME, timm:NAME, transformers:NAME, FILE.onnx or "
            "package.module:callable."
        )
    if place in LIBRARIES:
        recipe = LIBRARIES[place](attribute)
        module, version, inputs = recipe.module, f"{recipe.version}, ", inputs or recipe.inputs
    else:
        module, version = _own_module(place, attribute), ""
    if not inputs:
        raise ValueError(f"{source} does not say what its inputs are; give --input-shape, e.g. 1 3 224 224.")
    shapes = " ".join(map(str, inputs))
    origin = f"python -m dnnmig_env trace {source} --input-shape {shapes}; {version}torch {torch.__version__}"
    return trace(module, *inputs, name=name or attribute.rpartition(".")[2], origin=origin)


def _own_module(place: str, attribute: str) -> nn.Module:
    if "" not in sys.path:  # as `python -m` has it, but not every other way to start
        sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(place)
        for part in attribute.split("."):
            found = getattr(found, part)
        module = found if isinstance(found, nn.Module) else without_memory(found)
    except Exception as error:  # whatever the user's own code raises
        reason = (str(error) or "no message").splitlines()[0].rstrip(".")
        raise ValueError(
            f"cannot build {place}:{attribute}: {type(error).__name__}: {reason}; give an importable module and a "
            "callable without arguments."
        ) from error
    if not isinstance(module, nn.Module):
        raise ValueError(f"{place}:{attribute} makes a {type(module).__name__}; give one that makes a torch.nn.Module.")
    return module
