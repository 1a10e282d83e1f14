"""Scenarios with one user and one edge: the setting of IONN and of efficiency-based partitioning."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from dnnmig_env.families.draw.batch import SlotConditions, drawn_batch
from dnnmig_env.families.draw.links import draw_access, num_slots
from dnnmig_env.families.draw.machines import DEVICE, EDGE, MachineLists, machine_kinds
from dnnmig_env.families.draw.network_table import NetworkTable, checked_networks, network_table
from dnnmig_env.families.draw.participants import QUERY_RATE_HZ, draw_participants, query_rates_hz
from dnnmig_env.families.draw.ranges import Ranges, check_count, check_replaced, normalize_ranges, uniform
from dnnmig_env.families.draw.recorded_rates import checked_traces
from dnnmig_env.scenarios.uplink import Uplink, check_uplink
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.scenario_batch import ScenarioBatch


@dataclass(frozen=True)
class Single(MachineLists):
    """Draws scenarios in which only the upload order counts.

    | what | drawn | unit |
    |---|---|---|
    | network | each of `networks` with the same probability | |
    | device, edge speed | log-uniform in `..._flops_per_s` | FLOP/s |
    | their memory rate, overhead | log-uniform as in `machines.py`, correlated with speed | bytes/s, s |
    | access rate, in both directions | log-uniform in `access_mbps` | Mbit/s |
    | access latency | uniform in `access_latency_s` | s |
    | queries | log-uniform in `query_rate_hz`; the data of queries go before weights on the uplink | Hz |
    | horizon | log-uniform in `horizon_uploads`, or in `horizon_s` if that is given | uploads, or s |

    The edge can hold every network. For many convolutional networks, uploading from front to back is almost the best
    order, as their early layers have many FLOPs and few bytes. It is not for transformers, detectors and tiny networks,
    nor for any network if the line is so slow that sending its feature maps costs more than its layers save. So all
    kinds of networks and slow lines are drawn as well.

    Attributes:
        max_layers: Networks are merged to at most this many layers.
        networks: "train", "test" or "all" networks of the zoo, or names of networks or files of traced networks.
        device_flops_per_s: Effective speed of the device. Here and below, one number stands for a range of that value,
            and there may be several ranges, of which each draw takes one: ((1, 2), (5, 8)).
        edge_flops_per_s: Effective speed of the edge.
        access_mbps: Rate between user and edge.
        access_latency_s: Latency between user and edge.
        query_rate_hz: Queries that the user raises per second.
        horizon_uploads: Horizon as a multiple of the time that uploading the whole network takes.
        horizon_s: Horizon in seconds; if given, it takes the place of `horizon_uploads`.
        uplink: How weights and the data of queries share the uplink: "priority", "shared" or "independent" (see
            `uplink.Uplink`).
        traces: Files of recorded rates, which take the place of `access_mbps`. One is drawn for each scenario and begun
            at a random time. The scenarios then have 16 equal time slots, otherwise one.
        chunk: Number of scenarios that environments draw at once. With another number, the same seed gives other
            scenarios.

    Raises:
        ValueError: If an option is not valid.
    """

    max_layers: int = 16
    networks: str | tuple[str, ...] = "train"
    device_flops_per_s: Ranges = DEVICE.flops_per_s
    edge_flops_per_s: Ranges = EDGE.flops_per_s
    access_mbps: Ranges = (4.0, 160.0)
    access_latency_s: Ranges = (0.002, 0.01)
    query_rate_hz: Ranges = QUERY_RATE_HZ
    horizon_uploads: Ranges = (0.5, 2.0)
    horizon_s: Ranges | None = None
    uplink: Uplink = "priority"
    traces: tuple[str, ...] = ()
    chunk: int = 16

    family: ClassVar[str] = "single"

    def __post_init__(self) -> None:
        normalize_ranges(self, several=_RANGES)
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
        return self._table.limits(users=1, servers=1, slots=num_slots(self.traces))

    def draw(self, rng: np.random.Generator, count: int) -> ScenarioBatch:
        """Draw `count` scenarios; see `registry.Generator`."""
        kinds = machine_kinds(self)
        participants = draw_participants(rng, count, self._table, (1, 1), (1, 1), kinds)
        slot_edges_s, access = draw_access(
            rng, participants, self.access_mbps, self.horizon_uploads, self.horizon_s, self.traces
        )
        latency_s = np.repeat(uniform(rng, self.access_latency_s, (count, 1, 1, 1)), access.shape[1], axis=1)
        conditions = SlotConditions(
            slot_edges_s=slot_edges_s,
            query_rate_hz=np.repeat(query_rates_hz(rng, participants, self.query_rate_hz)[:, None], access.shape[1], 1),
            bytes_per_s=access[..., None],
            latency_s=latency_s,
            between_bytes_per_s=np.zeros((count, 1, 1)),
            between_latency_s=np.zeros((count, 1, 1)),
        )
        return drawn_batch(self.family, self.uplink, participants, participants.execution_s(), conditions)

    @cached_property
    def _table(self) -> NetworkTable:
        return network_table(self.networks, self.max_layers)


_RANGES = (
    "device_flops_per_s",
    "edge_flops_per_s",
    "access_mbps",
    "access_latency_s",
    "query_rate_hz",
    "horizon_uploads",
)
