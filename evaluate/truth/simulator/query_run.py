"""One query on its way through nodes and links."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from simpy import Environment, Event, Timeout

from evaluate.truth.simulator.course import Course
from evaluate.truth.simulator.plain_scenario import PlainScenario
from evaluate.truth.simulator.station import Job, Station
from evaluate.truth.simulator.stations import Stations


class Surroundings(Protocol):
    """What a query finds around it."""

    env: Environment
    plain: PlainScenario
    stations: Stations
    slot: int
    is_closing: bool  # whether no further slot will begin

    def strand(self, user: int) -> None:
        """Note that a user's query waits for a link that will never be up."""
        ...


class QueryRun:
    """Carries out the tasks of one query, each as soon as all that it waits for has ended.

    Args:
        around: Clock, scenario and stations.
        course: What the query does.
        on_end: Called when the last result is back on the device.

    Attributes:
        course: What the query does.
    """

    __slots__ = ("_around", "_is_abandoned", "_on_end", "_returns_left", "_waits_for", "course")

    def __init__(self, around: Surroundings, course: Course, on_end: Callable[[], object]) -> None:
        self._around, self.course, self._on_end = around, course, on_end
        self._waits_for = course.waits_for.copy()
        self._returns_left, self._is_abandoned = course.num_returns, False

    @property
    def is_under_way(self) -> bool:
        """Whether the query has neither ended nor been abandoned."""
        return self._returns_left > 0 and not self._is_abandoned

    def begin(self) -> None:
        """Begin all tasks that wait for nothing."""
        for task in self.course.first:
            self._begin(task)

    def abandon(self) -> None:
        """Give the query up: nothing of it goes on."""
        self._is_abandoned = True
        self._around.stations.remove_user(self.course.user)

    def _begin(self, index: int) -> None:
        around, task, user = self._around, self.course.tasks[index], self.course.user
        station = around.stations.of(task.station, around.slot, user)
        if station is None:
            self._wait(task.amount, partial(self._end, index))
        elif not task.travels:
            self._occupy(station, Job(user, task.amount, 1.0, partial(self._end, index)))
        else:
            rate = around.plain.bytes_per_s(around.slot, user, task.source, task.target)
            if rate == 0.0 and task.amount > 0.0 and around.is_closing:
                around.strand(user)
                return
            job = Job(user, task.amount, rate, partial(self._arrive, index), (task.source, task.target))
            self._occupy(station, job)

    def _occupy(self, station: Station, job: Job) -> None:
        if job.amount > 0.0:
            station.add(job)
        else:
            job.on_end()

    def _arrive(self, index: int) -> None:
        """Let the last byte of a tensor, which has left, travel for the link's latency; that occupies nothing."""
        around, task = self._around, self.course.tasks[index]
        latency_s = around.plain.latency_s(around.slot, self.course.user, task.source, task.target)
        self._wait(latency_s, partial(self._end, index))

    def _wait(self, seconds: float, then: Callable[[], object]) -> None:
        if seconds == 0.0:
            then()
            return
        pause = Timeout(self._around.env, seconds)
        pause.callbacks.append(partial(_call, then))

    def _end(self, index: int) -> None:
        if self._is_abandoned:
            return
        task = self.course.tasks[index]
        for later in task.after:
            self._waits_for[later] -= 1
            if self._waits_for[later] == 0:
                self._begin(later)
        if task.returns:
            self._returns_left -= 1
            if self._returns_left == 0:
                self._on_end()


def _call(then: Callable[[], object], _: Event) -> None:
    then()
