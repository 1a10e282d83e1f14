"""A town is the same for its seed alone, hangs together, and people move along its streets as fast as they may."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import networkx
import numpy as np
import pytest

from dnnmig_env.families.city import City
from dnnmig_env.families.town.coverage import points_of_streets, square_distances
from dnnmig_env.families.town.streets import Streets, connected, draw_streets
from dnnmig_env.families.town.town import Town, TownOptions, build_town
from dnnmig_env.families.town.trips import draw_trips, presences

OPTIONS = TownOptions.of(
    City(legs=1, area_m=1000.0, block_m=(90.0, 150.0), gap_share=0.2, least_trip_m=250.0, car_share=0.5)
)
SEEDS = range(4)


def town_of(seed: int, **changes: Any) -> Town:
    return build_town(seed, replace(OPTIONS, **changes))


@pytest.fixture(scope="module", params=SEEDS)
def town(request: pytest.FixtureRequest) -> Town:
    return town_of(request.param)


def graph_of(streets: Streets) -> networkx.Graph:
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(streets.crossings_m)))
    for (one, other), length_m in zip(streets.ends.tolist(), streets.length_m, strict=True):
        graph.add_edge(one, other, length_m=length_m)
    return graph


def off_the_streets_m(streets: Streets, points_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how far each point is from the nearest segment, and the greatest limit of the segments within 1 cm."""
    start, end = streets.crossings_m[streets.ends].swapaxes(0, 1)
    along = end - start
    share = ((points_m[:, None] - start) * along).sum(axis=2) / np.square(along).sum(axis=1)
    foot = start + np.clip(share, 0, 1)[..., None] * along
    apart = np.linalg.norm(points_m[:, None] - foot, axis=2)
    return apart.min(axis=1), np.where(apart < 0.01, streets.limit_m_per_s, 0).max(axis=1)


def same(one: Town, other: Town) -> bool:
    parts = ("streets", "places", "routes", "wires")
    pairs = [(a, b) for part in parts for a, b in zip(getattr(one, part), getattr(other, part), strict=True)]
    return all(np.array_equal(a, b) for a, b in [*pairs, (one.sites, other.sites)])


def test_a_seed_gives_one_town_and_another_seed_another(town: Town) -> None:
    assert same(town, build_town(town.seed, OPTIONS))
    assert not same(town, build_town(town.seed + 100, OPTIONS))


def test_parts_of_a_town_do_not_depend_on_each_others_numbers() -> None:
    one, other = town_of(3, num_edges=(6, 6)), town_of(3, num_edges=(9, 9), wire_mbps=(1.0, 2.0))
    assert all(np.array_equal(a, b) for a, b in zip(one.streets, other.streets, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(one.places, other.places, strict=True))
    assert (len(one.sites), len(other.sites)) == (6, 9)


def test_streets_are_connected_without_dead_ends_and_with_gaps(town: Town) -> None:
    graph = graph_of(town.streets)
    assert networkx.is_connected(graph)
    assert min(degree for _, degree in graph.degree()) >= 2
    columns, rows = (len(np.unique(town.streets.crossings_m[:, axis])) for axis in (0, 1))
    whole = columns * (rows - 1) + rows * (columns - 1)
    assert whole - len(town.streets.ends) == round(0.2 * whole)


@pytest.mark.parametrize("seed", range(20))
def test_as_many_gaps_as_possible_leave_the_streets_connected(seed: int) -> None:
    streets = draw_streets(np.random.default_rng(seed), 1000.0, (90.0, 150.0), 1.0, 0.0, (8.0, 14.0))
    assert networkx.is_connected(graph_of(streets))
    assert streets.arms.min() == 2
    assert len(streets.ends) < 1.25 * len(streets.crossings_m)


def test_connected_sees_two_parts() -> None:
    assert connected(np.array([[0, 1], [2, 1], [3, 2]]), 4)
    assert not connected(np.array([[0, 1], [3, 2]]), 4)


def test_main_streets_are_whole_lines_with_the_greater_limit(town: Town) -> None:
    streets = town.streets
    is_main = streets.limit_m_per_s > 10
    assert set(streets.limit_m_per_s) == {8.3, 13.9}
    start, end = streets.crossings_m[streets.ends].swapaxes(0, 1)
    for axis, other in ((0, 1), (1, 0)):
        on_axis = start[:, other] == end[:, other]
        for line in np.unique(streets.crossings_m[:, other]):
            mains = is_main[on_axis & (start[:, other] == line)]
            assert mains.all() or not mains.any()
            if mains.any():
                assert len(mains) == len(np.unique(streets.crossings_m[:, axis])) - 1  # no gaps


def test_blocks_are_about_as_long_as_asked() -> None:
    streets = town_of(2, block_m=(99.0, 101.0), gap_share=0.0).streets
    np.testing.assert_allclose(streets.length_m, 100.0, rtol=0.05)


def test_places_lie_at_their_segments_and_probabilities_add_up(town: Town) -> None:
    places = town.places
    apart_m, _ = off_the_streets_m(town.streets, places.positions_m)
    assert apart_m.max() < 0.01
    assert len(set(places.segment.tolist())) == len(places.segment)
    np.testing.assert_allclose([places.popularity.sum(), *places.goes_to.sum(axis=1)], 1.0)
    rank = 1 + np.arange(len(places.popularity))
    np.testing.assert_allclose(places.popularity, places.popularity[0] * rank**-0.8)
    between_m = np.linalg.norm(places.positions_m[:, None] - places.positions_m, axis=2)
    assert np.all(places.goes_to[between_m < 250] == 0)


def test_without_habit_destinations_are_as_popular_as_origins() -> None:
    places = town_of(1, habit=0.0, least_trip_m=0.0).places
    for origin, row in enumerate(places.goes_to):
        expected = np.where(np.arange(len(row)) == origin, 0, places.popularity)
        np.testing.assert_allclose(row, expected / expected.sum())


def test_a_place_with_nothing_far_enough_goes_to_the_farthest() -> None:
    places = town_of(1, least_trip_m=1e6).places
    between_m = np.linalg.norm(places.positions_m[:, None] - places.positions_m, axis=2)
    assert np.array_equal(places.goes_to == 1, between_m == between_m.max(axis=1, keepdims=True))


def test_people_come_and_go_as_popular_as_places_are(town: Town) -> None:
    trips = draw_trips(np.random.default_rng(0), town.places, town.routes, town.options, np.zeros(20_000))
    count = np.bincount(trips.origin, minlength=len(town.places.popularity))
    np.testing.assert_allclose(count / 20_000, town.places.popularity, atol=0.012)
    went = np.bincount(trips.destination[trips.origin == 0], minlength=len(count)) / count[0]
    np.testing.assert_allclose(went, town.places.goes_to[0], atol=0.03)
    assert abs(trips.by_car.mean() - 0.5) < 0.015


def test_people_go_on_from_where_they_have_gone_and_stay_there_for_a_while() -> None:
    stop_s = (20.0, 30.0)
    one, two = (town_of(2, legs=(legs, legs), stop_s=stop_s, wait_share=0.0) for legs in (1, 2))
    drawn = draw_trips(np.random.default_rng(0), two.places, two.routes, two.options, np.zeros(20_000))
    first = drawn.origin == 0
    went = np.bincount(drawn.destination[first], minlength=len(two.places.popularity)) / first.sum()
    np.testing.assert_allclose(went, (two.places.goes_to @ two.places.goes_to)[0], atol=0.03)
    assert not np.any(one.trips(np.random.default_rng(0), 200).velocities_m_per_s.sum(axis=1) == 0)
    trips = two.trips(np.random.default_rng(0), 50)
    for trip in range(50):
        points = slice(trips.offsets[trip], trips.offsets[trip + 1])
        still = ~trips.velocities_m_per_s[points].any(axis=1)
        assert 9 <= still.sum() <= 16  # slots of 2 s that begin within 20 to 30 s
        assert len(np.unique(trips.positions_m[points][still].round(6), axis=0)) == 1  # all at one place


def test_people_keep_to_the_streets_and_to_the_speed_limits(town: Town) -> None:
    trips = town.trips(np.random.default_rng(1), 300)
    apart_m, limit = off_the_streets_m(town.streets, trips.positions_m)
    assert apart_m.max() < 0.01
    by_car = np.repeat(trips.by_car, np.diff(trips.offsets))
    speed = np.linalg.norm(trips.velocities_m_per_s, axis=1)
    walking, driving = speed[~by_car & (speed > 0)], speed[by_car & (speed > 0)]
    assert 1.0 <= walking.min() < 1.1 and 1.9 < walking.max() <= 2.0 + 1e-9
    assert 0.6 * 8.3 - 1e-9 <= driving.min() < 5.5 and 12.5 < driving.max() <= 13.9 + 1e-9
    assert np.all(speed[by_car] <= limit[by_car] + 1e-9)
    assert driving[limit[by_car & (speed > 0)] < 10].max() <= 8.3 + 1e-9


def test_trips_go_from_their_origin_to_their_destination_without_jumps(town: Town) -> None:
    trips = town.trips(np.random.default_rng(2), 300, slot_s=0.5)
    assert len(trips.offsets) == 301
    for trip, (begin, end) in enumerate(zip(trips.offsets[:-1], trips.offsets[1:], strict=True)):
        path, fastest = trips.positions_m[begin:end], 13.9 if trips.by_car[trip] else 2.0
        steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
        assert steps.max() <= 0.5 * fastest + 1e-6
        for place, point in ((trips.origin[trip], path[0]), (trips.destination[trip], path[-1])):
            assert np.linalg.norm(town.places.positions_m[place] - point) <= 0.5 * fastest + 1e-6


def test_past_trips_set_out_at_random_times_of_a_slot() -> None:
    town = town_of(4, walk_m_per_s=(1.5, 1.5), car_share=0.0)
    trips = town.trips(np.random.default_rng(3), 2000, slot_s=4.0)
    gone_m = np.linalg.norm(trips.positions_m[trips.offsets[:-1]] - town.places.positions_m[trips.origin], axis=1)
    np.testing.assert_allclose(np.histogram(gone_m, 4, (0, 4 * 1.5))[0] / 2000, 0.25, atol=0.04)


def test_velocities_are_those_at_the_moment_a_slot_begins() -> None:
    town = town_of(4)
    trips = draw_trips(np.random.default_rng(3), town.places, town.routes, town.options, np.zeros(20))
    coarse, fine = presences(trips, 2.0), presences(trips, 0.004)
    for trip in range(20):
        rough, exact = coarse.trip == trip, fine.trip == trip
        path = fine.positions_m[exact]
        at = 500 * coarse.slot[rough]
        at = at[at + 1 < len(path)]
        moved = (path[at + 1] - path[at]) / 0.004
        wrong = np.linalg.norm(moved - coarse.velocities_m_per_s[rough][: len(at)], axis=1) > 1e-6
        assert wrong.sum() <= 1  # a stage may begin within these very milliseconds
        np.testing.assert_allclose(path[at], coarse.positions_m[rough][: len(at)], atol=1e-9)


def test_routes_on_foot_are_shortest_and_by_car_fastest() -> None:
    town = town_of(5)
    routes, places = town.routes, town.places
    crossings = len(town.streets.crossings_m)
    graph = networkx.Graph()
    on_segment = dict(zip(places.segment.tolist(), range(len(places.segment)), strict=True))
    points = np.concatenate([town.streets.crossings_m, places.positions_m])
    for segment, (one, other) in enumerate(town.streets.ends.tolist()):
        place = on_segment.get(segment)
        chain = [one, other] if place is None else [one, crossings + place, other]
        for begin, end in pairwise(chain):
            length_m = np.linalg.norm(points[begin] - points[end])
            graph.add_edge(begin, end, m=length_m, s=length_m / town.streets.limit_m_per_s[segment])
    found_m, found_s = routes.length_m[0], (routes.length_m / routes.limit_m_per_s)[1]
    for origin in range(len(places.segment)):
        for weight, found in (("m", found_m), ("s", found_s)):
            least = networkx.single_source_dijkstra_path_length(graph, crossings + origin, weight=weight)
            expected = np.array([least[crossings + goal] for goal in range(len(places.segment))])
            np.testing.assert_allclose(found[0, origin].sum(axis=1), expected, atol=1e-9)
            for variant in (1, 2):
                longer = found[variant, origin].sum(axis=1)
                assert np.all(longer >= expected - 1e-9) and np.all(longer <= 1.5 * expected + 1e-9)
    others = np.any(routes.start_m[0, 1] != routes.start_m[0, 0], axis=(2, 3))  # of the same length, often
    assert 0.2 < others.mean() < 1


def test_waiting_happens_at_junctions_and_as_often_as_asked() -> None:
    town = town_of(2, wait_share=0.4, wait_s=(5.0, 9.0))
    trips = draw_trips(np.random.default_rng(4), town.places, town.routes, town.options, np.zeros(3000))
    lasts_s = np.diff(trips.times_s, axis=1)[:, ::2]
    where_m = trips.start_m[:, ::2][lasts_s > 0]
    junctions_m = town.streets.crossings_m[town.streets.arms >= 3]
    assert np.sqrt(square_distances(where_m, junctions_m).min(axis=1)).max() < 1e-9
    assert lasts_s[lasts_s > 0].min() >= 5.0 and lasts_s.max() <= 9.0
    assert np.all(trips.velocity_m_per_s[:, ::2] == 0)
    passed = sum(
        int(town.routes.at_junction[:, :, origin, goal].sum()) / 6
        for origin, goal in zip(trips.origin, trips.destination, strict=True)
    )
    assert abs((lasts_s > 0).sum() / passed - 0.4) < 0.02
    assert not np.any(np.diff(town_of(2, wait_share=0.0).trips(np.random.default_rng(0), 5).offsets) == 0)


def test_edges_stand_between_crossings_and_cover_the_streets(town: Town) -> None:
    assert len(set(town.sites.tolist())) == len(town.sites)
    assert 6 <= len(town.sites) <= 9
    np.testing.assert_allclose(town.edges_m, town.streets.crossings_m[town.streets.ends[town.sites]].mean(axis=1))
    points_m = points_of_streets(town.streets)
    reach_m = np.sqrt(square_distances(points_m, town.edges_m).min(axis=1))
    assert reach_m.max() < 400
    assert np.median(reach_m) < 175
    rng = np.random.default_rng(0)
    for _ in range(50):
        others = rng.permutation(len(town.streets.ends))[: len(town.sites)]
        random_m2 = square_distances(points_m, town.streets.middles_m[others]).min(axis=1)
        assert np.mean(reach_m**2) < np.mean(random_m2)


def test_points_of_streets_are_on_them_and_dense(town: Town) -> None:
    points_m = points_of_streets(town.streets)
    assert off_the_streets_m(town.streets, points_m)[0].max() < 0.01
    assert abs(len(points_m) / (town.streets.length_m.sum() / 15.0) - 1) < 0.1


def test_cells_are_the_nearest_edges(town: Town) -> None:
    trips = town.trips(np.random.default_rng(5), 50)
    apart_m = np.linalg.norm(trips.positions_m[:, None] - town.edges_m, axis=2)
    np.testing.assert_array_equal(trips.cell, apart_m.argmin(axis=1) + 1)
    np.testing.assert_array_equal(trips.cell, town.cells(trips.positions_m))


def test_places_have_a_few_networks_of_their_own(town: Town) -> None:
    networks = town.networks(29)
    assert np.array_equal(networks.network, town.networks(29).network)
    assert set(networks.num_networks) <= {2, 3}
    assert all(len(set(row)) == len(row) for row in networks.network.tolist())
    origin = np.tile(np.arange(len(networks.num_networks)), 2000)
    drawn = networks.draw(np.random.default_rng(0), np.append(origin, -1))
    assert drawn[-1] == -1
    for place, (count, row) in enumerate(zip(networks.num_networks, networks.network, strict=True)):
        found, times = np.unique(drawn[:-1][origin == place], return_counts=True)
        assert set(found) == set(row[:count])
        np.testing.assert_allclose(times / 2000, 1 / count, atol=0.06)
    assert town.networks(1).draw(np.random.default_rng(0), np.array([0, 1])).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_places": (500, 500)}, r"num_places is 500 in a town with \d+ segments of street; give 2 places or more"),
        ({"num_places": (1, 1)}, r"num_places is 1 in a town with \d+ segments"),
        ({"num_edges": (120, 120)}, r"num_edges is 120, but there are only \d+ sites for edges; give fewer"),
    ],
)
def test_a_town_that_is_too_small_says_so(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        town_of(1, **changes)
