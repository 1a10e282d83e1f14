"""A scenario as plain Python numbers, with the stations that queries share: servers, uplinks, downlinks, wires."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable

import numpy as np

from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.scenarios.scenario import Scenario, User
from dnnmig_env.scenarios.uplink import Uplink

DEVICE = 0
"""Station at which a user's own device computes; no other user is ever there, so that nobody waits."""


class PlainScenario:
    """What the simulation reads of a scenario with S servers.

    Stations are numbered: 0 is the user's own device, 1 to S are the servers, S + 1 is the uplink, S + 2 the downlink,
    and S + 2 + s is the outgoing wire of server s. Every cell has an uplink and a downlink of its own: for a user,
    S + 1 and S + 2 are those of the cell in which it is at present.

    The lanes on which weights travel are numbered as well: 0 to S are the uplinks of the cells (0 is the one cell of a
    scenario without homes), and S + n is the outgoing wire of server n.

    Args:
        scenario: The scenario.

    Attributes:
        graphs: Network of each user.
        slot_starts_s: Start of each slot.
        horizon_s: Length of the time considered.
        uplink_mode: How weights and query data meet on the uplink.
        num_users: Number of users.
        num_servers: Number of servers, S.
        cells: The cells in which anybody ever is, in ascending order.
        moves: Whether weights that a server holds may be sent to further servers.
        uploaded: Server that holds each layer at time 0 (0 = none), for each user.
        copies: Further servers that do, for each user and layer.
        memory_bytes: Memory of each node; the devices' at index 0 does not count.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.graphs: tuple[LayerGraph, ...] = tuple(user.graph for user in scenario.users)
        self.slot_starts_s: list[float] = np.asarray(scenario.slot_starts_s).tolist()
        self.horizon_s = float(scenario.horizon_s)
        self.uplink_mode: Uplink = scenario.uplink
        self.num_users, self.num_servers = len(scenario.users), len(scenario.servers)
        self.uploaded: list[list[int]] = [np.asarray(user.uploaded).tolist() for user in scenario.users]
        self.copies: list[list[list[int]]] = [_copies(user) for user in scenario.users]
        self.moves, self.memory_bytes = scenario.moves, [0.0, *(server.memory_bytes for server in scenario.servers)]
        self._rate_hz = [np.asarray(user.query_rate_hz).tolist() for user in scenario.users]
        self._last_slot = [_last_slots(rates_hz) for rates_hz in self._rate_hz]
        self._execution_s = [seconds.tolist() for seconds in scenario.execution_s]
        links = scenario.links
        self._up = (np.asarray(links.up_bytes_per_s).tolist(), np.asarray(links.up_latency_s).tolist())
        self._down = (np.asarray(links.down_bytes_per_s).tolist(), np.asarray(links.down_latency_s).tolist())
        self._home: list[list[int]] = np.asarray(links.home).tolist()
        self.cells = sorted({cell for row in self._home for cell in row})
        self._between = (np.asarray(links.between_bytes_per_s).tolist(), np.asarray(links.between_latency_s).tolist())

    @property
    def uplink(self) -> int:
        """Station of the uplink, which all users of a cell share."""
        return self.num_servers + 1

    @property
    def downlink(self) -> int:
        """Station of the downlink, which all users of a cell share."""
        return self.num_servers + 2

    @property
    def num_stations(self) -> int:
        """Number of stations."""
        return 2 * self.num_servers + 3

    def station_of(self, source: int, target: int) -> int:
        """Return the station at which a tensor from one node to another counts."""
        if source == DEVICE:
            return self.uplink
        return self.downlink if target == DEVICE else self.downlink + source

    def cell(self, slot: int, user: int) -> int:
        """Return the cell in which a user is in a slot: the number of its home server, or 0 without homes."""
        return self._home[slot][user]

    def lane(self, slot: int, user: int, source: int) -> int:
        """Return the lane on which weights of a user travel from a node."""
        return self.cell(slot, user) if source == DEVICE else self.num_servers + source

    def station_name(self, station: int) -> str:
        """Return a name of a station for people to read."""
        if station <= self.num_servers:
            return f"server {station}" if station else "device"
        names = {self.uplink: "uplink", self.downlink: "downlink"}
        return names.get(station, f"wire of server {station - self.downlink}")

    def slot_at(self, time_s: float) -> int:
        """Return the slot that holds at a time; the last one lasts for ever."""
        return bisect.bisect_right(self.slot_starts_s, time_s) - 1

    def rate_hz(self, slot: int, user: int) -> float:
        """Return how often a user asks in a slot; 0 means that it is absent."""
        rate: float = self._rate_hz[user][slot]
        return rate

    def is_present(self, slot: int, user: int) -> bool:
        """Return whether a user asks in a slot."""
        return self.rate_hz(slot, user) > 0.0

    def last_slot(self, slot: int, user: int) -> int:
        """Return the last slot up to the given one in which a user was present; -1 if there is none."""
        return self._last_slot[user][slot]

    def has_left(self, slot: int, user: int) -> bool:
        """Return whether a user is absent and was present before."""
        return not self.is_present(slot, user) and self.last_slot(slot, user) >= 0

    def reaches(self, slot: int, user: int, nodes: Iterable[int]) -> bool:
        """Return whether a user has a link to each of some nodes; to its device it always has."""
        return all(node == DEVICE or self.bytes_per_s(slot, user, DEVICE, node) > 0.0 for node in nodes)

    def weight_bytes(self, user: int, layer: int) -> float:
        """Return the size of a layer's weights."""
        return float(self.graphs[user].weight_bytes[layer])

    def execution_s(self, user: int, layer: int, node: int) -> float:
        """Return the seconds that one layer of a user takes on a node that does nothing else."""
        seconds: float = self._execution_s[user][layer][node]
        return seconds

    def bytes_per_s(self, slot: int, user: int, source: int, target: int) -> float:
        """Return the rate of the link between two nodes of a user in a slot; 0 means that it is down."""
        return self._link(0, slot, user, source, target)

    def latency_s(self, slot: int, user: int, source: int, target: int) -> float:
        """Return the latency of the link between two nodes of a user in a slot."""
        return self._link(1, slot, user, source, target)

    def _link(self, what: int, slot: int, user: int, source: int, target: int) -> float:
        if source == DEVICE:
            value: float = self._up[what][slot][user][target - 1]
        elif target == DEVICE:
            value = self._down[what][slot][user][source - 1]
        else:
            value = self._between[what][source - 1][target - 1]
        return value


def _last_slots(rates_hz: list[float]) -> list[int]:
    """Return, for each slot, the last one up to it in which the rate is not 0; -1 if there is none."""
    slots = [slot if rate_hz > 0.0 else -1 for slot, rate_hz in enumerate(rates_hz)]
    return list(itertools.accumulate(slots, max))


def _copies(user: User) -> list[list[int]]:
    """Return the servers that hold a copy of each layer at time 0."""
    if user.copies is None:
        return [[] for _ in user.graph.layers]
    return [(np.flatnonzero(row) + 1).tolist() for row in np.asarray(user.copies)]
