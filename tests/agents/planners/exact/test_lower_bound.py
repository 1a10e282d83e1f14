"""The lower bound: below every plan, exact where it can be worked out by hand, refused where it does not hold."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from agents.planners.exact.exact import Exact
from agents.planners.exact.lower_bound import CELLS, lower_bound
from dnnmig_env.families.registry import scenarios
from dnnmig_env.networks.preprocessing import blocks
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, Upload
from tests.agents.planners.hand_made import chain
from tests.agents.planners.random_scenarios import delays_s
from tests.strategies import RandomChoices, Sizes, make_plan, make_scenario

CHAINS = Sizes(users=1, chain=True)
WALK = ("examples/walk_synthetic.csv",)


def test_one_layer_is_bounded_by_its_upload() -> None:
    # 1 MB at 1 MB/s: 1 s per query for the first second, 0.1 s for the other three: (1 + 3 * 0.1) / 4.
    scenario = chain([1], [0], horizon_s=4.0)
    assert lower_bound(scenario) == pytest.approx(1.3 / 4, rel=4 / CELLS)
    assert delays_s(scenario, [Plan((Upload(0, 1, (0,)),))])[0] >= lower_bound(scenario)


def test_layers_that_help_in_any_order_are_bounded_by_the_better_one_first() -> None:
    # Layer 1 (1 MB) and layer 0 (3 MB) save 0.9 s each: 2 s until 1, 1.1 s until 4, then 0.2 s until 10.
    scenario = chain([3, 1], [0, 0], horizon_s=10.0)
    assert lower_bound(scenario) == pytest.approx((2 + 3 * 1.1 + 6 * 0.2) / 10, rel=4 / CELLS)


def test_a_server_near_and_one_that_is_fast_both_count() -> None:
    # At 2 MB/s the near server is reached after 0.5 s (0.5 s per query); the fast one after 1 s, but only if the layer
    # was not sent to the near one: no plan has both, the bound has.
    scenario = chain([1], [0], server_s=[0.5, 0.1], rate_mb_per_s=[2.0, 1.0], horizon_s=4.0)
    assert lower_bound(scenario) == pytest.approx((0.5 + 0.5 * 0.5 + 3 * 0.1) / 4, rel=4 / CELLS)


def test_a_line_that_is_slow_or_down_at_first_bounds_what_is_in_later() -> None:
    # 4 MB; 0.5 MB/s until 2 s, 4 MB/s until 3 s, then nothing: 1 MB is in by 2 s, the rest at 2.75 s, and no sooner.
    base = chain([4], [0], horizon_s=8.0)
    up = np.array([0.5, 4.0, 0.0])[:, None, None] * 1e6
    links = replace(base.links, up_bytes_per_s=up, down_bytes_per_s=1e6)
    scenario = replace(base, links=links, slot_starts_s=[0.0, 2.0, 3.0])
    assert lower_bound(scenario) == pytest.approx((2.75 + 5.25 * 0.1) / 8, rel=4 / CELLS)
    assert delays_s(scenario, [Plan((Upload(0, 1, (0,)),))])[0] >= lower_bound(scenario)


def test_nothing_is_in_before_the_user_has_come() -> None:
    # Present from 2 s on; 1 MB at 1 MB/s: 1 s per query until 3 s, then 0.1 s until 5 s.
    base = chain([1], [0], horizon_s=5.0)
    scenario = replace(base, users=(replace(base.users[0], query_rate_hz=[0.0, 1.0]),), slot_starts_s=[0.0, 2.0])
    assert lower_bound(scenario) == pytest.approx((1 + 2 * 0.1) / 3, rel=4 / CELLS)


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_no_plan_is_better_whatever_changes_meanwhile(first: int) -> None:
    for seed in range(first, first + 50):
        choices = RandomChoices(np.random.default_rng(seed))
        scenario = make_scenario(choices, CHAINS)
        plans = [Plan(), *(make_plan(choices, scenario) for _ in range(40))]
        assert min(delays_s(scenario, plans)) >= lower_bound(scenario) * (1 - 1e-9)


def test_no_sequence_of_uploads_is_better() -> None:
    for seed in range(40):
        choices = RandomChoices(np.random.default_rng(seed))
        scenario = make_scenario(choices, Sizes(users=1, layers=4, servers=2, slots=2, chain=True, outages=False))
        user = scenario.users[0]
        free = [int(v) for v in np.flatnonzero((user.graph.weight_bytes > 0) & (np.asarray(user.uploaded) == 0))]
        plans = [
            Plan(tuple(Upload(0, server, (v,)) for v, server in zip(order, servers, strict=True)))
            for count in range(len(free) + 1)
            for order in itertools.permutations(free, count)
            for servers in itertools.product(range(1, len(scenario.servers) + 1), repeat=count)
        ]
        assert min(delays_s(scenario, plans)) >= lower_bound(scenario) * (1 - 1e-9)


def chained(scenario: Scenario) -> Scenario:
    user = scenario.users[0]
    return replace(scenario, users=(replace(user, graph=blocks(user.graph), uploaded=None),))


def test_it_is_near_the_best_plans_whether_rates_change_or_not() -> None:
    # It is a bound wherever weights give way to data, but it does not know of that.
    for traces, uplink, nearness in (((), "independent", 1.03), ((), "priority", 1.06), (WALK, "independent", 1.03)):
        ratios = []
        for drawn in scenarios("single", 20, seed=3, max_layers=8, traces=traces, uplink=uplink):
            scenario = chained(drawn)
            plan = Exact(clairvoyant=True)(scenario, np.random.default_rng(0))
            ratios.append(delays_s(scenario, [plan])[0] / lower_bound(scenario))
        assert min(ratios) >= 1 - 1e-9
        assert np.mean(ratios) < nearness


def test_what_it_does_not_hold_for_is_refused() -> None:
    with pytest.raises(ValueError, match="scenario has 2 users; the lower bound holds for 1"):
        lower_bound(chain([1], [0], query_rate_hz=[1.0, 1.0]))
    branched = next(
        scenario
        for scenario in scenarios("single", 50, seed=1)
        if len(blocks(scenario.users[0].graph)) < len(scenario.users[0].graph)
    )
    with pytest.raises(
        ValueError, match=r"is no chain: layer \d+ .* make it one with dnnmig_env.networks.preprocessing.blocks"
    ):
        lower_bound(branched)
