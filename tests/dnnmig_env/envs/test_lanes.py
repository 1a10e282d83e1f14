"""Decisions where weights move in several lanes: masks, plans, memory, copies of episodes, processes and threads."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.facts.observing import observe_changing
from dnnmig_env.families.registry import make_generator
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.moving.room import write_room
from dnnmig_env.simulation.moving.sources import survey_lanes
from dnnmig_env.simulation.moving.transfers import source_of
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.simulator import simulate
from tests.oracle_queries import cell
from tests.oracle_transfers import Lane, Schedule, Transfer, lane_of
from tests.strategies import moving_cases, random_moving_case

FAMILIES: dict[str, dict[str, Any]] = {
    "mobile": {"num_users": (2, 4), "max_layers": 5, "horizon_s": 30.0},
    "city": {
        "num_users": 5,
        "num_present": 5,
        "arrivals_per_min": (6.0, 12.0),
        "max_layers": 4,
        "horizon_s": 60.0,
        "edge_memory_networks": 1.0,
    },
}
MODES = ["joint", "two-phase"]
UPLINKS = ["priority", "shared", "independent"]


def legal_transfers(env: MigrationEnv) -> set[tuple[int, int, int]]:
    """Return the (user, layer, server) of every legal transfer."""
    return {env.episodes.actions.decode(action) for action in np.flatnonzero(env.action_masks()[:-1])}  # type: ignore[misc]


def random_episode(env: MigrationEnv, rng: np.random.Generator, waits: float = 0.1, **reset: Any) -> Iterator[float]:
    """Play an episode of random legal decisions, and yield each reward."""
    env.reset(**reset)
    done = False
    while not done:
        legal = np.flatnonzero(env.action_masks())
        if len(legal) > 1 and env.pending_layer() is None and rng.random() > waits:
            legal = legal[:-1]
        _, reward, done, _, info = env.step(rng.choice(legal))
        assert not info["illegal_action"]
        yield float(reward)


def shares_of_lanes(env: MigrationEnv, scenario: Scenario, slot: int) -> dict[Lane, float]:
    """Return what query data leave of each lane, from the seconds and the presence of the users' queries."""
    state, shares = env.episodes.state, {}
    servers = len(scenario.servers)
    rates = [float(np.asarray(user.query_rate_hz)[slot]) for user in scenario.users]
    lanes: dict[Lane, int] = {("uplink", number): -2 for number in range(servers + 1)}
    lanes |= {("wire", server): state.present.shape[2] // 2 - 1 + server for server in range(1, servers + 1)}
    for lane, station in lanes.items():
        taken = 0.0
        for u, rate in enumerate(rates):
            if rate > 0 and (lane[0] == "wire" or cell(scenario, slot, u) == lane[1]):
                cycle_s = max(1 / rate, state.delay_s[0, u])
                shared = scenario.uplink == "shared"
                taken += state.present[0, u, station] if shared else state.seconds[0, u, station] / cycle_s
        shares[lane] = {"priority": max(1 - taken, 0.02), "shared": 1 / (1 + taken), "independent": 1.0}[
            scenario.uplink
        ]
    return shares


def schedule_of(env: MigrationEnv, scenario: Scenario, slot: int) -> Schedule:
    """Return what servers hold and what is on its way as the slow and obvious simulation keeps it."""
    state, schedule = env.episodes.state, Schedule(scenario, env.plan())
    copies = [(state.held[0, u, v, s], u, v, s) for u, v, s in np.argwhere(state.held[0] > 0).tolist()]
    schedule.copies.held = [(u, v, s + 1) for _, u, v, s in sorted(copies)]
    places = np.flatnonzero(state.moving_user[0] >= 0)
    for place in places[np.argsort(state.queued[0, places])]:
        u, v, server = (int(each[0, place]) for each in (state.moving_user, state.moving_layer, state.moving_to))
        source = source_of(env.episodes.packed, int(place))
        size_bytes = float(scenario.users[u].graph.weight_bytes[v])
        transfer = Transfer(u, v, server, 0, 0.0, size_bytes, float(state.left_bytes[0, place]), source)
        schedule.copies.awaited.append(transfer)
        schedule.lanes.add(lane_of(scenario, slot, u, source), transfer)
    return schedule


def expected_transfers(env: MigrationEnv, scenario: Scenario) -> set[tuple[int, int, int]]:
    """Return the transfers that may start now, by the rules of the slow and obvious simulation."""
    slot, found = int(env.episodes.state.slot[0]), set()
    schedule, shares = schedule_of(env, scenario, slot), shares_of_lanes(env, scenario, slot)
    for u, user in enumerate(scenario.users):
        for v in np.flatnonzero(user.graph.movable):
            for server in range(1, len(scenario.servers) + 1):
                size_bytes = float(user.graph.weight_bytes[v])
                transfer = Transfer(u, int(v), server, 0, 0.0, size_bytes, size_bytes)
                lane = schedule.wanted_lane(slot, transfer, shares.__getitem__)
                idle = lane is not None and not schedule.lanes.queues.get(lane)
                if idle and schedule.may_start(slot, transfer):
                    found.add((u, int(v), server))
    return found


@pytest.mark.parametrize("first", [0, 20])
def test_the_mask_is_what_the_rules_say(first: int) -> None:
    compared = moved = 0
    for seed in range(first, first + 20):
        scenario, _ = random_moving_case(seed)
        env, rng = MigrationEnv(limits=Limits.of([scenario])), np.random.default_rng(seed)
        for _ in random_episode(env, rng, options={"scenario": scenario}):
            if scenario.moves and env.time_s() < scenario.horizon_s:
                expected = expected_transfers(env, scenario)
                assert legal_transfers(env) == expected
                compared, moved = compared + 1, moved + bool(env.episodes.state.held[0].sum() > 0)
    assert compared > 80
    assert moved > 40


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_mask_forbids_is_illegal(family: str) -> None:
    env, rng = MigrationEnv(make_generator(family, **FAMILIES[family])), np.random.default_rng(0)
    for step, _ in enumerate(random_episode(env, rng, seed=3)):
        if step % 10 == 0 and env.time_s() < env.scenario().horizon_s:
            for action in rng.choice(np.flatnonzero(~env.action_masks()), 5):
                assert copy.deepcopy(env).step(action)[4]["illegal_action"]


@pytest.mark.parametrize("decisions", MODES)
@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_simulated_plan_has_the_same_delay_to_the_bit(family: str, uplink: str, decisions: Any) -> None:
    env = MigrationEnv(make_generator(family, uplink=uplink, **FAMILIES[family]), decisions=decisions)
    for seed in range(4):
        total = sum(random_episode(env, np.random.default_rng(seed), seed=seed))
        timeline = simulate(env.scenario(), env.plan())
        assert timeline.mean_delay_s == env.episodes.mean_delay_s(0)
        assert total == pytest.approx(-timeline.mean_delay_s, rel=1e-9)
        sent = [each for upload in timeline.uploads for each in upload.transfers]
        # What was decided is what is sent, from the time of the decision on.
        assert [each.start_s for each in sent] == [upload.not_before_s for upload in env.plan().uploads]


def test_random_scenarios_replay_too() -> None:
    for seed in range(300):
        scenario, _ = random_moving_case(seed)
        env = MigrationEnv(limits=Limits.of([scenario]))
        for _ in random_episode(env, np.random.default_rng(seed), options={"scenario": scenario}):
            pass
        assert simulate(scenario, env.plan()).mean_delay_s == env.episodes.mean_delay_s(0)


@settings(max_examples=60)
@given(moving_cases(), st.integers(0, 2**32 - 1))
def test_what_happens_at_the_same_time_replays_too(case: tuple[Scenario, Plan], seed: int) -> None:
    scenario, _ = case
    env = MigrationEnv(limits=Limits.of([scenario]))
    for _ in random_episode(env, np.random.default_rng(seed), waits=0.3, options={"scenario": scenario}):
        pass
    assert simulate(scenario, env.plan()).mean_delay_s == env.episodes.mean_delay_s(0)


@pytest.mark.parametrize("decisions", MODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_no_server_ever_holds_more_than_fits(family: str, decisions: Any) -> None:
    env, least = MigrationEnv(make_generator(family, **FAMILIES[family]), decisions=decisions), np.inf
    for seed in range(3):
        for _ in random_episode(env, np.random.default_rng(seed), seed=seed):
            packed, state, scenario = env.episodes.packed, env.episodes.state, env.scenario()
            taken = np.einsum("ulv,ul->v", state.held[0] != 0, packed.weight_bytes[0])
            for s, server in enumerate(scenario.servers):
                left = server.memory_bytes - taken[s]
                assert left >= 0
                np.testing.assert_allclose(state.memory_left_bytes[0, s], left, atol=1e-3)
                least = min(least, left / server.memory_bytes if np.isfinite(left) else 1.0)
    assert least < (0.2 if decisions == "joint" else 0.8)  # memory does get short


@pytest.mark.parametrize("family", FAMILIES)
def test_observations_show_lanes_and_room_as_they_are(family: str) -> None:
    env, compared = MigrationEnv(make_generator(family, **FAMILIES[family])), 0
    for seed in range(4):
        for _ in random_episode(env, np.random.default_rng(seed), seed=seed):
            episodes = env.episodes
            packed, state, shown = episodes.packed, episodes.state, episodes.outputs.observation[0]
            if episodes.decisions.done[0] or compared % 10 == 0:
                survey_lanes(packed, 0, state, 0)
                write_room(packed, 0, state, 0)
                expected = shown.copy()
                observe_changing(packed, 0, state, episodes.decisions, 0, expected)
                np.testing.assert_array_equal(shown, expected)
            compared += 1
        assert env.episodes.decisions.done[0]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("family", FAMILIES)
def test_copies_of_an_episode_go_on_alike(family: str, again: Any) -> None:
    env, rng = MigrationEnv(make_generator(family, **FAMILIES[family])), np.random.default_rng(1)
    env.reset(seed=5)
    for _ in range(25):
        env.step(rng.choice(np.flatnonzero(env.action_masks())))
    other, done = again(env), False
    while not done:
        action = rng.choice(np.flatnonzero(env.action_masks()))
        one, reward, done, _, _ = env.step(action)
        two, paid, ended, _, _ = other.step(action)
        assert (reward, done) == (paid, ended)
        np.testing.assert_array_equal(one["observation"], two["observation"])
        np.testing.assert_array_equal(one["action_mask"], two["action_mask"])
    assert env.plan() == other.plan()


PLAYED = """
import hashlib, sys
import gymnasium, numpy as np
import dnnmig_env

env = gymnasium.make_vec(sys.argv[1], num_envs=140, **eval(sys.argv[2]))
observations, _ = env.reset(seed=0)
rng, found = np.random.default_rng(0), hashlib.sha256()
for _ in range(25):
    actions = (rng.random(observations["action_mask"].shape) * observations["action_mask"]).argmax(axis=1)
    observations, rewards, *_ = env.step(actions)
    found.update(observations["observation"].tobytes() + rewards.tobytes())
print(found.hexdigest())
"""


@pytest.mark.parametrize(("family", "name"), [("mobile", "dnnmig/Mobile-v0"), ("city", "dnnmig/City-v0")])
def test_neither_processes_nor_threads_change_anything(family: str, name: str) -> None:
    found = set()
    for threads in ("1", "2"):
        command = [sys.executable, "-W", "error", "-c", PLAYED, name, repr(FAMILIES[family])]
        environment = {**os.environ, "NUMBA_NUM_THREADS": threads}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1
