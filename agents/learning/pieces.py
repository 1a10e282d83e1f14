"""Evaluates a policy network on a batch in pieces, which threads share.

On a CPU, a whole batch leaves the cache; and if torch divides single operations among threads, these wait for each
other most of the time. Pieces of a batch have nothing to do with each other, so that each thread takes some of them.
What comes of them is put together in the order of the pieces: results are the same bit for bit whatever the number of
threads, if the network draws no random numbers and does not change when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor

from dnnmig_env.compiling.threads import results_of

Result = TypeVar("Result")

CACHED_ROWS = 128
"""Rows that a CPU evaluates at a time. Larger pieces leave its cache, and of smaller ones there are too many.

Decisions per second from which one core learns, in pieces of so many (gradients only, 29 November 2026):

| family | 32 | 64 | 96 | 128 |
|---|---|---|---|---|
| `single` | 5000 | 7300 | 9300 | 11100 |
| `multi-user` | 2800 | 3100 | 3100 | 3000 |
| `mobile` | 2700 | 3600 | 3700 | 4000 |
| `city` | 2500 | 3400 | 3600 | 3800 |
"""


def in_pieces(rows: Tensor, device: torch.device, work: Callable[[Tensor], Result]) -> list[Result]:
    """Return what a function returns for each piece of a batch, in their order.

    Args:
        rows: Numbers of the rows of the batch, shape (N,).
        device: Where the network computes; on a GPU the batch is one piece.
        work: Function of the numbers of a piece's rows.
    """
    if device.type != "cpu":
        return [work(rows)]
    pieces = rows.split(CACHED_ROWS)
    # Threads of torch's own would be started by each of these threads.
    return results_of(work, pieces) if torch.get_num_threads() == 1 else [work(piece) for piece in pieces]


def learn_from(
    parameters: Iterable[Tensor],
    rows: Tensor,
    device: torch.device,
    loss_of: Callable[[Tensor], tuple[Tensor, Result]],
) -> list[Result]:
    """Put the gradient of the losses of all pieces of a batch in the parameters' `grad`.

    Args:
        parameters: The parameters that are trained.
        rows: Numbers of the rows of the batch, shape (N,).
        device: Where the network computes.
        loss_of: Function of the numbers of a piece's rows. It returns their loss, and what else is to be told.

    Returns:
        What else is told about each piece.
    """
    trained: list[Any] = [parameter for parameter in parameters if parameter.requires_grad]

    def gradient_of(piece: Tensor) -> tuple[tuple[Tensor | None, ...], Result]:
        loss, told = loss_of(piece)
        return torch.autograd.grad(loss, trained, allow_unused=True), told

    found = in_pieces(rows, device, gradient_of)
    for parameter, *parts in zip(trained, *(gradients for gradients, _ in found), strict=True):
        known = [part for part in parts if part is not None]
        parameter.grad = known[0].clone() if known else None
        for part in known[1:]:
            parameter.grad += part
    return [told for _, told in found]
