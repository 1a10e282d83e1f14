"""Scenarios whose seconds are given layer by layer, so that outcomes can be worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User

ALWAYS = 1e6
"""Rate of a user who asks again as soon as a query has ended, for the first time within a microsecond."""


def chain(outputs: Sequence[int], weights: Sequence[int], input_bytes: int = 0) -> LayerGraph:
    """Return a chain of layers with these bytes of output and of weights."""
    layers = [
        Layer(f"layer{v}", 0.0, weight_bytes, output_bytes, (v - 1,))
        for v, (output_bytes, weight_bytes) in enumerate(zip(outputs, weights, strict=True))
    ]
    return LayerGraph("chain", input_bytes, tuple(layers))


def user(
    graph: LayerGraph,
    seconds: Sequence[Sequence[float]],
    rate_hz: ArrayLike = ALWAYS,
    uploaded: Any = None,
    name: str = "u",
    copies: Any = None,
) -> User:
    """Return a user whose layers take the given seconds on its device and on each server."""
    device = Node("device", Tier.DEVICE, 1.0, 1.0)
    return User(name, graph, device, rate_hz, profile_s=seconds, uploaded=uploaded, copies=copies)


def scenario(
    users: Sequence[User],
    horizon_s: float,
    servers: int = 1,
    slots: Sequence[float] = (0.0,),
    memory_bytes: float = math.inf,
    **links: Any,
) -> Scenario:
    """Return a scenario of users, who are renamed, with links of 1 byte/s unless others are given."""
    uplink, moves = links.pop("uplink", "priority"), links.pop("moves", False)
    return Scenario(
        tuple(replace(one, name=f"user{u}") for u, one in enumerate(users)),
        tuple(Node(f"server{s}", Tier.EDGE, 1.0, 1.0, memory_bytes=memory_bytes) for s in range(servers)),
        Links(**{"up_bytes_per_s": 1.0, **links}),
        horizon_s,
        np.array(slots),
        uplink=uplink,
        moves=moves,
    )


def on_server(server_s: float, rate_hz: ArrayLike = ALWAYS, device_s: float = 1e3) -> User:
    """Return a user with one layer, which is on server 1 from the start, and no bytes to send."""
    return user(chain([0], [1]), [[device_s, server_s]], rate_hz, uploaded=[1])
