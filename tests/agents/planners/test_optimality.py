"""How far the planners are from the best plan: never below it, local search at it, the lower bound under it.

Small scenarios of all families and random ones with everything in them, each as it is known at its start. Plans are
played as the environment does: every layer a partition of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from agents.planners import ORDER_PLANNERS, PLACEMENT_PLANNERS, PLANNERS
from agents.planners.exact.exact import Exact
from agents.planners.exact.lower_bound import lower_bound
from dnnmig_env.families.registry import scenarios
from dnnmig_env.networks.preprocessing import blocks
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.dynamics import begin
from dnnmig_env.simulation.known_scenario import known_scenario
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan, check_plan
from dnnmig_env.simulation.state import new_state
from tests.agents.planners.every_plan import num_free_layers
from tests.agents.planners.random_scenarios import delays_s
from tests.one_channel import one_channel
from tests.strategies import RandomChoices, Sizes, make_scenario

ROUNDING = 1e-9

MOST_LAYERS = 8

FAMILIES = (
    ("single", {"max_layers": 8}),
    ("edge-cloud", {"num_users": (1, 2), "num_edges": (1, 2), "max_layers": 4}),
    ("multi-user", {"num_users": 4, "num_edges": (1, 2), "max_layers": 2}),
    ("mobile", {"num_users": (2, 4), "num_edges": 2, "max_layers": 2}),
)
"""Families with options that leave about eight layers to upload to two or three servers."""


def small_scenarios(count: int, seed: int) -> Iterator[Scenario]:
    """Yield scenarios as they are known at their start, of every family and random ones in turn."""
    drawn = [scenarios(family, count, seed, **(one_channel(family) | options)) for family, options in FAMILIES]
    rng = np.random.default_rng(seed)
    for k in range(count):
        source = k % (len(FAMILIES) + 1)
        known = known_at_the_start(drawn[source][k]) if source < len(FAMILIES) else None
        while known is None:
            random = make_scenario(RandomChoices(rng), Sizes(users=3, layers=5, servers=3))
            if num_free_layers(random) <= MOST_LAYERS:
                known = known_at_the_start(random)
        yield known


def known_at_the_start(scenario: Scenario) -> Scenario | None:
    """Return what planners know of a scenario at time 0, None if nobody is there."""
    p = pack([scenario])
    state = new_state(p, 1)
    begin(p, 0, state, 0)
    return known_scenario(scenario, state, 0)


def all_plans(scenario: Scenario) -> dict[str, Plan]:
    """Return the plan of every planner and of every placement with every order."""
    rng = np.random.default_rng(0)
    plans = {name: planner(scenario, rng) for name, planner in PLANNERS.items()}
    for name, place in PLACEMENT_PLANNERS.items():
        placement = place(scenario, rng)
        plans |= {f"{name}+{other}": order(scenario, placement, rng) for other, order in ORDER_PLANNERS.items()}
    return plans


def ratios(count: int, seed: int) -> dict[str, list[float]]:
    """Return J of every planner's plan as a multiple of the least one, for each scenario."""
    found: dict[str, list[float]] = {}
    for scenario in small_scenarios(count, seed):
        plans = all_plans(scenario)
        for plan in plans.values():
            check_plan(scenario, plan)
        played = [Exact()(scenario, np.random.default_rng(0)), *(plan.singletons() for plan in plans.values())]
        best_s, *planned_s = delays_s(scenario, played)
        for name, delay_s in zip(plans, planned_s, strict=True):
            found.setdefault(name, []).append(delay_s / best_s)
    return found


def chains(count: int, seed: int, *, sharing: bool) -> Iterator[Scenario]:
    """Yield scenarios of one user and a chain: of the zoo, cut into blocks, with steady and with recorded rates."""
    for traces in ((), ("examples/walk_synthetic.csv",)):
        for scenario in scenarios("single", count // 4, seed, max_layers=MOST_LAYERS, traces=traces):
            user = scenario.users[0]
            yield replace(scenario, users=(replace(user, graph=blocks(user.graph), uploaded=None),))
    for k in range(count // 2):
        sizes = Sizes(users=1, layers=6, servers=2, slots=3, chain=True, sharing=sharing)
        yield make_scenario(RandomChoices(np.random.default_rng(seed + k)), sizes)


def lower_bound_ratios(count: int, seed: int, *, sharing: bool) -> list[float]:
    """Return the least J as a multiple of the lower bound, for each scenario of one user and a chain.

    Only scenarios in which some layer shares weights of another count, or only those in which none does.
    """
    found = []
    for scenario in chains(count, seed, sharing=sharing):
        if sharing != any(layer.shares for layer in scenario.users[0].graph.layers):
            continue
        plan = Exact(clairvoyant=True)(scenario, np.random.default_rng(0))
        found.append(delays_s(scenario, [plan])[0] / lower_bound(scenario))
    return found


@pytest.mark.parametrize("count", [pytest.param(12, id="few"), pytest.param(500, id="many", marks=pytest.mark.slow)])
def test_no_planner_is_better_than_exact_and_local_search_is_as_good(count: int) -> None:
    found = ratios(count, seed=1)
    assert min(min(values) for values in found.values()) >= 1 - ROUNDING
    assert np.mean(found["local-search"]) <= 1.001


@pytest.mark.parametrize("count", [pytest.param(12, id="few"), pytest.param(500, id="many", marks=pytest.mark.slow)])
def test_the_lower_bound_is_below_exact_and_near_it(count: int) -> None:
    found = lower_bound_ratios(count, seed=1, sharing=False)
    assert min(found) >= 1 - ROUNDING
    assert np.mean(found) <= 1.05
    assert min(lower_bound_ratios(count, seed=1, sharing=True)) >= 1 - ROUNDING  # wherever shared weights may be
