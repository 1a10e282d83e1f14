"""What an operator that PyTorch dispatches reads, writes and computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from dnnmig_env.networks.tracing.constants import SHAPE_FROM_VALUES

_aten = torch.ops.aten

_PRODUCTS: dict[Any, Callable[..., int]] = {
    # Products for which PyTorch has no formula.
    _aten.mv: lambda matrix, vector: 2 * matrix.numel(),
    _aten.addmv: lambda bias, matrix, vector, **_: 2 * matrix.numel(),
    _aten.dot: lambda left, right: 2 * left.numel(),
    _aten.vdot: lambda left, right: 2 * left.numel(),
    _aten.addbmm: lambda bias, left, right, **_: 2 * left.numel() * right.shape[-1],
    _aten._trilinear: lambda *operands: 2 * _combined(*operands),
    _aten._int_mm: lambda left, right: 2 * left.numel() * right.shape[-1],
    _aten._weight_int8pack_mm: lambda left, right, *_: 2 * left.numel() * right.shape[0],
    _aten._weight_int4pack_mm: lambda left, right, group, scales: 2 * left.numel() * scales.shape[1],
    _aten._weight_int4pack_mm_for_cpu: lambda left, right, group, scales: 2 * left.numel() * scales.shape[1],
}

_OF_ONE_TYPE = frozenset(
    {
        *(_aten.mm, _aten.addmm, _aten.bmm, _aten.baddbmm, _aten.addbmm, _aten.mv, _aten.addmv, _aten.dot, _aten.vdot),
        _aten.convolution,
    }
)
"""Products whose operands PyTorch wants to have the same element type, which it does not check on the meta device."""

KNOWN_NAMESPACES = frozenset({"aten", "prim", "prims"})
"""Where operators come from whose FLOPs are known."""


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors inside of lists, dictionaries and dataclasses."""
    for leaf in tree_leaves(value):
        if isinstance(leaf, Tensor):
            yield leaf
        elif isinstance(leaf, Mapping):
            yield from tensors_in(list(leaf.values()))
        elif is_dataclass(leaf) and not isinstance(leaf, type):
            yield from tensors_in([getattr(leaf, field.name) for field in fields(leaf)])


def divided(result: Any, state_outputs: Sequence[str | int]) -> tuple[list[Tensor], list[Tensor]]:
    """Divide the tensors of a network's result into those that return to the device and those that are state.

    Raises:
        ValueError: If the result has no part of a name or position in `state_outputs`.
    """
    if not state_outputs:
        return list(_tensors_returned(result)), []
    parts: dict[Any, Any] = {0: result}
    if isinstance(result, Mapping):
        parts = dict(result)
    elif is_dataclass(result) and not isinstance(result, type):
        parts = {field.name: getattr(result, field.name) for field in fields(result)}
    elif isinstance(result, (list, tuple)):
        parts = dict(zip(getattr(result, "_fields", range(len(result))), result, strict=True))
    else:
        parts = _attributes(result) or parts
    wanted = {key: next((part for part in parts if str(part) == str(key)), None) for key in state_outputs}
    for key, found in wanted.items():
        if found is None:
            raise ValueError(f"state_outputs names {key!r}; the network returns {', '.join(map(str, parts))}.")
    kept = set(wanted.values())
    return (
        [tensor for key, part in parts.items() if key not in kept for tensor in _tensors_returned(part)],
        [tensor for key, part in parts.items() if key in kept for tensor in _tensors_returned(part)],
    )


def _tensors_returned(result: Any, depth: int = 4) -> Iterator[Tensor]:
    """Yield the tensors of a network's result, also those in attributes of objects; a cache object is state."""
    yield from tensors_in(result)
    for leaf in tree_leaves(result):
        if isinstance(leaf, Mapping):
            yield from _tensors_returned(list(leaf.values()), depth - 1)
        elif isinstance(leaf, (set, frozenset)):
            yield from _tensors_returned(list(leaf), depth - 1)
        elif depth and not is_dataclass(leaf) and not type(leaf).__name__.endswith("Cache"):
            yield from _tensors_returned(list(_attributes(leaf).values()), depth - 1)


def _attributes(result: Any) -> dict[str, Any]:
    """Return the attributes of an object that a network made to hold its results, also those in slots."""
    if isinstance(result, (Tensor, type, torch.nn.Module)):
        return {}
    slots = [name for kind in type(result).__mro__ for name in tree_leaves(vars(kind).get("__slots__", ()))]
    return {name: getattr(result, name) for name in slots if hasattr(result, name)} | getattr(result, "__dict__", {})


def is_mutable(func: Any) -> bool:
    """Return whether an operator updates memory; `squeeze_` and the like change only how a tensor is looked at."""
    return bool(func._schema.is_mutable) and torch.Tag.inplace_view not in func.tags


def written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """Return the arguments that an operator updates."""
    places = [
        entry.name for entry in func._schema.arguments if entry.alias_info is not None and entry.alias_info.is_write
    ]
    given = dict(zip((entry.name for entry in func._schema.arguments), args, strict=False)) | kwargs
    return list(tensors_in([given.get(name) for name in places]))


def without_statistics(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Leave out running mean and variance where there is a scale: inference folds them into scale and shift."""
    given = _named_arguments(func, args, kwargs)
    if "running_mean" in given and given.get("weight") is not None:
        given = {name: value for name, value in given.items() if name not in ("running_mean", "running_var")}
    return list(given.values())


def changes_content(tensor: Tensor, kwargs: dict[str, Any]) -> bool:
    """Return whether a copy has another type or layout than its source."""
    formats = (None, torch.preserve_format)
    return kwargs.get("dtype") not in (None, tensor.dtype) or kwargs.get("memory_format") not in formats


def depends_on_values(func: Any, error: Exception) -> bool:
    """Return whether an operator failed on the meta device because its result has a shape that depends on values."""
    return torch.Tag.dynamic_output_shape in func.tags or func in SHAPE_FROM_VALUES or "meta tensor" in str(error)


def short_name(operator: str) -> str:
    """Return the name of an operator without its namespace."""
    return operator.rpartition("::")[2].strip("_")


def flops_of(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> float | None:
    """Return the FLOPs of an operator, or None if there is no formula."""
    operator = func._overloadpacket
    if operator in flop_registry:
        return float(flop_registry[operator](*args, **kwargs, out_val=result))
    return float(_PRODUCTS[operator](*args, **kwargs)) if operator in _PRODUCTS else None


def check_types(func: Any, args: tuple[Any, ...]) -> None:
    """Raise a RuntimeError if a product has operands of several element types, which no autocast makes equal."""
    if func._overloadpacket not in _OF_ONE_TYPE:
        return
    depth = torch.autocast_increment_nesting()  # here autocast always counts as disabled; its nesting is still known
    torch.autocast_decrement_nesting()
    if depth > 1:
        return
    types = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors_in(args)})
    if len(types) > 1:
        raise RuntimeError(f"{short_name(func._schema.name)} has operands of the types {' and '.join(types)}")


def _combined(left: Tensor, middle: Tensor, right: Tensor, *expanded: Any) -> int:
    """Return how many products of three numbers a bilinear layer adds up.

    Summed over one vector first, each is one multiply-add; the sum over the other vector is little beside that.
    """
    shapes = []
    for tensor, places in zip((left, middle, right), expanded, strict=False):
        shape = list(tensor.shape)
        for place in sorted(places):
            shape.insert(place, 1)
        shapes.append(shape)
    return math.prod(torch.broadcast_shapes(*shapes))


def _named_arguments(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return dict(zip((entry.name for entry in func._schema.arguments), args, strict=False)) | kwargs
