"""Calls that are logged and timed as whole operators, though PyTorch may divide them: attention, recurrent layers."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import _VF, Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import sdpa_flop_count

from dnnmig_env.networks.tracing.global_caches import shared_places

ATTENTION = "scaled_dot_product_attention"
"""Name under which attention is logged, as one operator."""

_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


@dataclass(frozen=True)
class WholeCall:
    """A call that counts as one operator.

    Attributes:
        name: Name of the operator.
        function: Function that executes it on real tensors.
        args: Its arguments, in which the tensors that it reads may stand in lists.
        named: Its named arguments.
        run_on_meta: Function that returns tensors of the right shapes on the meta device.
        reads: The tensors that it reads.
        flops: Its floating-point operations.
    """

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    named: dict[str, Any]
    run_on_meta: Callable[[], Any]
    reads: list[Tensor]
    flops: float

    def run(self) -> Any:
        """Execute the call on real tensors and return its result."""
        return self.function(*self.args, **self.named)


Observe = Callable[[WholeCall], Any]
"""Function that executes a call, as what happens demands, and returns its result."""


@contextmanager
def whole_calls(observe: Observe, module: nn.Module) -> Iterator[None]:
    """Hand attention and recurrent layers to a function instead of executing them.

    A recurrent layer is one operator, the layers of a module one after another; so is a step of a recurrent cell.

    Args:
        observe: The function.
        module: The network, which may have imported functions by name into the Python modules of its classes.
    """
    fused = functional.scaled_dot_product_attention
    standing_in: dict[Any, Callable[..., Any]] = {fused: partial(_attend, observe, fused)}
    replaced: list[tuple[Any, str, Any]] = [(functional, ATTENTION, fused)]
    for name in _RECURRENT:
        layer, cell = getattr(torch, name), getattr(torch, f"{name}_cell")
        standing_in |= {layer: partial(_recur, observe, layer), cell: partial(_step, observe, cell)}
        replaced += [(place, name, layer) for place in (_VF, torch)]
        replaced += [(place, f"{name}_cell", cell) for place in (_VF, torch)]
    for place in shared_places(module):
        for name, value in vars(place).items():
            if isinstance(value, types.BuiltinFunctionType) and value in standing_in:
                replaced.append((place, name, value))
    for place, name, function in replaced:
        setattr(place, name, standing_in[function])
    try:
        yield
    finally:
        for place, name, function in replaced:
            if place is _VF:
                delattr(place, name)  # which finds what it does not have elsewhere
            else:
                setattr(place, name, function)


def _attend(
    observe: Observe,
    fused: Callable[..., Tensor],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    *others: Any,
    **named: Any,
) -> Tensor:
    def on_meta() -> Tensor:
        return _side_by_side(torch.empty((*query.shape[:-1], value.shape[-1]), dtype=query.dtype, device="meta"))

    def attended(*args: Any, **named: Any) -> Tensor:
        return _side_by_side(fused(*args, **named))

    heads = math.prod(query.shape[:-2])  # grouped queries share keys: less memory, as many products
    shapes = [(1, heads, *tensor.shape[-2:]) for tensor in (query, key, value)]
    result: Tensor = observe(
        WholeCall(
            ATTENTION,
            attended,
            (query, key, value, attn_mask, *others),
            named,
            on_meta,
            [tensor for tensor in (query, key, value, attn_mask) if tensor is not None],
            float(sdpa_flop_count(*shapes)),
        )
    )
    return result


def _side_by_side(attended: Tensor) -> Tensor:
    """Lay out attention's result with each token's heads side by side, as most kernels do: joining heads is no copy."""
    return _contiguous_as(attended, -3, -2) if attended.dim() > 3 else attended


def _contiguous_as(tensor: Tensor, one: int, other: int) -> Tensor:
    return tensor.transpose(one, other).contiguous().transpose(one, other)


def _recur(observe: Observe, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """Run the layers of a recurrent module one after another."""
    place = 3 if len(args) > 3 and isinstance(args[3], (list, tuple)) else 2  # of the weights
    settings = args[place + 1 :]
    if named or len(settings) < 5 or (settings[2] and settings[3]):
        return function(*args, **named)  # called in an unusual way, or with dropout: PyTorch divides it
    has_biases, num_layers, _, train, bidirectional, *batch_first = settings
    sizes = args[1 : place - 1]  # of a packed sequence: the sequences that are still there in each step
    states = tuple(args[place - 1]) if isinstance(args[place - 1], (tuple, list)) else (args[place - 1],)
    output, directions = args[0], 1 + bidirectional
    last: list[tuple[Tensor, ...]] = []
    for weights, first in _by_layer(args[place], num_layers, directions):
        entering = tuple(state[first : first + directions] for state in states)
        hidden: Any = entering if len(states) > 1 else entering[0]
        run = partial(function, output, *sizes, hidden, weights, has_biases, 1, 0.0, train, bidirectional, *batch_first)
        output, *leaving = observe(_layer(run, output, entering, weights, directions, any(batch_first)))
        last.append(tuple(leaving))
    joined = [torch.cat(parts) if num_layers > 1 else parts[0] for parts in zip(*last, strict=True)]
    return (output, *joined)


def _by_layer(weights: Sequence[Tensor], num_layers: int, directions: int) -> Iterator[tuple[list[Tensor], int]]:
    """Yield the weights of each layer, and the place of its first state."""
    each = len(weights) // num_layers
    for layer in range(num_layers):
        yield list(weights[layer * each : (layer + 1) * each]), layer * directions


def _layer(
    run: partial[Any],
    sequence: Tensor,
    states: tuple[Tensor, ...],
    weights: list[Tensor],
    directions: int,
    batch_first: bool,
) -> WholeCall:
    width = directions * states[0].shape[-1]

    def laid_out(result: Any) -> Any:
        return (_contiguous_as(result[0], 0, 1), *result[1:]) if batch_first else result

    def on_meta() -> Any:
        output = torch.empty((*sequence.shape[:-1], width), dtype=sequence.dtype, device="meta")
        return laid_out((output, *(torch.empty(state.shape, dtype=state.dtype, device="meta") for state in states)))

    tokens = math.prod(sequence.shape[:-1])  # steps times sequences; of packed sequences, all their steps
    matrices = sum(weight.numel() for weight in weights if weight.dim() == 2)
    reads = [sequence, *states, *weights]
    return WholeCall(
        run.func.__name__,
        lambda *args: laid_out(run.func(*args)),
        run.args,
        {},
        on_meta,
        reads,
        2.0 * tokens * matrices,
    )


def _step(
    observe: Observe, function: Callable[..., Any], entry: Tensor, state: Any, *weights: Any, **named: Any
) -> Any:
    """Run one step of a recurrent cell."""
    states = tuple(state) if isinstance(state, (tuple, list)) else (state,)
    given = [weight for weight in (*weights, *named.values()) if isinstance(weight, Tensor)]

    def on_meta() -> Any:
        made = tuple(torch.empty(one.shape, dtype=one.dtype, device="meta") for one in states)
        return made if len(states) > 1 else made[0]

    matrices = sum(weight.numel() for weight in given if weight.dim() == 2)
    flops = 2.0 * math.prod(entry.shape[:-1]) * matrices
    reads = [entry, *states, *given]
    return observe(WholeCall(function.__name__, function, (entry, state, *weights), named, on_meta, reads, flops))
