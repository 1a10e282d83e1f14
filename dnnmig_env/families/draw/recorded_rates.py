"""Takes users' access rates from recorded traces, where they are not drawn."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.scenarios.traces import Trace, load_trace

LEAST_BYTES_PER_S = 1000.0
"""Least access rate in a slot, also where a trace has less or 0, so that every server can be reached in every slot."""


def checked_traces(traces: object) -> tuple[str, ...]:
    """Return the paths of traces as a tuple, each checked by loading it.

    Raises:
        ValueError: If they are not paths, or a file is not a trace, or its rate is always 0.
    """
    paths = (traces,) if isinstance(traces, str) else traces
    if not isinstance(paths, tuple | list):
        raise ValueError(f"traces is {traces!r}; give the paths of trace files.")
    for path in paths:
        if np.max(_loaded(str(path)).bytes_per_s) <= 0:
            raise ValueError(f"traces has {str(path)!r}, whose rate is always 0; give a trace that carries something.")
    return tuple(str(path) for path in paths)


def draw_traces(rng: np.random.Generator, paths: tuple[str, ...], shape: tuple[int, int]) -> list[list[Trace]]:
    """Draw a trace for every user of every scenario, all with the same probability.

    Args:
        rng: Source of randomness.
        paths: Paths of the traces.
        shape: Number of scenarios and number of users, (B, U).
    """
    loaded = [_loaded(path) for path in paths]
    return [[loaded[choice] for choice in row] for row in rng.integers(len(loaded), size=shape)]


def mean_rates(traces: list[list[Trace]]) -> Floats:
    """Return the mean rate of every trace over its whole length in bytes/s, shape (B, U)."""
    return np.array([[trace.mean_rates([0.0], _length_s(trace))[0] for trace in row] for row in traces])


def recorded_rates(rng: np.random.Generator, traces: list[list[Trace]], slot_edges_s: Floats) -> Floats:
    """Return the mean rate in every slot in bytes/s, shape (B, T, U); each user's trace is begun at a random time.

    Args:
        rng: Source of randomness.
        traces: Trace of every user of every scenario, (B, U).
        slot_edges_s: Starts of the slots and the horizon, shape (B, T + 1).
    """
    start = rng.random((len(traces), len(traces[0])))
    rates = np.empty((len(traces), slot_edges_s.shape[1] - 1, len(traces[0])))
    for scenario, row in enumerate(traces):
        for user, trace in enumerate(row):
            offset_s = start[scenario, user] * _length_s(trace)
            edges_s = slot_edges_s[scenario]
            rates[scenario, :, user] = trace.mean_rates(edges_s[:-1], edges_s[-1], offset_s)
    return np.maximum(rates, LEAST_BYTES_PER_S)


def _length_s(trace: Trace) -> float:
    return float(trace.period_s or 0.0)


@lru_cache(maxsize=64)
def _loaded(path: str) -> Trace:
    return load_trace(path)
