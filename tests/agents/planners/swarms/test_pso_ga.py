"""PSO-GA: its inertia and parameters; what it shares with the other swarms is tested in `test_particles`."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agents.planners.swarms.particles import placement_delay_s
from agents.planners.swarms.pso_ga import PsoGa, adaptive_inertia
from tests.agents.planners.random_scenarios import realistic


def test_inertia_runs_from_its_minimum_at_the_best_to_its_maximum_far_away() -> None:
    assert adaptive_inertia(0.0, 0.9, 0.4) == pytest.approx(0.4)
    assert adaptive_inertia(0.5, 0.9, 0.4) == pytest.approx(0.9 - 0.5 * math.exp(-0.5 / 0.51))
    assert adaptive_inertia(1.0, 0.9, 0.4) == pytest.approx(0.9)


def test_the_same_random_numbers_give_the_same_placement_as_ever() -> None:
    # As since queries are in flight one at a time; whoever changes them on purpose changes every published comparison.
    published = (
        ([[2, 1, 2, 3, 1, 2, 2, 2], [2, 3, 3, 3, 3, 0, 2, 3]], 0.6284587978789083),
        ([[2, 1, 2, 3, 2, 3, 1, 0], [2, 0, 2, 1, 2, 2, 2, 3]], 0.22624785755627508),
    )
    for seed, (placement, next_random) in enumerate(published):
        rng = np.random.default_rng(seed)
        scenario = realistic(np.random.default_rng(seed), users=2, max_layers=8)
        assert [row.tolist() for row in PsoGa(swarm=6, iterations=12)(scenario, rng)] == placement
        assert rng.random() == next_random


def test_more_iterations_never_hurt_on_average() -> None:
    short, long = [], []
    for seed in range(4):
        scenario = realistic(np.random.default_rng(seed), max_layers=10)
        for found, parameters in ((short, PsoGa(iterations=2)), (long, PsoGa(iterations=150))):
            found.append(placement_delay_s(scenario, parameters(scenario, np.random.default_rng(seed))))
    assert np.mean(long) < 0.9 * np.mean(short)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"swarm": 0}, "swarm is 0; it must be at least 1"),
        ({"patience": -1}, "patience is -1; it must be at least 1"),
        ({"w_max": 1.5}, "w_max is 1.5; a probability lies between 0 and 1"),
        ({"c2_last": float("nan")}, "c2_last is nan; a probability"),
        ({"upload_weight": -0.1}, "upload_weight is -0.1; it must be finite and not negative"),
    ],
)
def test_impossible_parameters_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PsoGa(**change)  # type: ignore[arg-type]
