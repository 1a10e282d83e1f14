"""The execution graph: its blocks, its lengths against the kernel, its shortest paths against all paths."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from agents.planners.ionn.execution_graph import ShortestPath, execution_graph, shortest_paths
from agents.planners.slot_zero import slot_zero_packed
from dnnmig_env.arrays import Bools
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.contention import num_stations
from dnnmig_env.simulation.kernel import query_delay_s
from tests.agents.planners.hand_made import chain
from tests.strategies import RandomChoices, Sizes, make_scenario

RNG = np.random.default_rng(0)
CALM = Sizes(users=2, layers=7, servers=2, slots=1, outages=False, absences=False, uploaded=False, staying=False)


def scenario_of(seed: int, sizes: Sizes = CALM) -> Scenario:
    return make_scenario(RandomChoices(np.random.default_rng(seed)), sizes)


def delay_s(scenario: Scenario, user: int, server: int, layers: Bools) -> float:
    """Return the kernel's delay with these layers, weightless ones included, on the server."""
    packed, count = slot_zero_packed(scenario), len(scenario.servers) + 1
    assignment = np.zeros(packed.weight_bytes.shape[2], np.int8)
    assignment[: len(layers)] = np.where(layers, server, 0)
    alone = np.ones(num_stations(count))
    return query_delay_s(packed, 0, user, 0, assignment, alone, np.zeros(len(assignment)), np.zeros(count))


def test_lengths_of_paths_are_the_kernels_delays() -> None:
    for seed in range(60):
        scenario, rng = scenario_of(seed), np.random.default_rng(seed)
        for u, user in enumerate(scenario.users):
            server = int(rng.integers(1, len(scenario.servers) + 1))
            execution = execution_graph(user.graph, slot_zero_packed(scenario), u, server)
            side = rng.random(len(execution.device_s)) < 0.5
            before, after = np.append(False, side[:-1]), np.append(side[1:], False)
            length_s = (
                np.where(side, execution.server_s, execution.device_s).sum()
                + execution.enter_s[side & ~before].sum()
                + execution.leave_s[side & ~after].sum()
            )
            assert length_s == pytest.approx(delay_s(scenario, u, server, execution.layers(side)), rel=1e-12)


@pytest.mark.parametrize("penalty", [0.0, 0.02, 0.2, 1.0])
def test_the_shortest_path_is_the_best_of_all(penalty: float) -> None:
    sides = set()
    for seed in range(40):
        scenario = scenario_of(seed, replace(CALM, chain=bool(seed % 2)))
        execution = execution_graph(scenario.users[0].graph, slot_zero_packed(scenario), 0, 1)

        def length_s(side: Bools, scenario=scenario, execution=execution) -> float:  # type: ignore[no-untyped-def]
            upload_s = execution.upload_s[side].sum()
            return delay_s(scenario, 0, 1, execution.layers(side)) + penalty * float(upload_s)

        found = shortest_paths(execution, [penalty])[0]
        everything = itertools.product([False, True], repeat=len(found))
        assert length_s(found) == pytest.approx(min(length_s(np.array(side)) for side in everything), rel=1e-12)
        sides.add(int(found.sum()))
    assert len(sides) > 1


def test_penalties_weigh_uploads_against_one_query() -> None:
    # Each layer saves 0.9 s: with K = 1 it may take at most 0.9 s to upload, with K = 0.1 nine, with K = 0 any time.
    scenario = chain([0.5, 8, 20], [0, 0, 0])
    execution = execution_graph(scenario.users[0].graph, slot_zero_packed(scenario), 0, 1)
    sides = shortest_paths(execution, [1.0, 0.1, 0.0])
    assert sides.tolist() == [[True, False, False], [True, True, False], [True, True, True]]


def test_a_path_goes_to_the_server_and_back_where_tensors_are_small() -> None:
    # 2 MB behind layers 0 and 2: entering or leaving there costs 2 s, more than the 0.9 s that a layer saves.
    scenario = chain([1, 1, 1, 1, 1], [2, 0, 2, 0, 0])
    slow_end = replace(scenario.users[0], profile_s=[[1, 2], [1, 2], [1, 0.1], [1, 0.1], [1, 2]])
    execution = execution_graph(slow_end.graph, slot_zero_packed(replace(scenario, users=(slow_end,))), 0, 1)
    assert shortest_paths(execution, [0.0]).tolist() == [[False, False, True, True, False]]


def test_held_layers_are_free_and_a_block_held_elsewhere_stays_away() -> None:
    scenario = chain([1, 1, 1], [0, 0, 0], server_s=[0.1, 0.1], rate_mb_per_s=[1.0, 1.0])
    users = (replace(scenario.users[0], uploaded=[1, 2, 0]),)
    execution = execution_graph(users[0].graph, slot_zero_packed(replace(scenario, users=users)), 0, 1)
    assert execution.upload_bytes.tolist() == [0.0, 0.0, 1e6]
    assert shortest_paths(execution, [1.0, 0.0]).tolist() == [[True, False, False], [True, False, True]]


def test_each_user_places_its_path_where_it_is_fastest_and_front_blocks_first_where_memory_is_short() -> None:
    scenario = chain([1, 1, 1], [0, 0, 0], server_s=[0.2, 0.1], rate_mb_per_s=[1.0, 1.0], memory_mb=[9, 5])
    users = (scenario.users[0], replace(scenario.users[0], name="second"))
    placement = ShortestPath()(replace(scenario, users=users), RNG)
    # The second finds room for two layers on the fast server: 1.2 s, against 0.6 s on the other one.
    assert [row.tolist() for row in placement] == [[2, 2, 2], [1, 1, 1]]
    short = replace(scenario, servers=(scenario.servers[0], replace(scenario.servers[1], memory_bytes=4e6)))
    slow = replace(scenario.users[0], name="second", profile_s=[[1, 2, 0.1]] * 3)
    placement = ShortestPath()(replace(short, users=(scenario.users[0], slow)), RNG)
    assert [row.tolist() for row in placement] == [[2, 2, 2], [2, 0, 0]]


def test_the_penalty_of_a_placement_leaves_heavy_blocks_out() -> None:
    scenario = chain([1, 50], [0, 0])
    assert ShortestPath(penalty=0.1)(scenario, RNG)[0].tolist() == [1, 0]
    assert ShortestPath()(scenario, RNG)[0].tolist() == [1, 1]


def test_on_a_tie_a_path_does_not_change_sides() -> None:
    # The first two layers take as long on either side and tensors take no time: the path is on the server throughout.
    scenario = chain([1, 1, 1], [0, 0, 0])
    user = replace(scenario.users[0], profile_s=[[1, 1], [1, 1], [1, 0.5]])
    execution = execution_graph(user.graph, slot_zero_packed(replace(scenario, users=(user,))), 0, 1)
    assert shortest_paths(execution, [0.0]).tolist() == [[True, True, True]]
    # Where nothing is gained by going there, it stays on the device.
    idle = chain([1, 1, 1], [0, 0, 0], server_s=[1.0])
    execution = execution_graph(idle.users[0].graph, slot_zero_packed(idle), 0, 1)
    assert shortest_paths(execution, [0.0]).tolist() == [[False, False, False]]
