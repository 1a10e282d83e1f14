"""What scenarios of the city are like: its docstring, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnnmig_env.families.city import City
from dnnmig_env.families.registry import make_generator
from dnnmig_env.families.town.recorded import RecordedTown
from dnnmig_env.families.town.town import Town
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.radio import radio_bytes_per_s

MBIT = 125_000.0
EXAMPLE = str(Path(__file__).resolve().parents[3] / "examples" / "town.fcd.xml")


def draw(count: int = 40, seed: int = 17, **options: Any) -> PackedScenarios:
    return City(**options).draw(np.random.default_rng(seed), count).packed


def town_of(**options: Any) -> Town:
    ground = City(**options).ground()
    assert isinstance(ground, Town)
    return ground


def metres(packed: PackedScenarios, normalised: np.ndarray) -> np.ndarray:
    return np.asarray((normalised + 0.5) * packed.area_m[0])


KINDS = [{}, {"city_seed": 3}, {"city_seed": None}, {"positions": EXAMPLE}, {"positions": EXAMPLE, "city_seed": None}]


@pytest.fixture(scope="module", params=KINDS, ids=str)
def packed(request: pytest.FixtureRequest) -> PackedScenarios:
    return draw(12, **request.param)


def test_people_are_at_home_at_the_nearest_edge_and_served_by_it_and_the_cloud_alone(packed: PackedScenarios) -> None:
    for row in range(len(packed.num_users)):
        users, servers = packed.num_users[row], packed.num_servers[row]
        edges_m = metres(packed, packed.server_positions[row, : servers - 1])
        users_m = metres(packed, packed.user_positions[row, :, :users])
        apart_m = np.linalg.norm(users_m[:, :, None] - edges_m, axis=3)
        home = packed.home[row, :, :users]
        np.testing.assert_allclose(
            np.take_along_axis(apart_m, home[..., None] - 1, axis=2)[..., 0], apart_m.min(axis=2), atol=1e-9
        )
        present = packed.query_rate_hz[row, :, :users] > 0
        at_home = np.arange(1, servers + 1) == home[..., None]
        at_home[..., servers - 1] = True
        for values in (packed.up_bytes_per_s, packed.down_bytes_per_s, packed.up_latency_s, packed.down_latency_s):
            np.testing.assert_array_equal(values[row, :, :users, :servers] > 0, at_home & present[..., None])
        assert not np.any(packed.home[row, :, users:])
        assert not np.any(packed.up_bytes_per_s[row, :, users:]) and not np.any(packed.query_rate_hz[row, :, users:])


def test_people_come_once_and_are_few(packed: PackedScenarios) -> None:
    present = packed.query_rate_hz > 0
    assert present.sum(axis=2).max() <= 12
    assert packed.num_users.min() >= 1 and packed.num_users.max() <= 24
    np.testing.assert_array_equal(present.any(axis=1).sum(axis=1), packed.num_users)
    assert np.all(np.abs(np.diff(present.astype(int), axis=1)).sum(axis=1) <= 2)  # come and go once
    assert present[:, 0].any(axis=1).all()
    first = np.where(present.any(axis=1), present.argmax(axis=1), 1000)
    assert np.all(np.diff(first, axis=1) >= 0)  # in order of arrival
    for values in (packed.user_positions, packed.user_velocities):
        assert not np.any(values[~present])
    rates = [packed.query_rate_hz[row, :, user] for row in range(len(present)) for user in range(packed.num_users[row])]
    assert all(len(set(rate[rate > 0])) == 1 for rate in rates)


def test_weights_move_and_the_scenarios_are_valid() -> None:
    for options in KINDS:
        batch = City(**options).draw(np.random.default_rng(1), 2)
        scenario = batch.scenario(1)
        assert scenario.moves and scenario.family == "city"
        assert scenario.horizon_s == 600 and scenario.num_slots == 300
        assert np.asarray(scenario.links.home).min() >= 1
        assert max(len(user.graph) for user in scenario.users) <= 8


def test_the_cap_on_those_present_is_met_and_turns_people_away() -> None:
    crowded = draw(5, arrivals_per_min=30.0, num_users=40, num_present=5)
    assert set((crowded.query_rate_hz > 0).sum(axis=2).max(axis=1)) == {5}
    assert draw(5, arrivals_per_min=30.0, num_users=7).num_users.tolist() == [7] * 5


@pytest.mark.parametrize("per_min", [0.5, 3.0])
def test_as_many_people_arrive_as_asked(per_min: float) -> None:
    generator = City(arrivals_per_min=per_min, num_users=80, num_present=80)
    found = [generator.draw(np.random.default_rng(seed), 10).packed for seed in range(12)]
    count = np.concatenate([each.num_users for each in found])
    expected = 1 + per_min * 10
    assert abs(count.mean() - expected) < 4 * np.sqrt(expected / len(count))
    present = np.concatenate([each.query_rate_hz > 0 for each in found])
    first = present.argmax(axis=1)[present.any(axis=1)]
    later = first[first > 0]
    assert abs(later.mean() / 300 - 0.5) < 0.05


def test_all_but_the_town_comes_from_the_scenarios_seed() -> None:
    one, same, other = draw(3, seed=1), draw(3, seed=1), draw(3, seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    for name in ("server_positions",):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    edges = one.num_servers[0] - 1
    assert np.array_equal(one.between_bytes_per_s[:, :edges, :edges], other.between_bytes_per_s[:, :edges, :edges])
    for name in ("user_positions", "query_rate_hz", "memory_bytes", "execution_s"):
        assert not np.array_equal(getattr(one, name), getattr(other, name)), name
    elsewhere = draw(3, seed=1, city_seed=7)
    assert not np.array_equal(one.server_positions, elsewhere.server_positions)


def test_every_scenario_has_a_town_of_its_own_without_a_seed() -> None:
    found = draw(6, city_seed=None)
    assert len({each.tobytes() for each in found.server_positions}) == 6
    assert len(set(found.num_servers)) > 1
    again = draw(6, city_seed=None)
    assert np.array_equal(found.server_positions, again.server_positions)


def test_servers_are_connected_by_the_towns_wires_and_one_line_to_the_cloud() -> None:
    found, town = draw(30), town_of()
    edges, cloud = len(town.sites), found.num_servers[0] - 1
    assert cloud == edges
    np.testing.assert_array_equal(found.between_bytes_per_s, found.between_bytes_per_s.swapaxes(1, 2))
    np.testing.assert_array_equal(found.between_latency_s, found.between_latency_s.swapaxes(1, 2))
    for row in range(30):
        np.testing.assert_array_equal(found.between_bytes_per_s[row, :edges, :edges], town.wires.bytes_per_s)
        np.testing.assert_array_equal(found.between_latency_s[row, :edges, :edges], town.wires.latency_s)
    line, delay = found.between_bytes_per_s[:, cloud, :edges] / MBIT, found.between_latency_s[:, cloud, :edges]
    assert np.all(line == line[:, :1]) and np.all(delay == delay[:, :1])
    assert 5 <= line.min() < 8 and 35 < line.max() <= 50
    assert 0.02 <= delay.min() < 0.025 and 0.055 < delay.max() <= 0.06
    assert not np.any(found.between_bytes_per_s[:, cloud + 1 :])


def test_access_follows_the_distance_and_the_cloud_lies_behind() -> None:
    found = draw(10, shadowing_db=0.0)
    present = found.query_rate_hz > 0
    row, slot, user = np.nonzero(present)
    home, cloud = found.home[present] - 1, found.num_servers[0] - 1
    between = found.user_positions[present] - found.server_positions[row, home]
    expected = radio_bytes_per_s(City.area_m * np.hypot(*between.T), np.zeros(len(row)))
    access = found.up_bytes_per_s[row, slot, user, home]
    np.testing.assert_allclose(access, expected)
    line, delay = (values[row, 0, cloud] for values in (found.between_bytes_per_s, found.between_latency_s))
    np.testing.assert_array_equal(found.up_bytes_per_s[row, slot, user, cloud], np.minimum(access, line))
    latency = found.up_latency_s[row, slot, user, home]
    assert latency.min() >= 0.002 and latency.max() <= 0.01
    np.testing.assert_allclose(found.up_latency_s[row, slot, user, cloud], latency + delay)


def test_shadowing_is_correlated_from_slot_to_slot_and_as_strong_as_asked() -> None:
    # In a tiny town nobody is farther than 50 m from an edge, so that only the shadowing changes the rate.
    tiny = {"area_m": 60.0, "block_m": (9.0, 12.0), "least_trip_m": 20.0, "walk_m_per_s": 0.1, "car_share": 0.0}
    found = draw(15, shadowing_db=20.0, shadowing_correlation=0.9, **tiny)
    present, rate = found.query_rate_hz > 0, found.up_bytes_per_s.max(axis=3)
    weak = rate < 160 * MBIT  # that is, the loss is more than 25 - 10 log10(2^8 - 1) = 0.9 dB
    loss = np.where(weak, 25 - 10 * np.log10(2 ** (8 * np.maximum(rate, 1.0) / 20e6) - 1), 0.0)
    assert abs(np.percentile(loss[present], 90) - 20 * 1.2816) < 2
    both, same_cell = present[:, 1:] & present[:, :-1], found.home[:, 1:] == found.home[:, :-1]
    changes = weak[:, 1:] != weak[:, :-1]
    assert abs(changes[both & same_cell].mean() - np.arccos(0.9) / np.pi) < 0.015  # normal with this correlation
    assert abs(changes[both & ~same_cell].mean() - 0.5) < 0.1  # drawn anew


def test_networks_are_those_of_the_place_that_people_come_from() -> None:
    town = town_of()
    generator = City()
    table = generator.draw(np.random.default_rng(0), 30)
    names = {user.graph.name for row in range(30) for user in table.scenario(row).users}
    own = town.networks(29)
    allowed = {
        int(network) for count, row in zip(own.num_networks, own.network, strict=True) for network in row[:count]
    }
    assert len(names) <= len(allowed) < 29
    for row in range(10):
        scenario = table.scenario(row)
        for index, user in enumerate(scenario.users):
            slot = int(np.argmax(np.asarray(user.query_rate_hz) > 0))
            assert scenario.mobility is not None
            begin_m = np.asarray(scenario.mobility.user_positions_m)[slot, index]
            near = np.flatnonzero(np.linalg.norm(town.places.positions_m - begin_m, axis=1) < 2 * 13.9)
            graphs = [table.build.participants.networks.graphs[n] for place in near for n in own.network[place]]  # type: ignore[attr-defined]
            assert user.graph in graphs


def test_memory_holds_a_few_networks() -> None:
    found = draw(100, edge_memory_networks=(2.0, 4.0), networks=("resnet18", "resnet50"))
    users = found.num_layers > 0
    mean = found.weight_bytes.sum(axis=(1, 2)) / users.sum(axis=1)
    largest = found.weight_bytes.max(axis=(1, 2))
    edges = found.num_servers[0] - 1
    share = found.memory_bytes[:, :edges] / mean[:, None]
    enough = found.memory_bytes[:, :edges] > largest[:, None]
    assert enough.all()
    assert 2 <= share.min() < 2.1 and 3.9 < share.max() <= 4
    assert abs(share.mean() - 3) < 0.1
    assert np.all(np.isinf(found.memory_bytes[:, edges]))
    assert not np.any(found.memory_bytes[:, edges + 1 :])


def test_velocities_are_in_sides_per_slot_and_positions_follow_them() -> None:
    found = draw(10, wait_share=0.0, horizon_s=301.0, slot_s=2.0)
    assert found.num_slots[0] == 151 and found.slot_edges_s[0, -2:].tolist() == [300.0, 301.0]
    step = np.diff(found.user_positions, axis=1)
    present = found.query_rate_hz > 0
    goes_on = present[:, 1:] & present[:, :-1]
    straight = np.isclose(step, found.user_velocities[:, :-1], atol=1e-9).all(axis=3)
    assert straight[goes_on].mean() > 0.8  # the others turn within the slot
    last, before = (np.linalg.norm(found.user_velocities[:, slot] * City.area_m, axis=2) for slot in (-1, -2))
    assert last.max() <= 13.9 + 1e-9 and before.max() > last.max()


def test_a_row_is_as_large_as_the_docstring_says() -> None:
    found = draw(2)
    assert abs(sum(values.nbytes for values in found) / 2 / 2.63e6 - 1) < 0.01
    links = sum(values.nbytes for values in (found.up_bytes_per_s, found.down_bytes_per_s)) * 2
    assert links == 2 * 32 * 300 * 24 * 10


# --- positions from a file ---


def test_people_of_a_file_move_as_it_says() -> None:
    generator = City(positions=EXAMPLE, num_users=80, num_present=80)
    ground = generator.ground()
    assert isinstance(ground, RecordedTown)
    scenario = generator.draw(np.random.default_rng(0), 1).scenario(0)
    assert scenario.mobility is not None
    placed_m = np.asarray(scenario.mobility.user_positions_m) + ground.corner_m
    recorded = ground.recorded
    starts_s = np.asarray(scenario.slot_starts_s)
    matched = set()
    for index, user in enumerate(scenario.users):
        present = np.flatnonzero(np.asarray(user.query_rate_hz) > 0)
        path_m = placed_m[present, index]
        for number, (times, places) in enumerate(zip(recorded.times_s, recorded.positions_m, strict=True)):
            times_s, places_m = np.asarray(times), np.asarray(places)
            if number in matched or len(times_s) < 2:
                continue
            # When was this one where the user is first? The window's beginning is not known.
            for begin_s in np.interp(path_m[0, 0], *sorted_pair(places_m[:, 0], times_s)) - starts_s[present[:1]]:
                at_s = begin_s + starts_s[present]
                expected = np.stack([np.interp(at_s, times_s, places_m[:, axis]) for axis in (0, 1)], axis=1)
                if np.abs(expected - path_m).max() < 1e-3:
                    matched.add(number)
    assert len(matched) >= 5  # those who never turn back in x


def sorted_pair(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = x.argsort()
    return x[order], y[order]


def test_a_file_gives_other_windows_but_one_town() -> None:
    one, other = draw(4, seed=1, positions=EXAMPLE), draw(4, seed=2, positions=EXAMPLE)
    assert np.array_equal(one.server_positions, other.server_positions)
    assert not np.array_equal(one.user_positions, other.user_positions)
    assert np.abs(one.user_positions).max() <= 0.5
    assert not np.array_equal(one.server_positions, draw(4, seed=1, positions=EXAMPLE, city_seed=1).server_positions)


# --- options ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"city_seed": -1}, r"city_seed is -1; give a whole number from 0 on, or None for new towns"),
        ({"city_seed": 1.5}, r"city_seed is 1\.5; give a whole number"),
        ({"city_seed": True}, r"city_seed is True; give a whole number"),
        ({"num_present": 0}, r"num_present is 0; give a whole number from 1 on"),
        ({"car_share": 1.2}, r"car_share is 1\.2; give a finite number from 0 to 1"),
        ({"drive_share": (0.5, 1.5)}, r"drive_share is \(0\.5, 1\.5\); cars keep to the limit, so give at most 1"),
        ({"wait_s": 0}, r"wait_s is 0; give a positive number"),
        ({"num_edges": (2, 1)}, r"num_edges is \(2, 1\); give a whole number from 1 on"),
        ({"num_places": 500}, r"num_places is 500 in a town with \d+ segments"),
        ({"positions": 3}, r"positions is 3; give the path of a file, or None"),
        ({"positions": "no-such.csv"}, r"positions no-such\.csv: No such file"),
        ({"position": EXAMPLE}, r"family 'city' has no option 'position'; did you mean 'positions'\?"),
    ],
)
def test_options_that_cannot_work_say_why(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_generator("city", **options)


def test_a_town_of_every_scenario_has_no_ground_without_a_seed() -> None:
    generator = City(city_seed=None)
    with pytest.raises(ValueError, match="city_seed is None, so every scenario has a town of its own; give a seed"):
        generator.ground()
    assert np.array_equal(generator.ground(21).edges_m, City().ground().edges_m)


def test_one_edge_is_enough() -> None:
    found = draw(3, num_edges=1)
    assert set(found.home[found.query_rate_hz > 0]) == {1}
    assert found.up_bytes_per_s.shape[3] == 2
