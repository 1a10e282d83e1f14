"""Access rates and horizon of users who do not move."""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.families.draw.access import BYTES_PER_MBIT
from dnnmig_env.families.draw.batch import Participants
from dnnmig_env.families.draw.ranges import Range, log_uniform
from dnnmig_env.families.draw.recorded_rates import draw_traces, mean_rates, recorded_rates

RECORDED_SLOTS = 16
"""Number of equal time slots of a scenario whose rates are recorded; drawn ones do not change, one slot is enough."""


def num_slots(traces: tuple[str, ...]) -> int:
    """Return the number of time slots."""
    return RECORDED_SLOTS if traces else 1


def draw_access(
    rng: np.random.Generator,
    cast: Participants,
    mbps: Range,
    horizon_uploads: Range,
    horizon_s: Range | None,
    traces: tuple[str, ...],
) -> tuple[Floats, Floats]:
    """Draw how fast users send to the servers nearest to them, and how long a scenario lasts.

    Args:
        rng: Source of randomness.
        cast: Who takes part.
        mbps: Range of the access rate, log-uniform.
        horizon_uploads: Range, log-uniform, of the horizon as a multiple of the time that uploading every network
            once at the mean access rate takes.
        horizon_s: Range of the horizon in seconds, log-uniform, instead.
        traces: Recorded traces that take the place of drawn rates.

    Returns:
        The edges of the slots, shape (B, T + 1), and the rates in bytes/s, shape (B, T, U); 0 = no such user.
    """
    shape, users = cast.network.shape, cast.network >= 0
    if traces:
        recorded = draw_traces(rng, traces, shape)
        mean = mean_rates(recorded)
    else:
        mean = log_uniform(rng, mbps, shape) * BYTES_PER_MBIT
    if horizon_s is None:
        length_s = log_uniform(rng, horizon_uploads, (shape[0], 1))
        length_s *= (cast.total_weight_bytes() / mean).sum(axis=1, keepdims=True)
    else:
        length_s = log_uniform(rng, horizon_s, (shape[0], 1))
    slot_edges_s = length_s * (np.arange(num_slots(traces) + 1) / num_slots(traces))
    rates = recorded_rates(rng, recorded, slot_edges_s) if traces else mean[:, None]
    return slot_edges_s, rates * users[:, None]
