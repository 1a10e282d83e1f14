"""Decisions of GRPO's rollouts, as they are learned from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, cat

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
        kept = self.log_prob < math.log(SURE)
        return Moments(*(getattr(self, name)[kept] for name in self.__dataclass_fields__))
