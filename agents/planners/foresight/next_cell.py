"""To which cell a user goes next: by its velocity, or, as a bound, as it will be."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.scenarios.scenario import Mobility, Scenario

LOOK_AHEAD_S = 30.0
"""How many seconds ahead a velocity is followed."""

FARTHEST_S = 120.0
"""How many seconds ahead the bound knows where users go."""

POINTS = 15
"""Number of times that are looked at on the way that a velocity leads."""


class NextCell(Protocol):
    """Predicts the next cell of a user."""

    def __call__(self, scenario: Scenario, slot: int, user: int) -> int:
        """Return the server (1..S) in whose cell a user, who is present, will be next; 0 if it stays where it is.

        Args:
            scenario: The whole scenario, of which only what policies may know is read: the slots up to `slot`.
            slot: The present slot.
            user: The user.
        """
        ...


def by_velocity(scenario: Scenario, slot: int, user: int) -> int:
    """Predict that the user goes straight on with its present velocity; see `NextCell`."""
    mobility = scenario.mobility
    if mobility is None:
        return 0
    home = home_of(scenario, slot, user)
    ahead_s = (np.arange(POINTS) + 1.0) * LOOK_AHEAD_S / POINTS
    position_m = np.asarray(mobility.user_positions_m)[slot, user]
    velocity = np.asarray(mobility.user_velocities_m_per_s)[slot, user]
    cells = nearest_servers(mobility, position_m + ahead_s[:, None] * velocity)
    others = cells[cells != home]
    return int(others[0]) if len(others) else 0


def as_it_will_be(scenario: Scenario, slot: int, user: int) -> int:
    """Return the cell that the user enters next within `FARTHEST_S`: no prediction but a bound; see `NextCell`."""
    starts_s = np.asarray(scenario.slot_starts_s)
    last = int(np.searchsorted(starts_s, starts_s[slot] + FARTHEST_S, side="right"))
    home, present = home_of(scenario, slot, user), np.asarray(scenario.users[user].query_rate_hz)[slot:last] > 0
    homes = np.asarray(scenario.links.home)[slot:last, user]
    leaves = len(present) if present.all() else int(np.argmin(present))
    others = homes[:leaves][homes[:leaves] != home]
    return int(others[0]) if len(others) else 0


def home_of(scenario: Scenario, slot: int, user: int) -> int:
    """Return the server in whose cell a user is."""
    return int(np.asarray(scenario.links.home)[slot, user])


def nearest_servers(mobility: Mobility, positions_m: Floats) -> Floats:
    """Return the server (1..S) that is nearest to each of N positions; one at the very centre has no place."""
    places_m = np.asarray(mobility.server_positions_m)
    apart_m = np.linalg.norm(positions_m[:, None] - places_m[None], axis=2)
    apart_m[:, np.all(places_m == mobility.area_m / 2, axis=1)] = np.inf
    nearest: Floats = apart_m.argmin(axis=1) + 1
    return nearest
