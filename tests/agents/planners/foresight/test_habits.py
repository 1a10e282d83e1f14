"""Predictors that learn from a town's past: Markov's by counting, the regression on straight ways and in a town."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.planners.foresight.habits import MarkovCells, PositionRegression, markov_cells, position_regression
from dnnmig_env.families.city import City
from dnnmig_env.families.town.town import PastTrips
from tests.agents.planners.foresight.moving_town import EAST, WEST, town


def trips_through(*cells: list[int]) -> PastTrips:
    """Trips of which only the cells count."""
    offsets = np.cumsum([0, *map(len, cells)])
    nothing, points = np.zeros(len(cells), np.int64), np.zeros((offsets[-1], 2))
    return PastTrips(offsets, nothing, nothing, nothing > 0, points, points, np.concatenate(cells))


def straight_trips(rng: np.random.Generator, count: int) -> PastTrips:
    """Trips straight on at a constant velocity, 20 points each, one per 2 s."""
    start_m, velocity = rng.uniform(300, 700, (count, 1, 2)), rng.uniform(-10, 10, (count, 1, 2))
    positions_m = (start_m + velocity * 2.0 * np.arange(20)[:, None]).reshape(-1, 2)
    nothing = np.zeros(count, np.int64)
    return PastTrips(
        np.arange(count + 1) * 20,
        nothing,
        nothing,
        nothing > 0,
        positions_m,
        positions_m,
        np.ones(20 * count, np.int64),
    )


def test_what_followed_most_often_is_predicted() -> None:
    # From 1 people go on to 2 twice and to 3 once; who comes from 1 to 2 goes to 3, who comes from 3 to 2 leaves.
    markov = MarkovCells(trips_through([1, 1, 2, 2, 3], [1, 2, 3], [1, 3, 2], [3, 2]))
    came_from = {(1,): 2, (1, 2): 3, (3, 2): 0, (2, 3): 0, (1, 1, 2): 3}
    for cells, following in came_from.items():
        scenario = town([[min(cell, 2)] for cell in cells])
        homes = np.array(cells)[:, None]
        told = replace(scenario, links=replace(scenario.links, home=homes))
        assert markov(told, len(cells) - 1, 0) == following, cells


def test_an_unknown_way_falls_back_to_the_cell_alone_and_an_earlier_stay_does_not_count() -> None:
    markov = MarkovCells(trips_through([1, 2], [1, 2], [2, 1, 3]))
    assert markov(town([[EAST], [WEST]]), 1, 0) == 3  # from 2 to 1 somebody went on to 3
    assert markov(town([[EAST], [EAST], [WEST]], rates=[[1.0, 0.0, 1.0]]), 2, 0) == 2  # but it has just come
    never = MarkovCells(trips_through([1, 2]))
    assert never(town([[EAST], [WEST]]), 1, 0) == 2  # nobody came from 2 to 1: what follows 1 in general
    assert MarkovCells(trips_through([2, 2]))(town([[WEST]]), 0, 0) == 0  # nobody was ever there


@pytest.mark.parametrize(("vx_m_per_s", "cell"), [(9.0, EAST), (5.0, 0), (-9.0, 0)])
def test_a_regression_of_straight_ways_goes_straight_on_for_20_seconds(vx_m_per_s: float, cell: int) -> None:
    regression = PositionRegression(straight_trips(np.random.default_rng(0), 200), 2.0, 1000.0)
    # Slots of 10 s, of which the regression thinks as of 2 s: positions are as far apart as in 2 s. At slot 4 the user
    # is at 350 m, and 20 s later 180 m or 100 m farther; the border is at 500 m.
    x_m = [[350.0 + vx_m_per_s * 2.0 * (slot - 4)] for slot in range(5)]
    assert regression(town([[WEST]] * 5, x_m=x_m), 4, 0) == cell
    assert regression(town([[WEST]] * 5, x_m=x_m), 3, 0) == 0  # five positions are needed


def test_both_learn_from_the_past_of_a_town_and_refuse_what_has_none() -> None:
    city = City(num_users=4, max_layers=4, horizon_s=60.0)
    assert markov_cells(city) is markov_cells(City(num_users=4, max_layers=4, horizon_s=60.0))
    (scenario,) = (city.draw(np.random.default_rng(0), 1).scenario(0),)
    for predict in (markov_cells(city), position_regression(city)):
        assert 0 <= predict(scenario, 0, 0) <= len(scenario.servers)
    for generator in (City(city_seed=None), object()):
        with pytest.raises(
            ValueError, match="learn from the past trips of a town: they are for scenarios of the family"
        ):
            markov_cells(generator)
