"""What a drawn town and one whose people move as a file says have in common, and what is asked of them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.families.town.coverage import square_distances
from dnnmig_env.families.town.places import PlaceNetworks
from dnnmig_env.families.town.wires import Wires


class Schedule(NamedTuple):
    """How long scenarios last and how many people may come.

    Attributes:
        slot_s: Length of a slot; slot k begins at `k * slot_s`.
        num_slots: Number of slots, T.
        horizon_s: Length of a scenario.
        num_users: Most people in all, U.
        num_present: Most people at a time.
    """

    slot_s: float
    num_slots: int
    horizon_s: float
    num_users: int
    num_present: int


class Visits(NamedTuple):
    """The people of B scenarios, and N times somebody is present at the start of a slot, those of a person in a row.

    Attributes:
        origin: Place that each person comes from, -1 for none, shape (B, U). People are in order of arrival.
        scenario: Scenario of each presence, shape (N,).
        user: Person, shape (N,).
        slot: Slot, shape (N,).
        positions_m: Where the person is, shape (N, 2).
        velocities_m_per_s: How it moves at that moment, shape (N, 2).
    """

    origin: Ints
    scenario: Ints
    user: Ints
    slot: Ints
    positions_m: Floats
    velocities_m_per_s: Floats


class Ground(Protocol):
    """A town as the generator of scenarios sees it."""

    @property
    def area_m(self) -> float:
        """Side of the square in which people move."""

    @property
    def edges_m(self) -> Floats:
        """Position of each edge, shape (E, 2)."""

    @property
    def wires(self) -> Wires:
        """The wires between the edges."""

    def networks(self, num_networks: int) -> PlaceNetworks:
        """Return which of a generator's networks the people of each place run."""

    def visits(self, rng: np.random.Generator, count: int, schedule: Schedule) -> Visits:
        """Draw the people of `count` scenarios and where they are."""


def cells(edges_m: Floats, positions_m: Floats) -> Ints:
    """Return the nearest edge to each position, 1 to E, shape (N,)."""
    nearest: Ints = square_distances(positions_m, edges_m).argmin(axis=1) + 1
    return nearest
