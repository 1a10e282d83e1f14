"""Draws the places of a town that people come from and go to, and their habits: who goes where and runs what."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.families.draw.ranges import CountRange, counts, uniform
from dnnmig_env.families.town.streets import Streets


class Places(NamedTuple):
    """P places, the most popular one first, each at a segment of street of its own."""

    positions_m: Floats  # (P, 2)
    segment: Ints  # (P,): the segment at which it lies
    popularity: Floats  # (P,): probability that somebody comes from there
    goes_to: Floats  # (P, P): probability of each destination (column) of those who come from a place (row)


class PlaceNetworks(NamedTuple):
    """The networks that people who come from P places run, at most K per place, all with the same probability."""

    num_networks: Ints  # (P,)
    network: (
        Ints  # (P, K): indices of a generator's networks, different ones within a row; those after `count` are idle
    )

    def draw(self, rng: np.random.Generator, origin: Ints) -> Ints:
        """Draw a network for everybody who comes from a place; -1 where the place is -1."""
        choice = (rng.random(origin.shape) * self.num_networks[origin]).astype(np.int64)
        networks: Ints = np.where(origin >= 0, self.network[origin, choice], -1)
        return networks


def draw_places(
    rng: np.random.Generator, streets: Streets, num_places: int, exponent: float, habit: float, least_trip_m: float
) -> Places:
    """Draw places at random segments of the streets.

    Args:
        rng: Source of randomness.
        streets: The streets.
        num_places: Number of places, P, at most one per segment.
        exponent: The place of rank k is popular as 1 / k^exponent (Zipf's law); 0 = all places are alike.
        habit: Deviation of the logarithm of the factor by which those who come from a place like a destination more or
            less than its popularity says; 0 = the same destinations for all.
        least_trip_m: Least distance between a place and its destinations, as the crow flies. A place without any goes
            to the one that is farthest.

    Raises:
        ValueError: If there are fewer segments than places, or fewer than two places.
    """
    if not 2 <= num_places <= len(streets.ends):
        raise ValueError(
            f"num_places is {num_places} in a town with {len(streets.ends)} segments of street; give 2 places or more, "
            "at most one per segment, or make blocks (block_m) smaller."
        )
    segment = rng.permutation(len(streets.ends))[:num_places]
    start, end = streets.crossings_m[streets.ends[segment]].swapaxes(0, 1)
    positions_m = start + uniform(rng, (0.2, 0.8), (num_places, 1)) * (end - start)
    popularity = (1.0 + np.arange(num_places)) ** -exponent
    apart_m = np.hypot(*(positions_m[:, None] - positions_m).transpose(2, 0, 1))
    allowed = (apart_m >= least_trip_m) & ~np.eye(num_places, dtype=np.bool_)
    farthest = apart_m == apart_m.max(axis=1, keepdims=True)
    allowed |= farthest & ~allowed.any(axis=1, keepdims=True)
    goes_to = popularity * np.exp(habit * rng.standard_normal(apart_m.shape)) * allowed
    return Places(positions_m, segment, popularity / popularity.sum(), goes_to / goes_to.sum(axis=1, keepdims=True))


def draw_place_networks(
    rng: np.random.Generator, num_places: int, num_networks: int, per_place: CountRange
) -> PlaceNetworks:
    """Draw which networks people run who come from each place.

    Args:
        rng: Source of randomness.
        num_places: Number of places, P.
        num_networks: Number of networks of the generator; a place has no more than these.
        per_place: Least and most networks of a place.
    """
    order = rng.random((num_places, num_networks)).argsort(axis=1)
    count = np.minimum(counts(rng, per_place, (num_places,)), num_networks)
    return PlaceNetworks(count, order[:, : min(per_place[1], num_networks)])
