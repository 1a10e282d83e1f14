"""Users move as Gauss and Markov say, inside the square."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnnmig_env.families.draw.mobility import autoregressive, autoregressive_runs, gauss_markov

SLOTS = np.full(40, 2.0)


def mirrored(start: float, velocity: list[float], slot_s: list[float], side: float) -> list[float]:
    """Walk in one dimension with a reflection at 0 and at `side`, step by step: the slow way.

    `velocity` is what it would be had no border been met; every border met turns it around for good.
    """
    position, heading, positions = start, 1.0, []
    for speed, seconds in zip(velocity, slot_s, strict=True):
        positions.append(position)
        position += heading * speed * seconds
        while not 0 <= position <= side:
            position = -position if position < 0 else 2 * side - position
            heading = -heading
    return positions


@given(
    seed=st.integers(0, 2**32),
    side=st.floats(10.0, 1000.0),
    memory=st.floats(0.0, 1.0),
    deviation=st.floats(0.0, 2.0),
)
def test_paths_are_those_of_a_step_by_step_walk_between_mirrors(
    seed: int, side: float, memory: float, deviation: float
) -> None:
    rng = np.random.default_rng(seed)
    slots = rng.uniform(0.5, 3.0, 40)
    positions, velocities = gauss_markov(rng, np.full((1, 2), 12.0), slots, side, memory, deviation)
    for user in range(2):
        for axis in range(2):
            path, speed = positions[0, :, user, axis], velocities[0, :, user, axis]
            assert path.min() >= 0
            assert path.max() <= side
            # Undo the turns: a slot's velocity has turned as often as the path before it met a border.
            turned = np.concatenate([[1.0], np.cumprod(border_signs(path, speed, slots, side))[:-1]])
            np.testing.assert_allclose(mirrored(path[0], list(speed * turned), list(slots), side), path, atol=1e-6)


def border_signs(path: np.ndarray, speed: np.ndarray, slots: np.ndarray, side: float) -> np.ndarray:
    """Return -1 for each slot in which a border is met an odd number of times, else 1."""
    met = np.floor((path + speed * slots) / side)
    return np.where(met % 2 == 0, 1.0, -1.0)


def test_a_user_without_deviation_goes_straight_on_at_its_mean_speed() -> None:
    speed = np.array([[3.0, 7.0]])
    positions, velocities = gauss_markov(np.random.default_rng(1), speed, SLOTS, 1e6, memory=0.5, deviation=0.0)
    np.testing.assert_allclose(np.hypot(*np.moveaxis(velocities, -1, 0)), np.broadcast_to(speed[:, None], (1, 40, 2)))
    np.testing.assert_allclose(np.diff(positions, axis=1), velocities[:, :-1] * 2.0, atol=1e-6)


def test_full_memory_keeps_the_first_velocity() -> None:
    _, velocities = gauss_markov(np.random.default_rng(1), np.full((1, 3), 5.0), SLOTS, 1e6, memory=1.0, deviation=0.5)
    np.testing.assert_allclose(velocities, np.broadcast_to(velocities[:, :1], velocities.shape))
    assert not np.allclose(np.hypot(*np.moveaxis(velocities[:, 0], -1, 0)), 5.0)


def test_velocities_are_stationary_and_as_correlated_as_asked() -> None:
    rng = np.random.default_rng(2)
    _, velocities = gauss_markov(rng, np.full((1, 20_000), 4.0), SLOTS[:6], 1e9, memory=0.8, deviation=0.25)
    steps = np.diff(velocities[0], axis=0)
    # var(v[t+1] - v[t]) = 2 (1 - memory) sigma^2 with sigma = deviation x speed = 1, in every slot alike.
    np.testing.assert_allclose(steps.var(axis=(1, 2)), 0.4, rtol=0.03)


@given(seed=st.integers(0, 2**32), correlation=st.floats(0.0, 1.0))
def test_autoregressive_noise_is_the_recursion(seed: int, correlation: float) -> None:
    noise = np.random.default_rng(seed).standard_normal((2, 7, 3))
    expected = noise.copy()
    for slot in range(1, 7):
        expected[:, slot] = correlation * expected[:, slot - 1] + np.sqrt(1 - correlation**2) * noise[:, slot]
    np.testing.assert_allclose(autoregressive(noise, correlation), expected, atol=1e-12)


@given(
    seed=st.integers(0, 2**32),
    lengths=st.lists(st.integers(1, 40), max_size=6),
    correlation=st.sampled_from([0.0, 1.0]) | st.floats(0.0, 1.0),
)
def test_runs_of_autoregressive_noise_are_the_recursion_each(seed: int, lengths: list[int], correlation: float) -> None:
    noise = np.random.default_rng(seed).standard_normal(sum(lengths))
    is_first = np.zeros(len(noise), np.bool_)
    is_first[np.cumsum([0, *lengths])[:-1]] = True
    expected = noise.copy()
    for index in np.flatnonzero(~is_first):
        expected[index] = correlation * expected[index - 1] + np.sqrt(1 - correlation**2) * noise[index]
    before = noise.copy()
    np.testing.assert_allclose(autoregressive_runs(noise, is_first, correlation), expected, atol=1e-12)
    np.testing.assert_array_equal(noise, before)


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.95])
def test_autoregressive_noise_keeps_unit_variance(correlation: float) -> None:
    noise = autoregressive(np.random.default_rng(0).standard_normal((40_000, 5)), correlation)
    np.testing.assert_allclose(noise.var(axis=0), 1.0, rtol=0.03)
    np.testing.assert_allclose(np.corrcoef(noise[:, 3], noise[:, 4])[0, 1], correlation, atol=0.02)
