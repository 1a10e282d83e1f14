"""Candidates: legal, different, known at present, and the same however they came about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as check_gymnasium_env
from gymnasium.vector import AutoresetMode

from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.registration import ENVIRONMENT_IDS
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.scenarios.scenario import Scenario
from tests.batch_rows import assert_rows_are_single_environments
from tests.candidate_play import AT, ONE_CHANNEL, Play, actions_of, choose, listed, make_env, moments, one_channel
from tests.strategies import RandomChoices, Sizes, make_scenario


@pytest.mark.parametrize("how", ["random", "greedy", "waiting"])
@pytest.mark.parametrize("family", ONE_CHANNEL)
def test_every_observation_lies_in_its_space_and_the_last_one_is_zero(family: str, how: Play) -> None:
    env, rng, seen = make_env(family), np.random.default_rng(0), 0
    for seed in range(10):
        for observation in moments(env, rng, how, seed=seed):
            assert env.observation_space.contains(observation)
            assert observation["observation"].dtype == np.float32
            seen += 1
            if not env.episodes.decisions.done[0]:
                assert observation["observation"].any()
        assert not observation["observation"].any()
    assert seen > 10


@pytest.mark.parametrize(("family", "slots"), [("edge-cloud", 1), ("mobile", 4)])
def test_observations_of_anything_lie_in_their_space(family: str, slots: int) -> None:
    """With links that fail one way, users that come and go, layers without work, and layers uploaded before."""
    env, seen = make_env(family), 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        scenario = make_scenario(RandomChoices(rng), Sizes(slots=slots))
        for observation in moments(env, rng, options={"scenario": scenario}):
            assert env.observation_space.contains(observation)
            assert observation["action_mask"][actions_of(env, listed(observation["observation"]))].all()
            seen += 1
    assert seen > 400


@pytest.mark.parametrize("family", ["multi-user", "mobile"])
def test_an_illegal_action_leaves_nothing_to_see_and_nothing_behind(family: str) -> None:
    env, untouched = make_env(family), make_env(family)
    env.reset(seed=3)
    taken = np.int64(actions_of(env, listed(env.reset(seed=4)[0]["observation"]))[0])
    env.step(taken)
    observation, _, done, _, info = env.step(taken)  # a layer is uploaded once
    assert done
    assert info["illegal_action"]
    assert not observation["observation"].any()
    anew, expected = env.reset(seed=5)[0], untouched.reset(seed=5)[0]
    np.testing.assert_array_equal(anew["observation"], expected["observation"])


@pytest.mark.parametrize("family", ONE_CHANNEL)
def test_the_environment_checker_passes_without_a_warning(family: str) -> None:
    name, options = ENVIRONMENT_IDS[family], one_channel(family)
    env = gymnasium.make(name, observation="candidates", disable_env_checker=True, **options).unwrapped
    check_gymnasium_env(env, skip_render_check=True)


@pytest.mark.parametrize("how", ["random", "greedy", "waiting"])
@pytest.mark.parametrize("family", ONE_CHANNEL)
def test_candidates_are_legal_different_and_in_order(family: str, how: Play) -> None:
    env, rng, counts = make_env(family), np.random.default_rng(1), []
    for seed in range(10):
        for observation in moments(env, rng, how, seed=seed):
            actions = actions_of(env, listed(observation["observation"]))
            assert observation["action_mask"][actions].all()
            assert len(set(actions)) == len(actions)
            assert env.stop_action not in actions
            if not env.episodes.decisions.done[0]:
                prospects = env.episodes.observer.prospects
                assert (np.diff(prospects.value[0]) <= 0).all()
                assert np.count_nonzero(prospects.value[0]) == len(actions)
            counts.append(len(actions))
    assert max(counts) > 1


@pytest.mark.parametrize("family", ["multi-user", "mobile"])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_row_i_of_a_batch_is_the_single_environment_seeded_with_seed_plus_i(family: str, mode: AutoresetMode) -> None:
    generator = make_generator(family, **one_channel(family), num_users=(2, 3), max_layers=6)
    assert_rows_are_single_environments(generator, mode, observation="candidates")


def stale_and_fresh(
    env: MigrationEnv, anew: MigrationEnv, rng: np.random.Generator, how: Play, **reset: Any
) -> Iterator[tuple[Any, Any]]:
    """Play the same in two environments, the second one measuring all efficiencies anew; yield their observations."""
    first, _ = env.reset(**reset)
    second, _ = anew.reset(**reset)
    done = False
    while not done:
        yield first["observation"], second["observation"]
        action = choose(env, first, rng, how)
        anew.episodes.observer._efficiencies.stale[:] = True
        first, _, done, _, _ = env.step(action)
        second = anew.step(action)[0]


@pytest.mark.parametrize("how", ["random", "greedy"])
@pytest.mark.parametrize("family", ["single", "mobile"])
def test_keeping_efficiencies_up_to_date_is_measuring_them_anew_for_one_user(family: str, how: Play) -> None:
    """One user suffers no contention, so nothing is tolerated."""
    options: dict[str, Any] = {} if family == "single" else {"num_users": 1}
    env, anew, rng = make_env(family, **options), make_env(family, **options), np.random.default_rng(2)
    seen = 0
    for seed in range(10):
        for kept, fresh in stale_and_fresh(env, anew, rng, how, seed=seed):
            np.testing.assert_array_equal(kept, fresh)
            seen += 1
    assert seen > 30


@pytest.mark.parametrize("family", ["multi-user", "mobile"])
def test_keeping_efficiencies_up_to_date_is_nearly_measuring_them_anew(family: str) -> None:
    """Contention that changes by less than the tolerance goes unnoticed, which shows in few efficiencies, a little."""
    env, anew, rng, apart, missing = make_env(family), make_env(family), np.random.default_rng(3), [], 0
    for seed in range(6):
        for kept, fresh in stale_and_fresh(env, anew, rng, "random", seed=seed):
            one, other = listed(kept), listed(fresh)
            runs = dict(zip(actions_of(anew, other), other[:, AT["interval"]], strict=True))
            for action, row in zip(actions_of(env, one), one, strict=True):
                if action in runs:
                    apart.append(abs(row[AT["interval"]] - runs[action]))
                else:  # where efficiencies are equal, the least change decides which of them is on the list
                    missing += 1
    assert len(apart) > 1000
    assert max(apart) < 0.03
    assert np.mean(apart) < 1e-3
    assert np.mean(np.array(apart) == 0.0) > 0.7
    assert missing < 0.02 * len(apart)


def later_changed(scenario: Scenario, slot: int) -> Scenario:
    """Return a scenario in which everything that may change does so from a slot on."""
    links = scenario.links
    changed = {}
    for name, factor in (
        ("up_bytes_per_s", 0.25),
        ("down_bytes_per_s", 0.5),
        ("up_latency_s", 3),
        ("down_latency_s", 2),
    ):
        changed[name] = np.array(getattr(links, name))
        changed[name][slot:] *= factor
    users = []
    for user in scenario.users:
        rates = np.array(user.query_rate_hz)
        rates[slot:] += 0.5
        users.append(replace(user, query_rate_hz=rates))
    mobility = scenario.mobility
    if mobility is not None:
        places, velocities = np.array(mobility.user_positions_m), np.array(mobility.user_velocities_m_per_s)
        places[slot:] = mobility.area_m - places[slot:]
        velocities[slot:] *= -1.0
        mobility = replace(mobility, user_positions_m=places, user_velocities_m_per_s=velocities)
    return replace(scenario, links=replace(links, **changed), users=tuple(users), mobility=mobility)


@pytest.mark.parametrize("kind", ["mobile", "anything"])
def test_what_will_be_is_not_observed(kind: str) -> None:
    """Scenarios that differ only after a slot look the same until that slot begins, and not afterwards."""
    if kind == "mobile":
        given = scenarios("mobile", 6, seed=9, moves=False)
    else:  # with outages, and users that come and go; nobody has a place
        given = [make_scenario(RandomChoices(np.random.default_rng(seed)), Sizes()) for seed in range(60)]
        given = [scenario for scenario in given if scenario.num_slots > 2]
    one, other, compared, told_apart = make_env("mobile", moves=False), make_env("mobile", moves=False), 0, 0
    for scenario in given:
        slot = scenario.num_slots // 2
        until_s = float(scenario.slot_starts_s[slot])
        first, _ = one.reset(options={"scenario": scenario})
        second, _ = other.reset(options={"scenario": later_changed(scenario, slot)})
        rng, done = np.random.default_rng(0), False
        while not done and one.time_s() < until_s:
            np.testing.assert_array_equal(first["observation"], second["observation"])
            np.testing.assert_array_equal(first["action_mask"], second["action_mask"])
            compared += 1
            action = choose(one, first, rng, "waiting")
            first, _, done, _, _ = one.step(action)
            second = other.step(action)[0]
        told_apart += not np.array_equal(first["observation"], second["observation"])
    assert compared > 50
    assert told_apart > len(given) / 2
