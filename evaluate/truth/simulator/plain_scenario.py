"""A scenario as plain Python numbers, with the stations that queries share: servers, uplink, downlink, wires."""

from __future__ import annotations

import bisect

import numpy as np

from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.scenarios.uplink import Uplink

DEVICE = 0
"""Station at which a user's own device computes; no other user is ever there, so that nobody waits."""


class PlainScenario:
    """What the simulation reads of a scenario with S servers.

    Stations are numbered: 0 is the user's own device, 1 to S are the servers, S + 1 is the uplink, S + 2 the downlink,
    and S + 2 + s is the outgoing wire of server s.

    Args:
        scenario: The scenario.

    Attributes:
        graphs: Network of each user.
        slot_starts_s: Start of each slot.
        horizon_s: Length of the time considered.
        uplink_mode: How weights and query data meet on the uplink.
        num_users: Number of users.
        num_servers: Number of servers, S.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.graphs: tuple[LayerGraph, ...] = tuple(user.graph for user in scenario.users)
        self.slot_starts_s: list[float] = np.asarray(scenario.slot_starts_s).tolist()
        self.horizon_s = float(scenario.horizon_s)
        self.uplink_mode: Uplink = scenario.uplink
        self.num_users, self.num_servers = len(scenario.users), len(scenario.servers)
        self.uploaded: list[list[int]] = [np.asarray(user.uploaded).tolist() for user in scenario.users]
        self._rate_hz = [np.asarray(user.query_rate_hz).tolist() for user in scenario.users]
        self._execution_s = [seconds.tolist() for seconds in scenario.execution_s]
        links = scenario.links
        self._up = (np.asarray(links.up_bytes_per_s).tolist(), np.asarray(links.up_latency_s).tolist())
        self._down = (np.asarray(links.down_bytes_per_s).tolist(), np.asarray(links.down_latency_s).tolist())
        self._between = (np.asarray(links.between_bytes_per_s).tolist(), np.asarray(links.between_latency_s).tolist())

    @property
    def uplink(self) -> int:
        """Station of the uplink, which all users share."""
        return self.num_servers + 1

    @property
    def downlink(self) -> int:
        """Station of the downlink, which all users share."""
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
