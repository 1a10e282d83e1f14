"""Tracing: makes a `LayerGraph` of a `torch.nn.Module`, which runs once on shapes alone, without weights or memory.

Begin with `trace` below, whose docstring has the rules. `meta_run` makes a `module_copy` on the meta device and runs it
on `examples` of its inputs. Meanwhile `recorder` logs the `operators` that run, some of them as `whole_calls`, and
`constants` computes values that a network needs even on shapes. `reasons` says why a module cannot be traced.
`libraries` builds the models of torchvision, timm and transformers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dnnmig_env.networks.layer_graph import LayerGraph

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class InputSpec:
    """Shape and element type of one input tensor.

    Attributes:
        shape: Size of each dimension, the batch (usually 1) first; empty for a single number.
        dtype: Name of the torch element type, e.g. `float32`, or `int64` for token ids.
        name: Name of the argument of `forward` that it is; by default inputs fill the arguments in their order.
        state: Whether it stays where it is needed, as the cache of a language model does, so that it is never sent.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    name: str = ""
    state: bool = False

    def __str__(self) -> str:
        size = "x".join(map(str, self.shape)) or "scalar"
        dtype = "" if self.dtype == "float32" else f":{self.dtype}"
        return f"{self.name}={size}{dtype}{':state' * self.state}".removeprefix("=")


def parse_inputs(words: Sequence[str]) -> tuple[InputSpec, ...]:
    """Read input shapes in the form in which a command line gives them.

    Args:
        words: The sizes of one float32 input (`1 3 224 224`), or one word per input (`1x128:int64 1x128 scalar`), which
            may begin with the name of its argument (`input_ids=1x128:int64`) and end with `:state`.

    Raises:
        ValueError: If a word has neither form, or a size is 2^31 or more.
    """
    if words and all(word.isdecimal() for word in words):
        words = ["x".join(words)]
    specs = []
    for word in words:
        name, separator, rest = word.rpartition("=")
        sizes, *options = rest.split(":")
        parts = [] if sizes == "scalar" else sizes.split("x")
        dtypes = [option for option in options if option != "state"]
        whole = len(dtypes) < 2 and bool(name) == bool(separator) and "" not in options
        if not whole or not all(part.isdecimal() for part in parts):
            raise ValueError(f"input shape is {word!r}; give sizes such as 1 3 224 224, or 1x128:int64 for each input.")
        for size in (size for size in map(int, parts) if size >= 2**31):
            raise ValueError(f"--input-shape has {size}; give sizes below {2**31}.")
        dtype = dtypes[0] if dtypes else "float32"
        specs.append(InputSpec(tuple(map(int, parts)), dtype, name, "state" in options))
    return tuple(specs)


def trace(
    module: torch.nn.Module,
    *inputs: Sequence[int] | InputSpec | torch.Tensor | Mapping[str, Any] | Sequence[Any],
    name: str | None = None,
    origin: str | None = None,
    state_outputs: Sequence[str | int] = (),
) -> LayerGraph:
    """Trace a module into the graph of the operators that it executes.

    A copy of the module runs once in inference mode on the meta device: tensors have shapes but no memory, so it does
    not matter whether the module's own parameters are real. The module itself stays as it is. The rules:

    - There is one layer per operator that PyTorch would execute. An operator that returns its input's memory (reshape,
      permute, slice, dropout in inference) is a view and no layer; a reshape that has to copy is a layer. Attention
      (`scaled_dot_product_attention`), each layer of a recurrent module (`LSTM`, `GRU`, `RNN`, also of packed
      sequences) and each step of a recurrent cell are one operator.
    - FLOPs are those of PyTorch's own formulas (`torch.utils.flop_counter`) for matrix products, convolutions and
      attention, where a multiply-add counts as two. All other operators have 0 FLOPs and only their memory traffic.
      A user's own operator has the FLOPs of the formula that was registered by `register_flop_formula`; without one it
      has 0, of which a warning and the graph's `origin` tell.
    - `weight_bytes` are the parameters, and the buffers that the module's state dict saves (packed weights of a
      quantised network, scales, tables), each counted once, with the first operator that needs it (also through
      constants computed from it); the others share it. Left out are: buffers of int64 and bool (indices, masks), of
      one number, or not saved; running mean and variance of a normalisation that has a scale and a shift, into which
      inference folds them; tensors that are neither parameters nor buffers; and whatever inference never reads
      (auxiliary heads).
    - What is computed from parameters and constants alone is no layer. Its FLOPs count for the first operator that
      reads it, as PyTorch computes it in each inference.
    - A layer's output is what its readers read of it: if all of them read the same slice, that slice. A reader of one
      of several slices is charged the whole tensor. An embedding is charged its whole table.
    - What the module returns goes back to the device, also when other layers read it. State does not: inputs with
      `state=True` and the outputs that `state_outputs` names are neither sent nor returned; they only have memory
      traffic where they are read and written.
    - Layers are named by their module path; `#2`, `#3` mark further calls of a module that is used several times.

    Args:
        module: Any network whose control flow does not depend on the values of tensors that it computes from inputs
            without known values. A module that `torch.compile`, `DataParallel` or `DistributedDataParallel` wraps, a
            scripted module and an exported program will do.
        *inputs: For each argument of `forward` its shape (float32), an `InputSpec`, an example tensor, or a dictionary
            or list of these. The values of an example tensor are known while the module runs. Of a shape they are
            known if its elements are integers or truth values, which are 0 by default; 1 where the argument's name
            contains "mask", but not "pad"; and the length of the sequences where it says that it is a length.
        name: Name of the network; by default the module's class name.
        origin: How the graph was made; by default the torch version.
        state_outputs: Keys or positions of the parts of the module's result that are state.

    Returns:
        The graph, without preprocessing.

    Raises:
        ValueError: If an input is malformed, or the module fails or needs unknown values when run on shapes.
    """
    from dnnmig_env.networks.tracing.meta_run import record

    return record(module, inputs, name, origin, state_outputs)
