"""To which cell a user goes: straight on, or as it will be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.planners.foresight.next_cell import as_it_will_be, by_velocity, home_of, nearest_servers
from tests.agents.planners.foresight.moving_town import EAST, WEST, town


@pytest.mark.parametrize(
    ("x_m", "vx_m_per_s", "cell"),
    [
        (300.0, 7.0, EAST),  # the border at 500 m is reached after 28.6 of 30 s
        (300.0, 6.6, 0),  # it would be after 30.3 s
        (300.0, -7.0, 0),
        (300.0, 0.0, 0),
    ],
)
def test_a_velocity_is_followed_for_half_a_minute(x_m: float, vx_m_per_s: float, cell: int) -> None:
    assert by_velocity(town([[WEST]], x_m=[[x_m]], vx_m_per_s=[[vx_m_per_s]]), 0, 0) == cell


def test_the_velocity_of_the_present_slot_counts() -> None:
    scenario = town([[WEST], [WEST]], x_m=[[300.0], [300.0]], vx_m_per_s=[[0.0], [20.0]])
    assert [by_velocity(scenario, slot, 0) for slot in (0, 1)] == [0, EAST]
    assert by_velocity(replace(scenario, mobility=None), 1, 0) == 0


def test_the_future_is_known_for_two_minutes_and_as_long_as_the_user_stays() -> None:
    west, east = [[WEST]], [[EAST]]
    assert as_it_will_be(town(west * 12 + east), 0, 0) == EAST  # from 120 s on
    assert as_it_will_be(town(west * 13 + east), 0, 0) == 0  # from 130 s on
    assert as_it_will_be(town(west * 13 + east), 1, 0) == EAST
    assert as_it_will_be(town(west + east), 1, 0) == 0  # it never comes back
    leaves = town(west * 2 + east * 2, rates=[[1.0, 0.0, 1.0, 1.0]])
    assert as_it_will_be(leaves, 0, 0) == 0  # it is gone before


def test_the_nearest_server_is_one_with_a_place() -> None:
    scenario = town([[WEST]])
    assert scenario.mobility is not None
    positions_m = np.array([[0.0, 0.0], [499.0, 500.0], [501.0, 500.0], [1000.0, 0.0]])
    assert nearest_servers(scenario.mobility, positions_m).tolist() == [WEST, WEST, EAST, EAST]
    assert home_of(scenario, 0, 0) == WEST
