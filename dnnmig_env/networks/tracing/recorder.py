"""Runs a module on the meta device and logs every operator that PyTorch dispatches."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._python_dispatch import _disable_current_modes as unseen
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.operator_log import OperatorLog, Read
from dnnmig_env.networks.tracing import InputSpec
from dnnmig_env.networks.tracing.constants import MAX_CONSTANT_BYTES, Constants, ignores_values

ATTENTION = "scaled_dot_product_attention"
"""Name under which attention is logged, as one operator."""

_VECTOR_PRODUCTS: dict[Any, Callable[..., int]] = {
    # Products with a vector, for which PyTorch has no formula.
    torch.ops.aten.mv: lambda matrix, vector: 2 * matrix.numel(),
    torch.ops.aten.addmv: lambda bias, matrix, vector, **_: 2 * matrix.numel(),
    torch.ops.aten.dot: lambda left, right: 2 * left.numel(),
    torch.ops.aten.vdot: lambda left, right: 2 * left.numel(),
}


def record(module: nn.Module, inputs: Sequence[Any], name: str, origin: str | None) -> LayerGraph:
    """Trace a module; `dnnmig_env.networks.tracing.trace`, which calls this, documents the rules."""
    recorder = Recorder(
        {
            name: nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
            for name, parameter in module.named_parameters()
        }
    )
    examples = [_example(entry, index) for index, entry in enumerate(inputs)]
    recorder.add_inputs(examples)
    try:
        with (
            torch.no_grad(),
            torch.random.fork_rng(devices=[]),
            inference(module),
            recorder.module_paths(module),
            attention_as_one_operator(recorder.attend),
            recorder,
        ):
            result = torch.func.functional_call(module, recorder.parameters, tuple(examples), strict=False)
    except Exception as error:  # whatever the user's own code raises
        raise ValueError(
            f"cannot trace {name!r} on inputs {[tuple(example.shape) for example in examples]}: "
            f"{type(error).__name__}: {_first_line(error)}. Check the input shapes and element types; a network whose "
            "control flow depends on tensor values (e.g. non-maximum suppression) must be traced without that part."
        ) from error
    graph = recorder.to_graph(name, result, origin or f"traced with torch {torch.__version__}")
    unread = sum(parameter.nbytes for parameter in module.parameters()) - int(graph.weight_bytes.sum())
    if unread:
        graph = replace(graph, origin=f"{graph.origin}; without {unread} bytes of weights that it never reads")
    return graph


class Recorder(TorchDispatchMode):
    """Logs each operator that runs, on real tensors as well as on tensors on the meta device.

    Tensors are identified by the storage whose memory they show, so views do not appear in the log. The recorder keeps
    every storage alive as long as it lives itself.

    Args:
        parameters: The network's parameters by name.
    """

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.parameters = parameters
        self._log = OperatorLog()
        self._constants = Constants()
        self._owner: dict[int, str] = {}
        self._path: list[tuple[str, bool]] = []
        for name, parameter in parameters.items():
            address = self._constants.address(parameter)
            self._owner[address] = name.rpartition(".")[0]
            self._log.add_weight(address, parameter.nbytes)

    def add_inputs(self, examples: Iterable[Tensor]) -> None:
        """Declare the network's inputs."""
        for example in examples:
            self._log.add_input(self._look_at(example).value, example.nbytes)

    def to_graph(self, name: str, result: Any, origin: str = "") -> LayerGraph:
        """Return the graph of the operators that were logged, given the network's result."""
        return self._log.to_graph(name, [self._look_at(tensor) for tensor in _tensors_in(result)], origin)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operator and log it; on the meta device, also keep track of values that are known."""
        kwargs = kwargs or {}
        if any(tensor.is_meta for tensor in _tensors_in((args, kwargs))):
            args, kwargs = tree_map_only(Tensor, self._constants.on_meta, (args, kwargs))
            if not any("Tensor" in str(result.type) for result in func._schema.returns):
                value = self._constants.compute(func, args, kwargs)
                return func(*args, **kwargs) if value is None else value
        result = func(*args, **kwargs)
        reads = [] if ignores_values(func) else list(_tensors_in((args, kwargs)))
        self.add(func._schema.name, _flops(func, args, kwargs, result), reads, result, func._schema.is_mutable)
        if isinstance(result, Tensor) and result.is_meta:
            known = result.nbytes <= MAX_CONSTANT_BYTES
            self._constants.learn(result, self._constants.compute(func, args, kwargs) if known else None)
        return result

    def add(self, operator: str, flops: float, reads: list[Tensor], result: Any, is_mutable: bool = False) -> None:
        """Log an operator unless it only made a view of what it read."""
        read_addresses = [self._constants.address(tensor) for tensor in reads]
        writes: dict[Hashable, int] = {}
        for tensor in _tensors_in(result):
            address = self._constants.address(tensor)
            if is_mutable or address not in read_addresses:
                size = tensor.untyped_storage().nbytes() if address in read_addresses else tensor.nbytes
                writes[address] = max(size, writes.get(address, 0))
        if writes:
            name = self._layer_name(operator, read_addresses)
            looks = [self._look_at(tensor) for tensor in reads]
            # An operator that updates a part of a tensor counts as reading all of it, which is also what it writes.
            looks = [Read(look.value, None, writes[look.value]) if look.value in writes else look for look in looks]
            self._log.add_operator(name, flops, looks, writes)

    def attend(
        self,
        fused: Callable[..., Tensor],
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        *others: Any,
        **named: Any,
    ) -> Tensor:
        """Run attention and log it as one operator, as it runs in practice; the meta device would split it up."""
        with unseen():
            if query.is_meta:
                result = torch.empty((*query.shape[:-1], value.shape[-1]), dtype=query.dtype, device="meta")
            else:
                result = fused(query, key, value, attn_mask, *others, **named)
            result = side_by_side(result)
        heads = math.prod(query.shape[:-2])  # grouped queries share keys: less memory, as many products
        shapes = [(1, heads, *tensor.shape[-2:]) for tensor in (query, key, value)]
        reads = [tensor for tensor in (query, key, value, attn_mask) if tensor is not None]
        self.add(ATTENTION, sdpa_flop_count(*shapes), reads, result)
        return result

    def _look_at(self, tensor: Tensor) -> Read:
        """Return the part of memory that a tensor shows."""
        part = (tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)
        return Read(self._constants.address(tensor), part, tensor.nbytes)

    @contextmanager
    def module_paths(self, root: nn.Module) -> Iterator[None]:
        """Keep track of the module in which operators run, so that layers get its path as their name."""
        handles = []
        for path, module in root.named_modules():
            is_leaf = not any(True for _ in module.children())

            def enter(*_: object, entry: tuple[str, bool] = (path, is_leaf)) -> None:
                self._path.append(entry)

            def leave(*_: object) -> None:
                self._path.pop()

            handles.append(module.register_forward_pre_hook(enter))
            handles.append(module.register_forward_hook(leave, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _layer_name(self, operator: str, read_addresses: Iterable[int]) -> str:
        path, is_leaf = self._path[-1] if self._path else ("", False)
        if path and is_leaf:
            return path
        owners = {self._owner[address] for address in read_addresses if address in self._owner}
        if len(owners) == 1 and (owner := owners.pop()) and owner != path:
            return owner
        return f"{path}.{_short(operator)}".lstrip(".")


@contextmanager
def attention_as_one_operator(attend: Callable[..., Tensor]) -> Iterator[None]:
    """Replace `scaled_dot_product_attention` by `attend`, which is given the original function and its arguments.

    A module that imported the original by name keeps using it: its FLOPs are then the same, but in more operators.
    """
    fused = functional.scaled_dot_product_attention
    functional.scaled_dot_product_attention = partial(attend, fused)
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = fused


def side_by_side(attended: Tensor) -> Tensor:
    """Lay out attention's result with each token's heads side by side, as most kernels do: joining heads is no copy."""
    return attended.transpose(-3, -2).contiguous().transpose(-3, -2) if attended.dim() > 3 else attended


@contextmanager
def inference(module: nn.Module) -> Iterator[None]:
    """Put a module into inference mode and switch fused shortcuts off; restore both at the end."""
    training = [part for part in module.modules() if part.training]
    shortcut = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    module.eval()
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(shortcut)
        for part in training:
            part.training = True


def _example(entry: Any, index: int) -> Tensor:
    if isinstance(entry, Tensor):
        return torch.empty_like(entry, device="meta")
    spec = entry if isinstance(entry, InputSpec) else InputSpec(tuple(entry))
    dtype = getattr(torch, spec.dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"input {index}: dtype is {spec.dtype!r}; give a torch element type such as float32 or int64.")
    if not spec.shape or not all(isinstance(size, int) and size > 0 for size in spec.shape):
        raise ValueError(f"input {index}: shape is {spec.shape!r}; give positive integers, e.g. (1, 3, 224, 224).")
    return torch.empty(spec.shape, dtype=dtype, device="meta")


def _tensors_in(value: Any) -> Iterator[Tensor]:
    for leaf in tree_leaves(value):
        if isinstance(leaf, Tensor):
            yield leaf
        elif isinstance(leaf, Mapping):
            yield from _tensors_in(list(leaf.values()))
        elif is_dataclass(leaf) and not isinstance(leaf, type):
            yield from _tensors_in([getattr(leaf, field.name) for field in fields(leaf)])


def _short(operator: str) -> str:
    return operator.rpartition("::")[2].strip("_")


def _flops(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> float:
    operator = func._overloadpacket
    if operator in flop_registry:
        return float(flop_registry[operator](*args, **kwargs, out_val=result))
    return float(_VECTOR_PRODUCTS[operator](*args, **kwargs)) if operator in _VECTOR_PRODUCTS else 0.0


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "no message").splitlines()[0].rstrip(".")
