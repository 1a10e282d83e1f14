"""Efficiency: its partitions by hand, against one that measures everything anew, and the published figures."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest

from agents.planners import Placement, TwoPhase, planner
from agents.planners.ionn.ionn import Ionn
from agents.planners.orders.efficiency import Units, by_efficiency, efficiency, units_of
from agents.planners.slot_zero import slot_zero_packed
from dnnmig_env.networks.zoo import load
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.simulation.contention import slowdown_for
from dnnmig_env.simulation.dynamics import begin, complete
from dnnmig_env.simulation.kernel import effective_assignment, query_delay_s
from dnnmig_env.simulation.plan import check_plan, plan_of
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.state import new_state
from tests.agents.planners.hand_made import chain
from tests.agents.planners.measured_alexnet import measured_alexnet, needs_profile
from tests.agents.planners.random_scenarios import delays_s, realistic, tiny

RNG = np.random.default_rng(0)


def uploads(scenario: Scenario, *placement: list[int]) -> list[tuple[int, tuple[int, ...], int]]:
    plan = by_efficiency(scenario, tuple(np.array(row, np.int8) for row in placement), RNG)
    return [(upload.user, upload.layers, upload.server) for upload in plan.uploads]


def with_edges(scenario: Scenario, predecessors: dict[int, tuple[int, ...]]) -> Scenario:
    graph = scenario.users[0].graph
    layers = tuple(
        replace(layer, predecessors=predecessors.get(v, layer.predecessors)) for v, layer in enumerate(graph.layers)
    )
    return replace(scenario, users=(replace(scenario.users[0], graph=replace(graph, layers=layers)),))


def test_the_most_efficient_layer_comes_first() -> None:
    assert uploads(chain([3, 1, 2], [0, 0, 0]), [1, 1, 1]) == [(0, (1,), 1), (0, (2,), 1), (0, (0,), 1)]


def test_layers_that_help_only_together_share_a_partition() -> None:
    # 1.5 MB between layers 0 and 1: either alone makes 3 s into 3.6 s, both together 1.2 s: 1.8 s saved in 2 s. Layer 2
    # alone saves 0.9 s in 2 s.
    assert uploads(chain([1, 1, 2], [1.5, 0, 0]), [1, 1, 1]) == [(0, (0, 1), 1), (0, (2,), 1)]


def test_an_interval_is_cut_finer_when_a_part_saves_time_alone() -> None:
    # 0.5 MB between the layers: each alone saves 0.4 s in 1 s, both 1.8 s in 2 s. The pair is the more efficient, yet
    # its first half is of use on the way.
    assert uploads(chain([1, 1], [0.5, 0]), [1, 1]) == [(0, (0,), 1), (0, (1,), 1)]


def test_next_to_an_upload_the_transfer_between_is_saved() -> None:
    # 0.6 MB behind every layer, so that layers 1 and 2 save 0.9 - 1.2 s alone and 0.9 s once the layer before is there;
    # layer 0, whose input is nothing, saves 0.3 s. Layer 3 is heavy and its result small: 0.3 s in 20 s.
    assert uploads(chain([2, 2, 2, 20], [0.6, 0.6, 0.6, 0]), [1, 1, 1, 1]) == [
        (0, (0,), 1),
        (0, (1,), 1),
        (0, (2,), 1),
        (0, (3,), 1),
    ]


def test_weightless_layers_ride_along() -> None:
    # Layer 0 sends 1.5 MB to layer 1, which is weightless and sends nothing: together on the server at once.
    assert uploads(chain([1, 0, 1], [1.5, 0, 0]), [1, 0, 1]) == [(0, (0,), 1), (0, (2,), 1)]


def test_a_block_is_uploaded_as_a_whole() -> None:
    # Layers 1 and 2 both read layer 0, layer 3 reads both.
    scenario = with_edges(chain([1, 2, 2, 2, 4], [0] * 5), {2: (0,), 3: (1, 2)})
    assert uploads(scenario, [1] * 5) == [(0, (0,), 1), (0, (1, 2, 3), 1), (0, (4,), 1)]


def test_a_placement_that_splits_a_block_is_uploaded_in_pieces() -> None:
    scenario = with_edges(chain([1, 2, 2, 4, 8], [0] * 5), {2: (0,), 3: (1, 2)})
    assert uploads(scenario, [1, 1, 0, 1, 1]) == [(0, (0,), 1), (0, (1,), 1), (0, (3,), 1), (0, (4,), 1)]


def test_what_cannot_help_is_uploaded_in_the_end() -> None:
    # 5 MB between the two layers: fast between the servers, 5 s from either to the device. No run helps by itself.
    scenario = chain([2, 1], [5, 0], server_s=[0.1, 0.1], rate_mb_per_s=[1.0, 1.0])
    assert {layers for _, layers, _ in uploads(scenario, [1, 2])} == {(0,), (1,)}


def test_servers_without_a_link_between_them_are_no_obstacle() -> None:
    scenario = chain([1, 1], [1, 0], server_s=[0.1, 0.1], rate_mb_per_s=[1.0, 1.0], between_mb_per_s=0.0)
    assert {layers for _, layers, _ in uploads(scenario, [1, 2])} == {(0,), (1,)}


def test_users_count_by_their_query_rates() -> None:
    scenario = chain([1, 1], [0, 0], server_s=[0.0], query_rate_hz=[1.0, 3.0])
    assert uploads(scenario, [1, 1], [1, 1]) == [(1, (0,), 1), (1, (1,), 1), (0, (0,), 1), (0, (1,), 1)]


def test_uploaded_layers_end_a_run() -> None:
    scenario = chain([1, 1, 1], [0, 0, 0])
    users = (replace(scenario.users[0], uploaded=[0, 1, 0]),)
    units = units_of(replace(scenario, users=users), (np.array([1, 1, 1], np.int8),))
    assert units.first.tolist() == [0, 2]
    assert len(set(units.run)) == 2


def test_a_target_may_be_empty() -> None:
    assert uploads(chain([1, 1], [0, 0], query_rate_hz=[1.0, 1.0]), [0, 0], [0, 0]) == []
    assert uploads(chain([0, 0], [0, 0]), [0, 0]) == []


def plain(scenario: Scenario, placement: Placement) -> list[tuple[int, int]]:
    """Return the intervals of units in the order of upload, everything measured anew before each."""
    p, state, units = (
        slot_zero_packed(scenario),
        new_state(slot_zero_packed(scenario), 1),
        units_of(scenario, placement),
    )
    uploaded: set[int] = set()
    order: list[tuple[int, int]] = []
    begin(p, 0, state, 0)
    while len(uploaded) < len(units.user):
        candidates = {
            (first, last): _efficiency(p, state, units, first, last)
            for first in range(len(units.user))
            for last in range(first, len(units.user))
            if units.run[first] == units.run[last] and not uploaded & set(range(first, last + 1))
        }
        parts = candidates
        while parts:
            first, last = max(parts, key=lambda interval: parts[interval])
            parts = {
                (begin_, end): value
                for (begin_, end), value in candidates.items()
                if first <= begin_ and end <= last and (begin_, end) != (first, last) and value > 0
            }
        order.append((first, last))
        uploaded |= set(range(first, last + 1))
        user, layers = units.user[first], slice(units.first[first], units.last[last] + 1)
        state.node[0, user, layers], state.usable[0, user, layers] = units.server[first], True
        complete(p, 0, state, 0, user)
    return order


def _efficiency(packed, state, units: Units, first: int, last: int) -> float:  # type: ignore[no-untyped-def]
    u, layers = units.user[first], slice(units.first[first], units.last[last] + 1)
    node, usable, slowdown = state.node[0, u].copy(), state.usable[0, u].copy(), np.ones(state.slowdown.shape[2])
    slowdown_for(u, packed.home[0, 0], state.present[0], state.sending[0], slowdown)
    delays_s = []
    for _ in range(2):
        assignment = np.zeros(len(node), np.int8)
        effective_assignment(packed, 0, u, node, usable, assignment)
        delays_s.append(
            query_delay_s(packed, 0, u, 0, assignment, slowdown, np.zeros(len(node)), np.zeros(state.free_s.shape[1]))
        )
        node[layers], usable[layers] = units.server[first], True
    upload_s = units.weight_bytes[first : last + 1].sum() / packed.up_bytes_per_s[0, 0, u, units.server[first] - 1]
    return float(packed.query_rate_hz[0, 0, u] * (delays_s[0] - delays_s[1]) / upload_s)


@pytest.mark.parametrize("users", [1, 2])
def test_measuring_only_what_may_have_changed_is_enough(users: int) -> None:
    partitions = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scenario = tiny(rng, users, layers=7)
        placement = tuple(rng.integers(0, 3, len(user.graph)).astype(np.int8) for user in scenario.users)
        if seed % 3:
            placement = tuple(np.ones(len(row), np.int8) for row in placement)
        units = units_of(scenario, placement)
        wanted = [
            (int(units.user[first]), int(units.first[first]), int(units.last[last]))
            for first, last in plain(scenario, placement)
        ]
        plan = by_efficiency(scenario, placement, RNG)
        assert [(upload.user, upload.layers[0], upload.layers[-1]) for upload in plan.uploads] == wanted
        partitions.add(len(units.user) - len(wanted))
    assert partitions != {0}


def test_of_all_orders_of_a_chain_hardly_any_is_better() -> None:
    rng, ratios = np.random.default_rng(0), []
    for _ in range(20):
        weight_mb, output_mb = np.exp(rng.uniform(-2, 2, 5)), np.exp(rng.uniform(-3, 1, 5))
        scenario = chain(weight_mb, output_mb, horizon_s=float(weight_mb.sum()))
        orders = itertools.permutations(range(5))
        best_s = min(delays_s(scenario, [plan_of((0, layer, 1) for layer in order) for order in orders]))
        plan = by_efficiency(scenario, (np.ones(5, np.int8),), RNG)
        ratios.append(delays_s(scenario, [plan])[0] / best_s)
    assert np.mean(ratios) < 1.005


def test_the_whole_planner_uploads_the_side_of_the_shortest_path() -> None:
    for seed in range(5):
        scenario = realistic(np.random.default_rng(seed), max_layers=12)
        plan = efficiency(scenario, RNG)
        check_plan(scenario, plan)
        for reached, wanted in zip(plan.placement(scenario), efficiency.placement(scenario, RNG), strict=True):
            assert reached.tolist() == wanted.tolist()


def test_its_name_stands_for_the_whole_planner_and_for_an_order() -> None:
    assert planner("efficiency") is efficiency
    pair = planner("dads+efficiency")
    assert isinstance(pair, TwoPhase)
    assert pair.order is by_efficiency
    with pytest.raises(ValueError, match="planner 'efficiency' has no parameter 'penalty'; it has no parameters"):
        planner("efficiency:penalty=0.1")


def test_it_and_ionn_plan_a_deep_network_as_traced_in_no_time() -> None:
    graph = load("resnet152")
    user = User("phone", graph, Node("phone", Tier.DEVICE, 5e9, 1e10, 1e-4))
    scenario = Scenario((user,), (Node("edge", Tier.EDGE, 1e12, 1e11, 1e-5),), Links(5e6, up_latency_s=0.003), 60.0)
    for plan in (efficiency, Ionn(0.5), Ionn(0.8)):
        seconds = []
        for _ in range(5):
            began_s = time.process_time()
            assert plan(scenario, RNG).uploads
            seconds.append(time.process_time() - began_s)
        assert min(seconds) < 0.05


@needs_profile
def test_measured_alexnet_gives_the_published_partitions_and_queries() -> None:
    scenario = measured_alexnet()
    plan = efficiency(scenario, RNG)
    assert len(plan.uploads) == 8
    assert simulate(scenario, plan).closed_loop_queries.tolist() == [93]


def test_the_target_has_what_pays_for_a_thousandth_of_its_upload() -> None:
    # Each layer saves 0.9 s, and the penalty is 0.001: 300 s of upload cost 0.3 s, 2000 s cost 2 s.
    scenario = chain([300, 2000], [0, 0], horizon_s=10_000.0)
    assert [upload.layers for upload in efficiency(scenario, RNG).uploads] == [(0,)]
