"""Draws trips from place to place along the routes of a town, and says where people are at the starts of slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.families.draw.ranges import CountRange, Range, counts, uniform
from dnnmig_env.families.town.places import Places
from dnnmig_env.families.town.routes import Routes


@dataclass(frozen=True)
class Travel:
    """How people travel.

    Attributes:
        car_share: Share of those who go by car.
        walk_m_per_s: Range of walking speeds, uniform; a walker keeps to its speed.
        drive_share: Range of the speed of cars as a share of the limit, uniform; a driver keeps to its share.
        wait_share: Probability that somebody has to wait at a junction of three streets or more.
        wait_s: Range of the time of waiting, uniform.
        legs: Least and most places to which somebody goes one after another.
        stop_s: Range of the time for which somebody stays at a place before it goes to the next one, uniform.
    """

    car_share: float
    walk_m_per_s: Range
    drive_share: Range
    wait_share: float
    wait_s: Range
    legs: CountRange
    stop_s: Range


class Trips(NamedTuple):
    """N trips, each a chain of J stages: to stand still or to go straight on at a constant speed.

    Stages without a length follow the last one, so that all trips have as many.
    """

    origin: Ints  # (N,): place
    destination: Ints  # (N,): place of the last leg
    by_car: Bools  # (N,)
    times_s: Floats  # (N, J + 1): when each stage begins, and when the trip ends
    start_m: Floats  # (N, J, 2): where each stage begins
    velocity_m_per_s: Floats  # (N, J, 2)

    def slots(self, slot_s: float) -> tuple[Ints, Ints]:
        """Return the first slot at whose start each person is present, and the slot after the last one."""
        return _first_slot(self.times_s[:, 0], slot_s), _first_slot(self.times_s[:, -1], slot_s)


class Presences(NamedTuple):
    """N times somebody is present at the start of a slot, those of a trip in a row."""

    trip: Ints  # (N,)
    slot: Ints  # (N,)
    positions_m: Floats  # (N, 2)
    velocities_m_per_s: Floats  # (N, 2)


def draw_trips(rng: np.random.Generator, places: Places, routes: Routes, travel: Travel, set_out_s: Floats) -> Trips:
    """Draw the trips of people who set out at given times, each of one leg or several.

    Args:
        rng: Source of randomness.
        places: Where people come from and go to.
        routes: The routes between the places; all variants have the same probability.
        travel: How people travel.
        set_out_s: When each person sets out, shape (N,).
    """
    count, pieces = len(set_out_s), routes.length_m.shape[-1]
    choice = rng.random((count, 4))
    origin = _chosen(np.cumsum(places.popularity)[None], choice[:, 0])
    by_car = choice[:, 1] < travel.car_share
    variant = (choice[:, 2] * routes.num_variants).astype(np.int64)
    low, span = np.array([(low, high - low) for low, high in (travel.walk_m_per_s, travel.drive_share)]).T
    pace = low[by_car.astype(np.int64)] + choice[:, 3] * span[by_car.astype(np.int64)]
    num_legs, goes_to = counts(rng, travel.legs, (count,)), np.cumsum(places.goes_to, axis=1)

    here, stages_s, start_m, velocity = origin, [], [], []
    for leg in range(travel.legs[1]):
        goes_on = leg < num_legs
        there = np.where(goes_on, _chosen(goes_to[here], rng.random(count)), here)
        route = (by_car.astype(np.int64), variant, here, there)
        speed = pace[:, None] * np.where(by_car[:, None], routes.limit_m_per_s[route], 1.0)
        waits = (rng.random((count, pieces)) < travel.wait_share) & routes.at_junction[route]
        still_s = uniform(rng, travel.wait_s, (count, pieces)) * waits
        if leg > 0:
            still_s[:, 0] += uniform(rng, travel.stop_s, (count,)) * goes_on
        stages_s.append(np.stack([still_s, routes.length_m[route] / speed], axis=-1).reshape(count, -1))
        start_m.append(np.repeat(routes.start_m[route], 2, axis=1))
        moving = np.zeros((count, pieces, 2, 2))
        moving[:, :, 1] = routes.direction[route] * speed[..., None]
        velocity.append(moving.reshape(count, -1, 2))
        here = there
    lasts_s = np.concatenate([np.zeros((count, 1)), *stages_s], axis=1)
    times_s = set_out_s[:, None] + np.cumsum(lasts_s, axis=1)
    return Trips(origin, here, by_car, times_s, np.concatenate(start_m, axis=1), np.concatenate(velocity, axis=1))


def presences(trips: Trips, slot_s: float, num_slots: int | None = None) -> Presences:
    """Return where people are at the start of every slot of their trips.

    Somebody is present from the first start of a slot at or after setting out to the last one before the arrival.

    Args:
        trips: The trips.
        slot_s: Length of a slot.
        num_slots: Number of slots that count; None = all.
    """
    bounds = _first_slot(trips.times_s, slot_s)
    if num_slots is not None:
        np.minimum(bounds, num_slots, out=bounds)
    count = np.diff(bounds, axis=1).ravel()
    stage = np.repeat(np.arange(len(count)), count)
    trip = stage // trips.start_m.shape[1]
    slot = bounds[:, :-1].ravel()[stage] + np.arange(len(stage)) - (np.cumsum(count) - count)[stage]
    since_s = slot * slot_s - trips.times_s[:, :-1].ravel()[stage]
    velocities = trips.velocity_m_per_s.reshape(-1, 2)[stage]
    return Presences(trip, slot, trips.start_m.reshape(-1, 2)[stage] + velocities * since_s[:, None], velocities)


def taken(trips: Trips, chosen: Ints) -> Trips:
    """Return some of the trips."""
    return Trips(
        trips.origin[chosen],
        trips.destination[chosen],
        trips.by_car[chosen],
        trips.times_s[chosen],
        trips.start_m[chosen],
        trips.velocity_m_per_s[chosen],
    )


def _chosen(cumulative: Floats, draw: Floats) -> Ints:
    """Return the index that each draw from [0, 1) chooses, given cumulative probabilities, one row for all or each."""
    index: Ints = np.minimum((cumulative <= draw[:, None]).sum(axis=1), cumulative.shape[1] - 1)
    return index


def _first_slot(time_s: Floats, slot_s: float) -> Ints:
    """Return the first slot that starts at a time or later."""
    slots: Ints = np.ceil(time_s / slot_s).astype(np.int64)
    return slots
