"""What a planner may know in the middle of an episode: the rows of the present slot, and nothing of another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.dynamics import advance, begin
from dnnmig_env.simulation.known_scenario import known_scenario
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.state import new_state
from tests.strategies import RandomChoices, Sizes, make_scenario


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
