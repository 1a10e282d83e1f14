"""LMU: partitions and their order by hand, and the published figures on the measured AlexNet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agents.planners import planner
from agents.planners.orders.lmu import lmu, multi_user_lmu
from agents.planners.protocol import OrderPlanner
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.simulator import simulate
from tests.agents.planners.hand_made import chain
from tests.agents.planners.measured_alexnet import measured_alexnet, needs_profile
from tests.agents.planners.random_scenarios import realistic

RNG = np.random.default_rng(0)


def uploads(
    scenario: Scenario, *placement: list[int], order: OrderPlanner = lmu
) -> list[tuple[int, tuple[int, ...], int]]:
    plan = order(scenario, tuple(np.array(row, np.int8) for row in placement), RNG)
    return [(upload.user, upload.layers, upload.server) for upload in plan.uploads]


def test_layers_merge_only_until_queries_get_faster() -> None:
    # 1.5 MB between layers 0 and 1: either alone makes 3 s into 3.6 s, both together 1.2 s, so they stay together
    # (1.8 s saved in 2 s of upload). Layer 2 alone saves 0.9 s: it needs nobody, but at 2 MB it comes second.
    scenario = chain([1, 1, 2], [1.5, 0, 0])
    assert uploads(scenario, [1, 1, 1]) == [(0, (0, 1), 1), (0, (2,), 1)]


def test_weightless_layers_ride_along() -> None:
    # Layer 0 sends 1.5 MB to layer 1, which is weightless and sends nothing: together on the server at once.
    scenario = chain([1, 0, 1], [1.5, 0, 0])
    assert uploads(scenario, [1, 0, 1]) == [(0, (0,), 1), (0, (2,), 1)]


def test_ties_go_to_fewer_bytes() -> None:
    # 1.5 MB between layers 1 and 2: only together they help, 1.8 s saved in 2 s. Layer 0 saves 0.9 s in 1 s.
    scenario = chain([1, 1, 1], [0, 1.5, 0])
    assert uploads(scenario, [1, 1, 1]) == [(0, (0,), 1), (0, (1, 2), 1)]


def test_the_rate_is_the_one_to_the_layers_own_server() -> None:
    # Both layers save 0.9 s, but the second server takes the bytes twice as fast.
    scenario = chain([1, 1], [0, 0], server_s=[0.1, 0.1], rate_mb_per_s=[1.0, 2.0])
    assert uploads(scenario, [1, 2]) == [(0, (1,), 2), (0, (0,), 1)]


def test_users_count_alike_or_by_their_query_rates() -> None:
    # The first user's layers take 1 s each and save 1 s; the second's are twice as large, but asked for three times as
    # often: 1 against 0.5, and 1 against 3 * 0.5.
    scenario = chain([1, 1], [0, 0], server_s=[0.0], query_rate_hz=[1.0, 3.0])
    second, layers = scenario.users[1], scenario.users[1].graph.layers
    heavy = tuple(replace(layer, weight_bytes=2 * layer.weight_bytes) for layer in layers)
    scenario = replace(scenario, users=(scenario.users[0], replace(second, graph=replace(second.graph, layers=heavy))))
    first_user, second_user = [(0, (0,), 1), (0, (1,), 1)], [(1, (0,), 1), (1, (1,), 1)]
    assert uploads(scenario, [1, 1], [1, 1]) == first_user + second_user
    assert uploads(scenario, [1, 1], [1, 1], order=multi_user_lmu) == second_user + first_user


def test_query_rates_are_those_of_the_first_slot() -> None:
    scenario = chain([1], [0], server_s=[0.0], query_rate_hz=[2.0, 1.0])
    users = (scenario.users[0], replace(scenario.users[1], query_rate_hz=[1.0, 9.0]))
    scenario = replace(scenario, users=users, slot_starts_s=(0.0, 1.0))
    assert uploads(scenario, [1], [1], order=multi_user_lmu) == [(0, (0,), 1), (1, (0,), 1)]


def test_layers_that_pay_off_only_with_another_run_are_uploaded_too() -> None:
    # 5 MB between the two layers: fast between the servers, 5 s from either to the device. No run helps by itself.
    scenario = chain([2, 1], [5, 0], server_s=[0.1, 0.1], rate_mb_per_s=[1.0, 1.0])
    assert {layers for _, layers, _ in uploads(scenario, [1, 2])} == {(0,), (1,)}


def test_the_whole_placement_and_nothing_else_is_uploaded() -> None:
    for seed in range(5):
        scenario = realistic(np.random.default_rng(seed), max_layers=8)
        rng = np.random.default_rng(seed)
        placement = tuple(
            np.where(user.graph.weight_bytes > 0, rng.integers(0, 4, len(user.graph)), 0).astype(np.int8)
            for user in scenario.users
        )
        for reached, wanted in zip(lmu(scenario, placement, RNG).placement(scenario), placement, strict=True):
            assert reached.tolist() == wanted.tolist()


@needs_profile
def test_measured_alexnet_gives_the_published_partitions_and_queries() -> None:
    scenario = measured_alexnet()
    plan = planner("all-to-1+lmu")(scenario, RNG)
    assert len(plan.uploads) == 8
    assert simulate(scenario, plan).closed_loop_queries.tolist() == [93]


@needs_profile
def test_measured_alexnet_beats_the_coarse_partitions_of_ionn() -> None:
    scenario = measured_alexnet()
    layers = [int(v) for v in np.flatnonzero(scenario.users[0].graph.weight_bytes)]
    groups = [[v for v in layers if first <= v < last] for first, last in ((0, 8), (8, 15), (15, 22))]
    ionn = Plan(tuple(Upload(0, 1, tuple(group)) for group in groups))
    assert simulate(scenario, ionn).closed_loop_queries.tolist() == [61]
    together = Plan((Upload(0, 1, tuple(layers)),))
    assert simulate(scenario, together).closed_loop_queries.tolist() == [29]


def test_a_layer_that_does_not_help_alone_joins_the_neighbour_with_which_more_is_saved() -> None:
    # 0.8 MB before and 0.6 MB behind layer 1, which alone makes queries 0.5 s slower. With layer 0 it saves 1.2 s in
    # 2 s of upload, with layer 2 only 1.0 s; layers 0 and 2 save 0.1 s and 0.3 s in 1 s each.
    assert uploads(chain([1, 1, 1], [0.8, 0.6, 0]), [1, 1, 1]) == [(0, (0, 1), 1), (0, (2,), 1)]
