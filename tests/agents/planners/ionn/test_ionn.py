"""IONN: its penalties and partitions by hand, and the published ones on the measured AlexNet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.planners import planner
from agents.planners.ionn.execution_graph import execution_graph
from agents.planners.ionn.ionn import Ionn, falling_penalties, partitions
from agents.planners.slot_zero import slot_zero_packed
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import check_plan
from dnnmig_env.simulation.simulator import simulate
from tests.agents.planners.hand_made import chain
from tests.agents.planners.measured_alexnet import measured_alexnet, needs_profile

RNG = np.random.default_rng(0)


def uploads(scenario: Scenario, penalty: float = 0.5) -> list[tuple[int, tuple[int, ...], int]]:
    plan = Ionn(penalty)(scenario, RNG)
    check_plan(scenario, plan)
    return [(upload.user, upload.layers, upload.server) for upload in plan.uploads]


def test_penalties_fall_to_a_thousandth_and_then_to_nothing() -> None:
    assert falling_penalties(0.5) == [*(0.5**level for level in range(10)), 0.0]
    assert falling_penalties(0.8)[-2:] == [0.8**30, 0.0]
    assert falling_penalties(0.0001) == [1.0, 0.0]


def test_partitions_are_what_each_penalty_adds() -> None:
    # A layer saves 0.9 s, so it is on the path once K * upload < 0.9 s: 0.5 MB at K = 1, 1 MB at K = 1/2, 4 MB at
    # K = 1/8, 16 MB at K = 1/32; with n = 0.1 those of 1 and 4 MB come at once, at K = 0.1.
    scenario = chain([0.5, 1, 4, 16], [0, 0, 0, 0])
    assert uploads(scenario, 0.5) == [(0, (0,), 1), (0, (1,), 1), (0, (2,), 1), (0, (3,), 1)]
    assert uploads(scenario, 0.1) == [(0, (0,), 1), (0, (1, 2), 1), (0, (3,), 1)]


def test_a_partition_may_surround_an_earlier_one() -> None:
    scenario = chain([4, 0.5, 4], [0, 0, 0])
    assert uploads(scenario) == [(0, (1,), 1), (0, (0, 2), 1)]


def test_blocks_are_not_cut_and_weightless_layers_are_left_out() -> None:
    # Layers 1 and 2 both read layer 0, layer 3 reads both: one block. Layer 2 has no weights.
    scenario = chain([1, 1, 0, 1, 1], [0, 0, 0, 0, 0])
    graph = scenario.users[0].graph
    layers = list(graph.layers)
    layers[2], layers[3] = replace(layers[2], predecessors=(0,)), replace(layers[3], predecessors=(1, 2))
    users = (replace(scenario.users[0], graph=replace(graph, layers=tuple(layers))),)
    # K = 1: layer 0 takes 1 s to upload and saves 0.9 s; the block of three takes 2 s and saves 2.7 s.
    assert uploads(replace(scenario, users=users)) == [(0, (1, 3), 1), (0, (0, 4), 1)]


def test_blocks_that_never_help_are_not_uploaded() -> None:
    scenario = chain([1, 1], [0, 0])
    users = (replace(scenario.users[0], profile_s=[[1, 0.1], [1, 1.5]]),)
    assert uploads(replace(scenario, users=users)) == [(0, (0,), 1)]
    assert uploads(chain([1, 1], [0, 0], server_s=[1.5])) == []


def test_each_user_takes_the_server_best_for_it_in_the_end_and_users_take_turns() -> None:
    scenario = chain([0.5, 4], [0, 0], server_s=[0.2, 0.1], rate_mb_per_s=[8.0, 1.0], query_rate_hz=[1.0, 5.0])
    assert uploads(scenario) == [(0, (0,), 2), (1, (0,), 2), (0, (1,), 2), (1, (1,), 2)]


def test_of_a_partition_that_no_longer_fits_the_front_blocks_that_fit_are_uploaded() -> None:
    # With n = 0.1 layers 1 and 2 are one partition; 2 MB are left for it.
    scenario = chain([0.5, 2, 1, 0.5], [0, 0, 0, 0], memory_mb=[3.0])
    assert uploads(scenario, 0.1) == [(0, (0, 3), 1), (0, (1,), 1)]


def test_what_a_server_holds_already_costs_nothing_and_is_not_sent() -> None:
    scenario = chain([1, 1, 1], [0, 0, 0])
    users = (replace(scenario.users[0], uploaded=[0, 1, 0]),)
    assert uploads(replace(scenario, users=users)) == [(0, (0, 2), 1)]


@pytest.mark.parametrize("penalty", [0.0, 1.0, -0.5, float("nan"), 0.99999])
def test_impossible_penalties_are_refused(penalty: float) -> None:
    with pytest.raises(ValueError, match=f"penalty is {penalty}; it must be more than 0 and less than 1"):
        Ionn(penalty)


@needs_profile
@pytest.mark.parametrize("penalty", [0.8, 0.5, 0.1])
def test_measured_alexnet_gives_the_published_partitions_and_queries(penalty: float) -> None:
    scenario = measured_alexnet()
    execution = execution_graph(scenario.users[0].graph, slot_zero_packed(scenario), 0, 1)
    found = partitions(execution, falling_penalties(penalty))
    assert [np.flatnonzero(blocks).tolist() for blocks in found] == [
        list(range(8)),
        list(range(8, 15)),
        list(range(15, 22)),
    ]
    timeline = simulate(scenario, Ionn(penalty)(scenario, RNG))
    megabytes = [upload.sent_bytes / 1e6 for upload in timeline.uploads]
    assert megabytes == pytest.approx([1.37, 7.97, 234.5], abs=0.03)
    assert timeline.closed_loop_queries.tolist() == [61]


def test_its_name_may_carry_the_penalty() -> None:
    assert planner("ionn") == Ionn(0.5)
    assert planner("ionn:penalty=0.8") == Ionn(0.8)
    with pytest.raises(ValueError, match=r"penalty is 1\.5"):
        planner("ionn:penalty=1.5")
