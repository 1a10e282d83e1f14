"""What all swarms share: particles, their fitness and operators, and that every search finds what there is to find."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from agents.planners.protocol import PlacementPlanner
from agents.planners.slot_zero import slot_zero_packed
from agents.planners.swarms.genetic import Genetic
from agents.planners.swarms.particles import (
    INFEASIBLE_S,
    best_placement,
    cross,
    fitnesses_s,
    move,
    placement_delay_s,
    positions_of,
    random_particles,
)
from agents.planners.swarms.pso import Pso
from agents.planners.swarms.pso_ga import PsoGa
from dnnmig_env.scenarios.scenario import Scenario
from tests.agents.planners.hand_made import chain
from tests.agents.planners.possible import placements
from tests.agents.planners.random_scenarios import realistic, tiny


def make(name: str, swarm: int, iterations: int, **others: float) -> PlacementPlanner:
    if name == "genetic":
        return Genetic(population=swarm, generations=iterations, **others)  # type: ignore[arg-type]
    kinds: dict[str, Any] = {"pso": Pso, "pso-ga": PsoGa}
    found: PlacementPlanner = kinds[name](swarm=swarm, iterations=iterations, **others)
    return found


every_search = pytest.mark.parametrize("name", ["genetic", "pso", "pso-ga"])


def place(name: str, scenario: Scenario, seed: int = 0, **parameters: float) -> list[list[int]]:
    search = make(name, **{"swarm": 30, "iterations": 60, **parameters})  # type: ignore[arg-type]
    return [row.tolist() for row in search(scenario, np.random.default_rng(seed))]


@every_search
@pytest.mark.parametrize("seed", range(6))
def test_small_scenarios_are_solved(name: str, seed: int) -> None:
    scenario, least_s = solved(seed)
    found = make(name, 150, 150)(scenario, np.random.default_rng(seed))
    assert placement_delay_s(scenario, found) == pytest.approx(least_s)


@cache
def solved(seed: int) -> tuple[Scenario, float]:
    """Return a small scenario and the least migration delay of all its placements."""
    scenario = tiny(np.random.default_rng(seed), users=2, memory=bool(seed % 2))
    return scenario, min(placement_delay_s(scenario, p) for p in placements(scenario))


@every_search
def test_placements_fit_the_memory_even_if_hardly_any_does(name: str) -> None:
    scenario = chain([1] * 12, [0] * 12, memory_mb=[1.0], query_rate_hz=[1.0, 1.0])
    assert sum(map(sum, place(name, scenario, swarm=2, iterations=1))) <= 1


@every_search
def test_upload_time_can_be_weighed_in(name: str) -> None:
    scenario = chain([1, 10], [0, 0])  # each layer saves 0.9 s; they take 1 s and 10 s to upload
    assert place(name, scenario) == [[1, 1]]
    assert place(name, scenario, upload_weight=0.5) == [[1, 0]]
    assert place(name, scenario, upload_weight=1.0) == [[0, 0]]


@every_search
def test_uploaded_layers_stay(name: str) -> None:
    scenario = chain([1, 1], [0, 0], server_s=[0.1, 0.05], rate_mb_per_s=[1, 1])
    users = (replace(scenario.users[0], uploaded=[1, 0]),)
    assert place(name, replace(scenario, users=users)) == [[1, 2]]


@every_search
def test_without_progress_the_search_stops_early_and_without_harm(name: str) -> None:
    scenario = tiny(np.random.default_rng(3))
    endless = make(name, 20, 10**9, patience=30)  # ends only by its patience
    least_s = min(placement_delay_s(scenario, p) for p in placements(scenario))
    assert placement_delay_s(scenario, endless(scenario, np.random.default_rng(0))) == pytest.approx(least_s)


def test_first_particles_put_runs_of_the_wanted_length_on_one_node() -> None:
    positions = positions_of(realistic(np.random.default_rng(0), max_layers=16))
    particles = random_particles(2000, positions, 4.0, np.random.default_rng(1))
    inside = positions.user[1:] == positions.user[:-1]
    stays = (particles[:, 1:] == particles[:, :-1])[:, inside].mean()
    # A new run with probability 1/4, which is on another of the four nodes with probability 3/4.
    assert stays == pytest.approx(1 - 1 / 4 * 3 / 4, abs=0.01)
    free = (particles[:, 1:] == particles[:, :-1])[:, ~inside].mean()
    assert free == pytest.approx(1 / 4, abs=0.02)
    apart = random_particles(2000, positions, 1.0, np.random.default_rng(1))
    assert (apart[:, 1:] == apart[:, :-1]).mean() == pytest.approx(1 / 4, abs=0.01)


@pytest.mark.parametrize("search", [PsoGa, Genetic])
def test_starting_from_runs_finds_better_placements(search: type[PsoGa | Genetic]) -> None:
    delays_s, size = [], (50, 100)  # a short search: a long one finds much wherever it starts
    for mean_run in (1.0, 16.0):
        found = [
            placement_delay_s(scenario, search(*size, mean_run=mean_run)(scenario, np.random.default_rng(seed)))
            for seed in range(10)
            for scenario in [realistic(np.random.default_rng(seed), max_layers=16)]
        ]
        delays_s.append(np.mean(found))
    assert delays_s[1] < 0.9 * delays_s[0]


def test_fitness_is_the_migration_delay_and_the_bytes_too_many_where_memory_is_exceeded() -> None:
    scenario = realistic(np.random.default_rng(0), max_layers=8)
    p, positions, rng = slot_zero_packed(scenario), positions_of(scenario), np.random.default_rng(1)
    particles, values_s = random_particles(200, positions, 1.0, rng), np.empty(200)
    fitnesses_s(p, 0, 0, positions, particles, 0.0, values_s)
    excesses = 0
    for particle, value_s in zip(particles, values_s, strict=True):
        placement = best_placement(scenario, lambda p, positions, particle=particle: particle)  # type: ignore[misc]
        excess = 0.0
        for number, server in enumerate(scenario.servers, start=1):
            pairs = zip(scenario.users, placement, strict=True)
            used_bytes = sum(user.graph.weight_bytes[row == number].sum() for user, row in pairs)
            excess += max(0.0, used_bytes - server.memory_bytes)
        excesses += excess > 0
        expected = INFEASIBLE_S + excess if excess > 0 else placement_delay_s(scenario, placement)
        assert value_s == pytest.approx(expected, rel=1e-12)
    assert 10 < excesses < 190


def test_a_layer_moves_to_any_other_of_its_nodes() -> None:
    positions = positions_of(chain([1, 1, 1], [0, 0, 0], server_s=[1, 1], rate_mb_per_s=[1, 1]))
    rng, seen = np.random.default_rng(0), set()
    for turn in range(200):
        x = np.array([0, 1, 2], np.int8)
        move(x, turn % 3, positions, rng)
        assert np.flatnonzero(x != [0, 1, 2]).tolist() == [turn % 3]
        seen.add((turn % 3, int(x[turn % 3])))
    assert seen == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}


def test_a_layer_with_a_single_node_stays() -> None:
    scenario = chain([1], [0])
    links = replace(scenario.links, up_bytes_per_s=[[[0.0]], [[1.0]]], down_bytes_per_s=1.0, down_latency_s=0.0)
    positions = positions_of(replace(scenario, links=replace(links, up_latency_s=0.0), slot_starts_s=(0.0, 1.0)))
    x = np.zeros(1, np.int8)
    move(x, 0, positions, np.random.default_rng(0))
    assert x.tolist() == [0]


def test_crossing_copies_one_segment() -> None:
    rng, lengths = np.random.default_rng(0), set()
    for _ in range(200):
        x = np.zeros(5, np.int8)
        cross(x, np.ones(5, np.int8), rng)
        copied = np.flatnonzero(x)
        assert np.all(np.diff(copied) == 1)
        lengths.add(len(copied))
    assert lengths == {1, 2, 3, 4, 5}
