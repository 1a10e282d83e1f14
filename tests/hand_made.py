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


def walk() -> Scenario:
    """Ann goes from cell 1 to cell 2 at 4 s, where Cyd comes up; Bob leaves then. Each reaches the server at home only.

    The radio sends 1 MB/s, the wires 2 MB/s. Ann has layers of 2 and 4 MB, the first of which is on server 1.
    """
    users = [
        user("ann", [2, 4], uploaded=[1, 0], query_rate_hz=1.0),
        user("bob", [1], query_rate_hz=[1.0, 0.0, 0.0]),
        user("cyd", [1], query_rate_hz=[0.0, 1.0, 1.0]),
    ]
    home = [[1, 1, 2], [2, 1, 2], [2, 1, 2]]
    up = [[[float(server == cell) for server in (1, 2)] for cell in row] for row in home]
    return two_servers(
        users,
        memory_mb=(6, 8),
        up_mb_per_s=up,
        wire_mb_per_s=2.0,
        home=home,
        slot_starts_s=(0.0, 4.0, 7.0),
        horizon_s=10.0,
        uplink="independent",
        moves=True,
    )
