"""Calls that are logged and timed as whole operators, though PyTorch may divide them: attention, recurrent layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import _VF, Tensor
from torch.nn import functional
from torch.utils.flop_counter import sdpa_flop_count

ATTENTION = "scaled_dot_product_attention"
"""Name under which attention is logged, as one operator."""

_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


@dataclass(frozen=True)
class WholeCall:
    """A call that counts as one operator.

    Attributes:
        name: Name of the operator.
        run: Function that executes it on real tensors.
        run_on_meta: Function that returns tensors of the right shapes on the meta device.
        reads: The tensors that it reads.
        flops: Its floating-point operations.
    """

    name: str
    run: Callable[[], Any]
    run_on_meta: Callable[[], Any]
    reads: list[Tensor]
    flops: float


Observe = Callable[[WholeCall], Any]
"""Function that executes a call, as what happens demands, and returns its result."""


@contextmanager
def whole_calls(observe: Observe) -> Iterator[None]:
    """Hand attention and recurrent layers to a function instead of executing them.

    A recurrent layer is one operator, the layers of a module one after another; so is a step of a recurrent cell. A
    module that imported one of these functions by name keeps using it: its FLOPs are the same, but in more operators.
    """
    fused = functional.scaled_dot_product_attention
    replaced: list[tuple[Any, str, Any]] = [(functional, ATTENTION, partial(_attend, observe, fused))]
    for name in _RECURRENT:
        for place in (_VF, torch):
            replaced.append((place, name, partial(_recur, observe, getattr(torch, name))))
            replaced.append((place, f"{name}_cell", partial(_step, observe, getattr(torch, f"{name}_cell"))))
    before = [vars(place).get(name) for place, name, _ in replaced]
    for place, name, function in replaced:
        setattr(place, name, function)
    try:
        yield
    finally:
        for (place, name, _), original in zip(replaced, before, strict=True):
            if original is None:
                delattr(place, name)
            else:
                setattr(place, name, original)


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

    heads = math.prod(query.shape[:-2])  # grouped queries share keys: less memory, as many products
    shapes = [(1, heads, *tensor.shape[-2:]) for tensor in (query, key, value)]
    result: Tensor = observe(
        WholeCall(
            ATTENTION,
            lambda: _side_by_side(fused(query, key, value, attn_mask, *others, **named)),
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
        output, *leaving = observe(_layer(run, output, entering, weights, directions, any(batch_first), bool(sizes)))
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
    is_packed: bool,
) -> WholeCall:
    width = directions * states[0].shape[-1]

    def laid_out(result: Any) -> Any:
        return (_contiguous_as(result[0], 0, 1), *result[1:]) if batch_first else result

    def on_meta() -> Any:
        output = torch.empty((*sequence.shape[:-1], width), dtype=sequence.dtype, device="meta")
        return laid_out((output, *(torch.empty(state.shape, dtype=state.dtype, device="meta") for state in states)))

    tokens = sequence.shape[0] if is_packed else math.prod(sequence.shape[:-1])
    matrices = sum(weight.numel() for weight in weights if weight.dim() == 2)
    reads = [sequence, *states, *weights]
    return WholeCall(run.func.__name__, lambda: laid_out(run()), on_meta, reads, 2.0 * tokens * matrices)


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
    run = partial(function, entry, state, *weights, **named)
    return observe(WholeCall(function.__name__, run, on_meta, [entry, *states, *given], flops))
