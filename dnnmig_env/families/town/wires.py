"""Draws the wires between the edges of a town: some edges are neighbours, others are reached over these."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.families.draw.links import BYTES_PER_MBIT
from dnnmig_env.families.draw.ranges import Range, log_uniform, uniform
from dnnmig_env.families.town.routes import shortest_paths
from dnnmig_env.families.town.streets import Streets


class Wires(NamedTuple):
    """The network between E edges, the same in both directions; from an edge to itself all is 0."""

    is_wire: Bools  # (E, E): which pairs are neighbours, with a wire of their own
    bytes_per_s: Floats  # (E, E): least rate along the best path
    latency_s: Floats  # (E, E): sum of the latencies along that path


def neighbours_along_streets(streets: Streets, sites: Ints) -> Bools:
    """Return which edges are neighbours, shape (E, E): those whose areas some segment of street connects.

    The area of an edge is the crossings that are nearest to it along the streets. As the streets are connected, all
    edges are connected, too.

    Args:
        streets: The streets.
        sites: The segment in whose middle each edge stands, shape (E,).
    """
    size = len(streets.crossings_m)
    length_m = np.full((size, size), np.inf)
    for one, other in ((0, 1), (1, 0)):
        length_m[streets.ends[:, one], streets.ends[:, other]] = streets.length_m
    distance_m, _ = shortest_paths(length_m)
    to_ends_m = distance_m[:, streets.ends[sites]] + streets.length_m[sites, None] / 2
    owner = to_ends_m.min(axis=2).argmin(axis=1)
    is_neighbour = np.zeros((len(sites), len(sites)), np.bool_)
    for one, other in ((0, 1), (1, 0)):
        is_neighbour[owner[streets.ends[:, one]], owner[streets.ends[:, other]]] = True
    np.fill_diagonal(is_neighbour, False)
    return is_neighbour


def neighbours_in_the_plane(positions_m: Floats) -> Bools:
    """Return which edges are neighbours where no streets are known, shape (E, E): their Gabriel graph, connected.

    Two are neighbours if no third one lies in the circle of which they are a diameter (K. R. Gabriel and R. R. Sokal,
    "A new statistical approach to geographic variation analysis", 1969).
    """
    squares = np.square(positions_m[:, None] - positions_m).sum(axis=2)
    inside = squares[:, None] + squares[None] < squares[:, :, None]  # (E, E, E): the third one is the last axis
    is_neighbour: Bools = ~inside.any(axis=2)
    np.fill_diagonal(is_neighbour, False)
    return is_neighbour


def draw_wires(rng: np.random.Generator, is_wire: Bools, mbps: Range, latency_s: Range) -> Wires:
    """Draw the wires between neighbours and find the paths between all edges.

    Args:
        rng: Source of randomness.
        is_wire: Which pairs are neighbours, shape (E, E).
        mbps: Range of the rates of wires, drawn log-uniformly.
        latency_s: Range of the latencies of wires, drawn uniformly.
    """
    one, other = np.nonzero(np.triu(is_wire))
    rate, delay = np.zeros(is_wire.shape), np.full(is_wire.shape, np.inf)
    rate[one, other] = rate[other, one] = log_uniform(rng, mbps, one.shape) * BYTES_PER_MBIT
    delay[one, other] = delay[other, one] = uniform(rng, latency_s, one.shape)
    return Wires(is_wire, *best_paths(rate, delay))


def best_paths(bytes_per_s: Floats, latency_s: Floats) -> tuple[Floats, Floats]:
    """Return the rate and the latency of the best path between all pairs of edges, both (E, E).

    The best path has the greatest least rate, as weights are large; among these it has the least latency.

    Args:
        bytes_per_s: Rates of the wires, the same in both directions; 0 where there is none.
        latency_s: Their latencies; infinite where there is none.
    """
    best_rate, best_latency = np.zeros(bytes_per_s.shape), np.zeros(bytes_per_s.shape)
    for rate in np.unique(bytes_per_s[bytes_per_s > 0]):  # ascending, so that a greater rate overwrites a lesser one
        latency, _ = shortest_paths(np.where(bytes_per_s >= rate, latency_s, np.inf))
        reached = np.isfinite(latency)
        best_rate[reached], best_latency[reached] = rate, latency[reached]
    np.fill_diagonal(best_rate, 0.0)
    return best_rate, best_latency
