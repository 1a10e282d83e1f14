"""Cells, wires and weights that move: the compiled simulation against the slow and obvious one, ties included."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits, pack
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from dnnmig_env.simulation.simulator import simulate
from tests import oracle, test_oracle
from tests.agreement import agree
from tests.hand_made import two_servers, user
from tests.strategies import RandomChoices, Sizes, make_plan, make_scenario, moving_cases, random_moving_case

MANY = settings(max_examples=100)


@pytest.mark.parametrize("first", range(0, 800, 200))
def test_agrees_with_the_reference(first: int) -> None:
    for seed in range(first, first + 200):
        agree(*random_moving_case(seed))


@pytest.mark.slow
def test_agrees_with_the_reference_at_length() -> None:
    for seed in range(20_000, 40_000):
        agree(*random_moving_case(seed))


def examples() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the names of the oracle's examples, which are its tests without random cases, and their arguments."""
    for name, each in vars(test_oracle).items():
        if name.startswith("test_") and not hasattr(each, "hypothesis") and "random" not in name:
            given = [mark.args[1] for mark in getattr(each, "pytestmark", []) if mark.name == "parametrize"]
            for values in given[0] if given else [()]:
                yield name, values if isinstance(values, tuple) else (values,)


@pytest.mark.parametrize(("name", "arguments"), list(examples()))
def test_agrees_in_the_examples_of_the_reference(
    name: str, arguments: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def simulate_both(scenario: Scenario, plan: Plan) -> oracle.Outcome:
        compared.append(plan)
        agree(scenario, plan)
        return oracle.simulate(scenario, plan)

    monkeypatch.setattr(test_oracle, "simulate", simulate_both)
    getattr(test_oracle, name)(*arguments)
    assert compared


@MANY
@given(moving_cases())
def test_agrees_with_the_reference_where_much_happens_at_the_same_time(case: tuple[Scenario, Plan]) -> None:
    agree(*case)


def test_a_batch_equals_its_rows_bit_for_bit() -> None:
    # 100 rows take the parallel way, 20 the serial one; padded to the largest or not: always the same bits.
    cases = [random_moving_case(seed) for seed in range(100)]
    scenarios, plans = [scenario for scenario, _ in cases], [plan for _, plan in cases]
    alone, rows = np.array([simulate(*case).mean_delay_s for case in cases]), np.arange(100)
    np.testing.assert_array_equal(mean_delays_s(pack(scenarios), plan_arrays(plans), rows), alone)
    np.testing.assert_array_equal(mean_delays_s(pack(scenarios[:20]), plan_arrays(plans[:20]), rows[:20]), alone[:20])
    limits = Limits(users=6, layers=20, servers=7, slots=12, edges=90, inputs=4, shares=50, lanes=True)
    np.testing.assert_array_equal(mean_delays_s(pack(scenarios, limits), plan_arrays(plans), rows), alone)


def test_a_partition_is_there_once_all_its_layers_are_even_if_some_were_before() -> None:
    # Server 1 holds layer 1 from the start, so that the partition of both is complete once layer 0 is there.
    found = 0
    for seed in range(200):
        scenario, plan = random_moving_case(seed)
        for upload in simulate(scenario, plan).uploads:
            skipped = [each for each in upload.transfers if each.source < 0]
            if skipped and math.isfinite(upload.end_s):
                found += 1
                assert upload.end_s in [each.stop_s for each in upload.transfers if each.arrives]
    assert found >= 5


def test_what_was_dropped_does_not_come_back_with_the_rest_of_its_partition() -> None:
    # Server 2 has 2 MB. It holds Ann's second layer; her first one comes from server 1 by 1 s, which completes the
    # partition of both. Both are dropped for Bob's 2 MB, who leaves at 4 s. Then her second one is sent again, by 5 s.
    # When she comes to cell 2 at 8 s, her first layer runs on her device, in 1 s. Bob waits for his until 3 s.
    users = [
        user("ann", [1, 1], uploaded=[1, 1], copies=[[False, False], [False, True]]),
        user("bob", [2], query_rate_hz=[1.0, 0.0, 0.0]),
    ]
    home = [[1, 2], [1, 2], [2, 2]]
    scenario = two_servers(
        users,
        memory_mb=(math.inf, 2),
        up_mb_per_s=[[[float(server == cell) for server in (1, 2)] for cell in row] for row in home],
        home=home,
        slot_starts_s=(0.0, 4.0, 8.0),
        horizon_s=12.0,
        moves=True,
    )
    plan = Plan((Upload(0, 2, (0, 1)), Upload(1, 2, (0,))))
    agree(scenario, plan)
    timeline = simulate(scenario, plan)
    sent = [(each.start_s, each.stop_s) for one in timeline.uploads for each in one.transfers]
    assert sent == [(0.0, 1.0), (4.0, 5.0), (1.0, 3.0)]
    assert timeline.uploads[0].end_s == 1.0
    assert timeline.mean_delay_s == pytest.approx((4 * 1.0 + 3 * 1.0) / (12 + 4))


@pytest.mark.parametrize("first", ["ann", "bob"])
def test_who_comes_back_finds_what_was_not_dropped(first: str) -> None:
    # Server 1 is full with a layer of Ann and one of Bob, of whom one leaves at 1 s and the other at 2 s. Cid's layer
    # comes at 3 s: that of who left first is dropped. Both come back at 5 s.
    rates = {"first": [1.0, 0.0, 0.0, 0.0, 1.0], "later": [1.0, 1.0, 0.0, 0.0, 1.0]}
    users = [
        user(name, [1], uploaded=[1], query_rate_hz=rates["first" if name == first else "later"])
        for name in ("ann", "bob")
    ]
    users.append(user("cid", [1], query_rate_hz=[0.0, 0.0, 0.0, 1.0, 1.0]))
    scenario = two_servers(users, memory_mb=(2, 9), slot_starts_s=(0.0, 1.0, 2.0, 3.0, 5.0), horizon_s=6.0, moves=True)
    plan = Plan((Upload(2, 1, (0,)),))
    agree(scenario, plan)
    expected = {"ann": [1.0, 0.0, 0.0], "bob": [0.0, 1.0, 0.0]}[first]
    assert simulate(scenario, plan).event_delay_s[-1].tolist() == expected


def one_after_another(scenario: Scenario, plan: Plan) -> list[tuple[float, float]]:
    """Return start and end of each layer's upload by the rule of one channel, where nothing else is on it."""
    starts_s = np.asarray(scenario.slot_starts_s)
    edges_s, now_s, times_s = [*starts_s[1:], scenario.horizon_s], 0.0, []
    for upload in plan.singletons().uploads:
        present = np.asarray(scenario.users[upload.user].query_rate_hz) > 0
        rates = np.asarray(scenario.links.up_bytes_per_s)[:, upload.user, upload.server - 1]
        now_s = max(now_s, upload.not_before_s)
        slot = int(np.searchsorted(starts_s, now_s, side="right")) - 1
        while now_s < scenario.horizon_s and not present[slot]:
            now_s, slot = edges_s[slot], slot + 1
        start_s, left_bytes = now_s, float(scenario.users[upload.user].graph.weight_bytes[upload.layers[0]])
        while now_s < scenario.horizon_s and rates[slot] * (edges_s[slot] - now_s) < left_bytes:
            left_bytes -= rates[slot] * (edges_s[slot] - now_s)
            now_s, slot = edges_s[slot], slot + 1
        if start_s >= scenario.horizon_s:
            times_s.append((math.inf, math.inf))
        elif now_s >= scenario.horizon_s:
            times_s.append((start_s, scenario.horizon_s))
        else:
            now_s += left_bytes / rates[slot]
            times_s.append((start_s, now_s))
    return times_s


def test_in_one_cell_without_moves_uploads_go_one_after_another() -> None:
    for seed in range(500):
        choices = RandomChoices(np.random.default_rng(seed))
        scenario = make_scenario(choices, Sizes(uplinks=("independent",)))
        plan = make_plan(choices, scenario)
        found = [(each.start_s, each.stop_s) for one in simulate(scenario, plan).uploads for each in one.transfers]
        expected = one_after_another(scenario, plan)
        np.testing.assert_allclose(np.reshape(found, (-1, 2)), np.reshape(expected, (-1, 2)), rtol=1e-9)
