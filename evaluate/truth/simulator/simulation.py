"""Plays a plan query by query: a discrete-event simulation of what the model's formulas describe."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from functools import partial

import numpy as np
from simpy import Environment, Event, Interrupt, Process, Timeout

from dnnmig_env.arrays import Floats
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, check_plan
from evaluate.truth.simulator.chooser import Chooser
from evaluate.truth.simulator.outcome import Outcome
from evaluate.truth.simulator.plain_scenario import PlainScenario
from evaluate.truth.simulator.query_log import QueryLog
from evaluate.truth.simulator.query_run import QueryRun
from evaluate.truth.simulator.stations import Stations
from evaluate.truth.simulator.transfers import Transfer, Transfers

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
      link is down waits for the link. If its user leaves, it is abandoned. If its user goes to another cell, what it
      sends or receives by radio goes on there with the bytes that are left.
    - Where weights move, a query that uses a server which its user cannot reach any more is abandoned as well, as it
      might wait for ever; the next one follows as if it had ended. A query that uses weights which are dropped
      meanwhile goes on to its end.
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
    """The clock, the stations, and the processes: one for the slots, one for the weights, one for each user."""

    def __init__(self, plain: PlainScenario, plan: Plan, seed: int | Sequence[int], tensors_share: bool) -> None:
        self.env, self.plain, self.slot = Environment(), plain, 0
        self._rng = np.random.default_rng(seed)
        self.stations = Stations(self.env, plain, tensors_share=tensors_share)
        self._transfers = Transfers(plain, plan, self.stations, self._share)
        self._chooser = Chooser(plain, self._transfers.holdings)
        self._log = QueryLog(plain.num_users, plain.horizon_s)
        self._ends_s = [math.inf] * len(plan.uploads)
        self._expected_lanes, self._alarms = frozenset[int](), set[float]()
        self.is_closing, self._slot_begins, self._all_ended = False, self.env.event(), self.env.event()
        self._users: list[Process] = []
        self._runs: list[QueryRun | None] = [None] * plain.num_users

    def run(self) -> Outcome:
        """Run until all queries that started before the horizon have ended."""
        plain, env = self.plain, self.env
        self._choose(0.0, 0)
        env.process(self._slots())
        self._users = [env.process(self._user(user)) for user in range(plain.num_users)]
        env.process(self._weights())
        env.run(until=plain.horizon_s)
        present_s, busy_s, work = self.stations.accounts()
        weight_bytes, sendings = self.stations.weight_bytes(), self._transfers.sendings()
        self._close()
        if self._log.under_way:
            env.run(until=self._all_ended)
        return Outcome(
            *self._log.columns(),
            uploads=tuple(zip(self._transfers.starts_s(), self._ends_s, strict=True)),
            sendings=sendings,
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
            self._transfers.begin_slot(slot, self.env.now)
            self.stations.begin_slot(slot)
            for user, process in enumerate(self._users):
                if self.plain.rate_hz(before, user) != self._rate_hz(user) or self._is_lost(user):
                    process.interrupt()
            self._slot_begins.succeed()
            self._slot_begins = self.env.event()
            self._choose(self.plain.slot_starts_s[slot], 0)

    def _choose(self, time_s: float, first: int) -> None:
        """Let all users choose, one of them first; see `Chooser.choose`."""
        self._expected_lanes = self._sending_lanes() | self._startable_lanes()
        self._chooser.choose(time_s, self.slot, first, is_sending=self._expected_lanes)

    def _share(self, lane: int) -> float:
        return self._chooser.share(lane)

    def _is_lost(self, user: int) -> bool:
        """Return whether a user's query is under way on a server which, where weights move, is out of reach now."""
        run = self._runs[user]
        if run is None or not run.is_under_way or not self.plain.moves:
            return False
        return not self.plain.reaches(self.slot, user, run.course.assignment)

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
            self._runs[user] = run = QueryRun(self, self._chooser.courses[user], ended.succeed)
            self._log.start(user, env.now, self._rate_hz(user))
            run.begin()
            while not (yield from self._passes(ended)):
                if self._rate_hz(user) == 0.0 or self._is_lost(user):
                    run.abandon()
                    self._log.abandon(user, env.now)
                    break
            else:
                self._log.end(user, env.now)
                self._check_end()
            if self._rate_hz(user) == 0.0:
                return

    def _passes(self, event: Event) -> Generator[Event, object, bool]:
        """Wait for an event; return whether it has come, and not a slot that concerns the user."""
        try:
            yield event
        except Interrupt:
            return False
        return True

    def _weights(self) -> Steps:
        """Start transfers at time 0 and whenever a slot begins; at other events, these themselves see to it."""
        while True:
            self._start_transfers()
            yield self._slot_begins

    def _start_transfers(self) -> None:
        """Start all transfers that may start now, and look again when the time has come of those that wait for it.

        Let users choose if weights take time from query data, or do no longer, which they did not expect.
        """
        while (found := next(self._startable(), None)) is not None:
            self._start(*found)
        for time_s in self._transfers.look_again_s - self._alarms:
            self._alarms.add(time_s)
            alarm = Timeout(self.env, time_s - self.env.now)
            alarm.callbacks.append(partial(self._on_alarm, time_s))
        is_news = self.plain.uplink_mode == "shared" and self._sending_lanes() != self._expected_lanes
        if is_news and not self.is_closing:
            self._choose(self.env.now, 0)
        for lane in self.stations.lanes.values():
            if not lane.has_weights:
                lane.rest()

    def _on_alarm(self, time_s: float, _: Event) -> None:
        """Start what has waited for a time; a slot that is about to begin then begins first, and starts it."""
        self._alarms.remove(time_s)
        following = self.slot + 1
        if following == len(self.plain.slot_starts_s) or self.env.now < self.plain.slot_starts_s[following]:
            self._start_transfers()

    def _startable(self) -> Iterator[tuple[Transfer, int]]:
        return self._transfers.startable(self.slot, self.env.now, is_closing=self.is_closing)

    def _start(self, transfer: Transfer, source: int) -> None:
        """Start a transfer, and let users choose if weights of anybody present had to be dropped."""
        arrived = self.env.event()
        arrived.callbacks.append(partial(self._on_arrival, transfer))
        dropped = self._transfers.start(self.slot, transfer, source, self.env.now, arrived.succeed)
        if any(self._rate_hz(user) > 0.0 for user, _, _ in dropped):
            self._choose(self.env.now, 0)

    def _on_arrival(self, transfer: Transfer, _: Event) -> None:
        """Let users choose if a partition has become usable, its owner first; then start what may start."""
        if not transfer.is_under_way:
            return  # broken off with its last byte
        if self._transfers.end(transfer, self.env.now) and not self.is_closing:
            self._ends_s[transfer.upload] = self.env.now
            self._choose(self.env.now, transfer.user)
        self._start_transfers()

    def _sending_lanes(self) -> frozenset[int]:
        """Return the lanes on which weights move."""
        return frozenset(number for number, lane in self.stations.lanes.items() if lane.is_sending)

    def _startable_lanes(self) -> frozenset[int]:
        """Return the lanes on which weights will move at once, where that matters to query data."""
        plain, slot = self.plain, self.slot
        if plain.uplink_mode != "shared":
            return frozenset()
        return frozenset(
            plain.lane(slot, each.user, source)
            for each, source in self._startable()
            if plain.bytes_per_s(slot, each.user, source, each.server) > 0.0
        )

    def _close(self) -> None:
        """Let nothing change from now on, and give up what waits for a link that is down."""
        self.is_closing = True
        for user in self.stations.remove_stalled():
            self.strand(user)

    def _check_end(self) -> None:
        if self.is_closing and not self._log.under_way and not self._all_ended.triggered:
            self._all_ended.succeed()

    def _expected_frames(self) -> Floats:
        plain, users = self.plain, range(self.plain.num_users)
        edges_s = [*plain.slot_starts_s, plain.horizon_s]
        slots = [(slot, edges_s[slot + 1] - edges_s[slot]) for slot in range(len(plain.slot_starts_s))]
        return np.array([sum(plain.rate_hz(slot, user) * seconds for slot, seconds in slots) for user in users])
