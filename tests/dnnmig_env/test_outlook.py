"""Outlooks: in a world that goes on as expected they come true, and the plan for it only ever gets better."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.planners.joint_efficiency import joint_efficiency
from dnnmig_env.env import MigrationEnv
from dnnmig_env.forecast import COURSE, STAY_S
from dnnmig_env.generators import scenarios
from dnnmig_env.playback import mean_delays_s, plan_arrays
from dnnmig_env.problem import pack
from dnnmig_env.scenario import Scenario
from tests.candidate_play import choose, make_env

SIZES: dict[str, Any] = {"num_users": (2, 4), "max_layers": 8}


def steady(count: int) -> list[Scenario]:
    """Return scenarios in which users stand still, in no shadow, and query less and less: as is expected of all."""
    drawn = scenarios("mobile", count, seed=3, speed_m_per_s=1e-9, shadowing_db=0.0, **SIZES)
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


def following(env: MigrationEnv) -> np.int64:
    """Return the action of the plan's next upload; "stop" where none can be made."""
    r = env.episodes._outlook
    k = int(r.following[0])
    if k < 0:
        return np.int64(env.stop_action)
    return np.int64(env.encode(int(r.user[0, k]), int(r.layer[0, k]), int(r.server[0, k])))


def planned_s(env: MigrationEnv) -> float:
    """Return J if the plan is completed."""
    return float(env.episodes._outlook.cost_s[0] / env.episodes.state.queries[0])


def test_what_is_expected_of_a_steady_world_is_what_comes() -> None:
    env = make_env("mobile", **SIZES)
    for scenario in steady(8):
        env.reset(options={"scenario": scenario})
        there = np.index_exp[0, :, : len(scenario.users), : len(scenario.servers)]
        for name in COURSE:
            course, real = getattr(env.episodes._course, name), getattr(env.episodes.problem, name)
            np.testing.assert_allclose(course[there[: course.ndim]], real[there[: real.ndim]], rtol=1e-6)


def test_in_a_steady_world_who_follows_the_plan_gets_what_it_promised_or_better() -> None:
    env, better = make_env("mobile", **SIZES), 0
    for scenario in steady(12):
        env.reset(options={"scenario": scenario})
        promised_s = first_s = planned_s(env)
        done, info = False, {}
        while not done:
            _, _, done, _, info = env.step(following(env))
            assert planned_s(env) <= promised_s * (1 + 1e-6)
            promised_s = planned_s(env)
        assert info["mean_delay_s"] == pytest.approx(promised_s, rel=1e-6)
        better += promised_s < first_s * (1 - 1e-6)
    assert better > 0  # the search goes on at every slot


def test_a_plan_is_no_worse_than_that_of_joint_efficiency() -> None:
    env, ratios = make_env("mobile", **SIZES), []
    for scenario in steady(12):
        env.reset(options={"scenario": scenario})
        plan = joint_efficiency(scenario, np.random.default_rng(0))
        ratios.append(planned_s(env) / float(mean_delays_s(pack([scenario]), plan_arrays([plan]))[0]))
    assert max(ratios) < 1.005  # contention below a tolerance goes unnoticed


def test_uploads_planned_can_be_made_once() -> None:
    env, rng, seen = make_env("mobile", **SIZES), np.random.default_rng(1), 0
    for seed in range(8):
        observation, _ = env.reset(seed=seed)
        done = False
        while not done:
            r, users = env.episodes._outlook, env.scenario().users
            plan = [(int(r.user[0, k]), int(r.layer[0, k]), int(r.server[0, k])) for k in range(r.length[0])]
            assert len({(u, v) for u, v, _ in plan}) == len(plan)
            for u, v, server in plan:
                assert users[u].graph.weight_bytes[v] > 0
                assert 1 <= server <= len(env.scenario().servers)
            action = following(env)
            assert env.action_masks()[action]
            seen += len(plan)
            observation, _, done, _, _ = env.step(choose(env, observation, rng))
    assert seen > 500


def test_the_same_episode_has_the_same_plans() -> None:
    """The search is random, but not its numbers: they begin anew with each episode."""
    (scenario,) = scenarios("mobile", 1, seed=8, **SIZES)
    env, observed = make_env("mobile", **SIZES), []
    for _ in range(2):
        rng, rows, done = np.random.default_rng(5), [], False
        observation, _ = env.reset(options={"scenario": scenario})
        while not done:
            rows.append(observation["observation"].copy())
            observation, _, done, _, _ = env.step(choose(env, observation, rng))
        observed.append(np.array(rows))
    np.testing.assert_array_equal(*observed)
