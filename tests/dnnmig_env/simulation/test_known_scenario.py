"""What a planner may know in the middle of an episode: the rows of the present slot, and nothing of another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.dynamics import advance, begin, begin_transfer
from dnnmig_env.simulation.known_scenario import known_scenario
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.state import new_state
from tests.checked import assert_checked
from tests.hand_made import two_servers, user, walk
from tests.strategies import RandomChoices, Sizes, make_scenario, random_case, random_moving_case


def known_at(scenario: Scenario, time_s: float) -> Scenario | None:
    packed = pack([scenario])
    state = new_state(packed, rows=1)
    begin(packed, 0, state, 0)
    advance(packed, 0, state, 0, time_s)
    return known_scenario(scenario, state, 0)


@pytest.mark.parametrize("seed", range(20))
def test_every_link_is_as_it_is_in_the_present_slot(seed: int) -> None:
    scenario = make_scenario(RandomChoices(np.random.default_rng(seed)), Sizes(users=3, slots=5, absences=False))
    edges_s = [*scenario.slot_starts_s, scenario.horizon_s]
    for slot in range(scenario.num_slots):
        known = known_at(scenario, (edges_s[slot] + edges_s[slot + 1]) / 2)
        assert known is not None
        for name in ("up_bytes_per_s", "down_bytes_per_s", "up_latency_s", "down_latency_s"):
            found, given = np.asarray(getattr(known.links, name)), np.asarray(getattr(scenario.links, name))[slot]
            # A scenario may have no link that is always down: such a one has 1 byte/s.
            expected = np.where(given == 0, 1.0, given) if name.endswith("bytes_per_s") else given
            np.testing.assert_array_equal(found, expected[None], err_msg=name)
        for name in ("between_bytes_per_s", "between_latency_s"):
            np.testing.assert_array_equal(getattr(known.links, name), getattr(scenario.links, name))


def test_places_and_velocities_are_those_of_the_present_slot() -> None:
    (scenario,) = scenarios("mobile", 1, seed=1, num_users=6)
    assert scenario.mobility is not None
    for slot in (0, 3, 7):
        known = known_at(scenario, scenario.slot_starts_s[slot] + 0.5)
        assert known is not None and known.mobility is not None
        for name in ("user_positions_m", "user_velocities_m_per_s"):
            found, given = getattr(known.mobility, name), getattr(scenario.mobility, name)
            np.testing.assert_array_equal(found, given[slot][None], err_msg=name)
        np.testing.assert_array_equal(known.mobility.server_positions_m, scenario.mobility.server_positions_m)
        assert known.mobility.area_m == scenario.mobility.area_m


def test_nothing_is_known_where_nobody_is_present_or_the_horizon_is_over() -> None:
    (scenario,) = scenarios("toy", 1, seed=0)
    users = tuple(replace(user, query_rate_hz=[2.0, 0.0]) for user in scenario.users)
    away = replace(scenario, users=users, slot_starts_s=(0.0, 4.0))
    assert known_at(away, 3.9) is not None
    assert known_at(away, 4.0) is None
    assert known_at(scenario, scenario.horizon_s) is None


def held(scenario: Scenario | None) -> list[tuple[list[int], list[list[bool]]]]:
    """Return for each user of a scenario where its layers are uploaded, and their copies."""
    assert scenario is not None
    return [(np.asarray(each.uploaded).tolist(), np.asarray(each.copies).tolist()) for each in scenario.users]


def test_what_servers_hold_of_users_who_walk() -> None:
    # Ann's first layer is on server 1, and on its way to server 2 by wire; she is at home at server 1.
    none = [[False, False], [False, False]]
    env = MigrationEnv(scenario=walk())
    env.reset()
    env.step(env.encode(0, 0, 2))
    assert held(env.known_scenario()) == [([1, 0], none), ([0], none[:1]), ([0], none[:1])]
    # Both Bob's layer and hers have arrived at 1 s; hers is at home as well as on server 2, where nobody needs it.
    env.step(env.encode(1, 0, 1))
    assert held(env.known_scenario()) == [([1, 0], none), ([1], none[:1]), ([0], none[:1])]
    # If she is taken to go there next, it counts as kept: it came last, and what is at home is a copy.
    kept = [([2, 0], [[True, False], [False, False]]), ([1], none[:1]), ([0], none[:1])]
    assert held(env.known_scenario(next_cells={0: 2})) == kept
    assert held(env.known_scenario(next_cells={0: 1, 1: 2})) == held(env.known_scenario())
    env.step(env.encode(1, 0, 2))
    # At 4 s Bob has left, and what he had does not count. Ann is at home at server 2 now.
    assert env.time_s() == 4.0
    known = env.known_scenario()
    assert held(known) == [([2, 0], none), ([0], none[:1]), ([0], none[:1])]
    assert known is not None and known.moves
    assert np.asarray(known.links.home).tolist() == [[2, 1, 2]]
    np.testing.assert_array_equal(np.asarray(known.links.up_bytes_per_s)[0, 0], [0.0, 1e6])  # 0 stays 0
    assert [float(np.asarray(each.query_rate_hz)[0]) for each in known.users] == [1.0, 0.0, 1.0]
    assert known.horizon_s == 6.0


def test_without_cells_the_latest_copy_is_the_one_that_is_used() -> None:
    scenario = two_servers([user("ann", [1], uploaded=[1])], moves=True, horizon_s=4.0, wire_mb_per_s=0.25)
    for time_s, expected in [(0.5, ([2], [[True, False]])), (2.0, ([2], [[True, False]]))]:
        packed, state = pack([scenario]), new_state(pack([scenario]), rows=1)
        begin(packed, 0, state, 0)
        begin_transfer(packed, 0, state, 0, 0, 0, 2, 0)
        advance(packed, 0, state, 0, time_s)
        assert held(known_scenario(scenario, state, 0)) == [expected]


def test_what_is_on_its_way_in_cells_without_moves_counts_as_uploaded() -> None:
    users = [user("ann", [2]), user("bob", [1], query_rate_hz=[1.0, 0.0])]
    scenario = two_servers(users, home=[[1, 2], [1, 2]], slot_starts_s=(0.0, 3.0), horizon_s=9.0)
    env = MigrationEnv(scenario=scenario)
    env.reset()
    env.step(env.encode(0, 0, 2))
    known = env.known_scenario()
    assert known is not None
    assert [np.asarray(each.uploaded).tolist() for each in known.users] == [[2], [0]]
    assert np.asarray(known.links.home).tolist() == [[1, 2]]


@pytest.mark.parametrize("case", [random_moving_case, random_case])
def test_what_is_known_is_a_scenario_of_its_own(case: Callable[[int], tuple[Scenario, Plan]]) -> None:
    """Memory, copies and homes fit together at every moment of random episodes, as if it had been checked."""
    for seed in range(30):
        scenario, _ = case(seed)
        env, rng, done = MigrationEnv(scenario=scenario), np.random.default_rng(seed), False
        env.reset()
        while not done:
            legal = np.flatnonzero(env.action_masks())
            _, _, done, _, _ = env.step(rng.choice(legal[:-1] if len(legal) > 1 else legal))
            for next_cells in (None, dict.fromkeys(range(len(scenario.users)), 1)):
                known = env.known_scenario(next_cells=next_cells)
                if known is not None:
                    assert known.moves is scenario.moves
                    assert_checked(known)
