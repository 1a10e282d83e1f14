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

Both users raise a query every 2 s, or as soon as the last one has ended. So user 1, whose queries never take longer
than 2 s, starts one every 2 s, and user 0, whose queries always do, starts the next when the last one has ended.

    time            upload                  user 0: head, body, tail             user 1: all          delays (s)
    0 to 2 s        body, 2 MB at 1 MB/s    1 + 3 + 1                            2                    5       2
    2 to 4.071 s    all, 1 MB at 0.483 MB/s 1 + 0.1 up + 0.6 + 0.2 down + 1      2                    2.9     2
    4.071 to 6.382  head, 2 MB at 0.866 MB/s      as before, 0.1 up x 1.103      0.2 up x 1.038 + 0.22  2.910 0.428
    6.382 to 10 s   (tail would take 11 s)  0.4 up x 1.118 + 0.8 + 0.2 down + 1  0.2 up x 1.181 + 0.22  2.447 0.456

1. Until 2 s nobody sends data, so the weights of `body` have the whole uplink to themselves.
2. From 2 s on a query of user 0 sends data for 0.1 s of every 2.9 s. Weights give way: they have 1 - 0.1 / 2.9 = 0.966
   of the rate to the cloud, 0.5 MB/s. The 2 s that `all` would take become 2.071 s.
3. Now user 1 runs on the cloud: 0.2 s on the uplink, 0.1 s of latency there and back, 0.02 s of execution. The two meet
   on the uplink. User 0 is there 0.1 x 1.103 / 2.910 = 0.038 of the time and slows user 1 there by the factor 1.038.
   User 1 is there 0.2 x 1.038 / 2 = 0.104 of the time; the factor for user 0 is 1.103, which was computed from the
   user 0 of before. Weights have 1 - 0.1 / 2.910 - 0.2 / 2 = 0.866 of 1 MB/s: 2.310 s for `head`.
4. With `head` on the edge, user 0 sends its input, 0.4 s. It is on the uplink 0.4 x 1.103 / 2.441 = 0.181 of the time,
   and user 1 is there 0.2 x 1.181 / 2 = 0.118 of it.

The users' query rates are alike, so J = (7 x 2 + 4.9 x 2.071 + 3.338 x 2.310 + 2.903 x 3.618) / 10 / 2 = 2.118 s.
The plan begins in the middle of a network, uploads to another server between two layers of one user, and keeps the
users apart: with both networks on the edge, each user would slow the other. A plan that differs in any of this is at
least 3 % worse.
"""

OPTIMAL_DELAY_S = 2.118346
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
    edge = Node("edge-1", Tier.EDGE, flops_per_s=5e9, memory_bytes_per_s=1e13, memory_bytes=4e6)
    cloud = Node("cloud-2", Tier.CLOUD, flops_per_s=1e11, memory_bytes_per_s=1e14)
    return Scenario(
        users=(User("user-0", vision, device, query_rate_hz=0.5), User("user-1", speech, device, query_rate_hz=0.5)),
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
