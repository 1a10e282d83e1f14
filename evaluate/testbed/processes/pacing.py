"""Paces a node: lets work take as long as it would on the node that this process plays.

Work of several users shares the processor equally, as in the model: with n of them at work, each advances at 1/n of the
speed. A segment of layers has one deadline, so that what `sleep` overshoots is paid once per segment, not per layer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

_NOTHING_S = 1e-9
"""Work of fewer seconds is done: rounding leaves as much."""


class Processor:
    """The processor of one node, shared by the users who run layers there.

    Args:
        clock: What tells the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._left_s: dict[Hashable, float] = {}
        self._ended_s: dict[Hashable, float] = {}
        self._now_s = clock()

    def begin(self, job: Hashable, seconds: float) -> None:
        """Begin work that takes so many seconds if nobody else is there."""
        with self._changed:
            self._advance()
            self._left_s[job] = seconds
            self._changed.notify_all()

    def end(self, job: Hashable) -> float:
        """Wait until the work is done on the node that is played; return the time at which it was due."""
        with self._changed:
            while True:
                self._advance()
                if job in self._ended_s:
                    return self._ended_s.pop(job)
                others_s = [min(left_s, self._left_s[job]) for left_s in self._left_s.values()]
                self._changed.wait(sum(others_s))

    def _advance(self) -> None:
        """Let time pass until now: share it among those at work, who leave one after another."""
        now_s = self._clock()
        while self._left_s and self._now_s < now_s:
            shortest_s, at_work = min(self._left_s.values()), len(self._left_s)
            step_s = min(now_s - self._now_s, shortest_s * at_work)
            self._now_s += step_s
            self._left_s = {job: left_s - step_s / at_work for job, left_s in self._left_s.items()}
            for job, left_s in list(self._left_s.items()):
                if left_s <= _NOTHING_S:
                    del self._left_s[job]
                    self._ended_s[job] = self._now_s
        self._now_s = now_s
