"""A chain whose delays can be added up in the head: 1 s per layer on the device, round times elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User

MB = 1_000_000


def chain(
    weight_mb: Sequence[float],
    output_mb: Sequence[float],
    *,
    server_s: Sequence[float] = (0.1,),
    rate_mb_per_s: Sequence[float] = (1.0,),
    memory_mb: Sequence[float] = (math.inf,),
    query_rate_hz: Sequence[float] = (1.0,),
    between_mb_per_s: float = 100.0,
    horizon_s: float = 100.0,
) -> Scenario:
    """Return a scenario whose users share one chain without input bytes; weights and query data do not meet.

    Args:
        weight_mb: Per layer.
        output_mb: Per layer.
        server_s: Per server, the seconds that each layer takes there.
        rate_mb_per_s: Per server, up and down.
        memory_mb: Per server, or one for all.
        query_rate_hz: Per user.
        between_mb_per_s: Between servers.
        horizon_s: The horizon.
    """
    layers = tuple(
        Layer(f"l{v}", 0.0, int(w * MB), int(out * MB), (v - 1,))
        for v, (w, out) in enumerate(zip(weight_mb, output_mb, strict=True))
    )
    graph, device = LayerGraph("chain", 0, layers), Node("device", Tier.DEVICE, 1e9, 1e9)
    profile_s = np.tile([1.0, *server_s], (len(layers), 1))
    memory = np.broadcast_to(memory_mb, len(server_s)) * MB
    return Scenario(
        tuple(User(f"user{u}", graph, device, rate, profile_s) for u, rate in enumerate(query_rate_hz)),
        tuple(Node(f"server{s}", Tier.EDGE, 1e9, 1e9, 0.0, float(m)) for s, m in enumerate(memory)),
        Links(np.array(rate_mb_per_s) * MB, between_bytes_per_s=between_mb_per_s * MB),
        horizon_s,
        uplink="independent",
    )
