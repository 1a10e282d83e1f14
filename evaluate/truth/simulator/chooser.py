"""Users choose, at every event, where their next queries run."""

from __future__ import annotations

from collections.abc import Iterable

from evaluate.truth.simulator.choice import everything_available
from evaluate.truth.simulator.course import Assignment, Course, course_of
from evaluate.truth.simulator.outcome import Choice
from evaluate.truth.simulator.plain_scenario import DEVICE, PlainScenario
from evaluate.truth.simulator.prediction import Prediction


class Chooser:
    """Knows which weights have arrived, and lets users choose.

    Each takes the fastest of what it does at present, its device alone, and every layer that is available.

    Args:
        plain: The scenario.

    Attributes:
        courses: What the next query of each user does.
        log: What was chosen at each event.
    """

    def __init__(self, plain: PlainScenario) -> None:
        self._plain = plain
        self._arrived = [{layer: server for layer, server in enumerate(row) if server} for row in plain.uploaded]
        self._known: dict[tuple[int, Assignment], Course] = {}
        self._alone = [self._course(user, (DEVICE,) * len(graph)) for user, graph in enumerate(plain.graphs)]
        self.courses = list(self._alone)
        self.log: list[Choice] = []

    def arrive(self, user: int, server: int, layers: Iterable[int]) -> None:
        """Note that the weights of layers have arrived on a server."""
        self._arrived[user].update(dict.fromkeys(layers, server))

    def choose(self, time_s: float, slot: int, first: int, *, is_sending: bool) -> None:
        """Let all users that are present choose, one of them before the others, who follow in their order.

        Each finds the others as they have chosen so far.

        Args:
            time_s: Time of the event.
            slot: Slot whose rates hold.
            first: The user who chooses first: the one whose weights have arrived; 0 when a slot begins.
            is_sending: Whether weights are on the uplink from now on.
        """
        plain = self._plain
        prediction = Prediction(plain, slot, self.courses, is_sending=is_sending)
        turns = sorted(range(plain.num_users), key=lambda user: user != first)
        for user in turns:
            if plain.rate_hz(slot, user) > 0.0:
                everything = everything_available(plain.graphs[user], self._arrived[user])
                options = (self.courses[user], self._alone[user], self._course(user, everything))
                prediction.choose(user, options)
        self.courses = prediction.courses
        assignments = tuple(course.assignment for course in self.courses)
        self.log.append(Choice(time_s, tuple(prediction.delay_s), assignments))

    def _course(self, user: int, assignment: Assignment) -> Course:
        key = (user, assignment)
        if key not in self._known:
            self._known[key] = course_of(self._plain, user, assignment)
        return self._known[key]
