"""Exact: as good as the best of all plans, in one slot and in several; bounds that hold; refusals with a remedy."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from agents.planners import planner
from agents.planners.exact import exact as exact_planner
from agents.planners.exact.bound import bound_of, vectors_of
from agents.planners.exact.exact import Exact
from agents.planners.joint_efficiency.joint_efficiency import joint_efficiency
from agents.planners.slot_zero import slot_zero_packed
from agents.policies.policy import resolve_policy
from dnnmig_env.compiling.lent import Lent
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.families.toy import OPTIMAL_DELAY_S, OPTIMAL_PLAN, toy_scenario
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits, pack
from dnnmig_env.simulation.plan import Plan, check_plan
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from dnnmig_env.simulation.simulator import simulate
from tests.agents.planners.every_plan import every_plan, num_free_layers
from tests.agents.planners.hand_made import chain
from tests.agents.planners.random_scenarios import tiny
from tests.strategies import RandomChoices, Sizes, make_moving_scenario, make_plan, make_scenario

RNG = np.random.default_rng(0)
ROUNDING = 1e-9

EXACT, CLAIRVOYANT = Exact(first_slot=True), Exact(clairvoyant=True)


def present_delays_s(scenario: Scenario, plans: list[Plan]) -> np.ndarray:
    """Return J of each plan if slot 0's rates last."""
    return mean_delays_s(slot_zero_packed(scenario), plan_arrays(plans))


def drawn(seed: int, most_free: int, **sizes: int | bool) -> Scenario:
    """Return a random scenario in which everything may happen, with few layers to upload."""
    rng = np.random.default_rng(seed)
    while True:
        scenario = make_scenario(RandomChoices(rng), Sizes(**sizes))
        if num_free_layers(scenario) <= most_free:
            return with_some_memory(scenario, rng) if seed % 2 else scenario


def with_some_memory(scenario: Scenario, rng: np.random.Generator) -> Scenario:
    """Return the scenario with servers that hold what is uploaded, each layer alone, and somewhat more."""
    held = [
        sum(user.graph.weight_bytes[np.asarray(user.uploaded) == server].sum() for user in scenario.users)
        for server in range(1, len(scenario.servers) + 1)
    ]
    largest = 1.0 + max(float(user.graph.weight_bytes.max()) for user in scenario.users)
    servers = tuple(
        replace(server, memory_bytes=bytes_ + largest * rng.uniform(1.0, 2.5))
        for server, bytes_ in zip(scenario.servers, held, strict=True)
    )
    return replace(scenario, servers=servers)


def test_layers_that_only_pay_off_together_go_where_all_of_them_fit() -> None:
    # Server 1 (2 MB of memory) makes 1 s of each layer 0.1 s, server 2 0.5 s. 9 MB between the layers make any cut cost
    # 9 s, so only all three of 1 MB on server 2 help: 3 s per query until 3 s, then 1.5 s until 10 s.
    scenario = chain(
        [1, 1, 1],
        [9, 9, 0],
        server_s=[0.1, 0.5],
        rate_mb_per_s=[1.0, 1.0],
        memory_mb=[2.0, 9.0],
        between_mb_per_s=1.0,
        horizon_s=10.0,
    )
    plan = EXACT(scenario, RNG)
    assert sorted((upload.layers, upload.server) for upload in plan.uploads) == [((0,), 2), ((1,), 2), ((2,), 2)]
    assert simulate(scenario, plan).mean_delay_s == pytest.approx((3 * 3 + 7 * 1.5) / 10)


def test_machine_code_is_the_same_however_many_layers_can_be_moved() -> None:
    one, many = (vectors_of(np.eye(2, 3, dtype=np.bool_)[:users], 2) for users in (1, 2))
    assert Lent(one).type is Lent(many).type


def test_a_good_line_to_come_is_waited_for_by_the_clairvoyant_only() -> None:
    # 4 MB at 0.5 MB/s take longer than the 7 s there are. From 2 s on the line has 4 MB/s: an upload begun at 0 has
    # 1 MB in by then and the rest at 2.75 s. With the line down at first, it begins at 2 s and ends at 3 s.
    base = chain([4], [0], horizon_s=7.0)
    for first_mb_per_s, end_s in ((0.5, 2.75), (0.0, 3.0)):
        up = np.array([first_mb_per_s, 4.0])[:, None, None] * 1e6
        scenario = replace(
            base, links=replace(base.links, up_bytes_per_s=up, down_bytes_per_s=up), slot_starts_s=[0, 2]
        )
        (upload,) = simulate(scenario, CLAIRVOYANT(scenario, RNG)).uploads
        assert upload.end_s == pytest.approx(end_s)
        assert EXACT(scenario, RNG) == Plan()


def test_users_who_come_later_are_uploaded_for_once_they_are_there_by_the_clairvoyant_only() -> None:
    # Nobody may upload for the second user before 2 s. Its layer (1 MB) saves 9 * 0.9 s per second from its arrival on,
    # the first user's (3 MB) 0.9 s: to leave the channel idle until 2 s beats having it busy until 3 s.
    base = chain([3], [0], query_rate_hz=[1.0, 1.0], horizon_s=6.0)
    second = base.users[1]
    light = replace(second.graph, layers=(replace(second.graph.layers[0], weight_bytes=1_000_000),))
    users = (base.users[0], replace(second, graph=light, query_rate_hz=[0.0, 9.0]))
    scenario = replace(base, users=users, slot_starts_s=[0, 2])
    first, *_ = simulate(scenario, CLAIRVOYANT(scenario, RNG)).uploads
    assert (first.user, first.start_s) == (1, 2.0)
    assert [upload.user for upload in EXACT(scenario, RNG).uploads] == [0]


def test_the_toy_scenario_s_best_plan_is_found() -> None:
    assert EXACT(toy_scenario(), RNG) == OPTIMAL_PLAN
    assert simulate(toy_scenario(), EXACT(toy_scenario(), RNG)).mean_delay_s == pytest.approx(OPTIMAL_DELAY_S)


@pytest.mark.parametrize(("users", "layers"), [(1, 4), (2, 2)])
@pytest.mark.parametrize("memory", [False, True])
def test_no_plan_of_a_tiny_scenario_is_better(users: int, layers: int, memory: bool) -> None:
    for seed in range(25):
        scenario = tiny(np.random.default_rng(seed), users=users, layers=layers, memory=memory)
        plan = EXACT(scenario, RNG)
        check_plan(scenario, plan)
        best_s = present_delays_s(scenario, every_plan(scenario)).min()
        assert present_delays_s(scenario, [plan])[0] == pytest.approx(best_s, rel=ROUNDING)


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_no_plan_on_the_present_is_better_whatever_the_scenario_holds(first: int) -> None:
    for seed in range(first, first + 50):
        scenario = drawn(seed, most_free=4, users=3, layers=4)
        plan = EXACT(scenario, RNG)
        check_plan(scenario, plan)
        present = [bool(np.asarray(user.query_rate_hz)[0] > 0) for user in scenario.users]
        if not any(present):
            assert plan == Plan()
            continue
        assert all(present[upload.user] for upload in plan.uploads)
        best_s = present_delays_s(scenario, every_plan(scenario)).min()
        assert present_delays_s(scenario, [plan])[0] == pytest.approx(best_s, rel=ROUNDING)


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_no_plan_that_knows_what_comes_is_better(first: int) -> None:
    for seed in range(first, first + 50):
        scenario = drawn(seed, most_free=3, users=3, layers=3, slots=4)
        plan = CLAIRVOYANT(scenario, RNG)
        check_plan(scenario, plan)
        plans = every_plan(scenario, np.asarray(scenario.slot_starts_s).tolist())
        delays_s = mean_delays_s(pack([scenario]), plan_arrays(plans))
        best_s = next(delays_s[k] for k in np.argsort(delays_s) if begins_on_links_that_are_up(scenario, plans[k]))
        assert simulate(scenario, plan).mean_delay_s == pytest.approx(best_s, rel=ROUNDING)


def begins_on_links_that_are_up(scenario: Scenario, plan: Plan) -> bool:
    """Return whether the environment would let every upload begin when it does."""
    starts_s, rates = np.asarray(scenario.slot_starts_s), np.asarray(scenario.links.up_bytes_per_s)
    for upload in simulate(scenario, plan).uploads:
        slot = np.searchsorted(starts_s, upload.start_s, side="right") - 1
        if np.isfinite(upload.start_s) and rates[slot, upload.user, upload.server - 1] == 0:
            return False
    return True


def test_in_one_slot_there_is_nothing_to_foresee() -> None:
    for seed in range(20):
        scenario = tiny(np.random.default_rng(seed), users=2, layers=3, memory=True)
        assert EXACT(scenario, RNG) == CLAIRVOYANT(scenario, RNG)


def test_every_decision_of_a_clairvoyant_plan_is_legal_in_the_environment() -> None:
    options = {"num_users": 2, "num_edges": 2, "max_layers": 2, "slot_s": 6.0}
    given = scenarios("mobile", 8, seed=3, **options, moves=False)
    env = MigrationVectorEnv(len(given), make_generator("mobile", moves=False, **options))
    policy = resolve_policy("exact@clairvoyant", env, seed=0)
    observation, _ = env.reset(options={"scenarios": given})
    delays_s, done = np.full(len(given), np.nan), np.zeros(len(given), bool)
    while np.isnan(delays_s).any():
        observation, _, done, _, infos = env.step(policy.predict(observation)[0])
        ended = done & np.isnan(delays_s)
        if ended.any():
            delays_s[ended] = infos["mean_delay_s"][ended]
            assert not infos["illegal_action"][ended].any()
    planned_s = [simulate(scenario, CLAIRVOYANT(scenario, RNG)).mean_delay_s for scenario in given]
    np.testing.assert_allclose(delays_s, planned_s, rtol=ROUNDING)


@pytest.mark.parametrize("slots", [1, 4])
def test_no_plan_costs_less_than_the_relaxed_problem_says(slots: int) -> None:
    for seed in range(60):
        choices = RandomChoices(np.random.default_rng(seed))
        scenario = make_scenario(choices, Sizes(users=2, layers=4, servers=2, slots=slots))
        packed = pack([scenario])
        vectors = vectors_of((packed.weight_bytes[0] > 0) & (packed.uploaded[0] == 0), len(scenario.servers))
        least_cost = bound_of(packed, vectors).cost[0, 0]
        plans = [Plan(), *(make_plan(choices, scenario).singletons() for _ in range(30))]
        queries = float(np.diff(packed.slot_edges_s[0]) @ packed.query_rate_hz[0].sum(axis=1))
        assert mean_delays_s(packed, plan_arrays(plans)).min() * queries >= least_cost * (1 - ROUNDING)


def test_ten_layers_and_two_servers_are_searched() -> None:
    for seed, users in enumerate([1, 2, 5]):
        scenario = tiny(np.random.default_rng(seed), users=users, layers=10 // users, memory=True)
        plan_s = present_delays_s(scenario, [EXACT(scenario, RNG)])[0]
        for name in ("joint-efficiency", "local-search"):
            other = planner(name)(scenario, np.random.default_rng(seed)).singletons()
            assert plan_s <= present_delays_s(scenario, [other])[0] * (1 + ROUNDING)


def test_a_tolerance_is_kept() -> None:
    for seed in range(8):
        scenario = tiny(np.random.default_rng(seed), users=2, layers=4, memory=True)
        exact_s, near_s = present_delays_s(scenario, [EXACT(scenario, RNG), Exact(tolerance=0.05)(scenario, RNG)])
        assert exact_s <= near_s * (1 + ROUNDING)
        assert exact_s >= near_s * (1 - 0.05)


def test_it_is_found_by_name() -> None:
    assert planner("exact") == Exact()
    assert planner("exact:clairvoyant=true:tolerance=0.01") == Exact(clairvoyant=True, tolerance=0.01)


def test_a_scenario_that_is_too_large_is_refused_with_what_is_possible() -> None:
    scenario = tiny(np.random.default_rng(0), users=3, layers=9)
    with pytest.raises(
        ValueError,
        match=r"this one has \d\d layers to upload to 2 servers, at most 14 are possible with so many; merge layers "
        r"\(a smaller max_layers\).*local-search",
    ):
        EXACT(scenario, RNG)


def test_a_search_that_grows_too_large_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_planner, "ROOMS", (2, 4))
    scenario = tiny(np.random.default_rng(3), users=2, layers=4, memory=True)
    with pytest.raises(
        ValueError, match=r"more than 4 states for \d layers to upload to 2 servers in 1 time slots; .*"
    ):
        EXACT(scenario, RNG)


def test_room_is_made_as_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = tiny(np.random.default_rng(3), users=2, layers=4, memory=True)
    plan = EXACT(scenario, RNG)
    monkeypatch.setattr(exact_planner, "ROOMS", (2, 4, 2000))
    assert EXACT(scenario, RNG) == plan


def test_a_negative_tolerance_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tolerance is -0.1; it must be 0 or more"):
        Exact(tolerance=-0.1)


def test_where_something_changes_the_name_has_to_say_what_is_meant() -> None:
    scenario = tiny(np.random.default_rng(3), users=2, layers=3)
    arriving = replace(scenario.users[1], query_rate_hz=[0.0, 1.0])
    links = {
        name: np.asarray(getattr(scenario.links, name))[[0, 0]]
        for name in ("up_bytes_per_s", "down_bytes_per_s", "up_latency_s", "down_latency_s")
    }
    changing = replace(
        scenario,
        users=(scenario.users[0], arriving),
        links=replace(scenario.links, **links),
        slot_starts_s=(0.0, scenario.horizon_s / 2),
    )
    with pytest.raises(ValueError, match=rf"users change after {scenario.horizon_s / 2:g} s; write exact@replan"):
        Exact()(changing, RNG)
    first = EXACT(changing, RNG)
    assert {upload.user for upload in first.uploads} <= {0}  # whoever comes later is not thought of
    assert {upload.user for upload in CLAIRVOYANT(changing, RNG).uploads} == {0, 1}
    env = MigrationVectorEnv(1, limits=Limits.of([changing]))
    for name, is_refused in {"exact": True, "exact@replan": False, "exact:first_slot=true": False}.items():
        observations, _ = env.reset(options={"scenarios": [changing]})
        with pytest.raises(ValueError, match="exact@replan") if is_refused else nullcontext():
            resolve_policy(name, env, 0).predict(observations)


def test_users_who_come_into_another_cell_are_a_change() -> None:
    scenario = tiny(np.random.default_rng(3), users=2, layers=3)
    rates = {
        name: np.asarray(getattr(scenario.links, name))[[0, 0]]
        for name in ("up_bytes_per_s", "down_bytes_per_s", "up_latency_s", "down_latency_s")
    }
    links, starts_s = replace(scenario.links, **rates), (0.0, scenario.horizon_s / 2)
    still = replace(scenario, links=replace(links, home=[[1, 2], [1, 2]]), slot_starts_s=starts_s)
    moving = replace(still, links=replace(links, home=[[1, 2], [1, 1]]))
    Exact()(still, RNG)
    with pytest.raises(ValueError, match="users change after"):
        Exact()(moving, RNG)


@pytest.mark.parametrize("seed", range(8))  # in 4, lanes carry the search's plan out otherwise than it has reckoned
def test_in_cells_it_is_never_worse_than_what_it_starts_from(seed: int) -> None:
    sizes = Sizes(users=3, layers=3, servers=2, slots=1)
    scenario = make_moving_scenario(RandomChoices(np.random.default_rng(seed)), sizes)
    known = joint_efficiency(scenario, RNG).singletons()
    assert simulate(scenario, Exact()(scenario, RNG)).mean_delay_s <= simulate(scenario, known).mean_delay_s * (
        1 + 1e-9
    )
