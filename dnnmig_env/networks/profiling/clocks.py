"""The clocks that time a profile: processor time, the wall clock, or the events of a GPU."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

from dnnmig_env.arrays import Floats

Span = tuple[Any, Any]
"""Two readings of a clock, one before and one after what is timed."""


class Clock(Protocol):
    """A clock that is read before and after something.

    Attributes:
        name: What it measures, in words.
    """

    name: str

    def read(self) -> Any:
        """Return a reading. This takes little time and waits for nothing."""

    def seconds(self, spans: Sequence[Span]) -> Floats:
        """Wait until everything that was started has ended; return the seconds that each span took, shape (N,)."""


class CpuTime:
    """Processor time of this process, all its threads together.

    For one thread this is the elapsed time without the time in which the system ran other processes. So a busy machine
    disturbs it much less than a wall clock, but still disturbs it, as caches and memory are shared.
    """

    name = "process CPU time"

    def read(self) -> int:
        """Return nanoseconds."""
        return time.process_time_ns()

    def seconds(self, spans: Sequence[Span]) -> Floats:
        """Return the seconds that each span took, shape (N,)."""
        return np.array([end - start for start, end in spans], dtype=np.float64) / 1e9


class WallTime(CpuTime):
    """The time that passes on the wall clock; for several threads, whose processor times would add up."""

    name = "wall clock"

    def read(self) -> int:
        """Return nanoseconds."""
        return time.perf_counter_ns()


class CudaTime:
    """Times at which the GPU reaches events that are queued before and after the timed work."""

    name = "CUDA events"

    def read(self) -> Any:
        """Queue an event."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, spans: Sequence[Span]) -> Floats:
        """Wait for the GPU; return the seconds that each span took, shape (N,)."""
        torch.cuda.synchronize()
        return np.array([start.elapsed_time(end) for start, end in spans], dtype=np.float64) / 1e3


def clock_for(device: str, threads: int) -> Clock:
    """Return the clock that suits a device best: `cuda`, or `cpu` with a number of threads."""
    if device == "cuda":
        return CudaTime()
    return CpuTime() if threads == 1 else WallTime()
