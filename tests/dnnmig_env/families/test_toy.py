"""The toy scenario's best plan is the one worked out by hand."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from dnnmig_env.families.registry import scenarios
from dnnmig_env.families.toy import OPTIMAL_DELAY_S, OPTIMAL_PLAN, toy_scenario
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan, check_plan, plan_of
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s


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
    assert mean_delays_s(packed, plan_arrays([OPTIMAL_PLAN]))[0] == pytest.approx(OPTIMAL_DELAY_S, rel=1e-12)
    assert delays.min() == pytest.approx(OPTIMAL_DELAY_S, rel=1e-12)
    # The others that are as good only add `tail`, which does not arrive in time.
    best = [plan for plan, delay_s in zip(plans, delays, strict=True) if delay_s < 1.04 * OPTIMAL_DELAY_S]
    assert {plan.uploads[:3] for plan in best} == {OPTIMAL_PLAN.uploads}
    assert {plan.uploads[3:] for plan in best} == {(), plan_of([(0, 2, 2)]).uploads}


def test_every_toy_scenario_is_the_same() -> None:
    assert scenarios("toy", 2, seed=1) == [toy_scenario()] * 2


def test_the_edge_of_the_toy_holds_two_layers_of_two_megabytes_and_no_more() -> None:
    check_plan(toy_scenario(), plan_of([(0, 0, 1), (0, 1, 1)]))
    with pytest.raises(ValueError, match="server 1 lacks 1000000 bytes of memory"):
        check_plan(toy_scenario(), plan_of([(0, 0, 1), (0, 1, 1), (1, 0, 1)]))
