"""The machines: nodes of three tiers, and how long a layer takes on a node (the roofline)."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.scenarios.bounds import LATENCY, NODE_RATE, check_bounds


class Tier(StrEnum):
    """Where a node stands: in the user's hand, at the edge of the access network, or in the cloud."""

    DEVICE = "device"
    EDGE = "edge"
    CLOUD = "cloud"


@dataclass(frozen=True, slots=True)
class Node:
    """One machine.

    Attributes:
        name: Name, unique among the servers of a scenario.
        tier: Device, edge or cloud.
        flops_per_s: Effective floating-point rate in FLOP/s.
        memory_bytes_per_s: Effective memory bandwidth in bytes/s.
        layer_overhead_s: Seconds that launching one operator takes.
        memory_bytes: Most bytes of weights that the node can hold; infinite by default.

    Raises:
        ValueError: If a rate is not positive, or a number is negative, NaN or out of bounds
            (`dnnmig_env.scenarios.bounds`).
    """

    name: str
    tier: Tier
    flops_per_s: float
    memory_bytes_per_s: float
    layer_overhead_s: float = 0.0
    memory_bytes: float = math.inf

    def __post_init__(self) -> None:
        for quantity in ("flops_per_s", "memory_bytes_per_s"):
            check_bounds(f"node {self.name!r}: {quantity}", getattr(self, quantity), NODE_RATE)
        check_bounds(f"node {self.name!r}: layer_overhead_s", self.layer_overhead_s, LATENCY)
        if not self.memory_bytes > 0:
            raise ValueError(f"node {self.name!r}: memory_bytes is {self.memory_bytes!r}; it must be positive.")

    def with_memory(self, memory_bytes: float) -> Node:
        """Return a node like this one with other memory, which must be positive; it is not checked."""
        made = copy(self)
        object.__setattr__(made, "memory_bytes", memory_bytes)
        return made


def execution_s(graph: LayerGraph, node: Node) -> Floats:
    """Return the seconds that each layer takes on a node, shape (L,).

    This is the roofline: `max(flops / flops_per_s, bytes moved / memory_bytes_per_s) + operators * layer_overhead_s`.
    A layer that was fused or merged from several operators launches each of them, and takes the overhead of each.
    """
    compute_s = graph.flops / node.flops_per_s
    memory_s = graph.bytes_moved / node.memory_bytes_per_s
    return np.maximum(compute_s, memory_s) + graph.operators * node.layer_overhead_s
