"""Times every operator of some forward passes, and in turn other forward passes as a whole."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from dnnmig_env.arrays import Floats
from dnnmig_env.networks.profiling.clocks import Clock, Span, WallTime
from dnnmig_env.networks.profiling.real_operators import Operators
from dnnmig_env.networks.tracing.examples import Call
from dnnmig_env.networks.tracing.whole_calls import WholeCall, whole_calls

_IDLE_CALLS = 1000
"""How often an operator that does nothing is timed."""


@dataclass(frozen=True)
class Times:
    """The times of one round.

    Attributes:
        load_average: Number of processes that wanted to run in the minute before; -1 where the system does not say.
        operators_s: Seconds of each layer of the traced graph in each of R passes with the instrument, shape (R, L).
        operators_wall_s: The same by the wall clock, which also runs while other processes do, shape (R, L).
        whole_s: Median seconds of the passes without the instrument, by the same clock.
        wall_s: Median seconds of these passes by the wall clock.
    """

    load_average: float
    operators_s: Floats
    operators_wall_s: Floats
    whole_s: float
    wall_s: float


def time_round(module: nn.Module, call: Call, operators: Operators, clock: Clock, warm_up: int, repeats: int) -> Times:
    """Time forward passes with and without the instrument in turn.

    Args:
        module: The module, in inference mode.
        call: Its arguments.
        operators: The operators that it executes.
        clock: The clock to read.
        warm_up: Number of passes of both kinds before those that count.
        repeats: Number of passes of both kinds that count.

    Raises:
        ValueError: If the module does not execute these operators in every pass.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else -1.0
    rows: list[list[float]] = []
    wall_rows: list[list[float]] = []
    whole, walls = [], []
    for _ in range(warm_up + repeats):
        begin, start = time.perf_counter(), clock.read()
        module(*call.args, **call.kwargs)
        whole.append(clock.seconds([(start, clock.read())])[0])
        walls.append(time.perf_counter() - begin)
        stopwatch = _Stopwatch(clock)
        with whole_calls(stopwatch.observe, module), stopwatch:
            module(*call.args, **call.kwargs)
        if stopwatch.names != operators.names:
            raise ValueError("the module executes other operators each time; it cannot be measured layer by layer.")
        for seconds, found in ((clock.seconds(stopwatch.spans), rows), (stopwatch.wall_s, wall_rows)):
            found.append([seconds[positions].sum() for positions in operators.of_layers])
    kept = slice(warm_up, None)
    passes = np.array(rows[kept]), np.array(wall_rows[kept])
    return Times(load, *passes, float(np.median(whole[kept])), float(np.median(walls[kept])))


def idle_s(clock: Clock, device: str) -> float:
    """Return the median seconds that the instrument shows for an operator that does nothing."""
    tensor = torch.zeros(1, device=device)
    with _Stopwatch(clock) as stopwatch:
        for _ in range(_IDLE_CALLS):
            torch.ops.aten.alias(tensor)
    return float(np.median(clock.seconds(stopwatch.spans)))


class _Stopwatch(TorchDispatchMode):
    """Reads a clock before and after every operator."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.spans: list[Span] = []
        self._walls: list[Span] = []
        self._read = clock.read
        self.names: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operator and read the clock before and after it."""
        kwargs = kwargs or {}
        wall, start = time.perf_counter_ns(), self._read()
        result = func(*args, **kwargs)
        self.spans.append((start, self._read()))
        self._walls.append((wall, time.perf_counter_ns()))
        self.names.append(func._schema.name)
        return result

    @property
    def wall_s(self) -> Floats:
        """Seconds of each operator by the wall clock; on a GPU, those until it was queued."""
        return WallTime().seconds(self._walls)

    def observe(self, call: WholeCall) -> Any:
        """Run attention or a recurrent layer as one operator, including the copy that some kernels make necessary."""
        with _disable_current_modes():
            wall, start = time.perf_counter_ns(), self._read()
            result = call.run()
            self.spans.append((start, self._read()))
            self._walls.append((wall, time.perf_counter_ns()))
        self.names.append(call.name)
        return result
