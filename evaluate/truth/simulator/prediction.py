"""What users expect of a query: sections 3 and 4 of the model, written plainly, with as many sweeps as it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evaluate.truth.simulator.course import Course
from evaluate.truth.simulator.plain_scenario import DEVICE, PlainScenario

PRECISION = 1e-10
"""Sweeps end when no delay changes by more than this share of itself."""

MOST_SWEEPS = 200
"""Sweeps end after so many in any case."""


class Prediction:
    """Expected delays of all users' queries: approximate mean value analysis of a closed network (Bard, Schweitzer).

    A query of user j is at station k for a share of its user's time, `present[j][k]`: its seconds there, slowed, by the
    time between two starts, and never more than 1. It finds the queries of all other users there, which slow it by
    `1 + sum of present[i][k] over the other users i`. This is solved by sweeps over the users until nothing changes.

    Args:
        plain: The scenario.
        slot: Slot whose rates hold.
        courses: What each user's queries do.
        is_sending: Whether weights are on the uplink; it matters only where they share it with query data.

    Attributes:
        courses: What each user's queries do, as `choose` has left it.
        delay_s: Expected delay of each user's queries; infinite where a link is down, 0 for absent users.
        present: Mean number of each user's queries at each station, at most 1.
    """

    def __init__(self, plain: PlainScenario, slot: int, courses: Sequence[Course], *, is_sending: bool) -> None:
        self._plain, self._slot = plain, slot
        self._weights = 1.0 if is_sending and plain.uplink_mode == "shared" else 0.0
        self.courses = list(courses)
        self.delay_s = [0.0] * plain.num_users
        self.present = [[0.0] * plain.num_stations for _ in range(plain.num_users)]
        self._users = [user for user in range(plain.num_users) if plain.rate_hz(slot, user) > 0.0]
        self.solve()

    def solve(self) -> None:
        """Sweep over the users until no delay changes any more."""
        for _ in range(MOST_SWEEPS):
            change = 0.0
            for user in self._users:
                before_s, delay_s = self.delay_s[user], self._settle(user)
                if delay_s != before_s and delay_s < math.inf:
                    change = max(change, abs(delay_s - before_s) / delay_s)
            if change <= PRECISION:
                return

    def slowdown(self, user: int) -> list[float]:
        """Return the factor by which the others slow a user's query at each station."""
        found = [1.0] * self._plain.num_stations
        for other in self._users:
            if other != user:
                for station, share in enumerate(self.present[other]):
                    found[station] += share
        found[DEVICE] = 1.0
        found[self._plain.uplink] += self._weights
        return found

    def expected_s(self, user: int, course: Course) -> float:
        """Return the delay that a user may expect of a course, while the others are as they are."""
        seconds, latencies_s = course.seconds(self._plain, self._slot), course.latencies_s(self._plain, self._slot)
        return course.delay_s(seconds, latencies_s, self.slowdown(user))

    def choose(self, user: int, courses: Sequence[Course]) -> Course:
        """Let a user take the fastest of some courses, at a tie the first of them; then work out everything anew."""
        expected_s = [self.expected_s(user, course) for course in courses]
        chosen = courses[expected_s.index(min(expected_s))]
        if chosen.assignment != self.courses[user].assignment:
            self.courses[user] = chosen
            self.solve()
        return chosen

    def _settle(self, user: int) -> float:
        """Work out one user's delay, and where its queries are, from where the others' are."""
        course, slowdown = self.courses[user], self.slowdown(user)
        seconds = course.seconds(self._plain, self._slot)
        delay_s = course.delay_s(seconds, course.latencies_s(self._plain, self._slot), slowdown)
        here = [0.0] * self._plain.num_stations
        if delay_s < math.inf:
            cycle_s = max(1.0 / self._plain.rate_hz(self._slot, user), delay_s)
            for index, task in enumerate(course.tasks):
                here[task.station] += seconds[index] * slowdown[task.station] / cycle_s
        self.present[user], self.delay_s[user] = [min(share, 1.0) for share in here], delay_s
        return delay_s
