"""PSO-GA: its operators one by one, and its placements against exhaustive search."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from agents.planners.present import present_problem
from agents.planners.pso_ga import PsoGa, adaptive_inertia, cross, mutate, positions_of
from dnnmig_env.playback import migration_delay_s
from dnnmig_env.scenario import Scenario
from tests.agents.planners.hand_made import chain
from tests.agents.planners.random_scenarios import realistic, tiny

SMALL = PsoGa(swarm=30, iterations=60)


def place(scenario: Scenario, seed: int = 0, parameters: PsoGa = SMALL) -> list[list[int]]:
    return [row.tolist() for row in parameters(scenario, np.random.default_rng(seed))]


def test_inertia_runs_from_its_minimum_at_the_best_to_its_maximum_far_away() -> None:
    assert adaptive_inertia(0.0, 0.9, 0.4) == pytest.approx(0.4)
    assert adaptive_inertia(0.5, 0.9, 0.4) == pytest.approx(0.9 - 0.5 * math.exp(-0.5 / 0.51))
    assert adaptive_inertia(1.0, 0.9, 0.4) == pytest.approx(0.9)


def test_mutation_moves_one_layer_to_any_other_of_its_nodes() -> None:
    positions, rng = (
        positions_of(chain([1, 1, 1], [0, 0, 0], server_s=[1, 1], rate_mb_per_s=[1, 1])),
        np.random.default_rng(0),
    )
    seen = set()
    for _ in range(200):
        x = np.array([0, 1, 2], np.int8)
        mutate(x, positions, rng)
        changed = np.flatnonzero(x != [0, 1, 2])
        assert len(changed) == 1
        seen.add((int(changed[0]), int(x[changed[0]])))
    assert seen == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}


def test_crossing_copies_one_segment() -> None:
    rng, lengths = np.random.default_rng(0), set()
    for _ in range(200):
        x = np.zeros(5, np.int8)
        cross(x, np.ones(5, np.int8), rng)
        copied = np.flatnonzero(x)
        assert np.all(np.diff(copied) == 1)
        lengths.add(len(copied))
    assert lengths == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("seed", range(6))
def test_small_scenarios_are_solved(seed: int) -> None:
    scenario = tiny(np.random.default_rng(seed), users=2, memory=bool(seed % 2))
    found = place(scenario, seed)
    assert migration_s(scenario, found) == pytest.approx(min(migration_s(scenario, p) for p in placements(scenario)))


def migration_s(scenario: Scenario, placement: list[list[int]]) -> float:
    p = present_problem(scenario)
    return float(migration_delay_s(p, 0, 0, np.array(placement, np.int8), np.zeros(len(placement))))


def placements(scenario: Scenario) -> list[list[list[int]]]:
    """Return every placement that fits the memory."""
    weights = np.stack([user.graph.weight_bytes for user in scenario.users])
    users, layers = np.nonzero(weights)
    found = []
    for nodes in itertools.product(range(len(scenario.servers) + 1), repeat=len(users)):
        placement = np.zeros(weights.shape, np.int8)
        placement[users, layers] = nodes
        used = [weights[placement == s + 1].sum() for s in range(len(scenario.servers))]
        if all(size <= server.memory_bytes for size, server in zip(used, scenario.servers, strict=True)):
            found.append(placement.tolist())
    return found


def test_placements_fit_the_memory_even_if_hardly_any_does() -> None:
    scenario = chain([1] * 12, [0] * 12, memory_mb=[1.0], query_rate_hz=[1.0, 1.0])
    assert sum(map(sum, place(scenario, parameters=PsoGa(swarm=2, iterations=1)))) <= 1


def test_upload_time_can_be_weighed_in() -> None:
    scenario = chain([1, 10], [0, 0])  # each layer saves 0.9 s; they take 1 s and 10 s to upload
    assert place(scenario) == [[1, 1]]
    assert place(scenario, parameters=replace(SMALL, upload_weight=0.5)) == [[1, 0]]
    assert place(scenario, parameters=replace(SMALL, upload_weight=1.0)) == [[0, 0]]


def test_uploaded_layers_stay() -> None:
    scenario = chain([1, 1], [0, 0], server_s=[0.1, 0.05], rate_mb_per_s=[1, 1])
    users = (replace(scenario.users[0], uploaded=[1, 0]),)
    assert place(replace(scenario, users=users)) == [[1, 2]]


def test_without_progress_the_search_stops_early_and_without_harm() -> None:
    scenario = tiny(np.random.default_rng(3))
    endless = PsoGa(swarm=20, iterations=10**9, patience=30)  # ends only by its patience
    assert migration_s(scenario, place(scenario, parameters=endless)) == pytest.approx(
        min(migration_s(scenario, p) for p in placements(scenario))
    )


def test_more_iterations_never_hurt_on_average() -> None:
    short, long = [], []
    for seed in range(4):
        scenario = realistic(np.random.default_rng(seed), max_layers=10)
        width = max(len(user.graph) for user in scenario.users)
        for found, parameters in ((short, PsoGa(iterations=2)), (long, PsoGa(iterations=150))):
            rows = [row + [0] * (width - len(row)) for row in place(scenario, seed, parameters)]
            found.append(migration_s(scenario, rows))
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
