"""Weights on their way: in which order a plan's layers start, by which lane each goes, and what becomes of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dnnmig_env.simulation.plan import Plan
from evaluate.truth.simulator.holdings import Copy, Holdings
from evaluate.truth.simulator.outcome import Sending
from evaluate.truth.simulator.plain_scenario import DEVICE, PlainScenario
from evaluate.truth.simulator.station import Job
from evaluate.truth.simulator.stations import Stations


@dataclass(eq=False)
class Transfer:
    """One layer of a plan.

    Attributes:
        number: Its number in the plan.
        user: Its user.
        layer: The layer.
        server: Server to which it goes.
        upload: Index of its partition in the plan.
        not_before_s: Earliest start.
        source: Node from which it goes, once it has started.
        start_s: When it started; infinite if it has not.
        end_s: When its last byte arrived; infinite if it has not.
        broken_off_s: When it was broken off; infinite if it was not.
        job: What its lane has to do.
    """

    number: int
    user: int
    layer: int
    server: int
    upload: int
    not_before_s: float
    source: int = DEVICE
    start_s: float = math.inf
    end_s: float = math.inf
    broken_off_s: float = math.inf
    job: Job | None = None

    @property
    def copy(self) -> Copy:
        """What a server holds once it has arrived."""
        return self.user, self.layer, self.server

    @property
    def is_under_way(self) -> bool:
        """Whether it has started, and has neither arrived nor been broken off."""
        return self.start_s < math.inf == self.end_s == self.broken_off_s


class Transfers:
    """All layers of a plan, and what servers hold of them.

    Args:
        plain: The scenario.
        plan: The plan.
        stations: The stations, whose lanes carry weights.
        share: What users' query data leave to weights of the lane with a number, as far as can be foreseen.

    Attributes:
        holdings: What servers hold.
        every: The transfers, in the order of the plan.
        look_again_s: Times for which transfers wait that `startable` has come across.
    """

    def __init__(self, plain: PlainScenario, plan: Plan, stations: Stations, share: Callable[[int], float]) -> None:
        self._plain, self._lanes, self._share = plain, stations.lanes, share
        self.holdings = Holdings(plain)
        self._starts_s = [math.inf] * len(plan.uploads)
        layers = [(index, upload, layer) for index, upload in enumerate(plan.uploads) for layer in upload.layers]
        self.every = [
            Transfer(number, upload.user, layer, upload.server, index, upload.not_before_s)
            for number, (index, upload, layer) in enumerate(layers)
        ]
        self._partitions: list[list[Transfer]] = [[] for _ in plan.uploads]
        for transfer in self.every:
            self._partitions[transfer.upload].append(transfer)
        latest_first = (transfer.not_before_s for transfer in reversed(self.every))
        self._earliest_s = list(itertools.accumulate(latest_first, min))[::-1]  # of a transfer and all that follow it
        self.look_again_s = set[float]()
        self._outlook: dict[int, tuple[float, float]] = {}  # share that is left of each lane, and how long it is taken
        self._waiting, self._under_way = self.every.copy(), list[Transfer]()

    def startable(self, slot: int, now_s: float, *, is_closing: bool) -> Iterator[tuple[Transfer, int]]:
        """Yield the transfers that may start now, one for each lane at most, with the sources from which they would go.

        Every transfer that has not started wants the lane of its source. Of those that want a lane that is idle the
        first one gets it; as long as this may not start, the lane is kept for it. After the horizon (`is_closing`) only
        the rest of partitions that have begun may start, and nothing is dropped for them.

        Once all have been taken, `look_again_s` says for which times transfers wait.
        """
        self.look_again_s, self._outlook = set(), {}
        taken = {lane for lane, station in self._lanes.items() if station.has_weights}
        for transfer in self._waiting:
            if len(taken) == len(self._lanes):
                return
            earliest_s = self._earliest_s[transfer.number]
            if earliest_s > now_s:  # nothing that follows may start
                self.look_again_s |= {transfer.not_before_s, earliest_s}
                return
            source = self._source(slot, transfer)
            if source is None or (lane := self._plain.lane(slot, transfer.user, source)) in taken:
                continue
            taken.add(lane)
            if transfer.not_before_s > now_s:
                self.look_again_s.add(transfer.not_before_s)
            elif self._may_start(slot, transfer, is_closing=is_closing):
                yield transfer, source

    def _may_start(self, slot: int, transfer: Transfer, *, is_closing: bool) -> bool:
        if not self._plain.is_present(slot, transfer.user):
            return False
        dropped = self._to_drop(slot, transfer)
        goes_on = not dropped and self._starts_s[transfer.upload] < math.inf
        return dropped is not None and (goes_on or not is_closing)

    def _to_drop(self, slot: int, transfer: Transfer) -> list[Copy] | None:
        """Return what has to be dropped for a transfer to start, mostly nothing; None if there is no room even so."""
        weight_bytes = self._plain.weight_bytes(transfer.user, transfer.layer)
        return self.holdings.to_drop(slot, transfer.server, weight_bytes)

    def _source(self, slot: int, transfer: Transfer) -> int | None:
        """Return the node from which a transfer would go if it started now; None if it wants no lane."""
        plain, (user, layer, server) = self._plain, transfer.copy
        if not plain.moves:
            return DEVICE
        if plain.has_left(slot, user) or self.holdings.holds(transfer.copy) or self.holdings.expects(transfer.copy):
            return None
        if not plain.is_present(slot, user):
            return DEVICE
        holders = (node for node in range(1, plain.num_servers + 1) if self.holdings.holds((user, layer, node)))
        sources = [node for node in (DEVICE, *holders) if plain.bytes_per_s(slot, user, node, server) > 0.0]
        return min(sources, key=lambda node: self._seconds(slot, transfer, node), default=None)

    def _seconds(self, slot: int, transfer: Transfer, source: int) -> float:
        """Return how long a transfer would take from a node, with all that is before it in its lane."""
        lane = self._plain.lane(slot, transfer.user, source)
        rate = self._plain.bytes_per_s(slot, transfer.user, source, transfer.server)
        if lane not in self._outlook:
            share = self._share(lane)
            self._outlook[lane] = share, self._lanes[lane].wait_s(share)
        share, wait_s = self._outlook[lane]
        return wait_s + self._plain.weight_bytes(transfer.user, transfer.layer) / (rate * share)

    def starts_s(self) -> list[float]:
        """Return when each partition of the plan began; infinite if it has not."""
        return self._starts_s.copy()

    def sendings(self) -> tuple[Sending, ...]:
        """Return what has become so far of all transfers that have started, in the order of the plan."""
        for station in self._lanes.values():
            station.catch_up()
        return tuple(
            Sending(
                each.user, each.layer, each.server, each.source, each.start_s, each.end_s, each.broken_off_s, job.sent
            )
            for each in self.every
            if (job := each.job) is not None
        )

    def start(
        self, slot: int, transfer: Transfer, source: int, now_s: float, on_end: Callable[[], object]
    ) -> list[Copy]:
        """Send a transfer that may start; return what is dropped for it."""
        user, server = transfer.user, transfer.server
        dropped = self._to_drop(slot, transfer) or []
        self.holdings.drop(dropped)
        self.holdings.expect([transfer.copy])
        weight_bytes, rate = (
            self._plain.weight_bytes(user, transfer.layer),
            self._plain.bytes_per_s(slot, user, source, server),
        )
        transfer.job = Job(user, weight_bytes, rate, on_end, (source, server))
        transfer.source, transfer.start_s = source, now_s
        self._waiting.remove(transfer)
        self._under_way.append(transfer)
        self._starts_s[transfer.upload] = min(self._starts_s[transfer.upload], now_s)
        self._lanes[self._plain.lane(slot, user, source)].send_weights(transfer.job)
        return dropped

    def end(self, transfer: Transfer, now_s: float) -> bool:
        """Note that a transfer has arrived; return whether its partition is complete, which can be used from now on."""
        transfer.end_s = now_s
        self._under_way.remove(transfer)
        partition = self._partitions[transfer.upload]
        if not all(each.end_s < math.inf or self.holdings.holds(each.copy) for each in partition):
            return False
        self.holdings.arrive(
            each.copy for each in partition if self.holdings.expects(each.copy) and each.end_s < math.inf
        )
        return True

    def begin_slot(self, slot: int, now_s: float) -> None:
        """Break off transfers that are of no use in a new slot; let those by radio change cells with their users.

        Where weights move, those are of no use that are on their way to a user who is absent, or by radio to a server
        that their user cannot reach.
        """
        plain = self._plain
        under_way = sorted(self._under_way, key=lambda each: each.user)
        for transfer in under_way:
            user, by_radio = transfer.user, transfer.source == DEVICE
            present, before = plain.is_present(slot, user), plain.lane(slot - 1, user, transfer.source)
            if plain.moves and not (present and (not by_radio or plain.reaches(slot, user, (transfer.server,)))):
                self._take(transfer, before)
                self.holdings.lose(transfer.copy)
                self._under_way.remove(transfer)
                transfer.broken_off_s = now_s
        for transfer in under_way:
            before, now = (plain.lane(each, transfer.user, transfer.source) for each in (slot - 1, slot))
            if transfer.is_under_way and before != now and (job := self._take(transfer, before)) is not None:
                self._lanes[now].send_weights(job)

    def _take(self, transfer: Transfer, lane: int) -> Job | None:
        """Take a transfer off its lane; return its job, or None if its last byte is just arriving."""
        job = transfer.job
        return job if job is not None and self._lanes[lane].remove_weights(job) else None
