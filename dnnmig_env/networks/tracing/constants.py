"""Keeps the values of constants (masks, positions, sizes) while a module is traced on shapes alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

MAX_CONSTANT_BYTES = 2**24
"""Most bytes of a constant whose values are computed; no network branches on larger ones."""


class Constants:
    """Pairs of a storage on the meta device, which has no memory, and a real storage with its contents.

    A module may branch on values that it computes from constants alone ("is the mask all ones?"), so such values are
    computed for real. It may also combine its own real buffers with tensors that only have a shape, so real tensors get
    a stand-in on the meta device.
    """

    def __init__(self) -> None:
        self._real: dict[int, torch.UntypedStorage] = {}
        self._stand_in: dict[int, torch.UntypedStorage] = {}
        # Storages are told apart by their addresses: keep each storage, so that no address is used twice.
        self._kept: dict[int, torch.UntypedStorage] = {}

    def address(self, tensor: Tensor) -> int:
        """Return the address of a tensor's storage, which is the same for all views of the same memory."""
        storage = tensor.untyped_storage()
        self._kept[storage._cdata] = storage
        return int(storage._cdata)

    def on_meta(self, tensor: Tensor) -> Tensor:
        """Return the stand-in of a real tensor on the meta device; return scalars and tensors on it as they are."""
        if tensor.is_meta or tensor.dim() == 0:
            return tensor
        address = self.address(tensor)
        if address not in self._stand_in:
            storage = torch.empty(tensor.untyped_storage().nbytes(), dtype=torch.uint8, device="meta").untyped_storage()
            self._stand_in[address] = storage
            self._kept[storage._cdata] = storage
            self._real[storage._cdata] = tensor.untyped_storage()
        return _view(self._stand_in[address], tensor)

    def compute(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Run an operator for real if the values of all tensors that it reads are known.

        Returns:
            Its result, or None if some values are not known.
        """
        if ignores_values(func):
            args, kwargs = tree_map_only(Tensor, _shape_only, (args, kwargs))
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if any(tensor.is_meta and self.address(tensor) not in self._real for tensor in tensors):
            return None
        args, kwargs = tree_map_only(Tensor, self._with_values, (args, kwargs))
        if kwargs.get("device") is not None:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        return func(*args, **kwargs)

    def learn(self, result: Tensor, real: Any) -> None:
        """Remember the values of an operator's result, or forget them if they are no longer known.

        Args:
            result: The operator's result on the meta device.
            real: Its real result, as `compute` returned it.
        """
        address = self.address(result)
        if isinstance(real, Tensor) and real.stride() == result.stride():
            self._real[address] = real.untyped_storage()
        else:
            self._real.pop(address, None)

    def _with_values(self, tensor: Tensor) -> Tensor:
        return _view(self._real[self.address(tensor)], tensor) if tensor.is_meta else tensor


def ignores_values(func: Any) -> bool:
    """Return whether an operator reads only the shape of its argument, as `zeros_like` and `new_zeros` do."""
    name: str = func._schema.name.partition("::")[2]
    return name.startswith("new_") or name.endswith("_like")


def _shape_only(tensor: Tensor) -> Tensor:
    return torch.empty(1, dtype=tensor.dtype, device="cpu").expand(tensor.shape)


def _view(storage: torch.UntypedStorage, like: Tensor) -> Tensor:
    view = torch.empty(0, dtype=like.dtype, device=storage.device)
    return view.set_(storage, like.storage_offset(), like.shape, like.stride())
