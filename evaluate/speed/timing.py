"""How rates are measured: by repeats, their median, and how far they lie apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rate:
    """How often something is done per second.

    Attributes:
        per_s: Median over repeats, by wall-clock time.
        lowest_per_s: Least of the repeats.
        highest_per_s: Greatest of the repeats.
        per_cpu_s: Median over repeats, by CPU time of the process (all threads), which does not suffer from other
            processes.
    """

    per_s: float
    lowest_per_s: float
    highest_per_s: float
    per_cpu_s: float


def rate(work: Callable[[], int], seconds: float, repeats: int) -> Rate:
    """Measure how often something is done per second.

    Args:
        work: Does some work and returns how many things it did.
        seconds: Seconds to spend, all repeats together.
        repeats: Number of repeats.
    """
    return summarise([burst(work, seconds / repeats) for _ in range(repeats)])


def burst(work: Callable[[], int], seconds: float) -> tuple[float, float]:
    """Work for some seconds, at least once; return the things done per second of wall-clock time and of CPU time."""
    began_s, cpu_began_s, count = time.perf_counter(), time.process_time(), 0
    while True:
        count += work()
        spent_s = time.perf_counter() - began_s
        if spent_s >= seconds:
            return count / spent_s, count / max(time.process_time() - cpu_began_s, 1e-9)


def summarise(bursts: list[tuple[float, float]]) -> Rate:
    """Return the rate that repeated bursts amount to."""
    wall, cpu = np.array(bursts).T
    return Rate(float(np.median(wall)), float(wall.min()), float(wall.max()), float(np.median(cpu)))
