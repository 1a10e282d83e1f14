"""One recorded operator: what it calls, which values it reads, and which it makes or updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dnnmig_env.networks.tracing.operators import tensors_in

Values = dict[int, Tensor]
"""The values that a node has, by number: each is a tensor that shows all of the value's memory as it was made.

A value is the content of a piece of memory between two operators that write it. An input of the network, a weight and
the result of an operator are values; an operator that updates its argument makes a new one. Views are not, since every
argument says how it looks at its value.
"""


@dataclass(frozen=True, slots=True)
class Look:
    """How an argument of an operator looks at a value.

    Attributes:
        value: The value.
        is_whole: Whether it looks at it as it was made.
        dtype: Element type.
        size: Size of each dimension.
        stride: Elements from one entry to the next in each dimension.
        offset: Elements before the first one.
    """

    value: int
    is_whole: bool
    dtype: torch.dtype
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    def at(self, tensor: Tensor) -> Tensor:
        """Return the argument, given the tensor of its value."""
        if self.is_whole:
            return tensor
        view = torch.empty(0, dtype=self.dtype, device=tensor.device)
        return view.set_(tensor.untyped_storage(), self.offset, self.size, self.stride)


@dataclass(frozen=True, slots=True)
class Step:
    """One operator as it ran.

    Attributes:
        position: How many operators ran before it.
        function: What is called.
        args: Its arguments, with a `Look` in the place of each tensor.
        named: Its named arguments, likewise.
        reads: The values that it looks at, those that it updates included.
        weights: Those of them that count as its weights: all but statistics that inference folds into others.
        makes: Values that it makes, each with the place of its tensor among those of the result.
        updates: Values that it updates, each as (before, after).
    """

    position: int
    function: Callable[..., Any]
    args: tuple[Any, ...]
    named: Mapping[str, Any]
    reads: tuple[int, ...]
    weights: tuple[int, ...]
    makes: tuple[tuple[int, int], ...]
    updates: tuple[tuple[int, int], ...]

    def run(self, values: Values, copied: frozenset[int] = frozenset()) -> None:
        """Run the operator on a node's values, and add the values that it makes.

        Args:
            values: What the node has.
            copied: Values that somebody still needs as they are, so that an update is made in a copy.
        """
        for before, after in self.updates:
            values[after] = _copy(values[before]) if before in copied else values[before]
        renamed = dict(self.updates)

        def filled(argument: Any) -> Any:
            if isinstance(argument, Look):
                return argument.at(values[renamed.get(argument.value, argument.value)])
            if type(argument) in (list, tuple):
                return type(argument)(map(filled, argument))
            return argument

        result = self.function(*map(filled, self.args), **{name: filled(value) for name, value in self.named.items()})
        if self.makes:
            tensors = (result,) if isinstance(result, Tensor) else tuple(tensors_in(result))
            for place, value in self.makes:
                values[value] = tensors[place]


def _copy(tensor: Tensor) -> Tensor:
    storage = tensor.untyped_storage().clone()
    copy = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
    return copy.set_(storage, tensor.storage_offset(), tensor.size(), tensor.stride())
