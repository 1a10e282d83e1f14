"""Puts edge servers where they cover a town, and says in whose cell somebody is."""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.families.town.streets import Streets

SPACING_M = 15.0
"""Distance between the points of a street that are to be covered."""

ROUNDS = 20
"""Most rounds in which edges move to better sites."""


def square_distances(points_m: Floats, sites_m: Floats) -> Floats:
    """Return the squared distances between N points and S sites, shape (N, S)."""
    squares: Floats = np.square(points_m[:, None, 0] - sites_m[:, 0])
    squares += np.square(points_m[:, None, 1] - sites_m[:, 1])
    return squares


def points_of_streets(streets: Streets) -> Floats:
    """Return points that lie evenly along all streets, shape (N, 2)."""
    points = []
    for (start, end), length_m in zip(streets.crossings_m[streets.ends], streets.length_m, strict=True):
        count = max(1, round(length_m / SPACING_M))
        points.append(start + (end - start) * ((np.arange(count) + 0.5) / count)[:, None])
    return np.concatenate(points)


def covering_sites(rng: np.random.Generator, points_m: Floats, sites_m: Floats, count: int) -> Ints:
    """Choose sites so that the points are near one of them; return their indices, shape (count,).

    The first site is drawn, each next one is the site farthest from the chosen ones (T. F. Gonzalez, 1985). Then, as in
    Lloyd's algorithm, each moves to the site with the least mean squared distance to the points that are nearest to it,
    until none does.

    Args:
        rng: Source of randomness.
        points_m: What is to be covered, shape (N, 2).
        sites_m: Where servers may stand, shape (S, 2), all different.
        count: Number of servers.

    Raises:
        ValueError: If there are fewer sites than servers.
    """
    if count > len(sites_m):
        raise ValueError(f"num_edges is {count}, but there are only {len(sites_m)} sites for edges; give fewer edges.")
    chosen = [int(rng.random() * len(sites_m))]
    between = square_distances(sites_m, sites_m)
    while len(chosen) < count:
        chosen.append(int(between[:, chosen].min(axis=1).argmax()))
    squares = square_distances(points_m, sites_m)
    for _ in range(ROUNDS):
        nearest = squares[:, chosen].argmin(axis=1)
        before = list(chosen)
        for server in range(count):
            cost = squares[nearest == server].sum(axis=0)
            cost[chosen[:server] + chosen[server + 1 :]] = np.inf
            chosen[server] = int(cost.argmin())
        if chosen == before:
            break
    return np.array(chosen)
