"""Weights on their way and where they are, slow and obvious: transfers, lanes, copies, and how room is made.

What holds at one moment is here; `tests.oracle` lets time pass and says what share of a lane is left to weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan
from tests.oracle_queries import cell, link, rate_hz

Lane = tuple[str, int]  # ("uplink", cell) or ("wire", server that sends)
Copy = tuple[int, int, int]  # user, layer, server
Share = Callable[[Lane], float]  # what the data of queries leave of a lane to weights


@dataclass(eq=False)
class Transfer:
    """One layer of one upload of a plan: what is to be sent, and what came of it."""

    user: int
    layer: int
    server: int
    upload: int  # index of the upload in the plan
    not_before_s: float
    weight_bytes: float
    left_bytes: float
    source: int | None = None  # 0 is the device; None as long as it has not started
    start_s: float = math.inf
    end_s: float = math.inf  # when the last byte arrived; infinite, too, when broken off
    broken_off_s: float = math.inf

    @property
    def sent_bytes(self) -> float:
        return self.weight_bytes - self.left_bytes

    @property
    def broken_off(self) -> bool:
        return self.broken_off_s < math.inf

    @property
    def copy(self) -> Copy:
        return self.user, self.layer, self.server


def transfers_of(scenario: Scenario, plan: Plan) -> list[Transfer]:
    """All that a plan sends, in its order."""
    transfers = []
    for index, upload in enumerate(plan.uploads):
        for layer in upload.layers:
            size_bytes = float(scenario.users[upload.user].graph.weight_bytes[layer])
            transfers.append(
                Transfer(upload.user, layer, upload.server, index, upload.not_before_s, size_bytes, size_bytes)
            )
    return transfers


@dataclass
class Copies:
    """Which server holds which layers of whom, and which are on their way there."""

    scenario: Scenario
    held: list[Copy] = field(default_factory=list)  # in the order in which they arrived
    awaited: list[Transfer] = field(default_factory=list)  # under way, or there before the rest of their partition

    def __post_init__(self) -> None:
        """At time 0, what `uploaded` names counts as the latest, `copies` as earlier in the order of servers."""
        users = list(enumerate(self.scenario.users))
        for server in range(1, len(self.scenario.servers) + 1):
            for u, user in users:
                layers = [] if user.copies is None else np.flatnonzero(np.asarray(user.copies)[:, server - 1])
                self.held += [(u, int(v), server) for v in layers]
        for u, user in users:
            self.held += [(u, v, int(server)) for v, server in enumerate(np.asarray(user.uploaded)) if server > 0]

    def used_from(self, slot: int, user: int) -> dict[int, int]:
        """The server on which each layer runs that is available to a user."""
        found: dict[int, int] = {}
        home = cell(self.scenario, slot, user)
        for owner, layer, server in self.held:
            if owner != user or (self.scenario.moves and not reaches(self.scenario, slot, user, server)):
                continue
            if home == 0 or found.get(layer) != home:  # what is at home stays, else the latest counts
                found[layer] = server
        return found

    def hold(self, user: int, assignment: dict[int, int]) -> bool:
        """Whether all weights are held that an assignment uses, where it uses them."""
        for v, layer in enumerate(self.scenario.users[user].graph.layers):
            owners = {*layer.shares, v} if layer.weight_bytes > 0 else set(layer.shares)
            if assignment[v] > 0 and not all((user, owner, assignment[v]) in self.held for owner in owners):
                return False
        return True

    def expects(self, copy: Copy) -> bool:
        return any(transfer.copy == copy for transfer in self.awaited)

    def is_anywhere(self, user: int, layer: int) -> bool:
        """Whether some server holds a layer or will."""
        return any(copy[:2] == (user, layer) for copy in [*self.held, *(transfer.copy for transfer in self.awaited)])

    def taken_bytes(self, server: int) -> float:
        """Memory that weights take on a server: those that it holds, and those on their way to it."""
        held = sum(self.weight_bytes(copy) for copy in self.held if copy[2] == server)
        return held + sum(transfer.weight_bytes for transfer in self.awaited if transfer.server == server)

    def weight_bytes(self, copy: Copy) -> float:
        return float(self.scenario.users[copy[0]].graph.weight_bytes[copy[1]])

    def to_drop(self, slot: int, server: int, needed_bytes: float) -> list[Copy] | None:
        """What a server has to drop before it has room; None if there is no room even so."""
        dropped: list[Copy] = []
        left_bytes = self.scenario.servers[server - 1].memory_bytes - self.taken_bytes(server)
        for copy in self.dispensable(slot, server):
            if left_bytes >= needed_bytes:
                break
            dropped.append(copy)
            left_bytes += self.weight_bytes(copy)
        return dropped if left_bytes >= needed_bytes else None

    def dispensable(self, slot: int, server: int) -> list[Copy]:
        """What a server may drop, in order: what belongs to users who left, then what is at home as well."""
        scenario = self.scenario
        if not scenario.moves:
            return []
        here = [copy for copy in self.held if copy[2] == server]
        users = [u for u in range(len(scenario.users)) if has_left(scenario, slot, u)]
        users.sort(key=lambda u: last_present(scenario, slot, u))
        of_the_gone = [copy for u in users for copy in here if copy[0] == u]
        twice = []
        for user, layer, _ in here:
            home = cell(scenario, slot, user)
            if rate_hz(scenario, slot, user) > 0 and home != server and (user, layer, home) in self.held:
                twice.append((user, layer, server))
        return of_the_gone + twice


@dataclass
class Lanes:
    """Who waits in which lane; the first in a queue is sent."""

    scenario: Scenario
    queues: dict[Lane, list[Transfer]] = field(default_factory=dict)

    def add(self, lane: Lane, transfer: Transfer) -> None:
        self.queues.setdefault(lane, []).append(transfer)

    def remove(self, transfer: Transfer) -> None:
        self.queues[self.carrying(transfer)].remove(transfer)

    def carrying(self, transfer: Transfer) -> Lane:
        return next(lane for lane, queue in self.queues.items() if transfer in queue)

    def transfers(self) -> list[Transfer]:
        """All in flight, the radio's in the order of users, then the wires' in the order of servers."""
        every = [transfer for queue in self.queues.values() for transfer in queue]
        return sorted(every, key=lambda transfer: (transfer.source, transfer.user))

    def follow_users(self, slot: int) -> None:
        """Whoever comes into another cell joins the end of its queue."""
        for transfer in self.transfers():
            lane = lane_of(self.scenario, slot, transfer.user, transfer.source or 0)
            if lane != self.carrying(transfer):
                self.remove(transfer)
                self.add(lane, transfer)

    def moving(self, slot: int) -> Iterator[tuple[Lane, Transfer, float]]:
        """Lanes in which bytes move, with the transfer that is sent and its link's rate."""
        for lane, queue in sorted(self.queues.items()):
            rate = link_rate(self.scenario, slot, queue[0]) if queue else 0.0
            if rate > 0:
                yield lane, queue[0], rate

    def wait_s(self, slot: int, lane: Lane, share: float) -> float:
        """How long the transfers that are in a lane now still take."""
        seconds = 0.0
        for transfer in self.queues.get(lane, []):
            rate = link_rate(self.scenario, slot, transfer)
            seconds += transfer.left_bytes / (rate * share) if rate > 0 else math.inf
        return seconds


class Schedule:
    """A plan while it is carried out: which transfers may start, and what their start and end make of the copies."""

    def __init__(self, scenario: Scenario, plan: Plan) -> None:
        self.scenario, self.copies, self.lanes = scenario, Copies(scenario), Lanes(scenario)
        self.transfers = transfers_of(scenario, plan)

    def first_in_idle_lanes(self, slot: int, share: Share) -> list[Transfer]:
        """The transfers, in the plan's order, that are the first to want a lane in which there is none."""
        taken = {lane for lane, queue in self.lanes.queues.items() if queue}
        first = []
        for transfer in self.transfers:
            lane = self.wanted_lane(slot, transfer, share) if transfer.source is None else None
            if lane is not None and lane not in taken:
                taken.add(lane)
                first.append(transfer)
        return first

    def wanted_lane(self, slot: int, transfer: Transfer, share: Share) -> Lane | None:
        there = transfer.copy in self.copies.held or self.copies.expects(transfer.copy)
        if self.scenario.moves and (there or has_left(self.scenario, slot, transfer.user)):
            return None
        if rate_hz(self.scenario, slot, transfer.user) == 0:
            return lane_of(self.scenario, slot, transfer.user, 0)
        source = self.best_source(slot, transfer, share)
        return None if source is None else lane_of(self.scenario, slot, transfer.user, source)

    def best_source(self, slot: int, transfer: Transfer, share: Share) -> int | None:
        """The source by which a transfer would end first: the device or a server; None if there is none."""
        scenario, user, target = self.scenario, transfer.user, transfer.server
        if not scenario.moves:
            return 0
        ends_s: dict[int, float] = {}
        for source in range(len(scenario.servers) + 1):
            holds = source == 0 or (user, transfer.layer, source) in self.copies.held
            if holds and source != target and link(scenario, slot, user, source, target)[0] > 0:
                lane = lane_of(scenario, slot, user, source)
                rate = link(scenario, slot, user, source, target)[0] * share(lane)
                ends_s[source] = self.lanes.wait_s(slot, lane, share(lane)) + transfer.weight_bytes / rate
        return min(ends_s, key=lambda source: (ends_s[source], source), default=None)

    def may_start(self, slot: int, transfer: Transfer) -> bool:
        """Whether a transfer that wants an idle lane may have it."""
        if rate_hz(self.scenario, slot, transfer.user) == 0:
            return False
        if not self.scenario.moves and self.copies.is_anywhere(transfer.user, transfer.layer):
            return False
        return self.copies.to_drop(slot, transfer.server, transfer.weight_bytes) is not None

    def start(self, slot: int, transfer: Transfer, now_s: float, share: Share) -> list[Copy]:
        """Send a transfer that may start; return what had to be dropped for it."""
        source = self.best_source(slot, transfer, share)
        dropped = self.copies.to_drop(slot, transfer.server, transfer.weight_bytes)
        assert source is not None and dropped is not None
        self.copies.held = [copy for copy in self.copies.held if copy not in dropped]
        self.copies.awaited.append(transfer)
        self.lanes.add(lane_of(self.scenario, slot, transfer.user, source), transfer)
        transfer.source, transfer.start_s = source, now_s
        return dropped

    def end(self, transfer: Transfer, now_s: float) -> bool:
        """Take a transfer off its lane; return whether its partition is complete, whose layers then count as held."""
        self.lanes.remove(transfer)
        transfer.end_s = now_s
        partition = [one for one in self.transfers if one.upload == transfer.upload]
        if not all(one.end_s < math.inf or one.copy in self.copies.held for one in partition):
            return False
        self.copies.held += [one.copy for one in partition if one in self.copies.awaited]
        self.copies.awaited = [one for one in self.copies.awaited if one not in partition]
        return True

    def break_off(self, slot: int, now_s: float) -> None:
        """What is on its way to someone who left, or by radio to a server out of reach, is lost."""
        for transfer in self.lanes.transfers():
            absent = rate_hz(self.scenario, slot, transfer.user) == 0
            by_radio = transfer.source == 0
            if absent or (by_radio and not reaches(self.scenario, slot, transfer.user, transfer.server)):
                self.lanes.remove(transfer)
                self.copies.awaited.remove(transfer)
                transfer.broken_off_s = now_s


def lane_of(scenario: Scenario, slot: int, user: int, source: int) -> Lane:
    return ("uplink", cell(scenario, slot, user)) if source == 0 else ("wire", source)


def link_rate(scenario: Scenario, slot: int, transfer: Transfer) -> float:
    return link(scenario, slot, transfer.user, transfer.source or 0, transfer.server)[0]


def reaches(scenario: Scenario, slot: int, user: int, server: int) -> bool:
    return link(scenario, slot, user, 0, server)[0] > 0


def last_present(scenario: Scenario, slot: int, user: int) -> int:
    """The latest slot up to now in which a user was present; -1 if none."""
    return max((earlier for earlier in range(slot + 1) if rate_hz(scenario, earlier, user) > 0), default=-1)


def has_left(scenario: Scenario, slot: int, user: int) -> bool:
    return rate_hz(scenario, slot, user) == 0 and last_present(scenario, slot, user) >= 0
