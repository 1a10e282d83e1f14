"""A town whose people move as a file says: its edges stand where people were, and it has no streets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.families.draw.ranges import counts
from dnnmig_env.families.town.arrivals import admit
from dnnmig_env.families.town.coverage import covering_sites
from dnnmig_env.families.town.ground import Schedule, Visits, cells
from dnnmig_env.families.town.places import PlaceNetworks, draw_place_networks
from dnnmig_env.families.town.streets import MARGIN
from dnnmig_env.families.town.town import TownOptions
from dnnmig_env.families.town.wires import Wires, draw_wires, neighbours_in_the_plane
from dnnmig_env.scenarios.positions import RecordedPositions
from dnnmig_env.scenarios.positions_file import load_positions

RASTER_M = 20.0
"""Side of the squares of a raster; positions in the same square count once when edges are placed."""


@dataclass(frozen=True, eq=False)
class RecordedTown:
    """A town whose people move as a file says. The cell in which a person begins is the place it comes from.

    Attributes:
        seed: The seed from which edges, wires and networks of places were drawn.
        options: What they were drawn from.
        recorded: The positions, in the coordinates of the file.
        corner_m: The corner of the square, in the coordinates of the file, shape (2,).
        area_m: Side of the square, which all positions fill up to a margin.
        edges_m: Position of each edge in metres from that corner, shape (E, 2).
        wires: The wires between the edges.
    """

    seed: int
    options: TownOptions
    recorded: RecordedPositions
    corner_m: Floats
    area_m: float
    edges_m: Floats
    wires: Wires

    def cells(self, positions_m: Floats) -> Ints:
        """Return in whose cell positions lie: the nearest edge, 1 to E, shape (N,)."""
        return cells(self.edges_m, positions_m)

    def networks(self, num_networks: int) -> PlaceNetworks:
        """Return which of a generator's networks the people of each cell run, always the same ones."""
        rng = np.random.default_rng([self.seed, 2])
        return draw_place_networks(rng, len(self.edges_m), num_networks, self.options.networks_per_place)

    def visits(self, rng: np.random.Generator, count: int, schedule: Schedule) -> Visits:
        """Take windows of the recording as scenarios, each beginning at a random time; see `ground.Ground`.

        Where the recording is shorter than a scenario, all of it is taken. A window in which nobody is present at the
        start of any slot begins with the next person instead, or, if none comes, with the first one.
        """
        origin = np.full((count, schedule.num_users), -1)
        parts = []
        for scenario, place in enumerate(rng.random(count)):
            begin_s = self._begin_s(place, schedule)
            coming = self._coming(begin_s, schedule)
            first, end = (slots[coming] for slots in self.recorded.slots(begin_s, schedule.slot_s))
            chosen, _ = admit(np.zeros_like(coming), first, end, schedule)
            admitted = coming[chosen]
            window = self.recorded.window(admitted, begin_s, schedule.slot_s, schedule.num_slots)
            origin[scenario, : len(admitted)] = self.cells(self.recorded.first_m[admitted] - self.corner_m) - 1
            user = np.searchsorted(admitted, window.user)
            positions_m = window.positions_m - self.corner_m
            parts.append((np.full_like(user, scenario), user, window.slot, positions_m, window.velocities_m_per_s))
        scenario_of, user_of, slot, positions_m, velocities = (
            np.concatenate(each) for each in zip(*parts, strict=True)
        )
        return Visits(origin, scenario_of, user_of, slot, positions_m, velocities)

    def _begin_s(self, place: float, schedule: Schedule) -> float:
        """Return when a scenario begins: `place` is where among all times that leave room for it, from 0 to 1."""
        first_s = self.recorded.first_s
        earliest_s, latest_s = float(first_s.min()), float(self.recorded.last_s.max()) - schedule.horizon_s
        begin_s = earliest_s + place * max(latest_s - earliest_s, 0.0)
        if len(self._coming(begin_s, schedule)):
            return begin_s
        later_s = first_s[first_s >= begin_s]
        return float(later_s.min()) if len(later_s) else earliest_s

    def _coming(self, begin_s: float, schedule: Schedule) -> Ints:
        """Return who is present in some slot of a scenario that begins at a time, in order of arrival."""
        first, end = self.recorded.slots(begin_s, schedule.slot_s)
        return np.flatnonzero(first < np.minimum(end, schedule.num_slots))


def build_recorded_town(seed: int, options: TownOptions, recorded: RecordedPositions) -> RecordedTown:
    """Return a town for recorded positions, with edges where people were.

    Raises:
        ValueError: If people were at too few places for the edges.
    """
    low_m, high_m = recorded.all_m.min(axis=0), recorded.all_m.max(axis=0)
    area_m = float((high_m - low_m).max()) / (1 - 2 * MARGIN)
    corner_m = (low_m + high_m - area_m) / 2
    squares = np.unique(((recorded.all_m - corner_m) // RASTER_M).astype(np.int64), axis=0)
    points_m = (squares + 0.5) * RASTER_M
    rng = np.random.default_rng([seed, 0])
    num_edges = int(counts(rng, options.num_edges, (1,))[0])
    edges_m = points_m[covering_sites(rng, points_m, points_m, num_edges)]
    wires = draw_wires(
        np.random.default_rng([seed, 1]), neighbours_in_the_plane(edges_m), options.wire_mbps, options.wire_latency_s
    )
    return RecordedTown(seed, options, recorded, corner_m, area_m, edges_m, wires)


@lru_cache(maxsize=16)
def known_recorded_town(seed: int, options: TownOptions, path: str) -> RecordedTown:
    """Return a town for a file of positions, kept in memory; see `build_recorded_town` and `load_positions`."""
    return build_recorded_town(seed, options, loaded_positions(path))


def checked_positions(path: object) -> str | None:
    """Return the path of a file of positions, checked by loading it, or None if there is none.

    Raises:
        ValueError: If it is no path, or the file holds no positions.
    """
    if path is None:
        return None
    if not isinstance(path, str | Path):
        raise ValueError(f"positions is {path!r}; give the path of a file, or None for drawn trips.")
    loaded_positions(str(path))
    return str(path)


@lru_cache(maxsize=16)
def loaded_positions(path: str) -> RecordedPositions:
    """Return the positions of a file, kept in memory; see `load_positions`."""
    return load_positions(path)
