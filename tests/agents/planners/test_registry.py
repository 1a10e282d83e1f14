"""The contract that every planner keeps, and how planners are found by name."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from agents.planners import ORDER_PLANNERS, PLACEMENT_PLANNERS, PLANNERS, TwoPhase, planner
from agents.planners.swarms.pso_ga import PsoGa
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, check_plan, plan_of
from tests.agents.planners.random_scenarios import delays_s, realistic, tiny

# Halves know nothing of each other: every placement with one order and every order with one placement are enough.
PAIRS = [f"{placement}+front-to-back" for placement in PLACEMENT_PLANNERS]
PAIRS += [f"pso-ga+{order}" for order in ORDER_PLANNERS]
NAMES = list(dict.fromkeys([*PLANNERS, *PAIRS]))
EFFICIENT = [name for name in NAMES if name in ("device-only", "joint-efficiency")]

every_planner = pytest.mark.parametrize("name", NAMES)

SHORT = {
    "pso": "pso:swarm=20:iterations=40",
    "pso-ga": "pso-ga:swarm=20:iterations=40",
    "genetic": "genetic:population=20:generations=40",
    "local-search": "local-search:evaluations=1000",
}
"""Searches that end soon. What every plan must be, a plan must be that was not searched for long."""


def plan_for(name: str, scenario: Scenario, seed: int = 0) -> Plan:
    return whole_plan_for("+".join(SHORT.get(half, half) for half in name.split("+")), scenario, seed)


def whole_plan_for(name: str, scenario: Scenario, seed: int = 0) -> Plan:
    return planner(name)(scenario, np.random.default_rng(seed))


def sent(plan: Plan) -> set[tuple[int, int]]:
    return {(upload.user, layer) for upload in plan.uploads for layer in upload.layers}


@every_planner
def test_plans_can_be_carried_out(name: str) -> None:
    for seed in range(5):
        scenario = realistic(np.random.default_rng(seed), max_layers=8)
        check_plan(scenario, plan_for(name, scenario))
    check_plan(scenario, whole_plan_for(name, scenario))


@every_planner
def test_plans_depend_on_nothing_but_the_scenario_and_the_rng(name: str) -> None:
    scenario = realistic(np.random.default_rng(7), max_layers=8)
    assert plan_for(name, scenario, 3) == plan_for(name, scenario, 3)


@every_planner
def test_nothing_is_uploaded_for_absent_users(name: str) -> None:
    for seed in range(3):
        scenario = realistic(np.random.default_rng(seed), max_layers=8)
        users = (scenario.users[0], replace(scenario.users[1], query_rate_hz=0.0), *scenario.users[2:])
        plan = plan_for(name, replace(scenario, users=users))
        assert all(upload.user != 1 for upload in plan.uploads)


@every_planner
def test_users_who_are_absent_now_are_left_alone_even_if_they_come_later(name: str) -> None:
    scenario = tiny(np.random.default_rng(1), users=2)
    users = (scenario.users[0], replace(scenario.users[1], query_rate_hz=[0.0, 1.0]))
    plan = plan_for(name, replace(scenario, users=users, slot_starts_s=(0.0, 0.5)))
    assert all(upload.user == 0 for upload in plan.uploads)


@every_planner
def test_nobody_present_means_an_empty_plan(name: str) -> None:
    scenario = tiny(np.random.default_rng(1))
    users = (replace(scenario.users[0], query_rate_hz=[0.0, 1.0]),)
    assert plan_for(name, replace(scenario, users=users, slot_starts_s=(0.0, 0.5))) == Plan()


@every_planner
def test_uploaded_layers_are_not_sent_again(name: str) -> None:
    rng = np.random.default_rng(5)
    for seed in range(3):
        scenario = realistic(np.random.default_rng(seed), max_layers=8)
        users = tuple(
            replace(user, uploaded=np.where(rng.random(len(user.graph)) < 0.3, 3, 0)) for user in scenario.users
        )
        scenario = replace(scenario, users=users)
        held = {(u, v) for u, user in enumerate(scenario.users) for v in np.flatnonzero(np.asarray(user.uploaded))}
        plan = plan_for(name, scenario)
        check_plan(scenario, plan)
        assert not sent(plan) & held


@every_planner
def test_future_slots_do_not_matter(name: str) -> None:
    scenario = tiny(np.random.default_rng(2), users=2)
    links = scenario.links
    up = np.asarray(links.up_bytes_per_s)
    future = replace(
        scenario,
        slot_starts_s=(0.0, 0.1),
        links=replace(
            links,
            up_bytes_per_s=np.concatenate([up, up[:, :, ::-1] * 9]),
            down_bytes_per_s=np.concatenate([np.asarray(links.down_bytes_per_s)] * 2),
            up_latency_s=np.concatenate([np.asarray(links.up_latency_s)] * 2),
            down_latency_s=np.concatenate([np.asarray(links.down_latency_s)] * 2),
        ),
        users=tuple(replace(user, query_rate_hz=np.tile(user.query_rate_hz, 2)) for user in scenario.users),
    )
    assert plan_for(name, future) == plan_for(name, scenario)


@every_planner
def test_servers_out_of_reach_now_are_not_used(name: str) -> None:
    scenario = tiny(np.random.default_rng(4), users=2)
    links, up = scenario.links, np.repeat(np.asarray(scenario.links.up_bytes_per_s), 2, axis=0)
    up[0, :, 0] = 0.0  # server 1 comes into reach in slot 1
    scenario = replace(
        scenario,
        slot_starts_s=(0.0, 0.1),
        links=replace(
            links,
            up_bytes_per_s=up,
            down_bytes_per_s=up,
            up_latency_s=np.repeat(np.asarray(links.up_latency_s), 2, axis=0),
            down_latency_s=np.repeat(np.asarray(links.down_latency_s), 2, axis=0),
        ),
        users=tuple(replace(user, query_rate_hz=np.tile(user.query_rate_hz, 2)) for user in scenario.users),
    )
    assert all(upload.server == 2 for upload in plan_for(name, scenario).uploads)


@every_planner
def test_memory_is_respected_where_it_binds(name: str) -> None:
    for seed in range(20):
        scenario = tiny(np.random.default_rng(seed), users=2, memory=True)
        check_plan(scenario, plan_for(name, scenario))


@pytest.mark.parametrize("name", EFFICIENT)
def test_efficiency_never_loses_to_the_device(name: str) -> None:
    for seed in range(40):
        scenario = realistic(np.random.default_rng(seed), max_layers=8)
        device_s, plan_s = delays_s(scenario, [Plan(), plan_for(name, scenario)])
        assert plan_s <= device_s * (1 + 1e-12)


@every_planner
def test_nothing_beats_exhaustive_search(name: str) -> None:
    for seed in range(25):
        scenario, best_s = searched_exhaustively(seed)
        assert delays_s(scenario, [plan_for(name, scenario)])[0] >= best_s * (1 - 1e-12)


@cache
def searched_exhaustively(seed: int) -> tuple[Scenario, float]:
    """Return a scenario with one user and the least delay that a plan can have in it."""
    scenario = tiny(np.random.default_rng(seed), memory=bool(seed % 2))
    return scenario, min(delays_s(scenario, all_plans(scenario)))


def all_plans(scenario: Scenario) -> list[Plan]:
    """Return every sequence of single-layer uploads of a scenario with one user that fits the memory."""
    graph, plans = scenario.users[0].graph, []
    layers = np.flatnonzero(graph.weight_bytes)
    for count in range(len(layers) + 1):
        for order in itertools.permutations(layers, count):
            for servers in itertools.product(range(1, len(scenario.servers) + 1), repeat=count):
                plan = plan_of((0, int(v), s) for v, s in zip(order, servers, strict=True))
                try:
                    check_plan(scenario, plan)
                except ValueError:
                    continue
                plans.append(plan)
    return plans


def test_names_resolve_to_registered_planners_and_pairs() -> None:
    scenario = realistic(np.random.default_rng(0), max_layers=6)
    assert planner("device-only") is PLANNERS["device-only"]
    assert plan_for("best-server+front-to-back", scenario) == plan_for("front-to-back", scenario)
    assert {upload.server for upload in plan_for("all-to-2", scenario).uploads} == {2}
    assert plan_for("all-to-3+front-to-back", scenario) == plan_for("all-to-3", scenario)


def test_parameters_behind_a_name_change_the_planner() -> None:
    found = planner("pso-ga:swarm=7:w_max=0.5:iterations=1e2+lmu")
    assert isinstance(found, TwoPhase)
    assert found.placement == PsoGa(swarm=7, w_max=0.5, iterations=100)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("device-onyl", "did you mean 'device-only'"),
        ("all-to-0", "unknown planner 'all-to-0'.*all-to-K"),
        ("best-sever+front-to-back", "unknown placement planner 'best-sever'; did you mean 'best-server'"),
        ("best-server+front", "unknown order planner 'front'"),
        ("best-server", "only places layers; add an order"),
        ("", "unknown planner ''"),
        ("pso-ga:swram=5+lmu", "planner 'pso-ga' has no parameter 'swram'; its parameters are swarm, iterations"),
        ("device-only:swarm=5", "planner 'device-only' has no parameter 'swarm'; it has no parameters"),
        ("pso-ga+lmu:swarm=5", "planner 'lmu' has no parameter 'swarm'; it has no parameters"),
        ("pso-ga:swarm=few+lmu", "pso-ga:swarm is 'few'; give a whole number"),
        ("pso-ga:swarm=1.5+lmu", "pso-ga:swarm is '1.5'; give a whole number"),
        ("pso-ga:swarm=0+lmu", "swarm is 0; it must be at least 1"),
    ],
)
def test_unknown_names_are_told_with_a_remedy(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        planner(name)


def test_all_to_a_server_that_does_not_exist_says_which_exist() -> None:
    with pytest.raises(ValueError, match="all-to-9 needs a server 9, but the scenario has 2: use all-to-1 to all-to-2"):
        plan_for("all-to-9", tiny(np.random.default_rng(0)))
