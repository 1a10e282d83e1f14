"""Copies a module to the meta device, so that tracing the copy cannot change the user's module."""

from __future__ import annotations

import copy
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from dnnmig_env.networks.tracing.constants import Constants

_INDEX_TYPES = frozenset({torch.int64, torch.bool})
"""Types of buffers that hold indices and masks, which the network's code makes itself."""

_LARGE_BYTES = 2**20
"""From how many bytes on a user is told of a tensor that is read, but is neither a parameter nor saved."""

_ATOMS = (
    types.ModuleType,
    type,
    torch.fx.Graph,
    torch.dtype,
    torch.device,
    str,
    bytes,
    int,
    float,
    complex,
    type(None),
)


@dataclass(frozen=True)
class Weight:
    """Memory that must be uploaded: a parameter or a saved buffer, or several that overlap.

    Attributes:
        address: Address of its storage on the meta device.
        owner: Path of the first module that holds it.
        num_bytes: Its bytes.
        is_parameter: Whether a parameter is in it.
    """

    address: int
    owner: str
    num_bytes: int
    is_parameter: bool


@dataclass(frozen=True)
class _Saved:
    name: str
    tensor: Tensor
    is_parameter: bool
    start: int
    end: int


def weights_of(module: nn.Module, constants: Constants) -> list[Weight]:
    """Give each weight of a module a stand-in on the meta device.

    Weights are all parameters, and those buffers that a state dict saves, except indices and masks (int64 and bool) and
    single numbers. The values of buffers and of parameters of one element count as known.

    Args:
        module: The module, real or on the meta device.
        constants: What keeps the stand-ins.

    Raises:
        ValueError: If a tensor has no shape yet, or is sparse.
    """
    by_storage: dict[int, list[_Saved]] = {}
    for saved in _saved_tensors(module):
        by_storage.setdefault(constants.address(saved.tensor), []).append(saved)
    weights = []
    for group in [group for members in by_storage.values() for group in _overlapping(members)]:
        start, end = min(saved.start for saved in group), max(saved.end for saved in group)
        is_parameter = any(saved.is_parameter for saved in group)
        values = all(saved.tensor.numel() == 1 or not saved.is_parameter for saved in group)
        constants.stand_for(group[0].tensor, start, end, values)
        address = constants.address(constants.on_meta(group[0].tensor))
        num_bytes = min(end - start, sum(saved.tensor.nbytes for saved in group))
        weights.append(Weight(address, group[0].name.rpartition(".")[0], num_bytes, is_parameter))
    return weights


def copy_on_meta(module: nn.Module, constants: Constants) -> tuple[nn.Module, dict[int, int]]:
    """Copy a module, its submodules, attributes and hooks; the copy's tensors are on the meta device.

    What cannot be copied is shared. Compiled modules and modules that are spread over devices become what they wrap.

    Args:
        module: The module, real or on the meta device.
        constants: What keeps the tensors' stand-ins and values.

    Returns:
        The copy, and the large tensors that are no weights: their addresses on the meta device and their bytes.
    """
    others: dict[int, int] = {}

    def on_meta(tensor: Tensor) -> Tensor:
        is_weight = constants.has_stand_in(tensor)
        twin = constants.on_meta(tensor.detach())
        if not is_weight and tensor.nbytes >= _LARGE_BYTES:
            others[constants.address(twin)] = tensor.nbytes
        if not twin.is_meta:
            return twin.clone()
        return nn.Parameter(twin, requires_grad=False) if isinstance(tensor, nn.Parameter) else twin

    return _Copier(on_meta).copy(module), others


def copy_with_same_parameters(module: nn.Module) -> nn.Module:
    """Copy a module, its submodules, attributes, hooks and buffers, but let the copy use the same parameters."""

    def same(tensor: Tensor) -> Tensor:
        return tensor if isinstance(tensor, nn.Parameter) else tensor.detach().clone()

    copied: nn.Module = _Copier(same).copy(module)
    return copied


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the module that runs inside `torch.compile`, `DataParallel` or `DistributedDataParallel`."""
    inner: Any = module
    while True:
        if type(inner).__name__ == "OptimizedModule" and hasattr(inner, "_orig_mod"):
            inner = inner._orig_mod
        elif isinstance(inner, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = inner.module
        else:
            break
    unwrapped_module: nn.Module = inner
    return unwrapped_module


class _Copier:
    """Copies objects that refer to each other; each object once, so that what was shared still is."""

    def __init__(self, copy_tensor: Callable[[Tensor], Tensor]) -> None:
        self._copy_tensor = copy_tensor
        self._memo: dict[int, Any] = {}  # as `copy.deepcopy` keeps it

    def copy(self, value: Any) -> Any:
        """Return the copy of an object."""
        if value is None or isinstance(value, _ATOMS):
            return value
        if id(value) not in self._memo:
            copied = self._new_copy(value)
            self._memo[id(value)] = copied
            self._memo.setdefault(id(self._memo), []).append(value)  # keep it, so that no other object takes its id
        return self._memo[id(value)]

    def _new_copy(self, value: Any) -> Any:
        kind = type(value)
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, nn.Module):
            return self._module(unwrapped(value))
        if kind in (list, set, deque) or (isinstance(value, tuple) and not hasattr(value, "_fields")):
            return kind(map(self.copy, value))
        if kind in (dict, OrderedDict):
            return kind((self.copy(key), self.copy(entry)) for key, entry in value.items())
        if kind is defaultdict:
            return defaultdict(value.default_factory, {key: self.copy(entry) for key, entry in value.items()})
        if kind is types.MethodType:
            return types.MethodType(self.copy(value.__func__), self.copy(value.__self__))
        if kind is partial:
            return partial(self.copy(value.func), *map(self.copy, value.args), **self.copy(value.keywords))
        if kind is types.FunctionType:
            return self._function(value)
        try:
            return copy.deepcopy(value, self._memo)
        except Exception:  # it holds locks, files, generators, or tensors with a history
            return self._object(value)

    def _object(self, value: Any) -> Any:
        """Copy an object attribute by attribute, or return it itself if that is not possible either."""
        try:
            twin = copy.copy(value)
            kept = vars(twin)
        except Exception:  # whatever its class raises, or it has no attributes
            return value
        self._memo[id(value)] = twin
        kept.update({name: self.copy(entry) for name, entry in kept.items()})
        return twin

    def _module(self, module: nn.Module) -> nn.Module:
        if id(module) in self._memo:
            inner: nn.Module = self._memo[id(module)]
            return inner
        if isinstance(module, torch.jit.ScriptModule):
            return module  # a compiled program that sets no attributes; its tensors are replaced where they are read
        twin: nn.Module = object.__new__(type(module))
        self._memo[id(module)] = twin
        for name, value in vars(module).items():
            vars(twin)[name] = None if name == "_compiled_call_impl" else self.copy(value)
        return twin

    def _tensor(self, tensor: Tensor) -> Tensor:
        try:
            twin = self._copy_tensor(tensor)
        except (RuntimeError, TypeError):  # a layout without storage
            return tensor
        if twin is not tensor:
            vars(twin).update(vars(tensor))
        return twin

    def _function(self, function: types.FunctionType) -> types.FunctionType:
        """Copy a function that refers to something that is copied, as a hook may refer to its module."""
        cells = function.__closure__ or ()
        contents = [cell.cell_contents for cell in cells if _is_full(cell)]
        if not any(isinstance(value, (nn.Module, Tensor, list, dict, types.MethodType)) for value in contents):
            return function
        twins = tuple(types.CellType(self.copy(cell.cell_contents)) if _is_full(cell) else cell for cell in cells)
        twin = types.FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, twins
        )
        twin.__kwdefaults__ = function.__kwdefaults__
        vars(twin).update(vars(function))
        return twin


def _is_full(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is cell.cell_contents
    except ValueError:
        return False


def _saved_tensors(module: nn.Module) -> Iterator[_Saved]:
    """Yield the parameters and saved buffers of a module; those that it does not know of, in plain lists, as well."""
    parts = list(module.named_modules())
    tensors = [(name, tensor, True) for name, tensor in module.named_parameters()]
    known = {id(part) for _, part in parts}
    for path, part in parts:  # which grows
        for name, leaf in _held_in_containers(part):
            where = f"{path}.{name}".lstrip(".")
            if isinstance(leaf, nn.Parameter):
                tensors.append((f"{where}.", leaf, True))
            elif id(leaf) not in known:
                inside = [(f"{where}.{inner}".rstrip("."), deeper) for inner, deeper in leaf.named_modules()]
                known |= {id(deeper) for _, deeper in inside}
                parts += inside
                tensors += [(f"{where}.{inner}", tensor, True) for inner, tensor in leaf.named_parameters()]
    for path, part in parts:
        unsaved = getattr(part, "_non_persistent_buffers_set", ())
        for name, tensor in part.named_buffers(recurse=False):
            if name not in unsaved and tensor.dim() and tensor.dtype not in _INDEX_TYPES:
                tensors.append((f"{path}.{name}".lstrip("."), tensor, False))
    for name, tensor, is_parameter in tensors:
        if is_lazy(tensor):
            raise ValueError(f"its weight {name!r} has no shape yet; run the module once on a real input first.")
        if tensor.layout != torch.strided:
            raise ValueError(
                f"its weight {name!r} is no dense tensor ({tensor.layout}); give a module with dense ones."
            )
        if tensor.numel():
            span: int = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True)) + 1
            start = int(tensor.storage_offset()) * tensor.itemsize
            yield _Saved(name, tensor, is_parameter, start, start + span * tensor.itemsize)


def _held_in_containers(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the modules and parameters in a module's own lists, tuples and dictionaries, with names."""
    for name, value in vars(module).items():
        if type(value) in (list, tuple, dict) and not name.startswith("_"):
            for place, leaf in enumerate(tree_leaves(value)):
                if isinstance(leaf, (nn.Module, nn.Parameter)):
                    yield f"{name}.{place}", leaf


def _overlapping(members: list[_Saved]) -> list[list[_Saved]]:
    """Divide tensors of one storage into groups that overlap; within a group they keep their order."""
    groups: list[list[_Saved]] = []
    end = -1
    for saved in sorted(members, key=lambda saved: saved.start):
        if saved.start >= end:
            groups.append([])
        groups[-1].append(saved)
        end = max(end, saved.end)
    return [sorted(group, key=members.index) for group in groups]
