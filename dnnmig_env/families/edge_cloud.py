"""Scenarios with few users, edges of limited memory, and a fast cloud behind a slow line: the setting of EosDNN."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from dnnmig_env.families.draw.batch import SlotConditions, drawn_batch
from dnnmig_env.families.draw.links import draw_access, draw_backbone, draw_homes, num_slots, reach
from dnnmig_env.families.draw.machines import CLOUD, DEVICE, EDGE, MachineLists, machine_kinds
from dnnmig_env.families.draw.network_table import NetworkTable, checked_networks, network_table
from dnnmig_env.families.draw.participants import QUERY_RATE_HZ, draw_participants, limit_memory, query_rates_hz
from dnnmig_env.families.draw.ranges import CountRange, Ranges, check_count, check_replaced, normalize_ranges, uniform
from dnnmig_env.families.draw.recorded_rates import checked_traces
from dnnmig_env.scenarios.uplink import Uplink, check_uplink
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.scenario_batch import ScenarioBatch


@dataclass(frozen=True)
class EdgeCloud(MachineLists):
    """Draws scenarios of a few users with edges and one cloud, in which placement and upload order both matter.

    | what | drawn | unit |
    |---|---|---|
    | users, edges (and one cloud) | uniform in `num_users`, `num_edges` | |
    | network of each user | each of `networks` with the same probability | |
    | device, edge, cloud speed | log-uniform in `..._flops_per_s` | FLOP/s |
    | their memory rate, overhead | log-uniform as in `machines.py`, correlated with speed | bytes/s, s |
    | access rate of each user | log-uniform in `access_mbps` | Mbit/s |
    | access latency of each user | uniform in `access_latency_s` | s |
    | home edge of each user | each edge with the same probability | |
    | line of each edge, of the cloud | log-uniform in `backhaul_mbps`, `wan_mbps` | Mbit/s |
    | latency of these lines | uniform in `backhaul_latency_s`, `wan_latency_s` | s |
    | memory of each edge | uniform in `edge_memory_share`, the cloud's unlimited | all users' weights |
    | queries of each user | log-uniform in `query_rate_hz` | Hz |
    | horizon | log-uniform in `horizon_uploads`, or in `horizon_s` if that is given | see below, or s |

    A user reaches its home edge at its access rate, and every other server over the home edge. Every server has one
    line into the network between the servers: the rate between two servers is that of the slower of their lines, and
    the latencies of the lines add up. Up- and downlink have the same rates and latencies.

    `horizon_uploads` is a multiple of the time that it takes to upload
    every network once at its user's access rate. So uploads fill a good part of the horizon, whatever the networks.

    Attributes:
        num_users: Least and most users. Here and below, one number stands for a range of that one value,
            and where ranges are no counts there may be several of them, of which each draw takes one: ((1, 2), (5, 8)).
        num_edges: Least and most edges.
        max_layers: Networks are merged to at most this many layers.
        networks: "train", "test" or "all" networks of the zoo, or names of networks or files of traced networks.
        device_flops_per_s: Effective speed of devices.
        edge_flops_per_s: Effective speed of edges.
        cloud_flops_per_s: Effective speed of the cloud.
        access_mbps: Rate between a user and its home edge.
        access_latency_s: Latency between a user and its home edge.
        backhaul_mbps: Rate of edges' lines.
        backhaul_latency_s: Latency of edges' lines.
        wan_mbps: Rate of the cloud's line.
        wan_latency_s: Latency of the cloud's line.
        edge_memory_share: Memory of an edge as a share of all users' weights; it is at least their largest layer.
        query_rate_hz: Queries that each user raises per second.
        horizon_uploads: Horizon as a multiple of the upload time, as defined above.
        horizon_s: Horizon in seconds; if given, it takes the place of `horizon_uploads`.
        uplink: How weights and the data of queries share the uplink: "priority", "shared" or "independent" (see
            `uplink.Uplink`).
        traces: Files of recorded rates, which take the place of `access_mbps`. One is drawn for each user and begun at
            a random time. The scenarios then have 16 equal time slots, otherwise one.
        chunk: Number of scenarios that environments draw at once. With another number, the same seed gives other
            scenarios.

    Raises:
        ValueError: If an option is not valid.
    """

    num_users: CountRange = (1, 3)
    num_edges: CountRange = (1, 3)
    max_layers: int = 16
    networks: str | tuple[str, ...] = "train"
    device_flops_per_s: Ranges = DEVICE.flops_per_s
    edge_flops_per_s: Ranges = EDGE.flops_per_s
    cloud_flops_per_s: Ranges = CLOUD.flops_per_s
    access_mbps: Ranges = (10.0, 160.0)
    access_latency_s: Ranges = (0.002, 0.01)
    backhaul_mbps: Ranges = (20.0, 200.0)
    backhaul_latency_s: Ranges = (0.0005, 0.0025)
    wan_mbps: Ranges = (5.0, 50.0)
    wan_latency_s: Ranges = (0.02, 0.06)
    edge_memory_share: Ranges = (0.2, 0.8)
    query_rate_hz: Ranges = QUERY_RATE_HZ
    horizon_uploads: Ranges = (0.5, 2.0)
    horizon_s: Ranges | None = None
    uplink: Uplink = "priority"
    traces: tuple[str, ...] = ()
    chunk: int = 16

    family: ClassVar[str] = "edge-cloud"

    def __post_init__(self) -> None:
        normalize_ranges(self, counts=("num_users", "num_edges"), several=_RANGES)
        if self.horizon_s is not None:
            normalize_ranges(self, several=["horizon_s"])
        check_count(self, "max_layers", "chunk")
        check_uplink(self.uplink)
        self.check_machines()
        object.__setattr__(self, "networks", checked_networks(self.networks, self.max_layers))
        object.__setattr__(self, "traces", checked_traces(self.traces))
        check_replaced(self, "traces", "access_mbps")
        check_replaced(self, "horizon_s", "horizon_uploads")

    @cached_property
    def limits(self) -> Limits:
        """Sizes of the largest scenario that the generator can draw."""
        return self._table.limits(self.num_users[1], self.num_edges[1] + 1, num_slots(self.traces))

    def draw(self, rng: np.random.Generator, count: int) -> ScenarioBatch:
        """Draw `count` scenarios; see `registry.Generator`."""
        kinds = machine_kinds(self)
        participants = draw_participants(rng, count, self._table, self.num_users, self.num_edges, kinds)
        limit_memory(rng, participants, self.edge_memory_share)
        execution_s = participants.execution_s()
        slot_edges_s, access = draw_access(
            rng, participants, self.access_mbps, self.horizon_uploads, self.horizon_s, self.traces
        )
        latencies_s = (self.backhaul_latency_s, self.wan_latency_s)
        backbone = draw_backbone(rng, participants, (self.backhaul_mbps, self.wan_mbps), latencies_s)
        access_latency_s = uniform(rng, self.access_latency_s, (count, 1, self.num_users[1]))
        bytes_per_s, latency_s = reach(draw_homes(rng, participants), access, access_latency_s, backbone)
        query_rate_hz = query_rates_hz(rng, participants, self.query_rate_hz)
        conditions = SlotConditions(
            slot_edges_s=slot_edges_s,
            query_rate_hz=np.repeat(query_rate_hz[:, None], num_slots(self.traces), axis=1),
            bytes_per_s=bytes_per_s,
            latency_s=latency_s,
            between_bytes_per_s=backbone.without_loops(),
            between_latency_s=backbone.latency_s,
        )
        return drawn_batch(self.family, self.uplink, participants, execution_s, conditions)

    @cached_property
    def _table(self) -> NetworkTable:
        return network_table(self.networks, self.max_layers)


_RANGES = (
    "device_flops_per_s",
    "edge_flops_per_s",
    "cloud_flops_per_s",
    "access_mbps",
    "access_latency_s",
    "backhaul_mbps",
    "backhaul_latency_s",
    "wan_mbps",
    "wan_latency_s",
    "edge_memory_share",
    "query_rate_hz",
    "horizon_uploads",
)
