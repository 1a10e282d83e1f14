"""The people of a batch of scenarios with what their towns say: networks, cells, distances and wires."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.families.town.coverage import square_distances
from dnnmig_env.families.town.ground import Ground, Schedule


class Crowd(NamedTuple):
    """The people of B scenarios, at most U each, in towns of at most E edges, and N times somebody is present.

    Positions are in sides of the area from its centre. Padding is zero; edges are followed by a place for the cloud.
    """

    area_m: float  # the same for all
    network: Ints  # (B, U): index of each user's network, -1 = no such user
    num_edges: Ints  # (B,)
    edges: Floats  # (B, E + 1, 2): positions
    wires_bytes_per_s: Floats  # (B, E + 1, E + 1)
    wires_latency_s: Floats  # (B, E + 1, E + 1)
    central_cell: Ints  # (B,): the edge nearest to the centre, 1 to E
    scenario: Ints  # (N,)
    user: Ints  # (N,)
    slot: Ints  # (N,)
    cell: Ints  # (N,): the nearest edge, 1 to E
    distance_m: Floats  # (N,): to that edge
    positions: Floats  # (N, 2)
    velocities_per_s: Floats  # (N, 2): in sides of the area per second

    def enters_cell(self) -> Bools:
        """Return at which times somebody was not in the same cell in the slot before, shape (N,)."""
        enters = np.ones(len(self.cell), np.bool_)
        enters[1:] = False
        for values in (self.scenario, self.user, self.cell):
            enters[1:] |= np.diff(values) != 0
        return enters


def draw_crowd(
    rng: np.random.Generator, ground: Ground, count: int, schedule: Schedule, num_networks: int, most_edges: int
) -> Crowd:
    """Draw the people of `count` scenarios in one town.

    Args:
        rng: Source of randomness.
        ground: The town.
        count: Number of scenarios, B.
        schedule: How long scenarios last and how many people may come.
        num_networks: Number of networks of which people run one each.
        most_edges: Most edges of any town, E.
    """
    visits = ground.visits(rng, count, schedule)
    network = ground.networks(num_networks).draw(rng, visits.origin)
    squares = square_distances(visits.positions_m, ground.edges_m)
    cell = squares.argmin(axis=1)
    missing = most_edges + 1 - len(ground.edges_m)
    edges, wires_bytes_per_s, wires_latency_s = (
        np.tile(np.pad(values, [(0, missing)] * square + [(0, 0)] * (2 - square)), (count, 1, 1))
        for values, square in (
            (ground.edges_m / ground.area_m - 0.5, 1),
            (ground.wires.bytes_per_s, 2),
            (ground.wires.latency_s, 2),
        )
    )
    centre = np.full((1, 2), 0.5 * ground.area_m)
    return Crowd(
        area_m=ground.area_m,
        network=network,
        num_edges=np.full(count, len(ground.edges_m)),
        edges=edges,
        wires_bytes_per_s=wires_bytes_per_s,
        wires_latency_s=wires_latency_s,
        central_cell=np.full(count, square_distances(centre, ground.edges_m).argmin() + 1),
        scenario=visits.scenario,
        user=visits.user,
        slot=visits.slot,
        cell=cell + 1,
        distance_m=np.sqrt(np.take_along_axis(squares, cell[:, None], axis=1)[:, 0]),
        positions=visits.positions_m / ground.area_m - 0.5,
        velocities_per_s=visits.velocities_m_per_s / ground.area_m,
    )


def joined(crowds: list[Crowd]) -> Crowd:
    """Return the people of several batches as those of one."""
    before = np.cumsum([0, *(len(crowd.network) for crowd in crowds)])
    moved = [crowd._replace(scenario=crowd.scenario + start) for crowd, start in zip(crowds, before, strict=False)]
    parts = zip(*(crowd[1:] for crowd in moved), strict=True)
    return Crowd(crowds[0].area_m, *(np.concatenate(part) for part in parts))
