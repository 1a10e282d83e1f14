"""Joint efficiency: its choices by hand, its quality on random scenarios."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.planners import TwoPhase
from agents.planners.joint_efficiency.compiled_plan import upload_by_efficiency, upload_twice
from agents.planners.joint_efficiency.intervals import new_efficiencies
from agents.planners.joint_efficiency.joint_efficiency import LEAST_SHARED, joint_efficiency
from agents.planners.orders.lmu import lmu
from agents.planners.slot_zero import movable_layers, reachable_servers, slot_zero_packed
from agents.planners.swarms.pso_ga import PsoGa
from dnnmig_env.compiling.threads import at_most_threads
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, check_plan, plan_of
from dnnmig_env.simulation.plan_arrays import empty_plans, plan_in_row
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.state import new_state
from tests.agents.planners.hand_made import chain
from tests.agents.planners.measured_alexnet import measured_alexnet, needs_profile
from tests.agents.planners.random_scenarios import delays_s, realistic, tiny
from tests.agents.planners.test_registry import all_plans

RNG = np.random.default_rng(0)


def uploads(scenario: Scenario) -> list[tuple[int, tuple[int, ...], int]]:
    return [(upload.user, upload.layers, upload.server) for upload in joint_efficiency(scenario, RNG).uploads]


def test_layers_that_help_only_together_share_a_partition() -> None:
    # 1.5 MB between layers 0 and 1: either alone makes 3 s into 3.6 s, both together 1.2 s.
    assert uploads(chain([1, 1, 2], [1.5, 0, 0])) == [(0, (0, 1), 1), (0, (2,), 1)]


def test_an_interval_is_cut_finer_when_a_part_saves_time_alone() -> None:
    # 0.5 MB between the layers: each alone saves 0.4 s in 1 s, both 1.8 s in 2 s. The pair is the more efficient, yet
    # its first half is of use on the way.
    assert uploads(chain([1, 1], [0.5, 0])) == [(0, (0,), 1), (0, (1,), 1)]


def test_placement_follows_from_efficiency() -> None:
    # The near server saves 0.5 s per layer in 1 s of upload, the far one 0.9 s in 3 s.
    scenario = chain([1, 1], [0, 0], server_s=[0.5, 0.1], rate_mb_per_s=[1.0, 1 / 3])
    assert uploads(scenario) == [(0, (0,), 1), (0, (1,), 1)]
    far = chain([1, 1], [0, 0], server_s=[0.5, 0.1], rate_mb_per_s=[1.0, 0.9])
    assert uploads(far) == [(0, (0,), 2), (0, (1,), 2)]


def test_users_compete_by_their_query_rates() -> None:
    scenario = chain([1, 1], [0, 0], server_s=[0.0], query_rate_hz=[1.0, 3.0])
    assert [user for user, _, _ in uploads(scenario)] == [1, 1, 0, 0]


def test_nothing_is_uploaded_where_nothing_gets_faster() -> None:
    assert uploads(chain([1, 1], [0, 0], server_s=[1.5])) == []
    assert uploads(chain([1, 1], [0, 0], server_s=[1.0])) == []


def test_what_cannot_arrive_before_the_horizon_is_not_begun() -> None:
    assert uploads(chain([1, 3], [0, 0], horizon_s=3.5)) == [(0, (0,), 1)]
    assert uploads(chain([1, 2], [0, 0], horizon_s=3.5)) == [(0, (0,), 1), (0, (1,), 1)]


def test_full_servers_make_room_for_others() -> None:
    scenario = chain([1, 1], [0, 0], server_s=[0.1, 0.2], rate_mb_per_s=[1.0, 1.0], memory_mb=[1.0, 10.0])
    assert uploads(scenario) == [(0, (0,), 1), (0, (1,), 2)]


def test_an_interval_may_span_uploaded_layers() -> None:
    # Layer 1 is on the server. 0 and 2 send so much to the device that only all three together are of use.
    scenario = chain([1, 1, 1, 1], [5, 5, 5, 0])
    uploaded = replace(scenario.users[0], uploaded=[0, 1, 0, 0])
    assert uploads(replace(scenario, users=(uploaded,))) == [(0, (0, 2, 3), 1)]


def test_an_upload_that_costs_others_more_than_it_saves_is_not_made() -> None:
    # User 0 runs on the server, 0.9 s of every second, as its device takes 5 s. User 1, 1 s on its device, would take
    # 0.49 x 1.9 = 0.93 s there and save 0.07 s, but be there 0.93 of the time and make user 0 take 0.9 x 1.93 s.
    scenario = chain([1], [0], server_s=[0.9], query_rate_hz=[1.0, 1.0])
    users = (
        replace(scenario.users[0], profile_s=[[5.0, 0.9]], uploaded=[1]),
        replace(scenario.users[1], profile_s=[[1.0, 0.49]]),
    )
    scenario = replace(scenario, users=users)
    idle_s, upload_s = delays_s(scenario, [Plan(), plan_of([(1, 0, 1)])])
    assert idle_s < upload_s
    assert uploads(scenario) == []


def test_total_delay_never_rises_under_heavy_contention() -> None:
    for seed in range(8):
        scenario = busy(np.random.default_rng(seed))
        plan = joint_efficiency(scenario, RNG)
        check_plan(scenario, plan)
        delay_s = simulate(scenario, plan).event_delay_s @ [
            float(np.asarray(user.query_rate_hz)[0]) for user in scenario.users
        ]
        assert np.all(np.diff(delay_s) <= 1e-9 * delay_s[0])


def busy(rng: np.random.Generator) -> Scenario:
    """Servers twenty times slower, queries three times as frequent: contention decides."""
    scenario = realistic(rng, users=5, max_layers=6)
    servers = tuple(
        replace(node, flops_per_s=node.flops_per_s / 20, memory_bytes_per_s=node.memory_bytes_per_s / 20)
        for node in scenario.servers
    )
    users = tuple(replace(user, query_rate_hz=3 * np.asarray(user.query_rate_hz)) for user in scenario.users)
    return replace(scenario, servers=servers, users=users)


def test_the_better_of_two_passes_is_returned_by_the_delay_it_really_has() -> None:
    better = set()
    for seed in range(6):
        scenario = realistic(np.random.default_rng(seed))
        packed, movable = slot_zero_packed(scenario), movable_layers(scenario)
        queries = scenario.horizon_s * sum(float(np.asarray(user.query_rate_hz)[0]) for user in scenario.users)
        mean_s = []
        for one_server in (False, True):
            plans = empty_plans(1, int(movable.sum()))
            legal = (movable[:, :, None] & reachable_servers(scenario)[:, None]).ravel().astype(np.int8)
            cost_s = upload_by_efficiency(
                packed, 0, new_state(packed, 2), 0, new_efficiencies(packed, 1), 0, legal, one_server, 1e-3, plans, 0
            )
            mean_s.append(cost_s / queries)
            uploads = plan_in_row(plans, 0).uploads
            servers = [{upload.server for upload in uploads if upload.user == user} for user in range(4)]
            assert not one_server or all(len(each) <= 1 for each in servers)
        assert delays_s(scenario, [joint_efficiency(scenario, RNG)])[0] == pytest.approx(min(mean_s), rel=1e-12)
        better.add(int(np.argmin(mean_s)))
    assert better == {0, 1}


def test_small_scenarios_come_close_to_the_optimum() -> None:
    ratios = []
    for seed in range(40):
        scenario = tiny(np.random.default_rng(seed), memory=bool(seed % 2))
        ratios.append(
            delays_s(scenario, [joint_efficiency(scenario, RNG)])[0] / min(delays_s(scenario, all_plans(scenario)))
        )
    assert np.mean(ratios) < 1.03


def test_it_is_far_better_than_placement_and_order_apart() -> None:
    apart = TwoPhase(PsoGa(iterations=200), lmu)
    ratios = []
    for seed in range(12):
        scenario = realistic(np.random.default_rng(seed))
        joint_s, apart_s = delays_s(scenario, [joint_efficiency(scenario, RNG), apart(scenario, RNG)])
        ratios.append(joint_s / apart_s)
    assert np.mean(ratios) < 0.9


@needs_profile
def test_measured_alexnet_gives_the_published_partitions_and_queries() -> None:
    scenario = measured_alexnet()
    plan = joint_efficiency(scenario, RNG)
    assert len(plan.uploads) == 8
    assert simulate(scenario, plan).closed_loop_queries.tolist() == [93]


def test_a_layer_that_an_interval_only_spans_stays_where_it_is() -> None:
    # Layer 1 is on server 2, 5 MB and so 5 s from the device and 0.05 s from server 1. Layers 0 and 2 help only
    # together: 2 s of queries of 3 s, then 0.1 + 0.05 + 0.2 + 0.05 + 0.1 = 0.5 s. Were layer 1 moved along, 0.3 s.
    scenario = chain([1, 1, 1], [5, 5, 0], server_s=[0.1, 0.2], rate_mb_per_s=[1.0, 1.0])
    scenario = replace(scenario, users=(replace(scenario.users[0], uploaded=[0, 2, 0]),))
    assert uploads(scenario) == [(0, (0, 2), 1)]
    legal = (movable_layers(scenario)[:, :, None] & reachable_servers(scenario)[:, None]).ravel().astype(np.int8)
    packed, plans = slot_zero_packed(scenario), empty_plans(1, 2)
    cost_s = upload_by_efficiency(
        packed, 0, new_state(packed, 2), 0, new_efficiencies(packed, 1), 0, legal, False, 1e-3, plans, 0
    )
    assert cost_s == pytest.approx(2 * 3.0 + 98 * 0.5)
    assert cost_s / 100.0 == pytest.approx(delays_s(scenario, [plan_in_row(plans, 0)])[0])


def test_plans_are_those_of_measuring_everybody_anew_whenever_contention_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crowded = [busy(np.random.default_rng(seed)) for seed in range(16)]
    plans = [joint_efficiency(scenario, RNG) for scenario in crowded]
    monkeypatch.setitem(joint_efficiency.__globals__, "CONTENTION_TOLERANCE", 0.0)
    assert [joint_efficiency(scenario, RNG) for scenario in crowded] == plans


def test_plans_are_the_same_on_one_core_and_on_two() -> None:
    for seed in range(8):
        scenario = realistic(np.random.default_rng(seed))
        assert np.count_nonzero(movable_layers(scenario)) * len(scenario.servers) >= LEAST_SHARED
        with at_most_threads(1):
            alone = joint_efficiency(scenario, RNG)
        assert joint_efficiency(scenario, RNG) == alone


def test_the_passes_share_nothing_that_they_write() -> None:
    scenario = realistic(np.random.default_rng(3))
    packed, movable = slot_zero_packed(scenario), movable_layers(scenario)
    uploads = (movable[:, :, None] & reachable_servers(scenario)[:, None]).astype(np.int8)
    legal, cost_s = np.stack([uploads.ravel()] * 2), np.zeros(2)
    state, efficiencies, plans = new_state(packed, 4), new_efficiencies(packed, 2), empty_plans(2, int(movable.sum()))
    written = [legal, cost_s, *efficiencies, *plans, *state]
    rows = [len(each) // 2 for each in written]
    assert set(rows) <= {1, 2}
    for own, other in ((0, 1), (1, 0)):
        before = [each[other * row : (other + 1) * row].copy() for each, row in zip(written, rows, strict=True)]
        upload_twice(own, own + 1, packed, state, efficiencies, legal, 1e-3, plans, cost_s)
        for each, row, kept in zip(written, rows, before, strict=True):
            np.testing.assert_array_equal(each[other * row : (other + 1) * row], kept)
    assert cost_s.all() and plan_in_row(plans, 0) != plan_in_row(plans, 1)


def test_small_scenarios_stay_on_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = []

    def recorded(loop: Callable[..., None], count: int, *arguments: Any, per_core: int) -> None:
        shared.append(count >= 2 * per_core)
        loop(0, count, *arguments)

    monkeypatch.setitem(joint_efficiency.__globals__, "share_rows", recorded)
    joint_efficiency(chain([1, 1, 2], [1.5, 0, 0]), RNG)
    joint_efficiency(realistic(np.random.default_rng(1)), RNG)
    assert shared == [False, True]
