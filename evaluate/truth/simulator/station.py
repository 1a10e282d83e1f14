"""A station at which users' jobs share the time: a server, a radio channel, a wire."""

from __future__ import annotations

import math
from collections.abc import Callable

from simpy import Environment, Event, Timeout


class Job:
    """Something that a station does for a user: a piece of computation, or a transfer.

    Args:
        user: Index of the user.
        amount: What is to be done, in seconds of a server's time or in bytes.
        rate: How much of that the station does in a second if nobody else is there; 0 while a link is down.
        on_end: Called when it is done.
        link: Source and target of a transfer, from which its rate follows in another slot.
    """

    __slots__ = ("amount", "left", "link", "on_end", "rate", "speed", "user")

    def __init__(
        self, user: int, amount: float, rate: float, on_end: Callable[[], object], link: tuple[int, int] = (0, 0)
    ) -> None:
        self.user, self.amount, self.left, self.rate, self.on_end, self.link = user, amount, amount, rate, on_end, link
        self.speed = 0.0

    @property
    def sent(self) -> float:
        """How much has been done, as far as its station has caught up."""
        return self.amount - self.left


class Station:
    """Shares its time equally among the users that have jobs there (processor sharing).

    A job whose link is down stands still and takes no time from others.

    Args:
        env: The clock.
        num_users: Number of users.
        tensors_share: Whether several jobs of one user share that user's part of the time. If not, each of them moves
            as if it were the user's only one, as section 3 of the model has it.

    Attributes:
        present_s: Seconds for which each user has had a job here.
        busy_s: Seconds for which anybody has had one.
    """

    def __init__(self, env: Environment, num_users: int, *, tensors_share: bool = False) -> None:
        self._env, self._tensors_share = env, tensors_share
        self._jobs: list[Job] = []
        self._at_s = env.now
        self._due: Timeout | None = None
        self._first: Job | None = None
        self.present_s, self.busy_s, self._done = [0.0] * num_users, 0.0, [0.0] * num_users

    def add(self, job: Job) -> None:
        """Begin a job, of which more than nothing is left to do, or go on with it."""
        self.catch_up()
        self._jobs.append(job)
        self.share_out()

    def remove_user(self, user: int) -> list[Job]:
        """Give up all jobs of a user, and return them as far as they have come."""
        self.catch_up()
        given_up = [job for job in self._jobs if job.user == user]
        self._jobs = [job for job in self._jobs if job.user != user]
        self.share_out()
        return given_up

    def remove_stalled(self) -> list[int]:
        """Give up all jobs whose link is down, and return their users."""
        stalled = sorted({job.user for job in self._jobs if job.rate == 0.0})
        self._jobs = [job for job in self._jobs if job.rate > 0.0]
        return stalled

    def change_rates(self, rate_of: Callable[[Job], float]) -> None:
        """Give every job the rate of a new slot."""
        self.catch_up()
        for job in self._jobs:
            job.rate = rate_of(job)
        self.share_out()

    def catch_up(self) -> None:
        """Do what has been done since the last time."""
        elapsed_s = self._env.now - self._at_s
        if elapsed_s > 0.0:
            self._at_s = self._env.now
            self._work(elapsed_s)

    def work(self) -> list[float]:
        """Return what has been done for each user, that for jobs under way included."""
        found = self._done.copy()
        for job in self._jobs:
            found[job.user] += job.amount - job.left
        return found

    def share_out(self) -> None:
        """Work out how fast each job is from now on, and what happens first: that one ends, or that speeds change."""
        self._set_speeds()
        soonest_s, self._first = math.inf, None
        for job in self._all_jobs():
            if job.speed > 0.0 and job.left < soonest_s * job.speed:
                soonest_s, self._first = job.left / job.speed, job
        change_s = self._next_change_s()
        if change_s < soonest_s:
            soonest_s, self._first = change_s, None
        self._due = None
        if soonest_s < math.inf:
            self._due = Timeout(self._env, max(soonest_s, 0.0))
            self._due.callbacks.append(self._on_time)

    def _all_jobs(self) -> list[Job]:
        return self._jobs

    def _next_change_s(self) -> float:
        """Return the seconds until speeds change although no job begins or ends."""
        return math.inf

    def _change(self) -> None:
        """Do what has to be done when that time has come."""

    def _set_speeds(self) -> None:
        users = [job.user for job in self._jobs if job.rate > 0.0]
        sharers = len(set(users)) + self._other_sharers()
        for job in self._jobs:
            own = users.count(job.user) if self._tensors_share else 1
            job.speed = job.rate / (sharers * own) if job.rate > 0.0 else 0.0

    def _other_sharers(self) -> int:
        """Return how many others than the users' queries share the time."""
        return 0

    def _work(self, elapsed_s: float) -> None:
        if not self._jobs:
            return
        self.busy_s += elapsed_s
        for job in self._jobs:
            job.left -= job.speed * elapsed_s
        for user in {job.user for job in self._jobs}:
            self.present_s[user] += elapsed_s

    def _on_time(self, due: Event) -> None:
        if due is not self._due:
            return  # something has begun or ended since
        self.catch_up()
        job = self._first
        if job is None:
            self._change()
            self.share_out()
            return
        self._end(job)
        self.share_out()
        job.on_end()

    def _end(self, job: Job) -> None:
        self._jobs.remove(job)
        self._done[job.user] += job.amount
