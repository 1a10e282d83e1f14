"""Records the operators of one forward pass on real tensors, so that each can be run again on its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._python_dispatch import _disable_current_modes as unseen
from torch.utils._pytree import tree_map_only

from dnnmig_env.networks.execution.steps import Look, Step, Values
from dnnmig_env.networks.tracing.constants import Constants, ignores_values
from dnnmig_env.networks.tracing.module_copy import weights_of
from dnnmig_env.networks.tracing.operators import is_mutable, tensors_in, without_statistics, written
from dnnmig_env.networks.tracing.whole_calls import WholeCall


class Tape(TorchDispatchMode):
    """Records every operator that runs and makes or updates a value; views only change how later ones look at it.

    Args:
        module: The network, whose weights are told apart from its other tensors.
        inputs: The tensors of its inputs; they get the values 0, 1, ...

    Attributes:
        names: Names of all operators that ran, those included that made views.
        steps: The operators that made or updated something, in order.
        given: Tensors that no operator made: weights, buffers and other constants, by value.
        weights: The values that are weights, which have to be sent.
        num_bytes: Bytes of each value.
    """

    def __init__(self, module: nn.Module, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []
        self.steps: list[Step] = []
        self.given: Values = {}
        self.weights: set[int] = set()
        self.num_bytes: list[int] = []
        self._made: list[Tensor] = []  # keeps the memory of every value, so that no address is used twice
        self._value_of: dict[int, int] = {}
        self._constants = Constants()
        weights_of(module, self._constants)
        for tensor in inputs:
            self._add(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operator and record it."""
        kwargs = kwargs or {}
        self.names.append(func._schema.name)
        changed = written(func, args, kwargs) if is_mutable(func) else []
        counted = [] if ignores_values(func) else list(tensors_in(without_statistics(func, args, kwargs)))
        return self._record(func, args, kwargs, changed, counted)

    def observe(self, call: WholeCall) -> Any:
        """Run attention or a recurrent layer and record it as one operator."""
        self.names.append(call.name)
        with unseen():
            return self._record(call.function, call.args, call.named, [], call.reads)

    def looks_at(self, tensor: Tensor) -> Look:
        """Return how a tensor looks at the value that its memory has at present."""
        value = self._value(tensor)
        made = self._made[value]
        is_whole = (tensor.dtype, tensor.size(), tensor.stride(), tensor.storage_offset()) == (
            made.dtype,
            made.size(),
            made.stride(),
            made.storage_offset(),
        )
        return Look(
            value, is_whole, tensor.dtype, tuple(tensor.size()), tuple(tensor.stride()), int(tensor.storage_offset())
        )

    def made(self, value: int) -> Tensor:
        """Return the tensor that shows all of a value's memory; its content may be that of a later value."""
        return self._made[value]

    def _record(
        self, function: Any, args: tuple[Any, ...], named: dict[str, Any], changed: list[Tensor], counted: list[Tensor]
    ) -> Any:
        looks: list[Look] = []

        def look(tensor: Tensor) -> Look:
            looks.append(self.looks_at(tensor))
            return looks[-1]

        form_args, form_named = tree_map_only(Tensor, look, (args, named))
        weights = tuple(dict.fromkeys(self._value(tensor) for tensor in counted))
        before = dict.fromkeys(self._value(tensor) for tensor in changed)
        result = function(*args, **named)
        updates = tuple((value, self._add(self._made[value])) for value in before)
        makes = []
        for place, tensor in enumerate(tensors_in(result)):
            if self._address(tensor) not in self._value_of:
                makes.append((place, self._add(tensor)))
        if makes or updates:
            reads = tuple(dict.fromkeys(one.value for one in looks))
            self.steps.append(
                Step(
                    len(self.names) - 1,
                    function,
                    form_args,
                    form_named,
                    reads,
                    tuple(value for value in weights if value in self.weights),
                    tuple(makes),
                    updates,
                )
            )
        return result

    def _value(self, tensor: Tensor) -> int:
        """Return the value that a tensor looks at, which is a given one if no operator has made it."""
        address = self._address(tensor)
        if address not in self._value_of:
            whole = tensor.detach()
            value = self._add(whole)
            self.given[value] = whole
            if self._constants.has_stand_in(tensor):
                self.weights.add(value)
        return self._value_of[address]

    def _add(self, tensor: Tensor) -> int:
        self._made.append(tensor.detach())  # not the tensor itself: PyTorch sees whether somebody else holds it
        self.num_bytes.append(tensor.untyped_storage().nbytes())
        self._value_of[self._address(tensor)] = len(self._made) - 1
        return len(self._made) - 1

    def _address(self, tensor: Tensor) -> int:
        return int(tensor.untyped_storage()._cdata)
