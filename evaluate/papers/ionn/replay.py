"""Replays the upload of a measured network, method by method: partitions, queries finished, time-average delay.

The setting of IONN (SoCC 2018) and of Shin, Jeong and Moon (EMDL 2019): one device, one server, one rate up and down,
no latency. Queries run back to back, each with the partitions that are complete when it starts. As in their published
code, uploads and queries do not slow each other: the uplink is read as `independent`. All methods are compared over the
same horizon, the time that uploading the whole network takes. A Mbps is what it is in that code: 1024 * 1024 / 8000
bytes per millisecond.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from agents.planners import Planner, TwoPhase
from agents.planners.ionn.ionn import Ionn
from agents.planners.orders.efficiency import efficiency
from agents.planners.orders.lmu import lmu
from agents.planners.placements.everything_to import EverythingTo
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.timeline import Timeline
from evaluate.output.keeping import Keeper
from evaluate.papers.ionn.measured_profiles import MeasuredNetwork

BYTES_PER_S_PER_MBPS = 1024 * 1024 / 8000 * 1000
"""Bytes per second in a Mbps of the published code."""


def all_at_once(scenario: Scenario, rng: np.random.Generator) -> Plan:
    """Return the plan that uploads everything to server 1 as one partition per user."""
    layers = [np.flatnonzero(user.graph.movable).tolist() for user in scenario.users]
    return Plan(tuple(Upload(user_index, 1, tuple(row)) for user_index, row in enumerate(layers) if row))


METHODS: dict[str, Planner] = {
    "all-at-once": all_at_once,
    "ionn-0.5": Ionn(0.5),
    "ionn-0.8": Ionn(0.8),
    "efficiency": efficiency,
    "lmu": TwoPhase(EverythingTo(1), lmu),
}
"""The methods that are compared; LMU uploads the whole network."""


@dataclass(frozen=True, eq=False)
class Replay:
    """One method's upload of one network at one rate.

    Attributes:
        network: Name of the network.
        mbps: The rate.
        method: Name in `METHODS`.
        timeline: What happened.
    """

    network: str
    mbps: float
    method: str
    timeline: Timeline

    @property
    def partitions(self) -> list[list[int]]:
        """First and last block of each partition; see `blocks`."""
        return [[blocks[0], blocks[-1]] for blocks in self.blocks]

    @property
    def blocks(self) -> list[list[int]]:
        """Blocks of each partition: those with weights, and the weightless blocks behind each; there may be gaps."""
        weight_bytes = self.timeline.scenario.users[0].graph.weight_bytes
        owner = np.maximum.accumulate(np.where(weight_bytes > 0, np.arange(len(weight_bytes)), 0))
        return [np.flatnonzero(np.isin(owner, upload.layers)).tolist() for upload in self.timeline.plan.uploads]

    @property
    def queries_finished(self) -> int:
        """Number of queries that are raised back to back until the horizon.

        The query that is then under way counts, as in the published figures.
        """
        count, now_s = 0, 0.0
        edges_s = np.append(self.timeline.event_time_s, self.timeline.scenario.horizon_s).tolist()
        for end_s, delay_s in zip(edges_s[1:], self.timeline.event_delay_s[:, 0].tolist(), strict=True):
            if now_s < end_s:
                started = math.ceil((end_s - now_s) / delay_s)
                count, now_s = count + started, now_s + started * delay_s
        return count

    def row(self) -> dict[str, object]:
        """Return what `paper.json` says of this replay."""
        timeline = self.timeline
        weight_bytes = timeline.scenario.users[0].graph.weight_bytes
        return {
            "network": self.network,
            "mbps": self.mbps,
            "method": self.method,
            "partitions": self.partitions,
            "partition_blocks": self.blocks,
            "partition_bytes": [int(weight_bytes[list(upload.layers)].sum()) for upload in timeline.plan.uploads],
            "queries_finished": self.queries_finished,
            "time_average_delay_ms": 1e3 * timeline.mean_delay_s,
            "device_only_delay_ms": 1e3 * timeline.mean_device_delay_s,
            "migration_delay_ms": 1e3 * timeline.migration_delay_s,
            "horizon_ms": 1e3 * timeline.scenario.horizon_s,
        }


def replay(
    networks: Sequence[MeasuredNetwork],
    mbps: Sequence[float],
    keep: Keeper = Keeper(),  # noqa: B008  immutable
) -> Iterator[Replay]:
    """Yield the replay of every network at every rate with every method; `keep` computes the plans and keeps them."""
    cases = [(network.graph.name, rate, scenario_of(network, rate)) for network in networks for rate in mbps]
    settings = [(*case, method) for case in cases for method in METHODS]
    numbers = {method: number for number, method in enumerate(METHODS)}
    plans = keep.records(
        [
            (f"{network} at {rate} Mbps", numbers[method], partial(_plan, method, scenario))
            for network, rate, scenario, method in settings
        ]
    )
    for (network, rate, scenario, method), plan in zip(settings, plans, strict=True):
        yield Replay(network, rate, method, simulate(scenario, plan))


def _plan(method: str, scenario: Scenario) -> Plan:
    """Return the plan of a method, with integers that JSON can hold."""
    uploads = METHODS[method](scenario, np.random.default_rng(0)).uploads
    return Plan(tuple(replace(upload, layers=tuple(map(int, upload.layers))) for upload in uploads))


def scenario_of(network: MeasuredNetwork, mbps: float) -> Scenario:
    """Return a scenario of one user with a measured network and one server; it lasts as long as uploading all of it."""
    bytes_per_s = mbps * BYTES_PER_S_PER_MBPS
    # The measured seconds stand in for what the nodes' rates would give.
    device, server = Node("odroid", Tier.DEVICE, 1e9, 1e9), Node("gpu", Tier.EDGE, 1e12, 1e12)
    user = User("client", network.graph, device, query_rate_hz=1.0, profile_s=network.seconds)
    horizon_s = float(network.graph.weight_bytes.sum()) / bytes_per_s
    return Scenario((user,), (server,), Links(bytes_per_s), horizon_s, uplink="independent")
