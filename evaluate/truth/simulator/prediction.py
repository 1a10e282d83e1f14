"""What users expect of a query: sections 3 and 4 of the model, written plainly, with as many sweeps as it takes."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from evaluate.truth.simulator.course import Course
from evaluate.truth.simulator.plain_scenario import DEVICE, PlainScenario
from evaluate.truth.simulator.uplink import LEAST_SHARE

PRECISION = 1e-10
"""Sweeps end when no delay changes by more than this share of itself."""

MOST_SWEEPS = 200
"""Sweeps end after so many in any case."""


class Prediction:
    """Expected delays of all users' queries: approximate mean value analysis of a closed network (Bard, Schweitzer).

    A query of user j is at station k for a share of its user's time, `present[j][k]`: its seconds there, slowed, by the
    time between two starts, and never more than 1. It finds the queries of all other users there, which slow it by
    `1 + sum of present[i][k] over the other users i`. At uplink and downlink, the others are those of its own cell.
    This is solved by sweeps over the users until nothing changes.

    Args:
        plain: The scenario.
        slot: Slot whose rates hold.
        courses: What each user's queries do.
        is_sending: The lanes that weights are on; True stands for the uplink of a scenario with one cell. It matters
            only where weights share a lane with query data.

    Attributes:
        courses: What each user's queries do, as `choose` has left it.
        delay_s: Expected delay of each user's queries; infinite where a link is down, 0 for absent users.
        present: Mean number of each user's queries at each station, at most 1.
    """

    def __init__(
        self, plain: PlainScenario, slot: int, courses: Sequence[Course], *, is_sending: bool | Collection[int]
    ) -> None:
        self._plain, self._slot = plain, slot
        lanes = is_sending if isinstance(is_sending, Collection) else plain.cells[:is_sending]
        self._lanes = frozenset(lanes if plain.uplink_mode == "shared" else ())
        self.courses = list(courses)
        self.delay_s = [0.0] * plain.num_users
        self.present = [[0.0] * plain.num_stations for _ in range(plain.num_users)]
        self._busy = [[0.0] * plain.num_stations for _ in range(plain.num_users)]  # as `present`, if nobody were slowed
        self._cells = [plain.cell(slot, user) for user in range(plain.num_users)]
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
        plain, cell = self._plain, self._cells[user]
        found = [1.0] * plain.num_stations
        radio = (plain.uplink, plain.downlink)
        for other in self._users:
            if other != user:
                is_near = self._cells[other] == cell
                for station, share in enumerate(self.present[other]):
                    if share > 0.0 and (is_near or station not in radio):
                        found[station] += share
        found[DEVICE] = 1.0
        for lane in self._lanes:
            if lane == cell or lane > plain.num_servers:
                found[self._station(lane)] += 1.0
        return found

    def _station(self, lane: int) -> int:
        plain = self._plain
        return plain.uplink if lane <= plain.num_servers else plain.downlink + lane - plain.num_servers

    def share(self, lane: int) -> float:
        """Return what query data leave of a lane to weights."""
        station = self._station(lane)
        users = [user for user in self._users if station != self._plain.uplink or self._cells[user] == lane]
        if self._plain.uplink_mode == "priority":
            return max(LEAST_SHARE, 1.0 - sum(self._busy[user][station] for user in users))
        if self._plain.uplink_mode == "shared":
            return 1.0 / (1.0 + sum(self.present[user][station] for user in users))
        return 1.0

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
        here, busy = ([0.0] * self._plain.num_stations for _ in range(2))
        if delay_s < math.inf:
            cycle_s = max(1.0 / self._plain.rate_hz(self._slot, user), delay_s)
            for index, task in enumerate(course.tasks):
                here[task.station] += seconds[index] * slowdown[task.station] / cycle_s
                busy[task.station] += seconds[index] / cycle_s
        self.present[user], self.delay_s[user] = [min(share, 1.0) for share in here], delay_s
        self._busy[user] = busy
        return delay_s
