"""Draws moving users: Gauss-Markov mobility in a square with reflecting borders.

The model is that of B. Liang and Z. J. Haas, "Predictive distance-based mobility management for PCS networks", INFOCOM
1999. T. Camp, J. Boleng and V. Davies, "A survey of mobility models for ad hoc network research", 2002, compare it with
others.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dnnmig_env.arrays import Bools, Floats


def gauss_markov(
    rng: np.random.Generator,
    mean_speed_m_per_s: Floats,
    slots_s: Floats,
    area_m: float,
    memory: float,
    deviation: float,
) -> tuple[Floats, Floats]:
    """Return positions at the start of each slot in metres and velocities during it, each of shape (B, T, U, 2).

    Each component of the velocity v varies around that of a mean velocity m, whose direction is drawn once for every
    user: `v[t + 1] = memory * v[t] + (1 - memory) * m + sqrt(1 - memory^2) * deviation * |m| * N(0, 1)`, where v[0] is
    drawn from the stationary distribution. A border of the square [0, area_m]^2 reflects the user as a mirror reflects
    light.

    Args:
        rng: Source of randomness.
        mean_speed_m_per_s: Length of the mean velocity, shape (B, U).
        slots_s: Length of each slot, shape (T,).
        area_m: Side of the square.
        memory: Correlation of the velocity between one slot and the next, 0 to 1: with 1 the user goes straight on,
            with 0 its velocity is drawn anew in every slot.
        deviation: Standard deviation of each component of the velocity, as a share of the mean speed.
    """
    (batch, num_users), num_slots = mean_speed_m_per_s.shape, len(slots_s)
    angle = 2 * np.pi * rng.random((batch, 1, num_users))
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    wander = autoregressive(rng.standard_normal((batch, num_slots, num_users, 2)), memory)
    velocity = mean_speed_m_per_s[:, None, :, None] * (direction + deviation * wander)
    steps = velocity * slots_s[:, None, None]
    # A path with reflections is a path without them in a plane that is tiled with mirror images of the square, all
    # folded onto the square.
    unfolded = area_m * rng.random((batch, 1, num_users, 2)) + np.cumsum(steps, axis=1) - steps
    phase = np.mod(unfolded, 2 * area_m)
    return area_m - np.abs(phase - area_m), np.where(phase < area_m, velocity, -velocity)


def autoregressive(noise: Floats, correlation: float) -> Floats:
    """Return `x[t + 1] = correlation * x[t] + sqrt(1 - correlation^2) * noise[t + 1]` with `x[0] = noise[0]`.

    This makes white noise of unit variance into correlated noise of unit variance.

    Args:
        noise: White noise, shape (B, T, ...).
        correlation: Correlation between one time and the next, 0 to 1.
    """
    flat = noise.reshape(*noise.shape[:2], -1)
    return (_response(noise.shape[1], correlation) @ flat).reshape(noise.shape)


def autoregressive_runs(noise: Floats, is_first: Bools, correlation: float) -> Floats:
    """Return what `autoregressive` does for runs of any lengths, one after another, shape (N,).

    Args:
        noise: White noise, shape (N,).
        is_first: Where a run begins, shape (N,); the first number always does.
        correlation: Correlation between one number of a run and the next, 0 to 1.
    """
    index = np.arange(len(noise))
    age = index - np.maximum.accumulate(np.where(is_first, index, 0))
    values = np.where(age == 0, noise, np.sqrt(1.0 - correlation**2) * noise)
    # Before each step, a value is the sum of the last `reach` terms of its run; then it is that of twice as many.
    reach, factor = 1, correlation
    while reach <= age.max(initial=0) and factor > 0:
        values[reach:] += np.where(age[reach:] >= reach, factor * values[:-reach], 0.0)
        reach, factor = 2 * reach, factor**2
    return values


@lru_cache(maxsize=64)
def _response(num_slots: int, correlation: float) -> Floats:
    """Return the factors of the noise of each slot (column) in the value of each slot (row), shape (T, T)."""
    age = np.subtract.outer(np.arange(num_slots), np.arange(num_slots))
    response = np.where(age >= 0, float(correlation) ** np.maximum(age, 0), 0.0)
    response[:, 1:] *= np.sqrt(1.0 - correlation**2)
    response.flags.writeable = False
    return response
