"""Decisions of GRPO's rollouts, as they are learned from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, rand

SURE = 0.99
"""Decisions drawn with this probability or more are not learned from. There is next to nothing to learn from them: the
gradient of a decision's logarithmic probability is about 1 less it. In `city` two thirds of all decisions are such."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Decisions of a round, N of them: those that were in doubt (`SURE`).

    Attributes:
        row: Row of each, shape (N,).
        observation: What was observed, shape (N, D).
        mask: The legal actions, shape (N, A).
        action: The action drawn, shape (N,).
        log_prob: The logarithm of its probability then, shape (N,).
        part: Part of the episode's time in which it was taken, shape (N,).
        about: The user about whom it was; for "stop" the number of users, shape (N,).
    """

    row: Tensor
    observation: Tensor
    mask: Tensor
    action: Tensor
    log_prob: Tensor
    part: Tensor
    about: Tensor

    def in_doubt(self) -> Moments:
        """Return the moments in which the decision was not almost certain."""
        return self._where(self.log_prob < math.log(SURE))

    def some(self, share: float) -> Moments:
        """Return a part of the moments, each of which is drawn with probability `share`."""
        return self._where(rand(len(self.row), device=self.row.device) < share)

    @property
    def bytes(self) -> int:
        """Memory that the moments take."""
        return sum(each.nbytes for each in self._tensors())

    @property
    def bytes_each(self) -> int:
        """Memory that one moment takes."""
        return self._room(1).bytes

    def room_for(self, most_bytes: float) -> Moments:
        """Return as many moments like these as fit into some memory; they hold no values yet."""
        return self._room(int(most_bytes / self.bytes_each))

    def put(self, at: int, others: Moments) -> None:
        """Put other moments in the place of those from number `at` on."""
        for tensor, other in zip(self._tensors(), others._tensors(), strict=True):
            tensor[at : at + len(other)] = other

    def between(self, begin: int, end: int) -> Moments:
        """Return the moments `begin` up to, but not including, `end`; they are not copied."""
        return Moments(*(tensor[begin:end] for tensor in self._tensors()))

    def _room(self, count: int) -> Moments:
        return Moments(*(tensor.new_empty((count, *tensor.shape[1:])) for tensor in self._tensors()))

    def _tensors(self) -> list[Tensor]:
        return [getattr(self, name) for name in self.__dataclass_fields__]

    def _where(self, kept: Tensor) -> Moments:
        return Moments(*(tensor[kept] for tensor in self._tensors()))


class Round:
    """Collects the moments of a round that were in doubt: all of them, or a random part if they take too much memory.

    The memory is reserved once; a processor gives it as it is filled, a GPU at once. Whenever it is full, half of the
    moments are drawn, and from then on half as many are kept, so that all moments of a round have the same chance.

    Args:
        most_bytes: Most memory that the moments may take.
    """

    def __init__(self, most_bytes: float) -> None:
        self._most_bytes, self._count = most_bytes, 0
        self._held: Moments | None = None
        self.share = 1.0
        """Share of the moments in doubt that is kept."""

    def add(self, moments: Moments) -> None:
        """Collect the moments of one step that were in doubt.

        Raises:
            ValueError: If the memory does not hold two moments.
        """
        kept = moments.in_doubt()
        if self.share < 1.0:
            kept = kept.some(self.share)
        if self._held is None:
            self._held = kept.room_for(self._most_bytes)
            if len(self._held.row) < 2:
                each = kept.bytes_each
                raise ValueError(
                    f"most_gigabytes is {self._most_bytes / 1e9:g}, but a decision takes {each} bytes here; give at "
                    f"least {2e-9 * each:.2g}, better the memory that there is."
                )
        while self._count + len(kept.row) > len(self._held.row):
            self.share /= 2
            kept, self._count = kept.some(0.5), _halve(self._held, self._count)
        self._held.put(self._count, kept)
        self._count += len(kept.row)

    def moments(self) -> Moments:
        """Return what was collected.

        Raises:
            ValueError: If nothing was added.
        """
        if self._held is None:
            raise ValueError("no moments were added.")
        return self._held.between(0, self._count)


HALVED = 4096
"""Number of moments of which half are drawn at a time, so that they take little memory twice."""


def _halve(held: Moments, count: int) -> int:
    """Draw half of the first `count` moments and move them to the front; return how many these are."""
    left = 0
    for begin in range(0, count, HALVED):
        drawn = held.between(begin, min(begin + HALVED, count)).some(0.5)
        held.put(left, drawn)
        left += len(drawn.row)
    return left
