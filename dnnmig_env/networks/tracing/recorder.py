"""Logs every operator that PyTorch dispatches, on real tensors as well as on tensors without memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._python_dispatch import _disable_current_modes as unseen
from torch.utils._pytree import tree_map_only
from torch.utils.hooks import RemovableHandle

from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.operator_log import OperatorLog, Read
from dnnmig_env.networks.tracing.constants import MAX_CONSTANT_BYTES, Constants, ValuesNeededError, ignores_values
from dnnmig_env.networks.tracing.examples import Call
from dnnmig_env.networks.tracing.module_copy import Weight
from dnnmig_env.networks.tracing.operators import (
    KNOWN_NAMESPACES,
    changes_content,
    check_types,
    depends_on_values,
    divided,
    flops_of,
    is_mutable,
    short_name,
    tensors_in,
    without_statistics,
    written,
)
from dnnmig_env.networks.tracing.whole_calls import WholeCall

_aten = torch.ops.aten

REGISTER = "register a formula by torch.utils.flop_counter.register_flop_formula"
"""What a user does about operators whose FLOPs are unknown."""


class Recorder(TorchDispatchMode):
    """Logs each operator that runs, on real tensors as well as on tensors on the meta device.

    Tensors are identified by the storage whose memory they show, so views do not appear in the log. The recorder keeps
    every storage alive as long as it lives itself.

    Args:
        constants: What keeps the stand-ins and known values of the module's tensors.
        weights: The network's weights.
        others: Addresses of large tensors that are no weights, with their bytes.
        on_meta: Whether to run on stand-ins of all tensors that have one, rather than on the tensors themselves.

    Attributes:
        operators_without_formula: Names of the user's own operators that ran and whose FLOPs are unknown.
    """

    def __init__(
        self,
        constants: Constants,
        weights: Iterable[Weight],
        others: Mapping[int, int] | None = None,
        on_meta: bool = True,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._log = OperatorLog()
        self._constants = constants
        self._on_meta = on_meta
        self._weights = {weight.address: weight for weight in weights}
        self._path: list[tuple[str, bool]] = []
        self.operators_without_formula: dict[str, None] = {}
        for weight in self._weights.values():
            self._log.add_weight(weight.address, weight.num_bytes)
        self._others = others or {}
        for address in self._others:
            self._log.add_weight(address, 0)  # to know whether it is read

    def add_inputs(self, arguments: Call, examples: Call) -> None:
        """Declare the network's inputs, made of examples whose values may be known."""
        for tensor, example in zip(arguments.leaves, examples.leaves, strict=True):
            declare = self._log.add_state if example.spec.state else self._log.add_input
            declare(self._key(tensor), tensor.nbytes)
            if tensor.is_meta and example.values is not None and tensor.nbytes <= MAX_CONSTANT_BYTES:
                self._constants.learn(tensor, example.values.contiguous().clone(), written=True)

    def start_over(self) -> None:
        """Forget the inputs and operators; what later runs find in the module's caches is still known."""
        self._log.start_over()
        self._constants.release(self._log.is_constant)

    def to_graph(self, name: str, result: Any, origin: str = "", state_outputs: Sequence[str | int] = ()) -> LayerGraph:
        """Return the graph of the operators that were logged, given the network's result.

        Args:
            name: Name of the network.
            result: What it returned.
            origin: How the graph was made.
            state_outputs: Names or positions of the parts of the result that do not return to the device.

        Raises:
            ValueError: If there is no such part, or no other output is computed from the network's input.
        """
        returned, kept = (list(map(self._look_at, part)) for part in divided(result, state_outputs))
        return self._log.to_graph(name, returned, origin, kept)

    def notes(self) -> Iterator[str]:
        """Yield what a user of the graph should know, after it was made."""
        lost = self._log.unread_weights
        unread = sum(weight.num_bytes for key, weight in self._weights.items() if weight.is_parameter and key in lost)
        if unread:
            yield f"without {unread} bytes of weights that it never reads"
        others = sum(size for address, size in self._others.items() if address not in lost)
        if others:
            yield f"without {others} bytes of tensors that it reads and that are neither parameters nor saved buffers"
        if self.operators_without_formula:
            yield f"FLOPs of {', '.join(self.operators_without_formula)} count as 0"

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operator and log it; on the meta device, also keep track of values that are known."""
        kwargs = kwargs or {}
        self._add_foreign_weights(args)
        is_new = getattr(kwargs.get("device"), "type", "") == "meta"
        if self._on_meta and (is_new or any(map(self._constants.is_tracked, tensors_in((args, kwargs))))):
            args, kwargs = tree_map_only(Tensor, self._constants.on_meta, (args, kwargs))
            return self._run_on_meta(func, args, kwargs)
        result = func(*args, **kwargs)
        self._log_operator(func, args, kwargs, result)
        return result

    def _add_foreign_weights(self, args: tuple[Any, ...]) -> None:
        """Declare parameters that the network uses but does not hold, such as those of a global variable."""
        for tensor in args:
            if isinstance(tensor, nn.Parameter) and not (tensor.is_meta or self._constants.has_stand_in(tensor)):
                num_bytes = tensor.untyped_storage().nbytes()
                self._constants.stand_for(tensor, 0, num_bytes, values=False)
                self._weights[self._key(tensor)] = Weight(self._key(tensor), "", num_bytes, True)
                self._log.add_weight(self._key(tensor), num_bytes)

    def _run_on_meta(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not any("Tensor" in str(entry.type) for entry in func._schema.returns):
            return self._answer(func, args, kwargs)
        if kwargs.get("device") is not None and kwargs["device"].type != "meta":
            kwargs = {**kwargs, "device": torch.device("meta")}  # the copy of the network has one device
            if func is _aten._to_copy.default and not changes_content(args[0], kwargs):
                return _aten.alias.default(args[0])
        compute, real = self._constants.compute, None
        check_types(func, args)
        try:
            result = func(*self._without_masks(func, args), **kwargs)
        except RuntimeError as error:  # its shape depends on values, or it cannot run on shapes alone
            real = compute(func, args, kwargs)
            made = compute(func, args, kwargs, guess=True) if real is None else real
            if made is None and depends_on_values(func, error):
                name = short_name(func._schema.name)
                raise ValuesNeededError(f"the size of what {name} returns depends on values") from error
            if made is None:
                raise
            result = tree_map_only(Tensor, self._stand_in, made)
        self._log_operator(func, args, kwargs, tree_map_only(Tensor, self._constants.on_meta, result))
        if all(tensor.nbytes <= MAX_CONSTANT_BYTES for tensor in tensors_in(result)):
            real = compute(func, args, kwargs) if real is None else real
        self._constants.learn(result, real, self._writes(func, args, kwargs, result))
        return result

    def _answer(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operator that returns no tensor: a question about values, or one that only updates its arguments."""
        if not func._schema.returns:
            func(*args, **kwargs)
            self._log_operator(func, args, kwargs, None)
            if self._writes(func, args, kwargs, None):
                real = self._constants.compute(func, args, kwargs)
                known = all(map(self._constants.knows, tensors_in((args, kwargs))))
                if real is None and not known:
                    self._constants.learn(list(written(func, args, kwargs)), None, written=True)
            return None
        value = self._constants.compute(func, args, kwargs)
        if value is not None:
            return value
        try:
            return func(*args, **kwargs)
        except RuntimeError as error:
            raise ValuesNeededError(f"{short_name(func._schema.name)} asks for the value of a tensor") from error

    def _without_masks(self, func: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Replace masks whose values are known by the indices that they select, which have a shape."""
        if func is not _aten.index.Tensor:
            return args
        indices: list[Any] = []
        for index in args[1]:
            if index is not None and index.dtype in (torch.bool, torch.uint8) and self._constants.knows(index):
                places = self._constants.values_of(index).nonzero()
                indices.extend(torch.empty(len(places), dtype=torch.int64, device="meta") for _ in range(index.dim()))
            else:
                indices.append(index)
        return (args[0], indices, *args[2:])

    def _stand_in(self, real: Tensor) -> Tensor:
        """Return what stands for a real result: itself if it holds sizes, which PyTorch wants to see."""
        if real.is_floating_point() or real.is_complex():
            return torch.empty_strided(real.shape, real.stride(), dtype=real.dtype, device="meta")
        return real

    def _writes(self, func: Any, args: Any, kwargs: Any, result: Any) -> bool:
        """Return whether an operator wrote memory, rather than only showing what it was given."""
        if is_mutable(func):
            return True
        read = {self._key(tensor) for tensor in tensors_in((args, kwargs))}
        return not all(self._key(tensor) in read for tensor in tensors_in(result))

    def _log_operator(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        reads = [] if ignores_values(func) else list(tensors_in(without_statistics(func, args, kwargs)))
        results = list(tensors_in(result))
        namespace = func.namespace
        if is_mutable(func) and (not results or namespace not in KNOWN_NAMESPACES):
            results += written(func, args, kwargs)
        flops = flops_of(func, args, kwargs, result)
        if flops is None and namespace not in KNOWN_NAMESPACES:
            self.operators_without_formula[func._schema.name] = None
        self.add(func._schema.name, flops or 0.0, reads, results, is_mutable(func))

    def add(self, operator: str, flops: float, reads: list[Tensor], result: Any, updates: bool = False) -> None:
        """Log an operator unless it only made a view of what it read."""
        read_addresses = [self._key(tensor) for tensor in reads]
        writes: dict[Hashable, int] = {}
        for tensor in tensors_in(result):
            address = self._key(tensor)
            if updates or address not in read_addresses:
                size = tensor.untyped_storage().nbytes() if address in read_addresses else tensor.nbytes
                writes[address] = max(size, writes.get(address, 0))
        if writes:
            name = self._layer_name(operator, read_addresses)
            looks = [self._look_at(tensor) for tensor in reads]
            # An operator that updates a part of a tensor counts as reading all of it, which is also what it writes.
            looks = [Read(look.value, None, writes[look.value]) if look.value in writes else look for look in looks]
            self._log.add_operator(name, flops, looks, writes)

    def observe(self, call: WholeCall) -> Any:
        """Run attention or a recurrent layer and log it as one operator, as it runs in practice."""
        reads = call.reads
        with unseen():
            if self._on_meta and any(map(self._constants.is_tracked, reads)):
                reads = [self._constants.on_meta(tensor) for tensor in reads]
                result = call.run_on_meta()
            else:
                result = call.run()
            self.add(call.name, call.flops, reads, result)
        return result

    def _key(self, tensor: Tensor) -> int:
        """Return what identifies a tensor's memory: the address of its stand-in's storage if it has one."""
        return self._constants.address(
            self._constants.on_meta(tensor) if self._constants.has_stand_in(tensor) else tensor
        )

    def _look_at(self, tensor: Tensor) -> Read:
        """Return the part of memory that a tensor shows."""
        part = (tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)
        return Read(self._key(tensor), part, tensor.nbytes)

    def follow(self, root: nn.Module) -> list[RemovableHandle]:
        """Keep track, by hooks, of the module in which operators run: layers get its path as their name."""
        hooks = []
        for path, module in root.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue  # it takes no hooks: its layers are named after the owners of their weights
            is_leaf = not any(True for _ in module.children())

            def enter(*_: object, entry: tuple[str, bool] = (path, is_leaf)) -> None:
                self._path.append(entry)

            def leave(*_: object) -> None:
                self._path.pop()

            hooks.append(module.register_forward_pre_hook(enter))
            hooks.append(module.register_forward_hook(leave, always_call=True))
        return hooks

    def _layer_name(self, operator: str, read_addresses: Iterable[int]) -> str:
        path, is_leaf = self._path[-1] if self._path else ("", False)
        if path and is_leaf:
            return path
        owners = {self._weights[address].owner for address in read_addresses if address in self._weights}
        if len(owners) == 1 and (owner := owners.pop()) and owner != path:
            return owner
        return f"{path}.{short_name(operator)}".lstrip(".")
