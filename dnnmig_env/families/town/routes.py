"""Finds the routes between a town's places, once for the whole town: on foot by length, by car by time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.families.town.places import Places
from dnnmig_env.families.town.streets import Streets


class StreetGraph(NamedTuple):
    """The streets as a graph of N nodes: the C crossings, then the P places, which divide the segments they lie at."""

    nodes_m: Floats  # (N, 2)
    length_m: Floats  # (N, N): of the piece of street between two nodes; infinite where there is none
    limit_m_per_s: Floats  # (N, N): its speed limit; 0 where there is none
    is_junction: Bools  # (N,): crossings of three streets or more, where people may have to wait


class Routes(NamedTuple):
    """Routes from place to place as chains of K pieces of street; short routes end with pieces of no length.

    The first axis is the way to travel (0 = on foot, 1 = by car), the second one of R variants; then come the place
    from which and the place to which.
    """

    start_m: Floats  # (2, R, P, P, K, 2): where each piece begins
    direction: Floats  # (2, R, P, P, K, 2): of length 1, or 0 for a piece of no length
    length_m: Floats  # (2, R, P, P, K)
    limit_m_per_s: Floats  # (2, R, P, P, K): 1 for a piece of no length
    at_junction: Bools  # (2, R, P, P, K): whether a piece begins at a junction on the way

    @property
    def num_variants(self) -> int:
        """Number of variants, R."""
        return int(self.length_m.shape[1])


def street_graph(streets: Streets, places: Places) -> StreetGraph:
    """Return streets and places as a graph."""
    nodes_m = np.concatenate([streets.crossings_m, places.positions_m])
    crossings = len(streets.crossings_m)
    whole = np.ones(len(streets.ends), np.bool_)
    whole[places.segment] = False
    node = crossings + np.arange(len(places.segment))
    ends = np.concatenate(
        [streets.ends[whole], *(np.stack([streets.ends[places.segment, end], node], axis=1) for end in (0, 1))]
    )
    limit = np.concatenate([streets.limit_m_per_s[whole], *(2 * [streets.limit_m_per_s[places.segment]])])
    length_m, limit_m_per_s = np.full((len(nodes_m),) * 2, np.inf), np.zeros((len(nodes_m),) * 2)
    vectors = nodes_m[ends[:, 1]] - nodes_m[ends[:, 0]]
    for one, other in ((0, 1), (1, 0)):
        length_m[ends[:, one], ends[:, other]] = np.hypot(vectors[:, 0], vectors[:, 1])
        limit_m_per_s[ends[:, one], ends[:, other]] = limit
    is_junction = np.append(streets.arms >= 3, np.zeros(len(node), np.bool_))
    return StreetGraph(nodes_m, length_m, limit_m_per_s, is_junction)


def find_routes(
    rng: np.random.Generator, graph: StreetGraph, num_places: int, num_variants: int, detour: float
) -> Routes:
    """Return the routes between all pairs of places.

    Those on foot are shortest by length, those by car by time at the speed limits. In the first variant this is exact;
    in every other one each piece of street counts as up to `detour` longer, by a share that is drawn anew.

    Args:
        rng: Source of randomness.
        graph: The streets.
        num_places: Number of places, which are the last nodes of the graph.
        num_variants: Number of variants, R.
        detour: Most by which a piece may seem longer, as a share of its length.
    """
    costs = [graph.length_m, graph.length_m / np.maximum(graph.limit_m_per_s, 1e-9)]
    chains = []
    for cost in costs:
        for variant in range(num_variants):
            seeming = np.triu(1 + detour * (variant > 0) * rng.random(cost.shape), 1)
            chains.append(_chains(cost * (seeming + seeming.T + np.eye(len(cost))), num_places))
    most = max(chain.shape[-1] for chain in chains)
    padded = [np.pad(chain, ((0, 0), (0, 0), (0, most - chain.shape[-1])), mode="edge") for chain in chains]
    node = np.stack(padded).reshape(2, num_variants, num_places, num_places, most)
    begin, end = node[..., :-1], node[..., 1:]
    moves = begin != end
    length_m = np.where(moves, graph.length_m[begin, end], 0.0)
    vector = graph.nodes_m[end] - graph.nodes_m[begin]
    at_junction = graph.is_junction[begin] & moves
    return Routes(
        start_m=graph.nodes_m[begin],
        direction=vector / np.where(moves, length_m, 1.0)[..., None],
        length_m=length_m,
        limit_m_per_s=np.where(moves, graph.limit_m_per_s[begin, end], 1.0),
        at_junction=at_junction,
    )


def shortest_paths(cost: Floats) -> tuple[Floats, Ints]:
    """Return the least cost between all pairs of nodes and the first node after each on the way to each, both (N, N).

    This is the algorithm of Floyd and Warshall (R. W. Floyd, "Algorithm 97: Shortest path", 1962).

    Args:
        cost: Positive cost of the direct way between two nodes, infinite where there is none.
    """
    size = len(cost)
    least = cost.copy()
    np.fill_diagonal(least, 0.0)
    following = np.tile(np.arange(size), (size, 1))
    for via in range(size):
        through = least[:, via, None] + least[via]
        better = through < least
        np.copyto(least, through, where=better)
        np.copyto(following, np.broadcast_to(following[:, via, None], better.shape), where=better)
    return least, following


def _chains(cost: Floats, num_places: int) -> Ints:
    """Return the nodes on the way between all pairs of the last nodes, shape (P, P, K + 1), the last one repeated."""
    _, following = shortest_paths(cost)
    places = np.arange(len(cost) - num_places, len(cost))
    goal = np.broadcast_to(places, (num_places, num_places))
    chain = [np.broadcast_to(places[:, None], goal.shape)]
    while np.any(chain[-1] != goal):
        chain.append(following[chain[-1], goal])
    return np.stack(chain, axis=-1)
