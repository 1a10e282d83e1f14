"""Wires lie along the streets, and between edges far apart the path with the greatest least rate counts."""

from __future__ import annotations

from itertools import pairwise

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnnmig_env.families.city import City
from dnnmig_env.families.town.town import TownOptions, build_town
from dnnmig_env.families.town.wires import best_paths, draw_wires, neighbours_in_the_plane

MBIT = 125_000.0


def test_best_paths_by_hand() -> None:
    #  0 --8-- 1 --4-- 2, and 0 --2-- 2 directly; between 1 and 3 two ways of the same least rate.
    rate, delay = np.zeros((4, 4)), np.full((4, 4), np.inf)
    for one, other, wire, latency in ((0, 1, 8, 1), (1, 2, 4, 2), (0, 2, 2, 0.5), (2, 3, 4, 1), (1, 3, 4, 5)):
        rate[one, other] = rate[other, one] = wire
        delay[one, other] = delay[other, one] = latency
    rates, latencies = best_paths(rate, delay)
    np.testing.assert_array_equal(rates, [[0, 8, 4, 4], [8, 0, 4, 4], [4, 4, 0, 4], [4, 4, 4, 0]])
    np.testing.assert_array_equal(latencies, [[0, 1, 3, 4], [1, 0, 2, 3], [3, 2, 0, 1], [4, 3, 1, 0]])


def best_by_trying(
    is_wire: np.ndarray, rate: np.ndarray, delay: np.ndarray, one: int, other: int
) -> tuple[float, float]:
    graph = networkx.from_numpy_array(is_wire.astype(int))
    found = []
    for path in networkx.all_simple_paths(graph, one, other):
        hops = list(pairwise(path))
        found.append((min(rate[hop] for hop in hops), -sum(delay[hop] for hop in hops)))
    best = max(found)
    return best[0], -best[1]


@given(st.integers(0, 2**32), st.integers(2, 6))
def test_best_paths_are_the_best_of_all_paths(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    chain = np.eye(size, k=1, dtype=np.bool_)
    is_wire = chain | np.triu(rng.random((size, size)) < 0.4, 1)
    is_wire |= is_wire.T
    rate = np.triu(rng.integers(1, 4, (size, size)), 1) * 1.0  # few values, so that ties decide by latency
    delay = np.triu(rng.random((size, size)), 1)
    rate, delay = (rate + rate.T) * is_wire, np.where(is_wire, delay + delay.T, np.inf)
    rates, latencies = best_paths(rate, delay)
    for one in range(size):
        for other in range(one):
            expected = best_by_trying(is_wire, rate, delay, one, other)
            np.testing.assert_allclose((rates[one, other], latencies[one, other]), expected)


@pytest.mark.parametrize("seed", range(8))
def test_wires_of_a_town_connect_neighbours_and_are_the_same_both_ways(seed: int) -> None:
    town = build_town(seed, TownOptions.of(City(wire_mbps=(50.0, 500.0))))
    wires, streets = town.wires, town.streets
    for values in wires:
        np.testing.assert_array_equal(values, values.T)
        assert not np.any(np.diag(values))
    assert networkx.is_connected(networkx.from_numpy_array(wires.is_wire.astype(int)))
    off = ~np.eye(len(town.sites), dtype=np.bool_)
    assert np.all((wires.bytes_per_s[off] >= 50 * MBIT) & (wires.bytes_per_s[off] <= 500 * MBIT))
    assert wires.latency_s[wires.is_wire].min() >= 0.0005
    # A wire lies where a segment of street leads from the crossings nearest to one edge to those nearest to another.
    graph = networkx.Graph()
    for (one, other), length_m in zip(streets.ends.tolist(), streets.length_m, strict=True):
        graph.add_edge(one, other, weight=length_m)
    distances = []
    for site in town.sites.tolist():
        graph.add_node("edge")
        for end in streets.ends[site].tolist():
            graph.add_edge("edge", end, weight=streets.length_m[site] / 2)
        distances.append(networkx.single_source_dijkstra_path_length(graph, "edge"))
        graph.remove_node("edge")
    owner = [int(np.argmin([each[node] for each in distances])) for node in range(len(streets.crossings_m))]
    expected = {frozenset((owner[a], owner[b])) for a, b in streets.ends.tolist() if owner[a] != owner[b]}
    assert {frozenset(pair) for pair in np.argwhere(wires.is_wire).tolist()} == expected


def test_wires_are_drawn_within_their_ranges() -> None:
    beside = np.arange(99)
    is_wire = np.eye(100, k=1, dtype=np.bool_) | np.eye(100, k=-1, dtype=np.bool_)
    wires = draw_wires(np.random.default_rng(0), is_wire, (50.0, 500.0), (0.001, 0.003))
    assert np.array_equal(wires.is_wire, is_wire)
    rate, delay = wires.bytes_per_s[beside, beside + 1] / MBIT, wires.latency_s[beside, beside + 1]
    assert 50 <= rate.min() < 60 and 400 < rate.max() <= 500
    assert abs(np.log(rate).mean() - np.log(50 * 10**0.5)) < 0.2
    assert 0.001 <= delay.min() < 0.0011 and 0.0029 < delay.max() <= 0.003
    np.testing.assert_allclose(wires.latency_s[0, 99], delay.sum())
    assert wires.bytes_per_s[0, 99] == wires.bytes_per_s[beside, beside + 1].min()


def test_gabriel_neighbours_by_hand() -> None:
    square = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0], [5.0, 1.0]])
    expected = np.zeros((5, 5), np.bool_)
    for one, other in ((0, 4), (1, 4), (2, 3), (0, 3), (1, 2), (2, 4), (3, 4)):
        expected[one, other] = expected[other, one] = True
    np.testing.assert_array_equal(neighbours_in_the_plane(square), expected)


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_gabriel_graphs_are_connected(seed: int, size: int) -> None:
    points = np.random.default_rng(seed).random((size, 2))
    assert networkx.is_connected(networkx.from_numpy_array(neighbours_in_the_plane(points).astype(int)))
