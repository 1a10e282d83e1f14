"""One scenario small enough to work out by hand, whose best plan is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import ClassVar

import numpy as np

from dnnmig_env.families.draw.ranges import check_count
from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.scenario_batch import ScenarioBatch, as_batch

OPTIMAL_PLAN = Plan((Upload(0, 1, (1,)), Upload(1, 2, (0,)), Upload(0, 1, (0,))))
"""The best plan: `body` to the edge, `all` to the cloud, `head` to the edge; `tail` stays on the device.

    time      upload                user 0: head, body, tail                      user 1: all       sum
    0 to 2 s  body, 2 MB at 1 MB/s  1 + 3 + 1                           = 5 s     2 s               7 s
    2 to 4 s  all, 1 MB at 0.5 MB/s 1 + 0.1 up + 0.3 + 0.2 down + 1     = 2.6 s   2 s               4.6 s
    4 to 6 s  head, 2 MB at 1 MB/s  as before                           = 2.6 s   0.3 + 0.02 + 0.1  3.02 s
    6 to 10 s (tail would take 8 s) 0.4 up + 0.1 + 0.3 + 0.2 down + 1   = 2 s     = 0.42 s          2.42 s

Both users have the same query rate, so J = (7 x 2 + 4.6 x 2 + 3.02 x 2 + 2.42 x 4) / 10 / 2 = 1.946 s.
The plan begins in the middle of a network, uploads to another server between two layers of one user, and keeps the
users apart: with both networks on the edge, each user would slow the other. A plan that differs in any of this is at
least 4 % worse.
"""

OPTIMAL_DELAY_S = 1.946
"""Mean query delay J of the optimal plan, in seconds."""


@cache
def toy_scenario() -> Scenario:
    """Return the toy scenario: two users, an edge that holds 4 MB, and a cloud, for 10 s."""
    vision = LayerGraph(
        "vision",
        input_bytes=400_000,
        layers=(
            Layer("head", flops=1e9, weight_bytes=2_000_000, output_bytes=100_000, predecessors=(-1,)),
            Layer("body", flops=3e9, weight_bytes=2_000_000, output_bytes=200_000, predecessors=(0,)),
            Layer("tail", flops=1e9, weight_bytes=4_000_000, output_bytes=0, predecessors=(1,)),
        ),
    )
    speech = LayerGraph(
        "speech",
        input_bytes=100_000,
        layers=(Layer("all", flops=2e9, weight_bytes=1_000_000, output_bytes=0, predecessors=(-1,)),),
    )
    device = Node("device", Tier.DEVICE, flops_per_s=1e9, memory_bytes_per_s=1e12)
    edge = Node("edge-1", Tier.EDGE, flops_per_s=1e10, memory_bytes_per_s=1e13, memory_bytes=4e6)
    cloud = Node("cloud-2", Tier.CLOUD, flops_per_s=1e11, memory_bytes_per_s=1e14)
    return Scenario(
        users=(User("user-0", vision, device, query_rate_hz=2.0), User("user-1", speech, device, query_rate_hz=2.0)),
        servers=(edge, cloud),
        links=Links(up_bytes_per_s=[1e6, 5e5], up_latency_s=[0.0, 0.1], between_bytes_per_s=5e5, between_latency_s=0.1),
        horizon_s=10.0,
        family="toy",
    )


@dataclass(frozen=True)
class Toy:
    """Gives the same scenario, `toy_scenario`, every time.

    Attributes:
        chunk: Number of scenarios that environments draw at once.

    Raises:
        ValueError: If an option is not valid.
    """

    chunk: int = 1

    family: ClassVar[str] = "toy"

    def __post_init__(self) -> None:
        check_count(self, "chunk")

    @cached_property
    def limits(self) -> Limits:
        """Sizes of the scenario."""
        return Limits.of([toy_scenario()])

    def draw(self, rng: np.random.Generator, count: int) -> ScenarioBatch:
        """Return the scenario `count` times; nothing is random."""
        return as_batch([toy_scenario()] * count, self.limits)
