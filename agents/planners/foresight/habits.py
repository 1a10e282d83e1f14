"""To which cell a user goes next, learned from the past trips of a town: by its cells so far, or by its positions.

`MarkovCells` counts which cell followed two others. `PositionRegression` is the predictor of PerDNN (Jeong et al.,
ICDCS 2020): a support vector regression from the latest positions to a later one. RECONSTRUCTION: the paper's abstract
names the method, not what goes in and comes out; how many positions, how far ahead, and one regression for each
coordinate are chosen here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.planners.foresight.next_cell import home_of, nearest_servers
from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.scenarios.scenario import Scenario

if TYPE_CHECKING:
    from dnnmig_env.families.town.town import PastTrips

TRIPS = 2000
"""Number of past trips from which is learned."""

LATEST = 5
"""Number of positions, one per slot, from which a later one is predicted."""

AHEAD_S = 20.0
"""How many seconds ahead the predicted position lies."""

LEAVES = 0
"""Stands for the next cell of a user who goes to no other one."""


class MarkovCells:
    """Predicts the cell that most often followed the user's present and previous one.

    Args:
        trips: Past trips.
    """

    def __init__(self, trips: PastTrips) -> None:
        counts: defaultdict[tuple[int, int], Counter[int]] = defaultdict(Counter)
        for first, end in zip(trips.offsets[:-1], trips.offsets[1:], strict=True):
            cells = _without_repeats(trips.cell[first:end])
            for before, cell, after in zip([0, *cells], cells, [*cells[1:], LEAVES], strict=False):
                counts[before, cell][after] += 1
                counts[0, cell][after] += 0 if before == 0 else 1
        self._likeliest = {pair: max(sorted(found), key=found.__getitem__) for pair, found in counts.items()}

    def __call__(self, scenario: Scenario, slot: int, user: int) -> int:
        """Return the predicted cell; see `next_cell.NextCell`."""
        present = _slots_of_stay(scenario, slot, user)
        before, cell = ([0, 0, *_without_repeats(np.asarray(scenario.links.home)[present, user])])[-2:]
        return self._likeliest.get((before, cell), self._likeliest.get((0, cell), LEAVES))


class PositionRegression:
    """Predicts where the user is `AHEAD_S` later by linear support vector regression, and with that its cell.

    Positions are taken relative to the latest one, in units of the area.

    Args:
        trips: Past trips.
        slot_s: Time between two of their points.
        area_m: Side of the town.
    """

    def __init__(self, trips: PastTrips, slot_s: float, area_m: float) -> None:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import LinearSVR

        ahead = max(1, round(AHEAD_S / slot_s))
        inputs, targets = [], []
        for first, end in zip(trips.offsets[:-1], trips.offsets[1:], strict=True):
            positions = trips.positions_m[first:end] / area_m
            for point in range(LATEST - 1, len(positions) - ahead, ahead):
                inputs.append(_features(positions[: point + 1]))
                targets.append(positions[point + ahead] - positions[point])
        self._area_m, known = area_m, np.array(targets)
        self._axes: list[Any] = [
            make_pipeline(StandardScaler(), LinearSVR(loss="squared_epsilon_insensitive", dual="auto")).fit(
                np.array(inputs), known[:, axis]
            )
            for axis in range(2)
        ]

    def __call__(self, scenario: Scenario, slot: int, user: int) -> int:
        """Return the predicted cell; see `next_cell.NextCell`."""
        mobility = scenario.mobility
        present = _slots_of_stay(scenario, slot, user)
        if mobility is None or len(present) < LATEST:
            return LEAVES
        positions = np.asarray(mobility.user_positions_m)[present, user] / self._area_m
        features = _features(positions)[None]
        there = positions[-1] + np.array([float(axis.predict(features)[0]) for axis in self._axes])
        cell = int(nearest_servers(mobility, there[None] * self._area_m)[0])
        return cell if cell != home_of(scenario, slot, user) else LEAVES


def _features(positions: Floats) -> Floats:
    """Return the latest position and how the ones before differ from it, shape (2 * LATEST,)."""
    latest = positions[-LATEST:]
    return np.concatenate([latest[-1], (latest[:-1] - latest[-1]).ravel()])


def _without_repeats(cells: Ints) -> list[int]:
    changes: Bools = np.diff(cells, prepend=-1) != 0
    return [int(cell) for cell in cells[changes]]


def _slots_of_stay(scenario: Scenario, slot: int, user: int) -> Ints:
    """Return the slots up to the present one in which a user has been present without a break."""
    absent = np.flatnonzero(np.asarray(scenario.users[user].query_rate_hz)[: slot + 1] == 0)
    return np.arange(absent[-1] + 1 if len(absent) else 0, slot + 1)


@lru_cache(maxsize=8)
def markov_cells(generator: Any) -> MarkovCells:
    """Return the Markov predictor of the town of a generator of the family `city`."""
    return MarkovCells(_past(generator))


@lru_cache(maxsize=8)
def position_regression(generator: Any) -> PositionRegression:
    """Return the regression of the town of a generator of the family `city`."""
    return PositionRegression(_past(generator), generator.slot_s, generator.area_m)


def _past(generator: Any) -> PastTrips:
    """Return past trips of a generator's town, always the same.

    Raises:
        ValueError: If the generator has no town whose past could be known.
    """
    if not hasattr(generator, "ground") or generator.city_seed is None or generator.positions is not None:
        raise ValueError(
            "@markov and @perdnn learn from the past trips of a town: they are for scenarios of the family 'city' with "
            "a city_seed and without a file of positions."
        )
    trips: PastTrips = generator.ground().trips(np.random.default_rng([0, TRIPS]), TRIPS, generator.slot_s)
    return trips
