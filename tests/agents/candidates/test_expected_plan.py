"""Outlooks: in a world that goes on as expected they come true, and the plan for it only gets better."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.candidates.features import CANDIDATE_WIDTH, SITUATION_WIDTH
from agents.planners.forecast import COURSE, STAY_S
from agents.planners.joint_efficiency.joint_efficiency import joint_efficiency
from dnnmig_env.envs.batch import EpisodeBatch
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from tests.agents.planners.hand_made import chain
from tests.candidate_play import AT, actions_of, choose, decided_plans, listed, make_env, one_channel

SIZES: dict[str, Any] = {"num_users": (2, 4), "max_layers": 8}
STATIC = ["single", "edge-cloud", "multi-user"]


def steady(count: int) -> list[Scenario]:
    """Return scenarios in which users stand still, in no shadow, and query less and less: as is expected of all."""
    drawn = scenarios("mobile", count, seed=3, speed_m_per_s=1e-9, shadowing_db=0.0, **SIZES, moves=False)
    staying = np.exp(-np.asarray(drawn[0].slot_starts_s) / STAY_S)
    return [
        replace(
            scenario,
            users=tuple(
                replace(user, query_rate_hz=np.max(np.asarray(user.query_rate_hz)) * staying) for user in scenario.users
            ),
        )
        for scenario in drawn
    ]


def next_upload(env: MigrationEnv) -> np.int64:
    """Return the action of the plan's next upload; "stop" where none can be made."""
    reference = env.episodes.observer.reference
    k = int(reference.next_upload[0])
    if k < 0:
        return np.int64(env.stop_action)
    return np.int64(
        env.encode(int(reference.plans.user[0, k]), int(reference.plans.layer[0, k]), int(reference.plans.server[0, k]))
    )


def planned_s(env: MigrationEnv) -> float:
    """Return J if the plan is completed."""
    return float(env.episodes.observer.reference.cost_s[0] / env.episodes.state.expected_queries[0])


def most_gaining(env: MigrationEnv, observation: Any) -> np.int64:
    """Return the upload that gains most before the rest of the plan; the plan's next one where none gains."""
    candidates = listed(observation["observation"])
    gains = candidates[:, AT["gain"]]
    if len(gains) and gains.max() > 0:
        return np.int64(actions_of(env, candidates)[gains.argmax()])
    return next_upload(env)


def test_what_is_expected_of_a_steady_world_is_what_comes() -> None:
    env = make_env("mobile", moves=False, **SIZES)
    for scenario in steady(8):
        env.reset(options={"scenario": scenario})
        there = np.index_exp[0, :, : len(scenario.users), : len(scenario.servers)]
        for name in COURSE:
            course, real = getattr(env.episodes.observer._course, name), getattr(env.episodes.packed, name)
            np.testing.assert_allclose(course[there[: course.ndim]], real[there[: real.ndim]], rtol=1e-6)


def test_in_a_steady_world_who_follows_the_plan_gets_what_it_promised_or_better() -> None:
    env, better = make_env("mobile", moves=False, **SIZES), 0
    for scenario in steady(12):
        env.reset(options={"scenario": scenario})
        promised_s = first_s = planned_s(env)
        done, info = False, {}
        while not done:
            _, _, done, _, info = env.step(next_upload(env))
            assert planned_s(env) <= promised_s * (1 + 1e-6)
            promised_s = planned_s(env)
        assert info["mean_delay_s"] == pytest.approx(promised_s, rel=1e-6)
        better += promised_s < first_s * (1 - 1e-6)
    assert better > 0  # the search goes on at every slot


def test_a_plan_is_no_worse_than_that_of_joint_efficiency() -> None:
    env, ratios = make_env("mobile", moves=False, **SIZES), []
    for scenario in steady(12):
        env.reset(options={"scenario": scenario})
        plan = joint_efficiency(scenario, np.random.default_rng(0))
        ratios.append(planned_s(env) / float(mean_delays_s(pack([scenario]), plan_arrays([plan]))[0]))
    assert max(ratios) < 1.005  # contention below a tolerance goes unnoticed


def test_uploads_planned_can_be_made_once() -> None:
    env, rng, seen = make_env("mobile", moves=False, **SIZES), np.random.default_rng(1), 0
    for seed in range(8):
        observation, _ = env.reset(seed=seed)
        done = False
        while not done:
            reference, users = env.episodes.observer.reference, env.scenario().users
            plan = [
                (int(reference.plans.user[0, k]), int(reference.plans.layer[0, k]), int(reference.plans.server[0, k]))
                for k in range(reference.plans.length[0])
            ]
            assert len({(u, v) for u, v, _ in plan}) == len(plan)
            for u, v, server in plan:
                assert users[u].graph.weight_bytes[v] > 0
                assert 1 <= server <= len(env.scenario().servers)
            action = next_upload(env)
            assert env.action_masks()[action]
            seen += len(plan)
            observation, _, done, _, _ = env.step(choose(env, observation, rng))
    assert seen > 500


def test_the_same_episode_has_the_same_plans() -> None:
    """The search is random, but not its numbers: they begin anew with each episode."""
    (scenario,) = scenarios("mobile", 1, seed=8, **SIZES, moves=False)
    env, observed = make_env("mobile", moves=False, **SIZES), []
    for _ in range(2):
        rng, rows, done = np.random.default_rng(5), [], False
        observation, _ = env.reset(options={"scenario": scenario})
        while not done:
            rows.append(observation["observation"].copy())
            observation, _, done, _, _ = env.step(choose(env, observation, rng))
        observed.append(np.array(rows))
    np.testing.assert_array_equal(*observed)


@pytest.mark.parametrize("family", STATIC)
def test_who_departs_from_the_plan_for_what_gains_ends_no_worse_than_planned(family: str) -> None:
    """A gain is that of a whole run, so the run has to be in the plan once it has begun."""
    env, better = make_env(family), 0
    for seed in range(40):
        observation, _ = env.reset(seed=seed)
        first_s = planned_s(env)
        before_s, done, info = first_s, False, {}
        while not done:
            gaining = most_gaining(env, observation)
            departs = gaining != next_upload(env)
            observation, _, done, _, info = env.step(gaining)
            assert planned_s(env) <= before_s * (1 + 1e-9)
            better += departs and planned_s(env) < before_s
            before_s = planned_s(env)
        assert info["mean_delay_s"] == pytest.approx(before_s, rel=1e-9)
        assert info["mean_delay_s"] <= first_s * (1 + 1e-9)
    assert better > 2


@pytest.mark.parametrize("family", STATIC)
def test_returns_are_what_episodes_save_against_their_plans(family: str) -> None:
    env = MigrationEnv(make_generator(family, **one_channel(family)), observation="candidates", reward="reference")
    rng, returns = np.random.default_rng(2), []
    for seed in range(15):
        observation, _ = env.reset(seed=seed)
        first_s, total, done, info = planned_s(env), 0.0, False, {}
        while not done:
            observation, reward, done, _, info = env.step(choose(env, observation, rng))
            total += reward
        assert total == pytest.approx(first_s - info["mean_delay_s"], rel=1e-9, abs=1e-9 * first_s)
        returns.append(total)
    assert min(returns) < -1e-4


def test_plans_that_are_handed_over_are_followed_and_only_get_better() -> None:
    given = scenarios("multi-user", 1, seed=4) * 6
    episodes = EpisodeBatch(6, make_generator("multi-user"), observation="candidates")
    episodes.start(np.arange(6), given)
    rng, everyone = np.random.default_rng(0), np.ones(6, np.bool_)
    while not episodes.decisions.done.all():
        legal = rng.random(episodes.outputs.mask.shape) * episodes.outputs.mask
        episodes.step(legal.argmax(axis=1), everyone & ~episodes.decisions.done)
    plans, drawn_s = decided_plans(episodes), [episodes.mean_delay_s(row) for row in range(6)]

    def taken(tries: int) -> Any:
        episodes.start(np.arange(6), given)
        episodes.observer.take_plans(plans, np.arange(1, 7), tries)
        return episodes.observer.reference.cost_s / episodes.state.expected_queries

    np.testing.assert_allclose(taken(0), drawn_s, rtol=1e-9)
    improved_s = taken(200)
    assert (improved_s < drawn_s).all()
    np.testing.assert_array_equal(taken(200), improved_s)
    features = episodes.observation[:, SITUATION_WIDTH:].reshape(6, -1, CANDIDATE_WIDTH)
    assert (features[..., AT["rank"]].max(axis=1) == 1.0).all()  # the plan's next upload is on each list
    assert len(np.unique(improved_s)) > 1


def test_users_exchange_servers_where_neither_finds_room_first() -> None:
    # Each of the two servers holds one layer, and each user's runs five times as fast on the other's.
    scenario = chain([1], [0], server_s=[0.1, 0.5], rate_mb_per_s=[1, 1], memory_mb=[1, 1], query_rate_hz=[0.01, 0.01])
    users = (replace(scenario.users[0], profile_s=np.array([[1.0, 0.5, 0.1]])), scenario.users[1])
    scenario = replace(scenario, users=users)
    here, there = Plan((Upload(0, 1, (0,)), Upload(1, 2, (0,)))), Plan((Upload(0, 2, (0,)), Upload(1, 1, (0,))))
    here_s, there_s = mean_delays_s(pack([scenario]), plan_arrays([here, there]))
    episodes = EpisodeBatch(1, make_generator("multi-user"), observation="candidates")
    planned_s = []
    for tries in (0, 100):
        episodes.start([0], [scenario])
        plans = decided_plans(episodes)
        plans.length[0] = 2
        plans.user[0, :2], plans.server[0, :2] = (0, 1), (1, 2)
        episodes.observer.take_plans(plans, np.array([1]), tries)
        planned_s.append(episodes.observer.reference.cost_s[0] / episodes.state.expected_queries[0])
    assert planned_s == pytest.approx([here_s, there_s])
    assert there_s < 0.5 * here_s


def test_an_upload_that_costs_others_more_than_it_saves_is_left_out() -> None:
    # The first user runs on the server, 0.9 s of every second. The second, 1 s on its device, would take 0.5 x 1.9 =
    # 0.95 s there, but make the first one take 0.9 x 1.95 s: no other place in the plan helps, only to leave it out.
    scenario = chain([1], [0], server_s=[0.9], query_rate_hz=[1.0, 1.0])
    users = (
        replace(scenario.users[0], uploaded=[1], profile_s=[[3.0, 0.9]]),
        replace(scenario.users[1], profile_s=[[1.0, 0.5]]),
    )
    scenario = replace(scenario, users=users)
    idle_s, upload_s = mean_delays_s(pack([scenario]), plan_arrays([Plan(), Plan((Upload(1, 1, (0,)),))]))
    assert idle_s < upload_s
    episodes = EpisodeBatch(1, make_generator("multi-user"), observation="candidates")
    planned_s = []
    for tries in (0, 100):
        episodes.start([0], [scenario])
        plans = decided_plans(episodes)
        plans.length[0], plans.user[0, 0], plans.layer[0, 0], plans.server[0, 0] = 1, 1, 0, 1
        episodes.observer.take_plans(plans, np.array([1]), tries)
        planned_s.append(episodes.observer.reference.cost_s[0] / episodes.state.expected_queries[0])
    assert planned_s == pytest.approx([upload_s, idle_s])
    assert episodes.observer.reference.plans.length[0] == 0


def test_blind_rows_show_all_but_the_reference() -> None:
    generator = make_generator("multi-user")
    given, rng = scenarios("multi-user", 4, seed=6), np.random.default_rng(0)
    seeing = EpisodeBatch(4, generator, observation="candidates")
    mixed = EpisodeBatch(4, generator, observation="candidates")
    rows, running, compared = np.arange(4), np.ones(4, np.bool_), 0
    mixed.start(rows, given[::-1])  # plans of other scenarios first: nothing of theirs may be left
    mixed.observer.without_plan[1:] = True
    seeing.start(rows, given)
    mixed.start(rows, given)
    while running.any():
        np.testing.assert_array_equal(mixed.observation[0], seeing.observation[0])
        for row in np.flatnonzero(running[1:]) + 1:
            shown, known = (listed(episodes.observation[row]) for episodes in (mixed, seeing))
            for name in ("rank", "as_planned", "gain"):
                assert not shown[:, AT[name]].any()
                shown[:, AT[name]] = known[:, AT[name]] = 0.0
            listed_by_both = {features[0]: features for features in known}
            for features in shown:
                if features[0] in listed_by_both:
                    np.testing.assert_array_equal(features, listed_by_both[features[0]])
                    compared += 1
        scores = rng.random(seeing.outputs.mask.shape) * seeing.outputs.mask
        for episodes in (seeing, mixed):
            episodes.step(scores.argmax(axis=1), running)
        running = ~seeing.decisions.done
    assert compared > 1000
