"""Neurosurgeon: its cut by hand, and against all cuts tried one by one."""

from __future__ import annotations

import numpy as np
import pytest

from agents.planners.orders.front_to_back import front_to_back
from agents.planners.placements.neurosurgeon import neurosurgeon
from agents.planners.protocol import TwoPhase
from agents.planners.slot_zero import slot_zero_packed
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.play import migration_delay_s
from dnnmig_env.simulation.simulator import simulate
from tests.agents.planners.hand_made import chain
from tests.agents.planners.random_scenarios import tiny
from tests.strategies import RandomChoices, Sizes, make_scenario

RNG = np.random.default_rng(0)


def cut(scenario: Scenario) -> list[list[int]]:
    return [row.tolist() for row in neurosurgeon(scenario, RNG)]


def test_the_cut_lies_where_the_tensor_is_small() -> None:
    # 1 s per layer on the device, 0.1 s on the server, 1 MB/s; there is no input, and the result is the last tensor.
    # All on the server: 0.4 + 2 s. After layer 2: 3 + 0.1 + 0.1 + 2 s. All on the device: 4 s.
    assert cut(chain([1, 1, 1, 1], [3, 1, 0.1, 2])) == [[1, 1, 1, 1]]
    # Two layers fit. After layer 1: 2 + 1 + 0.2 + 0.5 = 3.7 s. After layer 2: 3 + 0.05 + 0.1 + 0.5 = 3.65 s.
    assert cut(chain([1, 1, 1, 1], [3, 1, 0.05, 0.5], memory_mb=[2.0])) == [[0, 0, 0, 1]]
    # After layer 1: 2 + 0.8 + 0.2 + 0.5 = 3.5 s. After layer 2: 3 + 0.1 + 0.1 + 0.5 = 3.7 s.
    assert cut(chain([1, 1, 1, 1], [3, 0.8, 0.1, 0.5], memory_mb=[2.0])) == [[0, 0, 1, 1]]


def test_the_middle_alone_is_no_cut() -> None:
    # Layer 1 alone on the server would save 0.9 s, but the last layer then comes back: one cut cannot say that.
    scenario = chain([1, 1, 1], [0, 0, 9])
    assert cut(scenario) == [[0, 0, 0]]


@pytest.mark.parametrize("seed", range(30))
def test_no_cut_of_any_server_is_better(seed: int) -> None:
    sizes = Sizes(users=1, slots=1, outages=False, absences=False, uploaded=False, chain=bool(seed % 2))
    scenario = make_scenario(RandomChoices(np.random.default_rng(seed)), sizes)
    graph = scenario.users[0].graph
    delays_s = [migration_s(scenario, [np.zeros(len(graph), np.int8)])]
    for server in range(1, len(scenario.servers) + 1):
        for first in range(len(graph)):
            behind = (np.arange(len(graph)) >= first) & graph.movable
            delays_s.append(migration_s(scenario, [np.where(behind, server, 0).astype(np.int8)]))
    assert migration_s(scenario, neurosurgeon(scenario, RNG)) == min(delays_s)


def migration_s(scenario: Scenario, placement: object) -> float:
    return float(
        migration_delay_s(slot_zero_packed(scenario), 0, 0, np.array(placement), np.empty(len(scenario.users)))
    )


def test_what_is_compared_is_what_the_simulator_reports() -> None:
    scenario = tiny(np.random.default_rng(3), layers=6)
    timeline = simulate(scenario, TwoPhase(neurosurgeon, front_to_back)(scenario, RNG))
    assert timeline.migration_delay_s == migration_s(scenario, neurosurgeon(scenario, RNG))
