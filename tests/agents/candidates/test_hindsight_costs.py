"""Hindsight: what a candidate would have cost is what simulating the exchanged plan says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.candidates.shortlist import LATER
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.scenarios.node import Node
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.dynamics import advance, begin, horizon_s, upload
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from dnnmig_env.simulation.state import new_state
from tests.candidate_play import decided_plans, one_channel
from tests.strategies import RandomChoices, Sizes, make_scenario

STATIC = ["single", "edge-cloud", "multi-user", "toy"]

CANDIDATES = 10

Steps = list[tuple[int, int, int]]


def make_env(family: str, **options: Any) -> MigrationEnv:
    return MigrationEnv(make_generator(family, **(one_channel(family) | options)), observation="candidates")


def steady(count: int) -> list[Scenario]:
    """Return scenarios of several slots in which everybody is there all the time and every link works."""
    sizes = Sizes(slots=4, outages=False, absences=False)
    made = [make_scenario(RandomChoices(np.random.default_rng(seed)), sizes) for seed in range(count)]
    return [scenario for scenario in made if scenario.num_slots > 1]


def restless(count: int) -> list[Scenario]:
    """Return scenarios of several slots with outages, absences, and memory for about half of all weights."""
    made = [make_scenario(RandomChoices(np.random.default_rng(1000 + seed)), Sizes(slots=4)) for seed in range(count)]
    return [
        replace(scenario, servers=tuple(_smaller(scenario, server) for server in scenario.servers)) for scenario in made
    ]


def _smaller(scenario: Scenario, server: Node) -> Node:
    there = sum(float(user.graph.weight_bytes[np.asarray(user.uploaded) > 0].sum()) for user in scenario.users)
    every = sum(float(user.graph.weight_bytes.sum()) for user in scenario.users)
    largest = max(float(user.graph.weight_bytes.max()) for user in scenario.users)
    return replace(server, memory_bytes=there + max(0.5 * every, largest, 1.0))


def choose(env: MigrationEnv, rng: np.random.Generator, waits: bool) -> np.int64:
    """Return a legal action; "stop" only where nothing else is, or, if that may be, now and then."""
    legal = np.flatnonzero(env.action_masks())
    if len(legal) == 1 or (waits and rng.random() < 0.15):
        return np.int64(legal[-1])
    return np.int64(rng.choice(legal[:-1]))


def played(
    env: MigrationEnv, rng: np.random.Generator, waits: bool = False, **reset: Any
) -> tuple[list[np.int64], float]:
    """Play an episode; return its actions and J."""
    env.reset(**reset)
    actions, done, info = [], False, {}
    while not done:
        actions.append(choose(env, rng, waits))
        _, _, done, _, info = env.step(actions[-1])
    return actions, info["mean_delay_s"]


def costs_s(env: MigrationEnv, decided: Any, candidates: int = CANDIDATES) -> Any:
    """Return `hindsight_costs` of a single environment per query, shape (K + 2,)."""
    costs = env.episodes.observer.hindsight_costs(np.zeros(1, np.int64), decided, candidates)
    return costs[0] / env.episodes.state.expected_queries[0]


def run_of(env: MigrationEnv, k: int) -> Steps:
    """Return the uploads of a candidate's run: of layers that may go to its server now."""
    chosen, mask = env.episodes.observer.prospects.chosen[0, k], env.action_masks()
    u, v, q = (int(part) for part in chosen[:3])
    last = int(chosen[3 + LATER] if len(chosen) > 4 else chosen[3])
    return [(u, w, q + 1) for w in range(v, last + 1) if mask[env.encode(u, w, q + 1)]]


def continued(env: MigrationEnv, run: Steps, then: Plan, not_before_s: float = 0.0) -> Plan:
    """Return the uploads made, those of a run, and those of a plan that are left and fit."""
    scenario = env.scenario()
    left = [server.memory_bytes for server in scenario.servers]
    for user in scenario.users:
        for v in np.flatnonzero(np.asarray(user.uploaded)):
            left[int(np.asarray(user.uploaded)[v]) - 1] -= float(user.graph.weight_bytes[v])
    sent, uploads, now_s = set(), [], env.time_s()
    steps = [(item.user, item.layers[0], item.server, item.not_before_s) for item in env.plan().uploads]
    steps += [(*step, now_s) for step in run]
    steps += [(item.user, item.layers[0], item.server, max(now_s, not_before_s)) for item in then.uploads]
    for u, v, server, from_s in steps:
        weight = scenario.users[u].graph.weight_bytes[v]
        if (u, v) not in sent and weight <= left[server - 1]:
            sent.add((u, v))
            uploads.append(Upload(u, server, (v,), from_s))
            left[server - 1] -= weight
    return Plan(tuple(uploads))


def delay_s(scenario: Scenario, plan: Plan) -> float:
    return float(mean_delays_s(pack([scenario]), plan_arrays([plan]))[0])


@pytest.mark.parametrize("family", [*STATIC, "mobile"])
def test_going_on_as_decided_costs_what_the_episode_cost(family: str) -> None:
    env, rng, compared = make_env(family), np.random.default_rng(0), 0
    for seed in range(6):
        actions, final_s = played(env, rng, seed=seed)
        decided, scenario = decided_plans(env.episodes), env.scenario()
        env.reset(options={"scenario": scenario})
        for action in actions:
            assert costs_s(env, decided)[-1] == pytest.approx(final_s, rel=1e-9)
            env.step(action)
            compared += 1
    assert compared > 10


def test_going_on_as_decided_holds_with_outages_and_absences() -> None:
    env, compared = make_env("mobile", moves=False), 0
    for seed, scenario in enumerate(restless(40)):
        rng = np.random.default_rng(seed)
        actions, final_s = played(env, rng, options={"scenario": scenario})
        decided = decided_plans(env.episodes)
        env.reset(options={"scenario": scenario})
        for action in actions:
            assert costs_s(env, decided)[-1] == pytest.approx(final_s, rel=1e-9)
            env.step(action)
            compared += 1
    assert compared > 100


def check_columns(env: MigrationEnv, rng: np.random.Generator, waits: bool, **reset: Any) -> tuple[int, int]:
    """Compare all columns with explicit plans; return the number of candidates and of those that change the cost."""
    actions, _ = played(env, rng, waits, **reset)
    decided, whole, scenario = decided_plans(env.episodes), env.plan(), env.scenario()
    env.reset(options={"scenario": scenario})
    edges_s, compared, differing = [*np.asarray(scenario.slot_starts_s)[1:], scenario.horizon_s], 0, 0
    for action in actions:
        columns, prospects = costs_s(env, decided), env.episodes.observer.prospects
        next_s = float(min(edge_s for edge_s in edges_s if edge_s > env.time_s()))
        going_on_s = delay_s(scenario, continued(env, [], whole))
        assert columns[-1] == pytest.approx(going_on_s, rel=1e-9)
        waiting_s = delay_s(scenario, continued(env, [], whole, next_s))
        assert columns[-2] == pytest.approx(waiting_s, rel=1e-9)
        for k, column in enumerate(columns[:CANDIDATES]):
            if prospects.value[0, k] <= 0.0:
                assert column == np.inf
                continue
            run = run_of(env, k)
            assert column == pytest.approx(delay_s(scenario, continued(env, run, whole)), rel=1e-9)
            compared += 1
            differing += abs(column / columns[-1] - 1.0) > 1e-9
        env.step(action)
    return compared, differing


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("family", STATIC)
def test_a_candidate_costs_what_its_run_and_then_the_rest_of_the_plan_do(family: str, waits: bool) -> None:
    env, rng = make_env(family), np.random.default_rng(1)
    counts = np.sum([check_columns(env, rng, waits, seed=seed) for seed in range(5)], axis=0)
    assert counts.min() > 20


@pytest.mark.parametrize("waits", [False, True])
def test_a_candidate_costs_what_its_run_and_then_the_rest_do_over_slots(waits: bool) -> None:
    """Under the rates that really come; and waiting is until the next slot."""
    env, counts = make_env("mobile", moves=False), np.zeros(2)
    for seed, scenario in enumerate(steady(30)):
        counts += check_columns(env, np.random.default_rng(seed), waits, options={"scenario": scenario})
    assert counts.min() > 100


@pytest.mark.parametrize("kind", ["mobile", "restless"])
def test_candidates_and_waiting_cost_what_an_oracle_says(kind: str) -> None:
    """The oracle takes from the plan whatever can be made at each moment, step by step by the kernel itself."""
    env, rng, compared = make_env("mobile", moves=False), np.random.default_rng(2), 0
    sizes = {"num_users": (2, 3), "max_layers": 6, "moves": False}
    given = scenarios("mobile", 3, seed=6, **sizes) if kind == "mobile" else restless(30)
    for scenario in given:
        actions, _ = played(env, rng, waits=True, options={"scenario": scenario})
        decided, whole = decided_plans(env.episodes), env.plan()
        env.reset(options={"scenario": scenario})
        for index, action in enumerate(actions):
            before = actions[:index]
            columns, prospects = costs_s(env, decided), env.episodes.observer.prospects
            assert columns[-1] == pytest.approx(oracle_s(scenario, before, env, [], whole), rel=1e-9)
            waiting_s = oracle_s(scenario, [*before, env.stop_action], env, [], whole)
            assert columns[-2] == pytest.approx(waiting_s, rel=1e-9)
            for k in range(min(4, int(np.count_nonzero(prospects.value[0])))):
                assert columns[k] == pytest.approx(oracle_s(scenario, before, env, run_of(env, k), whole), rel=1e-9)
                compared += 1
            env.step(action)
    assert compared > 60


def oracle_s(scenario: Scenario, actions: list[Any], env: MigrationEnv, run: Steps, then: Plan) -> float:
    """Return J of taking some actions, then a run, then what is left of a plan, the first that can be made first."""
    packed = pack([scenario])
    state = new_state(packed, 1)
    begin(packed, 0, state, 0)

    def can_be_made(u: int, v: int, server: int) -> bool:
        there = (
            packed.query_rate_hz[0, state.slot[0], u] > 0 and packed.up_bytes_per_s[0, state.slot[0], u, server - 1] > 0
        )
        return bool(
            there
            and state.node[0, u, v] == 0
            and packed.weight_bytes[0, u, v] <= state.memory_left_bytes[0, server - 1]
        )

    def wait() -> None:
        advance(packed, 0, state, 0, packed.slot_edges_s[0, state.slot[0] + 1])

    every = [
        (u, v, server)
        for u in range(packed.num_users[0])
        for v in range(packed.num_layers[0, u])
        for server in range(1, packed.num_servers[0] + 1)
        if packed.weight_bytes[0, u, v] > 0
    ]
    for number, action in enumerate(actions):
        step = env.episodes.actions.decode(int(action))
        # Where nothing can be made no action is asked for, but at the start.
        while number > 0 and not any(can_be_made(*other) for other in every):
            wait()
        if step is None:
            wait()
        else:
            upload(packed, 0, state, 0, *step)
    for step in run:
        upload(packed, 0, state, 0, *step)
    plan = [(item.user, item.layers[0], item.server) for item in then.uploads]
    while state.time_s[0] < horizon_s(packed, 0):
        possible = [step for step in plan if can_be_made(*step)]
        if possible:
            upload(packed, 0, state, 0, *possible[0])
        else:
            wait()
    return float(state.cost_s[0] / state.expected_queries[0])


def test_rows_of_a_batch_are_looked_back_at_as_if_alone() -> None:
    generator, rng = make_generator("multi-user", num_users=(2, 3), max_layers=6), np.random.default_rng(3)
    batch = MigrationVectorEnv(40, generator, observation="candidates")
    alone = MigrationEnv(generator, observation="candidates")
    observations, _ = batch.reset(seed=50)
    taken = []
    for _ in range(3):
        scores = rng.random(observations["action_mask"].shape) * observations["action_mask"]
        scores[:, -1] *= 1e-9
        taken.append(scores.argmax(axis=1))
        observations, _, terminated, _, _ = batch.step(taken[-1])
    rows = np.array([39, 4, 17])[~terminated[[39, 4, 17]]]
    assert len(rows) > 0
    decided = decided_plans(batch.episodes)
    together = batch.episodes.observer.hindsight_costs(rows, decided, CANDIDATES)
    for k, row in enumerate(rows):
        alone.reset(seed=50 + int(row))
        for actions in taken:
            alone.step(actions[row])
        single = alone.episodes.observer.hindsight_costs(
            np.zeros(1, np.int64), decided_plans(alone.episodes), CANDIDATES
        )
        np.testing.assert_array_equal(together[k], single[0])


def test_looking_back_changes_nothing() -> None:
    (scenario,) = scenarios("mobile", 1, seed=4, moves=False)
    looking, other, rng = make_env("mobile", moves=False), make_env("mobile", moves=False), np.random.default_rng(5)
    played(looking, rng, options={"scenario": scenario})
    decided = decided_plans(looking.episodes)
    first, _ = looking.reset(options={"scenario": scenario})
    other.reset(options={"scenario": scenario})
    done = False
    while not done:
        costs = costs_s(looking, decided)
        np.testing.assert_array_equal(costs, costs_s(looking, decided))
        action = choose(looking, rng, waits=True)
        first, reward, done, _, _ = looking.step(action)
        second, other_reward, _, _, _ = other.step(action)
        assert reward == other_reward
        np.testing.assert_array_equal(first["observation"], second["observation"])
