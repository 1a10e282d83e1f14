"""The toy scenario's best plan is the one worked out by hand."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from dnnmig_env.families.registry import scenarios
from dnnmig_env.families.toy import OPTIMAL_DELAY_S, OPTIMAL_PLAN, toy_scenario
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan, check_plan, plan_of
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from dnnmig_env.simulation.simulator import simulate


def toy_plans() -> list[Plan]:
    """Return every plan of the toy scenario that the edge's memory allows."""
    layers = [(0, 0), (0, 1), (0, 2), (1, 0)]
    plans = []
    for count in range(5):
        for order, servers in product(permutations(layers, count), product((1, 2), repeat=count)):
            plan = plan_of((u, v, server) for (u, v), server in zip(order, servers, strict=True))
            try:
                check_plan(toy_scenario(), plan)
            except ValueError:
                continue
            plans.append(plan)
    return plans


def test_no_plan_of_the_toy_scenario_beats_the_one_worked_out_by_hand() -> None:
    packed, plans = pack([toy_scenario()]), toy_plans()
    delays = mean_delays_s(packed, plan_arrays(plans))
    assert mean_delays_s(packed, plan_arrays([OPTIMAL_PLAN]))[0] == pytest.approx(OPTIMAL_DELAY_S, rel=1e-6)
    assert delays.min() == pytest.approx(OPTIMAL_DELAY_S, rel=1e-6)
    # The others that are as good only add `tail`, which does not arrive in time.
    best = [plan for plan, delay_s in zip(plans, delays, strict=True) if delay_s < 1.03 * OPTIMAL_DELAY_S]
    assert {plan.uploads[:3] for plan in best} == {OPTIMAL_PLAN.uploads}
    assert {plan.uploads[3:] for plan in best} == {(), plan_of([(0, 2, 2)]).uploads}


def test_the_best_plan_goes_as_the_table_says() -> None:
    timeline = simulate(toy_scenario(), OPTIMAL_PLAN)
    assert timeline.event_time_s == pytest.approx([0.0, 2.0, 4.071, 6.382], abs=6e-4)
    expected = [[5.0, 2.0], [2.9, 2.0], [2.910, 0.428], [2.447, 0.456]]
    np.testing.assert_allclose(timeline.event_delay_s, expected, atol=6e-4)
    # What others slow is the data on the uplink alone, in the third row by 1.103 and 1.038, in the last one more.
    slowed = [[0.0, 0.0], [0.0, 0.0], [0.1 * 0.103, 0.2 * 0.038], [0.4 * 0.118, 0.2 * 0.181]]
    alone = [[5.0, 2.0], [2.9, 2.0], [2.9, 0.42], [2.4, 0.42]]
    np.testing.assert_allclose(timeline.event_delay_s, np.add(alone, slowed), atol=3e-4)
    assert pytest.approx(OPTIMAL_DELAY_S, abs=1e-3) == (7 * 2 + 4.9 * 2.071 + 3.338 * 2.310 + 2.903 * 3.618) / 10 / 2


def test_where_weights_and_data_do_not_meet_the_best_plan_is_faster() -> None:
    # 2 s for each of the three uploads; J is less, though the users' data still meet.
    timeline = simulate(toy_scenario(), OPTIMAL_PLAN, uplink="independent")
    assert [upload.end_s for upload in timeline.uploads] == [2.0, 4.0, 6.0]
    assert timeline.mean_delay_s < OPTIMAL_DELAY_S


def test_every_toy_scenario_is_the_same() -> None:
    assert scenarios("toy", 2, seed=1) == [toy_scenario()] * 2


def test_the_edge_of_the_toy_holds_two_layers_of_two_megabytes_and_no_more() -> None:
    check_plan(toy_scenario(), plan_of([(0, 0, 1), (0, 1, 1)]))
    with pytest.raises(ValueError, match="server 1 lacks 1000000 bytes of memory"):
        check_plan(toy_scenario(), plan_of([(0, 0, 1), (0, 1, 1), (1, 0, 1)]))
