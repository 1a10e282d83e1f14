"""Makes example tensors of what a user says about a network's inputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from dnnmig_env.networks.tracing import InputSpec


@dataclass(frozen=True)
class Example:
    """One input tensor.

    Attributes:
        spec: Its shape and type.
        values: Its values if they count as known: a given tensor, or the default of integers and truth values. None for
            other numbers.
    """

    spec: InputSpec
    values: Tensor | None

    def on_meta(self) -> Tensor:
        """Return a tensor without memory."""
        return torch.empty(self.spec.shape, dtype=_dtype(self.spec), device="meta")

    def filled(self, device: str) -> Tensor:
        """Return a real tensor with the known values, or with random ones between 0 and 1."""
        if self.values is not None:
            return self.values.to(device)
        generator = torch.Generator().manual_seed(0)
        return torch.rand(self.spec.shape, generator=generator).to(device, _dtype(self.spec))


@dataclass(frozen=True)
class Call:
    """The arguments with which `forward` is called: examples or tensors, also inside of lists and dictionaries."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def leaves(self) -> list[Any]:
        """The examples or tensors, one after another."""
        return tree_leaves((self.args, self.kwargs))

    def map(self, function: Callable[[Any], Any]) -> Call:
        """Return the call with a function applied to each example or tensor."""
        return Call(*tree_map(function, (self.args, self.kwargs)))


def example_call(module: nn.Module, inputs: Sequence[Any]) -> Call:
    """Turn what a user says about the inputs into examples, and find the arguments to which they belong.

    Integers are 0 by default, and truth values false; 1 and true if the argument's name says that it is a mask, unless
    it marks padding; the length of the sequences if it says that it is a length.

    Args:
        module: The network.
        inputs: For each input a shape, an `InputSpec`, a tensor, or a list or dictionary of these.

    Raises:
        ValueError: If an input is malformed.
    """
    positional, keyword_only = _parameters(module)
    given = [(_name_of(entry), _parse(entry, f"input {index}")) for index, entry in enumerate(inputs)]
    unnamed = [parsed for name, parsed in given if not name]
    kwargs = {name: parsed for name, parsed in given if name}
    if len(unnamed) > len(positional) and keyword_only:
        spare = [name for name in keyword_only if name not in kwargs]
        kwargs.update(zip(spare, unnamed[len(positional) :], strict=False))
        unnamed = unnamed[: len(positional)]
    names = [*positional, *[""] * len(unnamed)]
    specs = tree_leaves((unnamed, kwargs))
    args = tuple(_with_values(names[place], parsed, specs) for place, parsed in enumerate(unnamed))
    return Call(args, {name: _with_values(name, parsed, specs) for name, parsed in kwargs.items()})


def _parameters(module: nn.Module) -> tuple[list[str], list[str]]:
    """Return the names of the positional arguments of `forward`, and those that it takes by name only."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (AttributeError, TypeError, ValueError):  # of scripted modules
        return [], []
    kinds = inspect.Parameter
    named = [entry.name for entry in parameters if entry.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    if any(entry.kind is kinds.VAR_POSITIONAL for entry in parameters):
        return named, []
    return named, [entry.name for entry in parameters if entry.kind is kinds.KEYWORD_ONLY]


def _name_of(entry: Any) -> str:
    return entry.name if isinstance(entry, InputSpec) else ""


def _parse(entry: Any, where: str) -> Any:
    """Return an input with an `InputSpec` in the place of each shape."""
    if isinstance(entry, Tensor):
        if entry.layout != torch.strided:
            raise ValueError(f"{where} is no dense tensor ({entry.layout}); give it in dense form.")
        return entry
    if isinstance(entry, InputSpec):
        return _checked(entry, where)
    if isinstance(entry, Mapping):
        return {key: _parse(value, f"{where}, {key!r}") for key, value in entry.items()}
    if isinstance(entry, (list, tuple)) and any(_is_input(part) for part in entry):
        return [_parse(part, f"{where}, part {place}") for place, part in enumerate(entry)]
    if not isinstance(entry, Sequence) or isinstance(entry, str):
        raise ValueError(f"{where} is {entry!r}; give a shape such as (1, 3, 224, 224), an InputSpec, or a tensor.")
    return _checked(InputSpec(tuple(entry)), where)


def _is_input(part: Any) -> bool:
    return isinstance(part, (Tensor, InputSpec, Mapping, list, tuple))


def _checked(spec: InputSpec, where: str) -> InputSpec:
    if not isinstance(getattr(torch, spec.dtype, None), torch.dtype):
        raise ValueError(f"{where}: dtype is {spec.dtype!r}; give a torch element type such as float32 or int64.")
    if not all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in spec.shape):
        raise ValueError(f"{where}: shape is {spec.shape!r}; give positive integers, e.g. (1, 3, 224, 224).")
    return spec


def _with_values(name: str, parsed: Any, specs: list[Any]) -> Any:
    def example(entry: Any) -> Example:
        if isinstance(entry, Tensor):
            spec = InputSpec(tuple(entry.shape), str(entry.dtype).removeprefix("torch."))
            return Example(spec, None if entry.is_meta else entry.detach().cpu())
        is_number = _dtype(entry).is_floating_point or _dtype(entry).is_complex
        return Example(entry, None if is_number else _default(name.lower(), entry, specs))

    return tree_map(example, parsed)


def _default(name: str, spec: InputSpec, specs: list[Any]) -> Tensor:
    """Return the values of an integer or Boolean input."""
    value = 0
    if "mask" in name:
        value = int("pad" not in name)
    elif spec.dtype != "bool" and len(spec.shape) < 2 and ("length" in name or "lens" in name or name.endswith("_len")):
        value = _sequence_length(spec.shape, [tuple(other.shape) for other in specs if len(other.shape) > 1])
    return torch.full(spec.shape, value, dtype=_dtype(spec))


def _sequence_length(shape: tuple[int, ...], others: list[tuple[int, ...]]) -> int:
    """Return how long the sequences are of which an input gives the lengths: what is beside the batch."""
    if not others:
        return 1
    first, second, *_ = others[0]
    return first if shape and shape[0] == second != first else second


def _dtype(spec: InputSpec) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, spec.dtype)
    return dtype
