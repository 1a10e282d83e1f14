"""Plain particle swarm optimisation: what its coordinates stand for, and its parameters."""

from __future__ import annotations

import numpy as np
import pytest

from agents.planners.swarms.particles import placement_delay_s, positions_of
from agents.planners.swarms.pso import Pso, nearest_nodes
from tests.agents.planners.hand_made import chain
from tests.agents.planners.random_scenarios import realistic


def test_coordinates_stand_for_nodes_in_equal_parts() -> None:
    positions = positions_of(chain([1] * 6, [0] * 6, server_s=[1, 1], rate_mb_per_s=[1, 1]))
    particles = np.zeros((1, 6), np.int8)
    nearest_nodes(np.array([[0.0, 0.33, 0.34, 0.66, 0.67, 1.0]]), positions, particles)
    assert particles.tolist() == [[0, 0, 1, 1, 2, 2]]


def test_the_swarm_improves_on_where_it_began() -> None:
    first, last = [], []
    for seed in range(4):
        scenario = realistic(np.random.default_rng(seed), max_layers=10)
        for found, iterations in ((first, 1), (last, 300)):
            placement = Pso(iterations=iterations)(scenario, np.random.default_rng(seed))
            found.append(placement_delay_s(scenario, placement))
    assert np.mean(last) < 0.9 * np.mean(first)


def test_without_pull_and_inertia_nothing_moves() -> None:
    scenario = realistic(np.random.default_rng(0), max_layers=10)
    still = {"c1": 0.0, "c2": 0.0}
    few, many = (
        [row.tolist() for row in Pso(iterations=count, **still)(scenario, np.random.default_rng(0))]
        for count in (1, 50)
    )
    assert few == many


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"swarm": 0}, "swarm is 0; it must be at least 1"),
        ({"w_first": 1.5}, "w_first is 1.5"),
        ({"c1": -0.1}, "c1 is -0.1; it must be finite and not negative"),
        ({"v_max": 2.0}, "v_max is 2.0"),
    ],
)
def test_impossible_parameters_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pso(**change)  # type: ignore[arg-type]
