"""A town: streets, places and edges with wires, always the same for the same seed, and trips that people make in it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.families.draw.ranges import CountRange, Range, counts, log_uniform
from dnnmig_env.families.town.arrivals import admit, draw_arrivals
from dnnmig_env.families.town.coverage import covering_sites, points_of_streets
from dnnmig_env.families.town.ground import Schedule, Visits, cells
from dnnmig_env.families.town.places import PlaceNetworks, Places, draw_place_networks, draw_places
from dnnmig_env.families.town.routes import Routes, find_routes, street_graph
from dnnmig_env.families.town.streets import Streets, draw_streets
from dnnmig_env.families.town.trips import Travel, draw_trips, presences, taken
from dnnmig_env.families.town.wires import Wires, draw_wires, neighbours_along_streets


@dataclass(frozen=True)
class TownOptions(Travel):
    """What a town is drawn from, beside how people travel; `City` has options of the same names and documents them."""

    area_m: float
    block_m: Range
    gap_share: float
    main_share: float
    limit_m_per_s: Range
    num_places: CountRange
    popularity_exponent: float
    habit: float
    least_trip_m: float
    num_routes: int
    detour: float
    arrivals_per_min: Range
    networks_per_place: CountRange
    num_edges: CountRange
    wire_mbps: Range
    wire_latency_s: Range

    @classmethod
    def of(cls, options: object) -> TownOptions:
        """Return the options that another object has under the same names."""
        return cls(**{field.name: getattr(options, field.name) for field in fields(cls)})


class PastTrips(NamedTuple):
    """N trips as one would have recorded them: where people were at the starts of slots, those of a trip in a row.

    The points of trip i are those from `offsets[i]` to `offsets[i + 1]`.
    """

    offsets: Ints  # (N + 1,)
    origin: Ints  # (N,): place
    destination: Ints  # (N,): place
    by_car: Bools  # (N,)
    positions_m: Floats  # (points, 2)
    velocities_m_per_s: Floats  # (points, 2)
    cell: Ints  # (points,): the nearest edge, 1 to E


@dataclass(frozen=True, eq=False)
class Town:
    """A town.

    Attributes:
        seed: The seed it was drawn from.
        options: What it was drawn from.
        streets: The streets.
        places: Where people come from and go to.
        routes: The routes between all pairs of places.
        sites: The segment of street in whose middle each edge stands, shape (E,).
        wires: The wires between the edges.
    """

    seed: int
    options: TownOptions
    streets: Streets
    places: Places
    routes: Routes
    sites: Ints
    wires: Wires

    @property
    def area_m(self) -> float:
        """Side of the square in which the town lies."""
        return self.options.area_m

    @property
    def edges_m(self) -> Floats:
        """Position of each edge in metres from a corner of the square, shape (E, 2)."""
        positions_m: Floats = self.streets.middles_m[self.sites]
        return positions_m

    def cells(self, positions_m: Floats) -> Ints:
        """Return in whose cell positions lie: the nearest edge, 1 to E, shape (N,)."""
        return cells(self.edges_m, positions_m)

    def networks(self, num_networks: int) -> PlaceNetworks:
        """Return which of a generator's networks the people of each place run, always the same ones."""
        rng = _part(self.seed, "networks")
        return draw_place_networks(rng, len(self.places.positions_m), num_networks, self.options.networks_per_place)

    def trips(self, rng: np.random.Generator, count: int, slot_s: float = 2.0) -> PastTrips:
        """Draw trips of the town's past, as they are drawn for scenarios, each from its beginning to its end.

        Everybody sets out at a random time of a slot.

        Args:
            rng: Source of randomness.
            count: Number of trips, N.
            slot_s: Time between two points of a trip.
        """
        drawn = draw_trips(rng, self.places, self.routes, self.options, slot_s * rng.random(count))
        found = presences(drawn, slot_s)
        offsets = np.append(0, np.cumsum(np.bincount(found.trip, minlength=count)))
        return PastTrips(
            offsets,
            drawn.origin,
            drawn.destination,
            drawn.by_car,
            found.positions_m,
            found.velocities_m_per_s,
            self.cells(found.positions_m),
        )

    def visits(self, rng: np.random.Generator, count: int, schedule: Schedule) -> Visits:
        """Draw the people of `count` scenarios: Poisson arrivals, trips, and who is turned away.

        Args:
            rng: Source of randomness.
            count: Number of scenarios, B.
            schedule: How long scenarios last and how many people may come.
        """
        rate_per_s = log_uniform(rng, self.options.arrivals_per_min, (count,)) / 60
        scenario, set_out_s = draw_arrivals(rng, rate_per_s, schedule.horizon_s)
        trips = draw_trips(rng, self.places, self.routes, self.options, set_out_s)
        admitted, number = admit(scenario, *trips.slots(schedule.slot_s), schedule)
        scenario, trips = scenario[admitted], taken(trips, admitted)
        origin = np.full((count, schedule.num_users), -1)
        origin[scenario, number] = trips.origin
        found = presences(trips, schedule.slot_s, schedule.num_slots)
        return Visits(
            origin,
            scenario[found.trip],
            number[found.trip],
            found.slot,
            found.positions_m,
            found.velocities_m_per_s,
        )


def build_town(seed: int, options: TownOptions) -> Town:
    """Draw a town; the same seed and options always give the same one.

    Every part has random numbers of its own: other edges, say, leave the streets as they are.

    Raises:
        ValueError: If the streets are too few for the places or the edges.
    """
    parts = {name: _part(seed, name) for name in _PARTS}
    streets = draw_streets(
        parts["streets"],
        options.area_m,
        options.block_m,
        options.gap_share,
        options.main_share,
        options.limit_m_per_s,
    )
    num_places, num_edges = (
        int(counts(parts[name], bounds, (1,))[0])
        for name, bounds in (("places", options.num_places), ("edges", options.num_edges))
    )
    places = draw_places(
        parts["places"], streets, num_places, options.popularity_exponent, options.habit, options.least_trip_m
    )
    routes = find_routes(parts["routes"], street_graph(streets, places), num_places, options.num_routes, options.detour)
    sites = covering_sites(parts["edges"], points_of_streets(streets), streets.middles_m, num_edges)
    wires = draw_wires(
        parts["wires"], neighbours_along_streets(streets, sites), options.wire_mbps, options.wire_latency_s
    )
    return Town(seed, options, streets, places, routes, sites, wires)


@lru_cache(maxsize=16)
def known_town(seed: int, options: TownOptions) -> Town:
    """Return a town, kept in memory; see `build_town`."""
    return build_town(seed, options)


_PARTS = ("streets", "places", "routes", "edges", "wires", "networks")


def _part(seed: int, name: str) -> np.random.Generator:
    """Return the source of randomness of a part of a town."""
    return np.random.default_rng([seed, _PARTS.index(name)])
