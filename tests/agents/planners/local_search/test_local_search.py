"""Local search: never worse than its starts, reproducible, within its budget, optimal where the optimum is known."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from agents.planners import planner
from agents.planners.device_only import device_only
from agents.planners.joint_efficiency.joint_efficiency import joint_efficiency
from agents.planners.local_search import local_search
from agents.planners.local_search.annealing import anneal
from agents.planners.local_search.chains import BEST, Walk, as_plan, movable_in, new_chains, num_rows
from agents.planners.local_search.local_search import STARTS, LocalSearch, averaged
from agents.planners.local_search.moves import CHANCES
from agents.planners.slot_zero import memory_left_bytes, movable_layers, reachable_servers, slot_zero_packed
from dnnmig_env.families.registry import scenarios
from dnnmig_env.families.toy import OPTIMAL_DELAY_S, toy_scenario
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, check_plan
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.state import new_state
from tests.agents.planners.hand_made import chain
from tests.agents.planners.random_scenarios import delays_s, realistic, tiny
from tests.agents.planners.test_registry import all_plans
from tests.strategies import random_case

SHORT = LocalSearch(evaluations=2000, chains=1)


def searched(scenario: Scenario, parameters: LocalSearch = SHORT, seed: int = 0) -> Plan:
    return parameters(scenario, np.random.default_rng(seed))


def test_it_is_never_worse_than_what_it_starts_from() -> None:
    better = 0
    for seed, scenario in enumerate(scenarios("edge-cloud", 8, seed=1000, max_layers=8)):
        starts = [start(scenario, np.random.default_rng(seed)).singletons() for start in STARTS]
        plan = searched(scenario, SHORT)
        check_plan(scenario, plan)
        *starts_s, plan_s = delays_s(scenario, [*starts, plan])
        assert plan_s <= min(starts_s)
        better += plan_s < min(starts_s)
    assert better > 0


def test_the_toy_is_solved() -> None:
    assert simulate(toy_scenario(), searched(toy_scenario())).mean_delay_s == pytest.approx(OPTIMAL_DELAY_S)


def test_tiny_scenarios_are_solved() -> None:
    for seed in range(30):
        scenario = tiny(np.random.default_rng(seed), memory=bool(seed % 2))
        best_s = min(delays_s(scenario, all_plans(scenario)))
        assert delays_s(scenario, [searched(scenario)])[0] == pytest.approx(best_s, rel=1e-9)


def test_what_makes_nothing_faster_is_not_uploaded() -> None:
    # The last layer is as fast on the device; only a search that goes up and down the plateau would upload it.
    scenario = chain([1, 1], [0, 0])
    slow = replace(scenario.users[0], profile_s=np.array([[1.0, 0.1], [1.0, 1.0]]))
    plan = searched(replace(scenario, users=(slow,)))
    assert [(upload.layers, upload.server) for upload in plan.uploads] == [((0,), 1)]


def test_more_evaluations_help() -> None:
    few, many = [], []
    for seed in range(4):
        scenario = realistic(np.random.default_rng(seed), max_layers=8)
        few.append(delays_s(scenario, [searched(scenario, replace(SHORT, evaluations=100))])[0])
        many.append(delays_s(scenario, [searched(scenario, replace(SHORT, evaluations=8000))])[0])
    assert np.mean(many) < np.mean(few)


def test_evaluations_are_counted_and_never_exceeded() -> None:
    scenario = realistic(np.random.default_rng(3), max_layers=6)
    p = slot_zero_packed(scenario)
    movable = movable_in(p)
    for evaluations in (1, 99, 1000):
        for chains in (1, 3):
            parameters = LocalSearch(evaluations=evaluations, chains=chains)
            walk = parameters.search(p, movable, [Plan()], np.random.default_rng(0))
            assert walk.evaluations.shape == (chains, 1)
            assert np.all(walk.evaluations <= evaluations)
            assert np.all(walk.evaluations >= 0.9 * evaluations - 1)  # a turn may find nothing to change


def test_time_is_limited_by_the_clock() -> None:
    scenario = realistic(np.random.default_rng(3), max_layers=6)
    searched(scenario)  # compiles
    began_s = time.perf_counter()
    plan = searched(scenario, LocalSearch(evaluations=10**12, seconds=0.5))
    assert 0.4 < time.perf_counter() - began_s < 5.0
    plan_s, start_s = delays_s(scenario, [plan, joint_efficiency(scenario, np.random.default_rng(0))])
    assert plan_s <= start_s


def test_a_chain_walks_the_same_alone_as_among_others() -> None:
    scenario = realistic(np.random.default_rng(5), max_layers=6)
    p = slot_zero_packed(scenario)
    movable = movable_in(p)
    together = new_chains(movable, [Plan()] * 3, np.random.default_rng(1))
    apart = [Walk(*(array[c : c + 1].copy() for array in together)) for c in range(3)]
    chances = np.array(list(CHANCES.values()))
    for walk in (together, *apart):
        state = new_state(p, num_rows(len(walk.length), len(movable.user)))
        anneal(p, state, movable, walk, chances / chances.sum(), 200, 1e-3)
    for c, walk in enumerate(apart):
        for name, one, other in zip(Walk._fields, walk, together, strict=True):
            np.testing.assert_array_equal(one[0], other[c], err_msg=name)
    assert len({float(cost_s) for cost_s in together.cost_s[:, BEST]}) > 1


def test_the_best_of_all_chains_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_search, "STARTS", (device_only,))
    scenario, parameters = realistic(np.random.default_rng(5), max_layers=8), LocalSearch(evaluations=300, chains=4)
    p = slot_zero_packed(scenario)
    movable = movable_in(p)
    walk = parameters.search(p, movable, [Plan()], np.random.default_rng(0))
    plans = [as_plan(p, movable, walk.uploads[c, BEST, : walk.length[c, BEST]]) for c in range(4)]
    found_s = delays_s(scenario, plans)
    assert len(set(found_s)) > 1
    assert delays_s(scenario, [searched(scenario, parameters)])[0] <= min(found_s)


@pytest.mark.slow
def test_the_number_of_threads_changes_nothing() -> None:
    script = (
        "import numpy as np; from dnnmig_env.families.registry import scenarios; from agents.planners import planner; "
        "scenario = scenarios('multi-user', 1, seed=1, max_layers=6)[0]; "
        "print(planner('local-search:chains=3:evaluations=2000')(scenario, np.random.default_rng(0)))"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"NUMBA_NUM_THREADS": threads},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(answers) == 1
    assert "Upload" in answers.pop()


def test_what_may_be_moved_in_the_present_is_what_planners_may_move() -> None:
    for seed in range(40):
        scenario, _ = random_case(seed)
        movable = movable_in(slot_zero_packed(scenario))
        users, layers = np.nonzero(movable_layers(scenario) & reachable_servers(scenario).any(axis=1)[:, None])
        assert movable.user.tolist() == users.tolist()
        assert movable.layer.tolist() == layers.tolist()
        for k, user in enumerate(users):
            reached = np.flatnonzero(reachable_servers(scenario)[user]) + 1
            assert movable.servers[k, : movable.num_servers[k]].tolist() == reached.tolist()
            assert users[movable.first[k]] == users[movable.last[k]] == user
        np.testing.assert_allclose(movable.memory_left_bytes, memory_left_bytes(scenario))


def test_with_all_slots_known_it_beats_planning_for_the_present() -> None:
    ratios = []
    for scenario in scenarios("mobile", 4, seed=1000, max_layers=6, moves=False):
        knowing = searched(scenario, replace(SHORT, clairvoyant=True))
        check_plan(scenario, knowing)
        ratios.append(np.divide(*delays_s(scenario, [knowing, searched(scenario)])))
    assert max(ratios) <= 1.0
    assert np.mean(ratios) < 0.98


def test_with_all_slots_known_users_who_come_later_are_served() -> None:
    scenario = chain([1, 1], [0, 0], query_rate_hz=[1.0, 1.0])
    users = (replace(scenario.users[0], query_rate_hz=[1.0, 0.0]), replace(scenario.users[1], query_rate_hz=[0.0, 1.0]))
    later = replace(scenario, users=users, slot_starts_s=(0.0, 50.0))
    assert {upload.user for upload in searched(later).uploads} == {0}
    plan = searched(later, replace(SHORT, clairvoyant=True))
    # 2 s on the device, 1.1 s from second 1, 0.2 s from second 2, for either; the second from second 50 on.
    assert [upload.user for upload in plan.uploads] == [0, 0, 1, 1]
    assert simulate(later, plan).mean_delay_s == pytest.approx((2 * 1 + 1.1 * 1 + 0.2 * 48) / 50)


def test_with_all_slots_known_it_waits_where_waiting_pays() -> None:
    # User 0 runs on the server, 0.9 s of every second, until second 50, as its device takes 5 s; user 1, 0.6 s on its
    # device, would take 0.17 s there alone. Together user 0 would never leave the server, so user 1 would take 0.34 s
    # and be there as long of every second, which would make user 0 take 0.9 x 1.34 = 1.21 s.
    scenario = chain([1], [0], server_s=[0.9], query_rate_hz=[1.0, 1.0])
    users = (
        replace(scenario.users[0], query_rate_hz=[1.0, 0.0], profile_s=[[5.0, 0.9]], uploaded=[1]),
        replace(scenario.users[1], query_rate_hz=[1.0, 1.0], profile_s=[[0.6, 0.17]]),
    )
    scenario = replace(scenario, users=users, slot_starts_s=(0.0, 50.0))
    at_once = searched(scenario, replace(SHORT, clairvoyant=False))
    plan = searched(scenario, replace(SHORT, clairvoyant=True))
    assert at_once == Plan()
    assert [upload.not_before_s for upload in plan.uploads] == [50.0]


def test_nothing_known_ahead_changes_nothing_where_nothing_changes() -> None:
    scenario = realistic(np.random.default_rng(1), max_layers=6)
    assert searched(scenario, replace(SHORT, clairvoyant=True)) == searched(scenario)


def test_parameters_go_behind_its_name() -> None:
    found = planner("local-search:evaluations=5e5:chains=2:seconds=2.5:clairvoyant=true")
    assert found == LocalSearch(evaluations=500_000, chains=2, seconds=2.5, clairvoyant=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evaluations": -1}, "evaluations is -1; it must be at least 1, or 0"),
        ({"server_tries": -1}, "server_tries is -1; it must be at least 1, or 0"),
        ({"chains": 0}, "chains is 0; it must be at least 1"),
        ({"seconds": 0.0}, "seconds is 0.0; it must be positive, inf for no limit"),
        ({"seconds": math.nan}, "seconds is nan"),
        ({"coldest": 0.0}, "coldest is 0.0; it must be positive"),
        ({"hottest": 1e-9}, "hottest is 1e-09; it must be finite and at least coldest"),
        ({"hottest": math.nan}, "hottest is nan"),
        ({"descent": 1.5}, "descent is 1.5; a share lies between 0 and 1"),
    ],
)
def test_impossible_parameters_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LocalSearch(**change)  # type: ignore[arg-type]


def test_temperatures_fall_geometrically_and_are_0_in_the_descent() -> None:
    search = LocalSearch(hottest=1.0, coldest=0.01, descent=0.1)
    temperatures = [search._temperature(progress) for progress in (0.0, 0.45, 0.9 - 1e-12, 0.9, 1.0)]
    assert temperatures == pytest.approx([1.0, 0.1, 0.01, 0.0, 0.0])


def test_slots_count_by_their_seconds_in_the_average() -> None:
    scenario = chain([1], [0], horizon_s=4.0)  # slots of 1 s and 3 s
    links = replace(scenario.links, up_bytes_per_s=[[[1e6]], [[2e6]]], down_bytes_per_s=[[[4e6]], [[8e6]]])
    user = replace(scenario.users[0], query_rate_hz=[0.0, 2.0])
    mean = averaged(replace(scenario, users=(user,), links=links, slot_starts_s=(0.0, 1.0)))
    assert np.asarray(mean.links.up_bytes_per_s).tolist() == [[[1.75e6]]]
    assert np.asarray(mean.links.down_bytes_per_s).tolist() == [[[7e6]]]
    assert np.asarray(mean.users[0].query_rate_hz).tolist() == [1.5]
