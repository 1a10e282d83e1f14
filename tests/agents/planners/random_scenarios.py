"""Random scenarios for the tests of planners: tiny ones that can be searched exhaustively, and realistic ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.networks.zoo import TRAIN_NETWORKS, load_prepared
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s

MBPS = 1e6 / 8


def realistic(rng: np.random.Generator, users: int = 4, max_layers: int = 16, edges: int = 2) -> Scenario:
    """Networks of the zoo, two edges and a cloud behind a slow wide-area link, less memory than everybody wants."""
    graphs = [load_prepared(str(name), max_layers) for name in rng.choice(TRAIN_NETWORKS, users)]
    total_bytes = sum(float(graph.weight_bytes.sum()) for graph in graphs)
    largest_bytes = max(float(graph.weight_bytes.max()) for graph in graphs)
    servers = [
        node(f"edge{k}", Tier.EDGE, rng.uniform(0.2e12, 2e12), max(largest_bytes, total_bytes * rng.uniform(0.2, 0.6)))
        for k in range(edges)
    ]
    servers.append(node("cloud", Tier.CLOUD, rng.uniform(5e12, 1e13), math.inf))
    access = np.exp(rng.uniform(np.log(10), np.log(160), (users, 1))) * MBPS
    up = np.hstack([access * rng.uniform(0.5, 1.0, (users, edges)), np.minimum(access, rng.uniform(5, 50) * MBPS)])
    latency = np.hstack([rng.uniform(1e-3, 5e-3, (users, edges)), np.full((users, 1), rng.uniform(0.02, 0.06))])
    wan_bytes_per_s, wan_s = up[:, -1].max(), latency[0, -1]
    between, between_s = np.full((edges + 1, edges + 1), 1e9 / 8), np.full((edges + 1, edges + 1), 1e-3)
    between[-1, :], between[:, -1], between_s[-1, :], between_s[:, -1] = wan_bytes_per_s, wan_bytes_per_s, wan_s, wan_s
    return Scenario(
        tuple(
            User(
                f"user{u}",
                graph,
                node("device", Tier.DEVICE, np.exp(rng.uniform(np.log(1e9), np.log(2e10)))),
                rng.uniform(0.2, 2.0),
            )
            for u, graph in enumerate(graphs)
        ),
        tuple(servers),
        Links(up[None], None, latency[None], None, between, between_s),
        horizon_s=total_bytes / float(np.median(up)) * rng.uniform(0.5, 2.0),
    )


def tiny(rng: np.random.Generator, users: int = 1, layers: int = 3, servers: int = 2, memory: bool = False) -> Scenario:
    """A few layers with random links between them, two servers, every quantity of the same order as the others."""
    device = node("device", Tier.DEVICE, 1e9)
    return Scenario(
        tuple(
            User(f"user{u}", random_graph(rng, layers, f"net{u}"), device, rng.uniform(0.2, 2.0)) for u in range(users)
        ),
        tuple(
            node(f"server{s}", Tier.EDGE, rng.uniform(2e9, 2e10), rng.uniform(2e6, 4e6) if memory else math.inf)
            for s in range(servers)
        ),
        Links(
            rng.uniform(5e5, 4e6, (1, users, servers)),
            None,
            rng.uniform(0, 0.02, (1, users, servers)),
            None,
            rng.uniform(1e6, 1e7, (servers, servers)),
        ),
        horizon_s=rng.uniform(1.0, 8.0),
    )


def random_graph(rng: np.random.Generator, layers: int, name: str, chain: float = 0.7) -> LayerGraph:
    """Return a graph whose layers read the one before (with probability `chain`) or any earlier tensors."""
    rows = []
    for v in range(layers):
        earlier = [v - 1] if rng.random() < chain else sorted({int(q) for q in rng.integers(-1, v, 2)} if v else {-1})
        weight_bytes = 0 if rng.random() < 0.1 and v else int(rng.uniform(1e5, 2e6))
        rows.append(Layer(f"l{v}", rng.uniform(1e7, 5e8), weight_bytes, int(rng.uniform(1e3, 3e5)), tuple(earlier)))
    return LayerGraph(name, int(rng.uniform(1e3, 3e5)), tuple(rows))


def node(name: str, tier: Tier, flops_per_s: float, memory_bytes: float = math.inf) -> Node:
    """Return a node whose memory bandwidth is a tenth of its FLOP rate."""
    return Node(name, tier, float(flops_per_s), float(flops_per_s) / 10, 1e-5, float(memory_bytes))


def delays_s(scenario: Scenario, plans: Sequence[Plan]) -> list[float]:
    """Return J of each plan."""
    return [float(j) for j in mean_delays_s(pack([scenario]), plan_arrays(plans))]
