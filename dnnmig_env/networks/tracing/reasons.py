"""Says why a network cannot be traced, and what to do about it."""

from __future__ import annotations

import inspect
import sys
import textwrap
from typing import Any

import torch
from torch import nn

from dnnmig_env.networks.tracing.constants import ValuesNeededError
from dnnmig_env.networks.tracing.module_copy import unwrapped

_OWN_DEVICE = (
    "It holds or makes tensors on a device of its own choice; make them where the inputs are, or give the original "
    "module instead of a scripted or exported one."
)
_REMEDIES = {
    "has operands of the types": "Give the inputs the element type of the weights, e.g. SHAPE:float16 on a command "
    "line.",
    "does not require grad": "It computes gradients of what it computes, but a query needs none; trace the part "
    "without them.",
    **dict.fromkeys(("same device", "expected device", "CUDA", "NVIDIA"), _OWN_DEVICE),
}
"""What to do about an error whose message contains some words."""


def as_module(network: Any) -> nn.Module:
    """Return the module that stands behind what a user wants to trace.

    Raises:
        ValueError: If there is none.
    """
    if "torch.export" in sys.modules and isinstance(network, torch.export.ExportedProgram):
        return network.module()
    if isinstance(network, nn.Module):
        module = unwrapped(network)
        _refuse_wrapper(module)
        return module
    if isinstance(network, type) and issubclass(network, nn.Module):
        raise ValueError(f"{network.__name__} is a class; give a module of it, such as {network.__name__}().")
    if isinstance(network, dict):
        raise ValueError("a dictionary of weights is no network; load it into the module that it belongs to.")
    kind = type(network).__name__
    if isinstance(network, torch.jit.ScriptFunction) or callable(network):
        raise ValueError(
            f"a {kind} is no torch.nn.Module; write a module that has all weights as attributes and calls it in "
            "`forward`."
        )
    raise ValueError(f"a {kind} is no torch.nn.Module; give a module.")


def _refuse_wrapper(module: nn.Module) -> None:
    """Refuse a module that prepares pictures and selects results around the network that it holds."""
    place = type(module).__module__
    inner = getattr(module, "model", None)
    if place.startswith("ultralytics.") and ".nn." not in place and isinstance(inner, nn.Module):
        name = type(module).__name__
        raise ValueError(f"{name} reads pictures and selects boxes around the network; give {name}(...).model.")


def explain(module: nn.Module, error: Exception) -> str:
    """Return what to do about an error that a module raised when it ran on shapes alone; a sentence."""
    text = f"{type(error).__name__}: {error}"
    if "takes a tensor out of torch" in text:
        return (
            "What NumPy or Python computes cannot be seen; compute with torch, or give a real tensor as the input from "
            "which these values come."
        )
    if ValuesNeededError.__name__ in text or isinstance(error, ValuesNeededError):
        return (
            "Its control flow depends on tensor values (as non-maximum suppression does): trace it without that part, "
            "or give a real tensor as the input from which these values come."
        )
    if "quantized::" in text or "quantized" in type(module).__module__ or "QuantizedCPU" in text:
        return "Quantised modules run on their own kernels only; give the module before quantisation, or its ONNX file."
    for words, remedy in _REMEDIES.items():
        if words in text:
            return remedy
    if isinstance(error, NotImplementedError) and 'required "forward" function' in text:
        return "It is a container; give a module that says in `forward` what it computes."
    if "HigherOrderOperator" in text or "FlexAttention" in text:
        return (
            "It uses an operator that runs other functions (cond, while_loop, flex_attention); give it in a form with "
            "plain operators, e.g. attn_implementation='sdpa'."
        )
    if "sparse" in text.lower():
        return "It computes with sparse tensors, whose work depends on their values; give a module with dense tensors."
    if "fake impl" in text or "'Meta' backend" in text:
        return (
            "An operator does not say which shape its result has; give it a rule by PyTorch's register_fake, or "
            "trace the network without it."
        )
    if isinstance(error, TypeError) and "argument" in text:
        return f"Its forward takes {_signature(module)}: give one input for each argument, NAME=SHAPE for one by name."
    if isinstance(error, (TypeError, AttributeError, KeyError, IndexError)):
        return (
            f"Its forward takes {_signature(module)}; if it wants anything but tensors (a dictionary, a list, texts), "
            "wrap it in a module that takes tensors. Check the input shapes and element types."
        )
    return "Check the input shapes and element types."


def first_line(error: Exception) -> str:
    """Return the line of an error's message that says what happened."""
    lines = [line for line in str(error).splitlines() if line.strip()] or ["no message"]
    in_script = "TorchScript interpreter" in lines[0] and not lines[-1].rstrip().endswith(":")
    return textwrap.shorten(lines[-1] if in_script else lines[0], 200, placeholder=" ...").rstrip(".")


def _signature(module: nn.Module) -> str:
    try:
        entries = inspect.signature(module.forward).parameters.values()
    except (AttributeError, TypeError, ValueError):
        return "(...)"
    return f"({', '.join(str(entry.replace(annotation=entry.empty, default=entry.empty)) for entry in entries)})"
