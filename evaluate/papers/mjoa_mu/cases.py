"""One user of MJOA-MU on a grid of settings: how much faster is a cold start if uploads go on while layers execute?

On a chain, parallel uploading cannot save more than half against serial uploading of the same placement, and so even
less against serial uploading of the placement that is best for it. Serial uploading takes the seconds of the uplink and
those of the query together, parallel uploading at least the greater of the two.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from agents.planners.mjoa_mu.pbt_dp import best_placement
from agents.planners.slot_zero import movable_layers, slot_zero_packed
from dnnmig_env.arrays import Bools
from dnnmig_env.families.draw.links import BYTES_PER_MBIT
from dnnmig_env.families.draw.machines import DEVICE, EDGE, MachineRanges
from dnnmig_env.networks.zoo import load_prepared
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.simulation.plan import plan_of
from dnnmig_env.simulation.simulator import simulate
from evaluate.output.keeping import Keeper

LATENCY_S = 0.005
"""Latency of the access in seconds, the same up and down."""

HORIZON_S = 1.0
"""Horizon of the scenarios. It does not matter, as a cold start lasts as long as it takes."""

BASELINES = {
    "device": ("device only", "the device alone"),
    "serial_edge": ("serial, edge", "serial uploading of everything"),
    "serial_same": ("serial, same", "serial uploading of the same placement"),
    "serial": ("serial, own", "serial uploading of its own best placement"),
}
"""What parallel uploading, placed by PBT-DP, is compared with: the name in `Case`, then a heading and a description."""


@dataclass(frozen=True)
class Case:
    """One network in one setting, and its cold-start delays in seconds.

    Attributes:
        network: Name of the network.
        mbps: Rate of the access in Mbps, the same up and down.
        edge_flops_per_s: Speed of the edge.
        device_flops_per_s: Speed of the device.
        parallel_s: Delay with parallel uploading, placed by PBT-DP.
        serial_s: Delay with serial uploading, placed by PBT-DP for it.
        serial_same_s: Delay with serial uploading of the placement of `parallel_s`.
        serial_edge_s: Delay with serial uploading of everything.
        device_s: Delay with everything on the device.
        uploaded: Share of the weights that parallel uploading uploads.
    """

    network: str
    mbps: float
    edge_flops_per_s: float
    device_flops_per_s: float
    parallel_s: float
    serial_s: float
    serial_same_s: float
    serial_edge_s: float
    device_s: float
    uploaded: float

    def reduction(self, baseline: str) -> float:
        """Return the share of a baseline's delay that parallel uploading saves."""
        return float(1.0 - self.parallel_s / getattr(self, f"{baseline}_s"))

    def __str__(self) -> str:
        machines = f"edge {self.edge_flops_per_s / 1e12:g} TFLOP/s, device {self.device_flops_per_s / 1e9:g} GFLOP/s"
        return f"{self.network} at {self.mbps:g} Mbps, {machines}"


def cases(
    networks: Sequence[str],
    max_layers: int,
    mbps: Sequence[float],
    edge_flops_per_s: Sequence[float],
    device_flops_per_s: Sequence[float],
    keep: Keeper = Keeper(),  # noqa: B008  immutable
) -> Iterator[Case]:
    """Yield every combination of a network (merged to at most `max_layers`), a rate, an edge and a device."""
    settings = itertools.product(networks, mbps, edge_flops_per_s, device_flops_per_s)
    tasks = [("one user", index, partial(_case, max_layers, *setting)) for index, setting in enumerate(settings)]
    yield from keep.records(tasks)


def _case(max_layers: int, network: str, rate: float, edge: float, device: float) -> Case:
    user = User("user", load_prepared(network, max_layers), device_node(device))
    scenario = Scenario((user,), (edge_node(edge),), access([rate]), HORIZON_S)
    return Case(network, rate, edge, device, *map(float, _delays(scenario)))


def _delays(scenario: Scenario) -> tuple[float, float, float, float, float, float]:
    packed, movable = slot_zero_packed(scenario), movable_layers(scenario)[0]
    placed, parallel_s = best_placement(packed, 1, movable, np.inf)
    _, serial_s = best_placement(packed, 1, movable, np.inf, serial=True)
    same = simulate(scenario, plan_of((0, int(layer), 1) for layer in np.flatnonzero(placed)))
    everything = simulate(scenario, plan_of((0, int(layer), 1) for layer in np.flatnonzero(movable)))
    same_s, edge_s = (float(timeline.serial_cold_start_delay_s[0]) for timeline in (same, everything))
    return parallel_s, serial_s, same_s, edge_s, float(same.device_delay_s[0]), _uploaded(scenario, placed > 0)


def _uploaded(scenario: Scenario, there: Bools) -> float:
    weight_bytes = scenario.users[0].graph.weight_bytes
    return float(weight_bytes[there].sum() / weight_bytes.sum())


def device_node(flops_per_s: float) -> Node:
    """Return a device of a given speed; its memory rate and overhead follow from the speed's place among devices."""
    return _node("device", Tier.DEVICE, DEVICE, flops_per_s)


def edge_node(flops_per_s: float) -> Node:
    """Return an edge of a given speed; its memory rate and overhead follow from the speed's place among edges."""
    return _node("edge", Tier.EDGE, EDGE, flops_per_s)


def access(mbps: Sequence[float]) -> Links:
    """Return the links of users to one edge, with the given rates in Mbps."""
    return Links(np.reshape(mbps, (1, -1, 1)) * BYTES_PER_MBIT, up_latency_s=LATENCY_S)


def _node(name: str, tier: Tier, kind: MachineRanges, flops_per_s: float) -> Node:
    """Return a node of a kind whose memory rate and overhead lie in their ranges where its speed lies in its range."""
    slowest, fastest = kind.flops_per_s
    place = np.log(flops_per_s / slowest) / np.log(fastest / slowest)
    (low, high), (short_s, long_s) = kind.memory_bytes_per_s, kind.layer_overhead_s
    return Node(
        name, tier, flops_per_s, float(low * (high / low) ** place), float(long_s * (short_s / long_s) ** place)
    )
