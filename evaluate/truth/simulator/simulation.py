"""Plays a plan query by query: a discrete-event simulation of what the model's formulas describe."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence

import numpy as np
from simpy import Environment, Event, Interrupt, Process

from dnnmig_env.arrays import Floats
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, Upload, check_plan
from evaluate.truth.simulator.chooser import Chooser
from evaluate.truth.simulator.outcome import Outcome
from evaluate.truth.simulator.plain_scenario import DEVICE, PlainScenario
from evaluate.truth.simulator.query_log import QueryLog
from evaluate.truth.simulator.query_run import QueryRun
from evaluate.truth.simulator.station import Job, Station
from evaluate.truth.simulator.uplink import Uplink

Steps = Generator[Event, object, None]


def play_out(scenario: Scenario, plan: Plan, seed: int | Sequence[int] = 0, *, tensors_share: bool = False) -> Outcome:
    """Play a plan in a scenario, every query on its own.

    Written from the model's description (`docs/model.md`), not from the kernel, of which nothing is used: a query is a
    graph of tasks, servers and channels share their time among the users that have tasks there, weights give way to
    query data, and users choose at events by what sections 3 and 4 of the model let them expect. Where the description
    leaves something open:

    - A user's first query starts at a random moment within `1 / rate` of its arrival, so that users are out of step.
      From then on nothing is random.
    - A query keeps the assignment with which it started. At a new slot its transfers go on at the new rates; one whose
      link is down waits for the link. If its user leaves, it is abandoned.
    - After the horizon users go on asking until all queries that started before it have ended, so that these meet what
      they would have met; but nobody chooses anew, and what waits for a link that is down is abandoned.

    Args:
        scenario: The scenario.
        plan: The plan.
        seed: Seed of the moments at which users start.
        tensors_share: Whether tensors of one query that travel at the same time slow each other. In section 3 of the
            model they do not.

    Raises:
        ValueError: If the plan cannot be carried out in the scenario (see `check_plan`).
    """
    check_plan(scenario, plan)
    return _Simulation(PlainScenario(scenario), plan, seed, tensors_share).run()


class _Simulation:
    """The clock, the stations, and the processes: one for the slots, one for the uploads, one for each user."""

    def __init__(self, plain: PlainScenario, plan: Plan, seed: int | Sequence[int], tensors_share: bool) -> None:
        self.env, self.plain, self.slot = Environment(), plain, 0
        self._plan, self._rng = plan, np.random.default_rng(seed)
        self._uplink = Uplink(self.env, plain.num_users, plain.uplink_mode, tensors_share=tensors_share)
        self.stations: list[Station | None] = [
            Station(self.env, plain.num_users, tensors_share=tensors_share) for _ in range(plain.num_stations)
        ]
        self.stations[DEVICE], self.stations[plain.uplink] = None, self._uplink
        self._chooser = Chooser(plain)
        self._log = QueryLog(plain.num_users, plain.horizon_s)
        self._starts_s, self._ends_s = ([math.inf] * len(plan.uploads) for _ in range(2))
        self._num_arrived, self._expects_weights, self.is_closing = 0, False, False
        self._slot_begins, self._all_ended = self.env.event(), self.env.event()
        self._users: list[Process] = []

    def run(self) -> Outcome:
        """Run until all queries that started before the horizon have ended."""
        plain, env = self.plain, self.env
        self._choose(0.0, 0)
        env.process(self._slots())
        self._users = [env.process(self._user(user)) for user in range(plain.num_users)]
        env.process(self._uploads())
        env.run(until=plain.horizon_s)
        present_s, busy_s, work = self._accounts()
        weight_bytes = np.array(self._uplink.weight_bytes)
        self._close()
        if self._log.under_way:
            env.run(until=self._all_ended)
        return Outcome(
            *self._log.columns(),
            uploads=tuple(zip(self._starts_s, self._ends_s, strict=True)),
            choices=tuple(self._chooser.log),
            present_s=present_s,
            busy_s=busy_s,
            work=work,
            weight_bytes=weight_bytes,
            expected_frames=self._expected_frames(),
            horizon_s=plain.horizon_s,
        )

    def strand(self, user: int) -> None:
        """Note that a user's query will never end: it waits for a link that will never be up again."""
        self._log.abandon(user, self.env.now)
        self._check_end()

    def _rate_hz(self, user: int) -> float:
        return self.plain.rate_hz(self.slot, user)

    def _slots(self) -> Steps:
        """Begin each slot: transfers under way change their rates, users come and go, and all choose."""
        for slot in range(1, len(self.plain.slot_starts_s)):
            yield self.env.timeout(self.plain.slot_starts_s[slot] - self.env.now)
            before, self.slot = self.slot, slot
            for station in self.stations:
                if station is not None:
                    station.change_rates(self._rate_of)
            for user, process in enumerate(self._users):
                if self.plain.rate_hz(before, user) != self._rate_hz(user):
                    process.interrupt()
            self._slot_begins.succeed()
            self._slot_begins = self.env.event()
            self._choose(self.plain.slot_starts_s[slot], 0)

    def _choose(self, time_s: float, first: int) -> None:
        """Let all users choose, one of them first; see `Chooser.choose`."""
        self._expects_weights = self._sends_weights()
        self._chooser.choose(time_s, self.slot, first, is_sending=self._expects_weights)

    def _rate_of(self, job: Job) -> float:
        source, target = job.link
        return 1.0 if source == target else self.plain.bytes_per_s(self.slot, job.user, source, target)

    def _user(self, user: int) -> Steps:
        """Come, stay and leave as the scenario says."""
        while True:
            if self._rate_hz(user) > 0.0:
                yield from self._stay(user)
                self._log.no_longer_latest(user, self.env.now)
            else:
                yield from self._passes(self.env.event())

    def _stay(self, user: int) -> Steps:
        """Raise a query every `1 / rate` seconds, but none before the last one has ended; return when the user leaves.

        A stay begins as if a query had started at a random moment less than `1 / rate` ago.
        """
        env = self.env
        last_start_s = env.now - self._rng.random() / self._rate_hz(user)
        while True:
            while (start_s := last_start_s + 1.0 / self._rate_hz(user)) > env.now:
                yield from self._passes(env.timeout(start_s - env.now))
                if self._rate_hz(user) == 0.0:
                    return
            last_start_s, ended = env.now, env.event()
            run = QueryRun(self, self._chooser.courses[user], ended.succeed)
            self._log.start(user, env.now, self._rate_hz(user))
            run.begin()
            while not (yield from self._passes(ended)):
                if self._rate_hz(user) == 0.0:
                    run.abandon()
                    self._log.abandon(user, env.now)
                    return
            self._log.end(user, env.now)
            self._check_end()

    def _passes(self, event: Event) -> Generator[Event, object, bool]:
        """Wait for an event; return whether it has come, and not a slot in which the user's rate is another one."""
        try:
            yield event
        except Interrupt:
            return False
        return True

    def _uploads(self) -> Steps:
        """Send weights in the plan's order, one layer at a time; each partition becomes usable with its last byte."""
        for index, upload in enumerate(self._plan.uploads):
            link = (DEVICE, upload.server)
            for layer in upload.layers:
                while not self._can_begin(upload):
                    self._uplink.rest()
                    early_s = upload.not_before_s - self.env.now
                    yield self.env.timeout(early_s) if early_s > 0.0 else self._slot_begins
                self._starts_s[index] = min(self._starts_s[index], self.env.now)
                weight_bytes, sent = float(self.plain.graphs[upload.user].weight_bytes[layer]), self.env.event()
                rate = self.plain.bytes_per_s(self.slot, upload.user, *link)
                self._uplink.send_weights(Job(upload.user, weight_bytes, rate, sent.succeed, link))
                self._note_weights()
                yield sent
            if self.is_closing:
                return
            self._ends_s[index], self._num_arrived = self.env.now, index + 1
            self._chooser.arrive(upload.user, upload.server, upload.layers)
            self._choose(self.env.now, upload.user)

    def _note_weights(self) -> None:
        """Let users choose anew if an upload that begins takes time from query data, which they did not expect."""
        is_news = self._sends_weights() != self._expects_weights
        if is_news and self.plain.uplink_mode == "shared" and not self.is_closing:
            self._choose(self.env.now, 0)

    def _can_begin(self, upload: Upload) -> bool:
        return self.env.now >= upload.not_before_s and self._rate_hz(upload.user) > 0.0

    def _sends_weights(self) -> bool:
        """Return whether weights are on the uplink, or will be at once."""
        if self._uplink.is_sending or self._num_arrived == len(self._plan.uploads):
            return self._uplink.is_sending
        return self._can_begin(self._plan.uploads[self._num_arrived])

    def _accounts(self) -> tuple[Floats, Floats, Floats]:
        """Return what each station has done so far: see `present_s`, `busy_s` and `work` of an `Outcome`."""
        nothing = Station(self.env, self.plain.num_users)
        stations = [nothing if station is None else station for station in self.stations]
        for station in stations:
            station.catch_up()
        present_s = np.array([station.present_s for station in stations]).T
        work = np.array([station.work() for station in stations]).T
        return present_s, np.array([station.busy_s for station in stations]), work

    def _close(self) -> None:
        """Let nothing change from now on, and give up what waits for a link that is down."""
        self.is_closing = True
        for station in self.stations:
            for user in [] if station is None else station.remove_stalled():
                self.strand(user)

    def _check_end(self) -> None:
        if self.is_closing and not self._log.under_way and not self._all_ended.triggered:
            self._all_ended.succeed()

    def _expected_frames(self) -> Floats:
        plain, users = self.plain, range(self.plain.num_users)
        edges_s = [*plain.slot_starts_s, plain.horizon_s]
        slots = [(slot, edges_s[slot + 1] - edges_s[slot]) for slot in range(len(plain.slot_starts_s))]
        return np.array([sum(plain.rate_hz(slot, user) * seconds for slot, seconds in slots) for user in users])
