"""Draws when people set out, and says who is turned away because too many are there."""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np

from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.families.town.ground import Schedule


def draw_arrivals(rng: np.random.Generator, rate_per_s: Floats, horizon_s: float) -> tuple[Ints, Floats]:
    """Draw Poisson processes whose first arrivals are at time 0.

    Args:
        rng: Source of randomness.
        rate_per_s: Arrivals per second in each scenario, shape (B,).
        horizon_s: Length of the scenarios.

    Returns:
        The scenario and the time of each arrival, in order of scenarios and then of times.
    """
    later = rng.poisson(rate_per_s * horizon_s)
    scenario = np.repeat(np.arange(len(later)), later + 1)
    first = np.cumsum(later + 1) - (later + 1)
    # Given their number, the later arrivals are uniform. What is sorted has the scenario as its integer part.
    place = scenario + (1 - 1e-12) * rng.random(len(scenario))
    place[first] = np.arange(len(later))
    return scenario, horizon_s * (np.sort(place) - scenario)


def admit(scenario: Ints, first_slot: Ints, end_slot: Ints, schedule: Schedule) -> tuple[Ints, Ints]:
    """Decide who is admitted, in order of arrival; whoever is not present in any slot never is.

    Args:
        scenario: Scenario of each person, ascending.
        first_slot: First slot in which each person would be present, ascending within a scenario.
        end_slot: The slot after the last one in which each person would be present.
        schedule: How many people may come.

    Returns:
        Indices of the admitted people, and the number of each within its scenario.
    """
    admitted: list[int] = []
    number: list[int] = []
    current, present, so_far = -1, list[int](), 0
    for index, (row, first, end) in enumerate(
        zip(scenario.tolist(), first_slot.tolist(), end_slot.tolist(), strict=True)
    ):
        if row != current:
            current, present, so_far = row, [], 0
        while present and present[0] <= first:
            heappop(present)
        if first < min(end, schedule.num_slots) and len(present) < schedule.num_present and so_far < schedule.num_users:
            heappush(present, end)
            admitted.append(index)
            number.append(so_far)
            so_far += 1
    return np.array(admitted, np.int64), np.array(number, np.int64)
