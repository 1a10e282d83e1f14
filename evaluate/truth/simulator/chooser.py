"""Users choose, at every event, where their next queries run."""

from __future__ import annotations

from collections.abc import Collection

from evaluate.truth.simulator.choice import everything_available
from evaluate.truth.simulator.course import Assignment, Course, course_of
from evaluate.truth.simulator.holdings import Holdings
from evaluate.truth.simulator.outcome import Choice
from evaluate.truth.simulator.plain_scenario import DEVICE, PlainScenario
from evaluate.truth.simulator.prediction import Prediction


class Chooser:
    """Lets users choose by the weights that have arrived.

    Each takes the fastest of what it does at present, its device alone, and every layer that is available.

    Args:
        plain: The scenario.
        holdings: What servers hold.

    Attributes:
        courses: What the next query of each user does.
        log: What was chosen at each event.
    """

    def __init__(self, plain: PlainScenario, holdings: Holdings) -> None:
        self._plain, self._holdings = plain, holdings
        self._prediction: Prediction | None = None
        self._settled: object = None  # what was given when users chose last, if all kept what they had
        self._known: dict[tuple[int, Assignment], Course] = {}
        self._alone = [self._course(user, (DEVICE,) * len(graph)) for user, graph in enumerate(plain.graphs)]
        self.courses = list(self._alone)
        self.log: list[Choice] = []

    def share(self, lane: int) -> float:
        """Return what query data, as users have chosen last, leave of a lane to weights."""
        return 1.0 if self._prediction is None else self._prediction.share(lane)

    def choose(self, time_s: float, slot: int, first: int, *, is_sending: Collection[int]) -> None:
        """Let all users that are present choose, one of them before the others, who follow in their order.

        Each finds the others as they have chosen so far.

        Args:
            time_s: Time of the event.
            slot: Slot whose rates hold.
            first: The user who chooses first: the one whose weights have arrived; 0 when a slot begins.
            is_sending: The lanes that weights are on from now on.
        """
        plain = self._plain
        users = [user for user in range(plain.num_users) if plain.is_present(slot, user)]
        everything = {user: self._everything(slot, user) for user in users}
        for user in users:
            self.courses[user] = self._present(slot, user, everything[user])
        given = (slot, frozenset(is_sending), tuple(self.courses), everything)
        if self._prediction is None or given != self._settled:
            self._prediction = Prediction(plain, slot, self.courses, is_sending=is_sending)
            for user in sorted(users, key=lambda user: user != first):
                self._prediction.choose(user, (self.courses[user], self._alone[user], everything[user]))
            self.courses = list(self._prediction.courses)
            self._settled = given if tuple(self.courses) == given[2] else None
        assignments = tuple(course.assignment for course in self.courses)
        self.log.append(Choice(time_s, tuple(self._prediction.delay_s), assignments))

    def _everything(self, slot: int, user: int) -> Course:
        """Return the course that uses every layer available to a user."""
        arrived = self._holdings.used_from(slot, user)
        return self._course(user, everything_available(self._plain.graphs[user], arrived))

    def _present(self, slot: int, user: int, everything: Course) -> Course:
        """Return what a user does at present, if it can go on.

        If weights that it uses have been dropped, it is what uses everything available. If they are on a server that it
        cannot reach, it is its device alone.
        """
        course = self.courses[user]
        if self._plain.moves and not self._plain.reaches(slot, user, course.assignment):
            return self._alone[user]
        return course if self._holdings.hold_all(user, course.assignment) else everything

    def _course(self, user: int, assignment: Assignment) -> Course:
        key = (user, assignment)
        if key not in self._known:
            self._known[key] = course_of(self._plain, user, assignment)
        return self._known[key]
