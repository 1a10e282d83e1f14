"""The genetic algorithm: what selection, crossover, mutation and elitism each do to it."""

from __future__ import annotations

import numpy as np
import pytest

from agents.planners.swarms.genetic import Genetic, _winner
from agents.planners.swarms.particles import placement_delay_s
from tests.agents.planners.random_scenarios import realistic


def delays_s(parameters: Genetic) -> list[float]:
    found = []
    for seed in range(12):
        scenario = realistic(np.random.default_rng(seed), max_layers=16)
        found.append(placement_delay_s(scenario, parameters(scenario, np.random.default_rng(seed))))
    return found


def test_the_fittest_survives() -> None:
    # The same random numbers, more generations: never worse.
    few, more, most = (delays_s(Genetic(population=30, generations=count)) for count in (1, 10, 100))
    assert all(a >= b >= c for a, b, c in zip(few, more, most, strict=True))
    assert np.mean(most) < 0.9 * np.mean(few)


def test_without_selection_crossover_and_mutation_find_less() -> None:
    settled = np.mean(delays_s(Genetic(population=50, generations=100)))
    assert settled < np.mean(delays_s(Genetic(population=50, generations=100, tournament=1)))
    assert settled < np.mean(delays_s(Genetic(population=50, generations=100, crossover=0.0, mutations=0.0)))
    assert settled < np.mean(delays_s(Genetic(population=50, generations=100, mutations=20.0)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"population": 0}, "population is 0; it must be at least 1"),
        ({"tournament": 0}, "tournament is 0; it must be at least 1"),
        ({"crossover": 1.1}, "crossover is 1.1; a probability lies between 0 and 1"),
        ({"mutations": -1.0}, "mutations is -1.0; it must be finite and not negative"),
        ({"upload_weight": float("inf")}, "upload_weight is inf; it must be finite"),
    ],
)
def test_impossible_parameters_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Genetic(**change)  # type: ignore[arg-type]


def test_a_tournament_is_won_by_the_fittest() -> None:
    rng, values_s = np.random.default_rng(0), np.array([3.0, 1.0, 2.0, 4.0])
    assert {_winner(values_s, 60, rng) for _ in range(20)} == {1}  # all four take part but once in millions
    assert {_winner(values_s, 1, rng) for _ in range(60)} == {0, 1, 2, 3}
