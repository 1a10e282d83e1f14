"""MJOA-MU as a planner: the order of the shared channel by hand, and what the plan is good for."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from agents.planners import planner
from agents.planners.mjoa_mu.ara import Allocation, allocate
from agents.planners.mjoa_mu.mjoa_mu import MjoaMu, fair_queue
from dnnmig_env.simulation.plan import check_plan
from dnnmig_env.simulation.reserved.shares import Shares
from dnnmig_env.simulation.simulator import simulate
from tests.agents.planners.hand_made import chain
from tests.agents.planners.random_scenarios import realistic

RNG = np.random.default_rng(0)


def test_uploads_are_in_the_order_in_which_they_would_end() -> None:
    # At 1 MB/s the first user, with a quarter of the channel, would have its layers in at 4, 8 and 16 s; the second,
    # with three quarters, at 1.33, 2.67 and 5.33 s.
    scenario = chain([1, 1, 2], [0, 0, 0], query_rate_hz=[1.0, 1.0])
    placement = (np.array([1, 1, 1], np.int8), np.array([1, 1, 1], np.int8))
    allocation = Allocation(Shares([0.25, 0.75], [[0.5], [0.5]]), placement, np.zeros(2))
    plan = fair_queue(scenario, allocation)
    assert [(upload.user, *upload.layers) for upload in plan.uploads] == [
        (1, 0),
        (1, 1),
        (0, 0),
        (1, 2),
        (0, 1),
        (0, 2),
    ]


def test_every_users_layers_go_in_topological_order() -> None:
    for seed in range(5):
        scenario = realistic(np.random.default_rng(seed), max_layers=10)
        plan = MjoaMu()(scenario, RNG)
        for user in range(len(scenario.users)):
            layers = [upload.layers[0] for upload in plan.uploads if upload.user == user]
            assert layers == sorted(layers)


def test_reserving_gives_the_same_plan_and_shares_that_carry_it() -> None:
    scenario = realistic(np.random.default_rng(1), max_layers=10)
    plan, shares = MjoaMu().reserve(scenario)
    check_plan(scenario, plan)
    assert plan == MjoaMu()(scenario, RNG)
    timeline = simulate(scenario, plan, shares)
    assert np.all(timeline.cold_start_delay_s <= timeline.device_delay_s * (1 + 1e-9))


def test_cold_starts_are_faster_than_with_placements_for_the_time_after() -> None:
    ratios: list[list[float]] = []
    for seed in range(12):
        scenario = realistic(np.random.default_rng(seed), max_layers=12)
        found = [simulate(scenario, planner(name)(scenario, RNG)).figures() for name in ("mjoa-mu", "best-server+lmu")]
        alone = simulate(scenario, planner("pbt-dp+front-to-back")(scenario, RNG)).figures()
        device_s = float(np.mean(simulate(scenario, planner("device-only")(scenario, RNG)).device_delay_s))
        others = [figures["cold_start_delay_s"] for figures in (found[1], alone)]
        ratios.append([found[0]["cold_start_delay_s"] / other for other in (*others, device_s)])
    assert np.all(np.mean(ratios, axis=0) < [0.8, 0.9, 0.9])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [("finest=0", "finest is 0.0; it must be positive"), ("beam=0", "beam is 0; keep at least 1 node")],
)
def test_impossible_parameters_are_refused(parameters: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        planner(f"mjoa-mu:{parameters}")


def test_the_planner_searches_as_ara_does_by_itself() -> None:
    defaults = {name: one.default for name, one in inspect.signature(allocate).parameters.items()}
    assert (MjoaMu().finest, MjoaMu().beam) == (defaults["finest"], defaults["beam"]) == (1 / 128, 64)
