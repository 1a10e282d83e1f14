"""Keeps the values of constants (masks, positions, sizes) while a module is traced on shapes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes as unseen
from torch.utils._pytree import tree_leaves, tree_map_only

MAX_CONSTANT_BYTES = 2**24
"""Most bytes of a constant whose values are computed; no network branches on larger ones."""

_aten = torch.ops.aten
SHAPE_FROM_VALUES = {
    _aten.masked_select.default: (1,),
    _aten._pack_padded_sequence.default: (1,),
    _aten._pad_packed_sequence.default: (1,),
}
"""Operators whose result has a shape that depends on the values of some arguments only: the places of these."""


class ValuesNeededError(RuntimeError):
    """The network asks for the values of tensors of which only the shapes are known."""


class _Span(NamedTuple):
    """Bytes `start` to `end` of a storage, and the storage on the meta device that stands for them."""

    start: int
    end: int
    stand_in: torch.UntypedStorage


class Constants:
    """Pairs of a storage on the meta device, which has no memory, and a real storage with its contents.

    A module may branch on values that it computes from constants alone ("is the mask all ones?"), so such values are
    computed for real. Tensors of the module, real or not, get a stand-in on the meta device; a real one keeps its
    values, which are copied before an operator changes them.
    """

    def __init__(self) -> None:
        self._real: dict[int, torch.UntypedStorage] = {}
        self._borrowed: set[int] = set()
        self._spans: dict[int, list[_Span]] = {}
        # Storages are told apart by their addresses: keep each storage, so that no address is used twice.
        self._kept: dict[int, torch.UntypedStorage] = {}

    def address(self, tensor: Tensor) -> int:
        """Return the address of a tensor's storage, which is the same for all views of the same memory."""
        storage = tensor.untyped_storage()
        self._kept[storage._cdata] = storage
        return int(storage._cdata)

    def stand_for(self, tensor: Tensor, start: int, end: int, values: bool) -> None:
        """Make one storage on the meta device for some bytes of a tensor's storage.

        Args:
            tensor: A tensor in that storage, real or on the meta device.
            start: The first byte.
            end: The byte after the last.
            values: Whether the values count as known; they are if the tensor is real and the bytes are all of it.
        """
        storage = torch.empty(end - start, dtype=torch.uint8, device="meta").untyped_storage()
        self._kept[storage._cdata] = storage
        self._spans.setdefault(self.address(tensor), []).append(_Span(start, end, storage))
        if values and not tensor.is_meta:
            real = tensor.untyped_storage()
            if (start, end) != (0, real.nbytes()) or tensor.device.type != "cpu":
                part = torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(real, start, (end - start,), (1,))
                real = part.cpu().clone().untyped_storage()
            else:
                self._borrowed.add(storage._cdata)
            self._real[storage._cdata] = real

    def on_meta(self, tensor: Tensor) -> Tensor:
        """Return a tensor's stand-in on the meta device; return tensors on it, and single numbers, as they are."""
        address = self.address(tensor)
        if address not in self._spans:
            if tensor.is_meta or tensor.dim() == 0:
                return tensor
            self.stand_for(tensor, 0, tensor.untyped_storage().nbytes(), values=True)
        first = tensor.storage_offset() * tensor.itemsize
        spans = self._spans[address]
        span = next((span for span in spans if span.start <= first < span.end), spans[0])
        return _view(span.stand_in, tensor, (first - span.start) // tensor.itemsize)

    def release(self, keeps: Callable[[int], bool]) -> None:
        """Free the storages that are no longer needed: all without stand-in but those that `keeps` names."""
        needed = {span.stand_in._cdata for spans in self._spans.values() for span in spans} | self._spans.keys()
        self._kept = {key: storage for key, storage in self._kept.items() if key in needed or keeps(key)}

    def has_stand_in(self, tensor: Tensor) -> bool:
        """Return whether another tensor on the meta device stands for a tensor."""
        return self.address(tensor) in self._spans

    def is_tracked(self, tensor: Tensor) -> bool:
        """Return whether a tensor is on the meta device or has a stand-in there."""
        return tensor.is_meta or self.address(tensor) in self._spans

    def compute(self, func: Any, args: Any, kwargs: dict[str, Any], guess: bool = False) -> Any:
        """Run an operator for real if the values of all tensors that it reads are known.

        Args:
            func: The operator.
            args: Its arguments.
            kwargs: Its named arguments.
            guess: Whether values that do not determine the shape of the result may be made up.

        Returns:
            Its result, or None if some values are not known.
        """
        if ignores_values(func):
            args, kwargs = tree_map_only(Tensor, _shape_only, (args, kwargs))
        elif guess and func in SHAPE_FROM_VALUES:
            needed = SHAPE_FROM_VALUES[func]
            args = tuple(
                value if place in needed else tree_map_only(Tensor, _shape_only, value)
                for place, value in enumerate(args)
            )
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if not all(self.knows(tensor) for tensor in tensors):
            return None
        if func._schema.is_mutable:
            for tensor in tensors:
                self._own(tensor)
        args, kwargs = tree_map_only(Tensor, self.values_of, (args, kwargs))
        if kwargs.get("device") is not None:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        return func(*args, **kwargs)

    def learn(self, result: Any, real: Any, written: bool) -> None:
        """Remember the values of an operator's results, or forget them if they are no longer known.

        Args:
            result: The operator's result: a tensor on the meta device, or several.
            real: Its real result, as `compute` returned it.
            written: Whether the operator wrote the result's memory; a view shows what is known already.
        """
        if isinstance(result, (tuple, list)):
            several = real if isinstance(real, (tuple, list)) else [None] * len(result)
            for one, its_real in zip(result, several, strict=True):
                self.learn(one, its_real, written)
        elif isinstance(result, Tensor) and result.is_meta:
            address = self.address(result)
            if isinstance(real, Tensor):
                if real.stride() != result.stride() and written:
                    real = torch.empty_strided(result.shape, result.stride(), dtype=real.dtype).copy_(real)
                if real.stride() == result.stride():
                    self._real[address] = real.untyped_storage()
            elif written:
                self._real.pop(address, None)
                self._borrowed.discard(address)

    def knows(self, tensor: Tensor) -> bool:
        """Return whether the values of a tensor are known."""
        tensor = self.on_meta(tensor)
        return not tensor.is_meta or self.address(tensor) in self._real

    def values_of(self, tensor: Tensor) -> Tensor:
        """Return a real tensor with the values of one that `knows` confirms."""
        tensor = self.on_meta(tensor)
        return (
            _view(self._real[self.address(tensor)], tensor, int(tensor.storage_offset())) if tensor.is_meta else tensor
        )

    @contextmanager
    def values_by_request(self) -> Iterator[None]:
        """Answer `numpy()` and `tolist()`, which do not ask the dispatcher, with known values."""

        def answering(name: str) -> Callable[..., Any]:
            original = getattr(Tensor, name)

            def answer(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
                if not self.is_tracked(tensor):
                    return original(tensor, *args, **kwargs)
                with unseen():
                    if not self.knows(tensor):
                        raise ValuesNeededError(f"{name}() takes a tensor out of torch")
                    return original(self.values_of(tensor).clone(), *args, **kwargs)

            return answer

        names = ("numpy", "tolist")
        for name in names:
            setattr(Tensor, name, answering(name))
        try:
            yield
        finally:
            for name in names:
                delattr(Tensor, name)

    def _own(self, tensor: Tensor) -> None:
        """Copy values that belong to the user's module before an operator may change them."""
        address = self.address(self.on_meta(tensor))
        if address in self._borrowed:
            self._borrowed.remove(address)
            self._real[address] = self._real[address].clone()


def ignores_values(func: Any) -> bool:
    """Return whether an operator reads only the shape of its argument, as `zeros_like` and `new_zeros` do."""
    namespace, _, name = func._schema.name.partition("::")
    return bool(namespace == "aten" and (name.startswith("new_") or name.endswith("_like")))


def _shape_only(tensor: Tensor) -> Tensor:
    return torch.zeros((), dtype=tensor.dtype, device="cpu").expand(tensor.shape)


def _view(storage: torch.UntypedStorage, like: Tensor, offset: int) -> Tensor:
    view = torch.empty(0, dtype=like.dtype, device=storage.device)
    return view.set_(storage, offset, like.shape, like.stride())
