"""Small scenarios with round numbers, for examples that are worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User

MB = 10**6


def user(name: str, weights_mb: list[float], *, input_mb: float = 0.0, output_mb: float = 0.0, **given: Any) -> User:
    """Return a user with a chain of layers that take 1 s each on the device and nothing on a server.

    `output_mb` is what the first layer hands on to the second.
    """
    layers = [
        Layer(f"layer{v}", 0.0, int(size * MB), int(output_mb * MB) if v == 0 else 0, (v - 1,))
        for v, size in enumerate(weights_mb)
    ]
    graph, device = LayerGraph(name, int(input_mb * MB), tuple(layers)), Node("device", Tier.DEVICE, 1e9, 1e9)
    return User(name, graph, device, **{"profile_s": [1.0, 0.0, 0.0], **given})


def two_servers(
    users: list[User],
    *,
    memory_mb: tuple[float, float] = (math.inf, math.inf),
    up_mb_per_s: Any = 1.0,
    wire_mb_per_s: Any = 1.0,
    home: Any = None,
    **given: Any,
) -> Scenario:
    """Return a scenario of two servers whose links have no latency."""
    servers = tuple(Node(f"s{n}", Tier.EDGE, 1e9, 1e9, 0.0, memory * MB) for n, memory in enumerate(memory_mb, start=1))
    up, wires = np.asarray(up_mb_per_s) * MB, np.asarray(wire_mb_per_s) * MB
    return Scenario(tuple(users), servers, Links(up, between_bytes_per_s=wires, home=home), **given)
