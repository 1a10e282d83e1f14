"""Tracing: makes a `LayerGraph` of a `torch.nn.Module`, which runs once on shapes alone, without weights or memory.

Begin with `trace` below, whose docstring has the rules. `recorder` logs the operators that run, `constants` computes
values that a network needs even on shapes, and `libraries` builds the models of torchvision, timm and transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnnmig_env.networks.layer_graph import LayerGraph

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class InputSpec:
    """Shape and element type of one input tensor.

    Attributes:
        shape: Size of each dimension, the batch (usually 1) first.
        dtype: Name of the torch element type, e.g. `float32`, or `int64` for token ids.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    name: str = ""

    def __str__(self) -> str:
        size = "x".join(map(str, self.shape))
        return size if self.dtype == "float32" else f"{size}:{self.dtype}"


def parse_inputs(words: Sequence[str]) -> tuple[InputSpec, ...]:
    """Read input shapes in the form in which a command line gives them.

    Args:
        words: The sizes of one float32 input (`1 3 224 224`), or one word per input (`1x128:int64 1x128`).

    Raises:
        ValueError: If a word has neither form.
    """
    if words and all(word.isdecimal() for word in words):
        words = ["x".join(words)]
    specs = []
    for word in words:
        sizes, _, dtype = word.partition(":")
        parts = sizes.split("x")
        if not all(part.isdecimal() and int(part) > 0 for part in parts):
            raise ValueError(f"input shape is {word!r}; give sizes such as 1 3 224 224, or 1x128:int64 for each input.")
        specs.append(InputSpec(tuple(map(int, parts)), dtype or "float32"))
    return tuple(specs)


def trace(
    module: torch.nn.Module,
    *inputs: Sequence[int] | InputSpec | torch.Tensor,
    name: str | None = None,
    origin: str | None = None,
) -> LayerGraph:
    """Trace a module into the graph of the operators that it executes.

    The module runs once in inference mode on the meta device: tensors have shapes but no memory, so it does not
    matter whether the module's own parameters are real. Afterwards the module is as it was. The rules:

    - There is one layer per operator that PyTorch would execute. An operator that returns its input's memory (reshape,
      permute, slice, dropout in inference) is a view and no layer; a reshape that has to copy is a layer. Attention
      (`scaled_dot_product_attention`) is one operator.
    - FLOPs are those of PyTorch's own formulas (`torch.utils.flop_counter`) for matrix products, convolutions and
      attention, where a multiply-add counts as two. All other operators have 0 FLOPs and only their memory traffic.
    - `weight_bytes` are parameters, each counted once, with the first operator that needs it (also through constants
      computed from it). Buffers (running statistics, masks, anchors) and parameters that inference never reads
      (auxiliary heads) are left out.
    - A layer's output is what its readers read of it: if all of them read the same slice, that slice. A reader of one
      of several slices is charged the whole tensor. An embedding is charged its whole table.
    - Layers are named by their module path; `#2`, `#3` mark further calls of a module that is used several times.

    Args:
        module: Any network whose control flow does not depend on the values of tensors.
        *inputs: For each positional argument of `forward` its shape (float32), an `InputSpec`, or an example tensor,
            whose values do not matter.
        name: Name of the network; by default the module's class name.
        origin: How the graph was made; by default the torch version.

    Returns:
        The graph, without preprocessing.

    Raises:
        ValueError: If an input is malformed, or the module fails or needs the values of tensors when run on shapes.
    """
    from dnnmig_env.networks.tracing.meta_run import record

    return record(module, inputs, name, origin)
