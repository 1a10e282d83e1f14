"""What a profile is timed with: processor time, the wall clock, or the events of a GPU."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

from dnnmig_env.arrays import Floats

Span = tuple[Any, Any]
"""Two readings of a clock: before and after."""


class Clock(Protocol):
    """A clock that is read before and after something.

    Attributes:
        name: What it shows.
    """

    name: str

    def read(self) -> Any:
        """Return a reading; cheap, and without waiting for anything."""

    def seconds(self, spans: Sequence[Span]) -> Floats:
        """Return how long each span took, once all that was started has ended; shape (N,)."""


class CpuTime:
    """Processor time of this process, all its threads together.

    For one thread it is the elapsed time, less the time in which the system let somebody else run: so it is much less
    disturbed by a busy machine than a wall clock (though not undisturbed: caches and memory are shared).
    """

    name = "process CPU time"

    def read(self) -> int:
        """Return nanoseconds."""
        return time.process_time_ns()

    def seconds(self, spans: Sequence[Span]) -> Floats:
        """Return the differences, shape (N,)."""
        return np.array([end - start for start, end in spans], dtype=np.float64) / 1e9


class WallTime(CpuTime):
    """The time that passes: for several threads, whose processor times would add up."""

    name = "wall clock"

    def read(self) -> int:
        """Return nanoseconds."""
        return time.perf_counter_ns()


class CudaTime:
    """When the GPU itself comes by: what was queued before and after has been done."""

    name = "CUDA events"

    def read(self) -> Any:
        """Queue an event."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, spans: Sequence[Span]) -> Floats:
        """Wait for the GPU and return the differences, shape (N,)."""
        torch.cuda.synchronize()
        return np.array([start.elapsed_time(end) for start, end in spans], dtype=np.float64) / 1e3


def clock_for(device: str, threads: int) -> Clock:
    """Return the clock that tells most about a device: `cuda`, or `cpu` with so many threads."""
    if device == "cuda":
        return CudaTime()
    return CpuTime() if threads == 1 else WallTime()
