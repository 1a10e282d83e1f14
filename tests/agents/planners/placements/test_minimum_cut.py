"""The minimum cut, against networkx in floating point."""

from __future__ import annotations

import math

import networkx
import numpy as np
import pytest

from agents.planners.placements.minimum_cut import Edge, minimum_cut


def value(edges: list[Edge], sink_side: np.ndarray) -> float:
    return sum(seconds for tail, head, seconds in edges if not sink_side[tail] and sink_side[head])


@pytest.mark.parametrize("seed", range(20))
def test_its_value_is_that_of_networkx(seed: int) -> None:
    rng, count = np.random.default_rng(seed), 12
    edges: list[Edge] = []
    for _ in range(50):
        tail, head = (int(v) for v in rng.choice(count, 2, replace=False))
        inner = tail > 1 and head > 1
        edges.append((tail, head, math.inf if inner and rng.random() < 0.1 else float(10 ** rng.uniform(-4, 1))))
    graph = networkx.DiGraph()
    for tail, head, seconds in edges:
        before = graph.get_edge_data(tail, head, {"capacity": 0.0})["capacity"]
        graph.add_edge(tail, head, capacity=before + seconds)
    least_s = networkx.minimum_cut_value(graph, 0, 1)
    sink_side = minimum_cut(count, edges, 0, 1)
    assert not sink_side[0]
    assert sink_side[1]
    assert value(edges, sink_side) == pytest.approx(least_s, rel=1e-6)


def test_of_equal_cuts_the_one_with_the_smaller_sinks_side_is_taken() -> None:
    path: list[Edge] = [(0, 2, 1.0), (2, 3, 1.0), (3, 1, 1.0)]
    assert minimum_cut(4, path, 0, 1).tolist() == [False, True, False, False]


def test_what_costs_nothing_is_cut_for_nothing() -> None:
    assert minimum_cut(3, [(0, 2, 0.0), (2, 1, 1.0)], 0, 1).tolist() == [False, True, True]
    assert minimum_cut(3, [(0, 2, 1.0), (2, 1, 0.0)], 0, 1).tolist() == [False, True, False]


def test_parallel_edges_add_up() -> None:
    edges: list[Edge] = [(0, 2, 1.0), (0, 2, 1.0), (2, 1, 1.5)]
    assert minimum_cut(3, edges, 0, 1).tolist() == [False, True, False]
