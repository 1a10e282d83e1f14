"""A town whose people move as a file says: windows of the recording, edges where people were."""

from __future__ import annotations

from pathlib import Path

import networkx
import numpy as np
import pytest

from dnnmig_env.families.city import City
from dnnmig_env.families.town.coverage import square_distances
from dnnmig_env.families.town.ground import Schedule, Visits
from dnnmig_env.families.town.recorded import RecordedTown, build_recorded_town, loaded_positions
from dnnmig_env.families.town.town import TownOptions
from dnnmig_env.scenarios.positions import RecordedPositions

EXAMPLE = str(Path(__file__).resolve().parents[4] / "examples" / "town.fcd.xml")
OPTIONS = TownOptions.of(City(num_edges=2))

# Two people go along a street of 100 m: one from 10 s to 20 s, one back from 30 s to 40 s.
THERE_AND_BACK = RecordedPositions(
    ("there", "back"),
    [[10.0, 20.0], [30.0, 40.0]],
    [[[500.0, 70.0], [600.0, 70.0]], [[600.0, 70.0], [500.0, 70.0]]],
)


def visits(town: RecordedTown, schedule: Schedule, count: int = 200) -> Visits:
    return town.visits(np.random.default_rng(0), count, schedule)


def test_edges_stand_where_people_were_and_the_square_holds_all() -> None:
    town = build_recorded_town(3, TownOptions.of(City()), loaded_positions(EXAMPLE))
    positions_m = town.recorded.all_m - town.corner_m
    assert positions_m.min() >= 0.039 * town.area_m and positions_m.max() <= 0.961 * town.area_m
    apart_m = np.sqrt(square_distances(town.edges_m, positions_m).min(axis=1))
    assert apart_m.max() <= 20 * np.sqrt(0.5) + 1e-9
    reach_m = np.sqrt(square_distances(positions_m, town.edges_m).min(axis=1))
    assert reach_m.max() < 450
    assert networkx.is_connected(networkx.from_numpy_array(town.wires.is_wire.astype(int)))
    assert not np.array_equal(town.edges_m, build_recorded_town(4, town.options, town.recorded).edges_m)


def test_a_short_recording_is_taken_as_a_whole() -> None:
    town = build_recorded_town(0, OPTIONS, THERE_AND_BACK)
    found = visits(town, Schedule(5.0, 12, 60.0, 3, 2), 2)
    assert found.origin.tolist() == [[int(town.cells(np.array([[4.35, 54.35]]))[0]) - 1, found.origin[0, 1], -1]] * 2
    assert found.scenario.tolist() == [0] * 6 + [1] * 6
    assert found.user.tolist() == [0, 0, 0, 1, 1, 1] * 2
    assert found.slot.tolist() == [0, 1, 2, 4, 5, 6] * 2
    assert town.area_m == pytest.approx(100 / 0.92)
    x_m = found.positions_m[:6, 0] - 0.04 * town.area_m
    np.testing.assert_allclose(x_m, [0, 50, 100, 100, 50, 0], atol=1e-9)
    np.testing.assert_allclose(found.positions_m[:, 1], town.area_m / 2)
    np.testing.assert_allclose(found.velocities_m_per_s[:6, 0], [0, 10, 10, 0, -10, -10])


def test_windows_begin_at_random_times_and_never_are_empty() -> None:
    town = build_recorded_town(0, OPTIONS, THERE_AND_BACK)
    found = visits(town, Schedule(1.0, 5, 5.0, 3, 2), 1000)
    first = np.searchsorted(found.scenario, np.arange(1000))
    np.testing.assert_array_equal(found.scenario[first], np.arange(1000))  # somebody in every window
    # They begin from 10 s to 35 s. Of those from 20 s to 26 s, which hold nobody, the next arrival takes the place.
    x_m = found.positions_m[first, 0] - 0.04 * town.area_m
    moved = (found.slot[first] == 0) & (np.abs(x_m - 100) < 1e-9)
    assert abs(moved.mean() - 6 / 25) < 0.05
    going = (found.slot[first] == 0) & ~moved & (found.velocities_m_per_s[first, 0] > 0)
    assert abs(going.mean() - 10 / 25) < 0.05
    np.testing.assert_allclose(np.histogram(x_m[going], 5, (0, 100))[0] / going.sum(), 0.2, atol=0.07)


def test_those_who_are_too_many_are_turned_away() -> None:
    times = [[0.0, 9.0], [0.0, 4.0], [1.0, 9.0], [5.0, 9.0], [6.0, 9.0]]
    crowd = RecordedPositions(tuple("abcde"), times, [[[0.0, 0.0], [100.0, index]] for index in range(5)])
    town = build_recorded_town(0, OPTIONS, crowd)
    found = visits(town, Schedule(1.0, 10, 10.0, 4, 2), 1)
    stays = [found.slot[found.user == user].tolist() for user in range(4)]
    assert stays == [list(range(10)), [0, 1, 2, 3, 4], [5, 6, 7, 8, 9], []]
    np.testing.assert_allclose(found.positions_m[found.user == 2][-1], np.array([100.0, 3.0]) - town.corner_m)


def test_too_few_places_for_the_edges_say_so() -> None:
    with pytest.raises(ValueError, match="num_edges is 30, but there are only 6 sites for edges; give fewer"):
        build_recorded_town(0, TownOptions.of(City(num_edges=30)), STEADY)


STEADY = RecordedPositions(("a",), [np.arange(101.0)], [np.stack([np.arange(101.0), np.zeros(101)], axis=1)])
