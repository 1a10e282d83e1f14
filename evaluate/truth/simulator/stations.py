"""All stations of a scenario: servers, an uplink and a downlink for each cell, and the servers' outgoing wires."""

from __future__ import annotations

import numpy as np
from simpy import Environment

from dnnmig_env.arrays import Floats
from evaluate.truth.simulator.plain_scenario import PlainScenario
from evaluate.truth.simulator.station import Job, Station
from evaluate.truth.simulator.uplink import Uplink


class Stations:
    """The stations, and which of them a user meets at present.

    Args:
        env: The clock.
        plain: The scenario.
        tensors_share: As for a `Station`.

    Attributes:
        lanes: The stations on which weights travel, by the number of the lane.
    """

    def __init__(self, env: Environment, plain: PlainScenario, *, tensors_share: bool) -> None:
        def station() -> Station:
            return Station(env, plain.num_users, tensors_share=tensors_share)

        def lane() -> Uplink:
            return Uplink(env, plain.num_users, plain.uplink_mode, tensors_share=tensors_share)

        servers = range(1, plain.num_servers + 1)
        self._plain = plain
        self._fixed: dict[int, Station] = {server: station() for server in servers}
        uplinks, self._downlinks = {cell: lane() for cell in plain.cells}, {cell: station() for cell in plain.cells}
        wires = {server: lane() for server in servers}
        self.lanes: dict[int, Uplink] = uplinks | {plain.num_servers + server: wire for server, wire in wires.items()}
        self._all = [*self._fixed.values(), *uplinks.values(), *self._downlinks.values(), *wires.values()]
        self._fixed |= {plain.downlink + server: wire for server, wire in wires.items()}

    def of(self, number: int, slot: int, user: int) -> Station | None:
        """Return the station that a number stands for as a user sees it; None for its device, where nobody else is."""
        cell = self._plain.cell(slot, user)
        if number == self._plain.uplink:
            return self.lanes[cell]
        return self._downlinks[cell] if number == self._plain.downlink else self._fixed.get(number)

    def begin_slot(self, slot: int) -> None:
        """Take the query data of users who change their cell to the new one, and give all transfers the new rates.

        What such a user was sending or receiving goes on in the new cell with the bytes that are left.
        """
        plain = self._plain
        for user in range(plain.num_users):
            before, now = plain.cell(slot - 1, user), plain.cell(slot, user)
            if before != now:
                for stations in (self.lanes, self._downlinks):
                    for job in stations[before].remove_user(user):
                        stations[now].add(job)
        for station in self._all:
            station.change_rates(lambda job: self._rate(slot, job))

    def _rate(self, slot: int, job: Job) -> float:
        source, target = job.link
        return 1.0 if source == target else self._plain.bytes_per_s(slot, job.user, source, target)

    def remove_user(self, user: int) -> None:
        """Give up all that queries of a user have under way."""
        for station in self._all:
            station.remove_user(user)

    def remove_stalled(self) -> list[int]:
        """Give up what queries have under way on links that are down, and return their users, once for each station."""
        return [user for station in self._all for user in station.remove_stalled()]

    def accounts(self) -> tuple[Floats, Floats, Floats]:
        """Return what each station has done so far: see `present_s`, `busy_s` and `work` of an `Outcome`."""
        plain, users = self._plain, range(self._plain.num_users)
        for station in self._all:
            station.catch_up()
        groups: list[list[Station]] = [[] for _ in range(plain.num_stations)]
        for number, station in self._fixed.items():
            groups[number].append(station)
        groups[plain.uplink] += [self.lanes[cell] for cell in plain.cells]
        groups[plain.downlink] += self._downlinks.values()
        present_s = [[sum(station.present_s[user] for station in group) for group in groups] for user in users]
        work = [[sum(station.work()[user] for station in group) for group in groups] for user in users]
        busy_s = [sum(station.busy_s for station in group) for group in groups]
        return np.array(present_s, np.float64), np.array(busy_s, np.float64), np.array(work, np.float64)

    def weight_bytes(self) -> Floats:
        """Return the bytes of weights that have been sent for each user."""
        total: Floats = np.array([lane.weight_bytes for lane in self.lanes.values()], np.float64).sum(axis=0)
        return total
