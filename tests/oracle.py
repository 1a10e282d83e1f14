"""The model once more, slow and obvious: the oracle against which the compiled kernel is checked.

Written from the model's description, not from the kernel: a query by recursion over layers, stations by their names,
tensors as a set, weights as lists of copies and queues, and one object that lets time pass and asks everybody at every
event.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan
from tests.oracle_queries import (
    Assignment,
    Slowdown,
    Station,
    cell,
    delay_s,
    everything_available,
    execution_s,
    link,
    link_station,
    moving_alone_s,
    rate_hz,
    seconds_at_stations,
    slot_at,
)
from tests.oracle_transfers import Lane, Schedule, Transfer, reaches

__all__ = [
    "Assignment",
    "Outcome",
    "Sent",
    "Slowdown",
    "Station",
    "Transfer",
    "delay_s",
    "everything_available",
    "execution_s",
    "link",
    "link_station",
    "moving_alone_s",
    "rate_hz",
    "seconds_at_stations",
    "simulate",
    "slot_at",
]

SWEEPS, TOLERANCE, LEAST_SHARE = 2, 2e-3, 0.02  # written down in contention.py, picks.py and share.py
RADIO = ("uplink", "downlink")


@dataclass
class Sent:
    """Bytes of a transfer that went through a lane while nothing changed."""

    lane: Lane
    transfer: Transfer
    from_s: float
    until_s: float
    size_bytes: float


@dataclass
class Outcome:
    mean_delay_s: float = math.nan
    curve: list[tuple[float, list[float]]] = field(default_factory=list)  # after every event: time, delay of every user
    assignments: list[list[Assignment]] = field(default_factory=list)  # after every event: of every user
    uploads: list[tuple[float, float]] = field(default_factory=list)  # start and end of every partition, or infinite
    transfers: list[Transfer] = field(default_factory=list)  # every layer of every upload, in the plan's order
    dropped: list[tuple[float, int, int, int]] = field(default_factory=list)  # time, user, layer, server
    memory_bytes: list[list[float]] = field(default_factory=list)  # after every event: taken on every server
    sent: list[Sent] = field(default_factory=list)


class Simulation:
    """Plays a plan event by event; `now` is the time, `slot` the slot, everything else is per user or per lane."""

    def __init__(self, scenario: Scenario, plan: Plan) -> None:
        self.scenario, self.users = scenario, range(len(scenario.users))
        self.schedule = Schedule(scenario, plan)
        self.copies, self.lanes = self.schedule.copies, self.schedule.lanes
        self.arrived_s = [math.inf for _ in plan.uploads]
        self.assignments = [dict.fromkeys(range(len(user.graph)), 0) for user in scenario.users]
        self.delays = [math.nan for _ in self.users]
        self.known: list[dict[Station, float]] = [{} for _ in self.users]  # presence on which the others rely
        self.busy: set[Lane] = set()  # lanes with a transfer that the users' data meet, as they last knew it
        self.must_choose: set[int] = set()
        self.outdated: set[int] = set()
        self.now, self.slot, self.queries, self.seconds = 0.0, 0, 0.0, 0.0
        self.outcome = Outcome(transfers=self.schedule.transfers)
        self.begin_slot()
        while self.now < scenario.horizon_s:
            self.live_until_the_next_event()
        self.outcome.mean_delay_s = self.seconds / self.queries
        for index, end_s in enumerate(self.arrived_s):
            starts_s = [transfer.start_s for transfer in self.outcome.transfers if transfer.upload == index]
            self.outcome.uploads.append((min(starts_s), end_s))

    def live_until_the_next_event(self) -> None:
        """Start what may start, let time pass; then the slot begins before transfers end, one after another.

        Nothing else starts before all of them have ended.
        """
        self.start_transfers()
        while self.occupy():
            self.start_transfers()
        self.let_pass()
        if self.now == self.slot_end_s() and self.now < self.scenario.horizon_s:
            self.slot += 1
            self.begin_slot()
        for transfer in self.lanes.transfers():
            if transfer.left_bytes == 0:
                self.end(transfer)

    def let_pass(self) -> None:
        """Go on to the start of a slot, the end of a transfer, or a time before which something must not start."""
        moving = [(lane, one, rate * self.share(lane)) for lane, one, rate in self.lanes.moving(self.slot)]
        ends_s = [self.now + one.left_bytes / rate for _, one, rate in moving]
        awaited_s = [one.not_before_s for one in self.first_in_idle_lanes() if one.not_before_s > self.now]
        until_s = min([self.slot_end_s(), *ends_s, *awaited_s])
        for (lane, one, rate), end_s in zip(moving, ends_s, strict=True):
            before_bytes = one.left_bytes
            one.left_bytes = 0.0 if end_s == until_s else max(before_bytes - rate * (until_s - self.now), 0.0)
            self.outcome.sent.append(Sent(lane, one, self.now, until_s, before_bytes - one.left_bytes))
        for u in self.users:
            queries = rate_hz(self.scenario, self.slot, u) * (until_s - self.now)
            self.queries += queries
            self.seconds += queries * self.delays[u]
        self.now = until_s

    def slot_end_s(self) -> float:
        return float([*np.asarray(self.scenario.slot_starts_s)[1:], self.scenario.horizon_s][self.slot])

    def start_transfers(self) -> None:
        """Start the first that may, until none may any more."""
        while self.now < self.scenario.horizon_s:
            due = [one for one in self.first_in_idle_lanes() if one.not_before_s <= self.now]
            startable = next((one for one in due if self.schedule.may_start(self.slot, one)), None)
            if startable is None:
                return
            dropped = self.schedule.start(self.slot, startable, self.now, self.share)
            self.outcome.dropped += [(self.now, *copy) for copy in dropped]
            concerned = {user for user, _, _ in dropped if rate_hz(self.scenario, self.slot, user) > 0}
            if concerned:
                self.must_choose |= concerned
                self.everybody_chooses(first=0)

    def first_in_idle_lanes(self) -> list[Transfer]:
        return self.schedule.first_in_idle_lanes(self.slot, self.share)

    def end(self, transfer: Transfer) -> None:
        """The last byte has arrived; with the last layer of a partition, all of it becomes usable."""
        if self.schedule.end(transfer, self.now):
            self.arrived_s[transfer.upload] = min(self.arrived_s[transfer.upload], self.now)
            self.everybody_chooses(first=transfer.user)

    def share(self, lane: Lane) -> float:
        """What the data of queries leave to weights: those of the users of a cell, or those of all on a wire."""
        kind, number = lane
        if self.scenario.uplink == "independent":
            return 1.0
        at = "uplink" if kind == "uplink" else f"wire of {number}"
        users = [u for u in self.users if kind == "wire" or cell(self.scenario, self.slot, u) == number]
        if self.scenario.uplink == "shared":
            return 1 / (1 + sum(self.known[u].get(at, 0.0) for u in users))
        busy = 0.0
        for u in users:
            if rate_hz(self.scenario, self.slot, u) > 0:
                data_s = seconds_at_stations(self.scenario, self.slot, u, self.assignments[u]).get(at, 0.0)
                busy += data_s / self.cycle_s(u)
        return max(1 - busy, LEAST_SHARE)

    def cycle_s(self, user: int) -> float:
        return max(1 / rate_hz(self.scenario, self.slot, user), self.delays[user])

    def occupy(self) -> bool:
        """Only a reading under which transfers are customers notices in which lanes bytes move."""
        busy = {lane for lane, _, _ in self.lanes.moving(self.slot)}
        if self.scenario.uplink != "shared" or busy == self.busy:
            return False
        self.busy = busy
        self.must_choose = set(self.users)
        self.everybody_chooses(first=0)
        return True

    def begin_slot(self) -> None:
        if self.scenario.moves:
            self.schedule.break_off(self.slot, self.now)
        self.lanes.follow_users(self.slot)
        for u in self.users:
            if rate_hz(self.scenario, self.slot, u) == 0:
                self.known[u] = {}
        self.must_choose = set(self.users)
        self.everybody_chooses(first=0)

    def everybody_chooses(self, first: int) -> None:
        present = [u for u in sorted(self.users, key=lambda u: u != first) if rate_hz(self.scenario, self.slot, u) > 0]
        self.must_choose.add(first)
        changes = [self.choose(u) for u in present if u in self.must_choose]
        for _ in range(SWEEPS):
            if not any(changes):
                break
            changes = [self.look_again(u) for u in present if u in self.outdated]
        for u in self.users:
            if u not in present:
                self.delays[u] = delay_s(self.scenario, self.slot, u, dict.fromkeys(self.assignments[u], 0), {})
        self.outcome.curve.append((self.now, list(self.delays)))
        self.outcome.assignments.append([dict(assignment) for assignment in self.assignments])
        servers = range(1, len(self.scenario.servers) + 1)
        self.outcome.memory_bytes.append([self.copies.taken_bytes(server) for server in servers])

    def choose(self, user: int) -> bool:
        """Take the fastest; say whether the others are concerned."""
        now, slowdown = self.assignments[user], self.slowdown(user)
        everything = everything_available(self.scenario, user, self.copies.used_from(self.slot, user))
        if not self.copies.hold(user, now):
            now = everything
        choices = [now, dict.fromkeys(now, 0), everything]  # at a tie the first of them
        self.assignments[user] = min(choices, key=lambda choice: self.delay_s(user, choice, slowdown))
        changed = self.look_again(user)
        self.must_choose.discard(user)
        return changed

    def look_again(self, user: int) -> bool:
        """See how long a query takes now; say whether the others are concerned."""
        scenario, slot, slowdown = self.scenario, self.slot, self.slowdown(user)
        self.delays[user] = self.delay_s(user, self.assignments[user], slowdown)
        own = seconds_at_stations(scenario, slot, user, self.assignments[user])
        found = {at: min(1.0, s * slowdown.get(at, 1.0) / self.cycle_s(user)) for at, s in own.items()}
        stations = found.keys() | self.known[user].keys()
        changed = any(abs(found.get(at, 0.0) - self.known[user].get(at, 0.0)) > TOLERANCE for at in stations)
        if changed:
            self.known[user] = found
            self.must_choose = set(self.users)
            self.outdated = set(self.users)
        self.outdated.discard(user)
        return changed

    def delay_s(self, user: int, assignment: Assignment, slowdown: Slowdown) -> float:
        """Infinite if a server is used that moves have left out of reach."""
        used = {node for node in assignment.values() if node > 0}
        if self.scenario.moves and not all(reaches(self.scenario, self.slot, user, node) for node in used):
            return math.inf
        return delay_s(self.scenario, self.slot, user, assignment, slowdown)

    def slowdown(self, user: int) -> Slowdown:
        """One for the user, one for a transfer, and what it finds of the others; at the radio, of those in its cell."""
        home = cell(self.scenario, self.slot, user)
        found: dict[Station, float] = {"uplink": 2.0 if ("uplink", home) in self.busy else 1.0}
        found |= {f"wire of {number}": 2.0 for kind, number in self.busy if kind == "wire"}
        for other in self.users:
            if other != user:
                same_cell = cell(self.scenario, self.slot, other) == home
                for at, number in self.known[other].items():
                    if same_cell or at not in RADIO:
                        found[at] = found.get(at, 1.0) + number
        return found


def simulate(scenario: Scenario, plan: Plan) -> Outcome:
    return Simulation(scenario, plan).outcome
