"""Decisions of GRPO's rollouts, as they are learned from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, cat, rand

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

    @classmethod
    def joined(cls, parts: list[Moments]) -> Moments:
        """Return the moments of several parts as one."""
        return cls(*(cat([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def in_doubt(self) -> Moments:
        """Return the moments in which the decision was not almost certain."""
        return self._where(self.log_prob < math.log(SURE))

    def some(self, share: float) -> Moments:
        """Return a part of the moments, each of which is drawn with probability `share`."""
        return self._where(rand(len(self.row)) < share)

    @property
    def bytes(self) -> int:
        """Memory that the moments take."""
        return sum(getattr(self, name).nbytes for name in self.__dataclass_fields__)

    def _where(self, kept: Tensor) -> Moments:
        return Moments(*(getattr(self, name)[kept] for name in self.__dataclass_fields__))


class Round:
    """Collects the moments of a round that were in doubt: all of them, or a random part if they take too much memory.

    Whenever they take more, half of them are drawn, and from then on half as many are kept, so that all moments of a
    round have the same chance.

    Args:
        most_bytes: Most memory that the moments may take.
    """

    def __init__(self, most_bytes: float) -> None:
        self._most_bytes, self._parts, self._bytes = most_bytes, list[Moments](), 0
        self.share = 1.0
        """Share of the moments in doubt that is kept."""

    def add(self, moments: Moments) -> None:
        """Collect the moments of one step that were in doubt."""
        kept = moments.in_doubt()
        self._parts.append(kept if self.share == 1.0 else kept.some(self.share))
        self._bytes += self._parts[-1].bytes
        while self._bytes > self._most_bytes:
            self.share /= 2
            self._parts = [part.some(0.5) for part in self._parts]
            self._bytes = sum(part.bytes for part in self._parts)

    def moments(self) -> Moments:
        """Return what was collected."""
        return Moments.joined(self._parts)
