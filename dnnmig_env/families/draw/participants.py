"""Draws who takes part in scenarios (users with networks and devices, edges, a cloud) and the users' query rates."""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.families.draw.batch import Participants
from dnnmig_env.families.draw.machines import MachineRanges, draw_machines, without
from dnnmig_env.families.draw.network_table import NetworkTable
from dnnmig_env.families.draw.ranges import CountRange, Range, counts, uniform

MAX_QUERY_RATE_HZ = 30.0
"""Greatest query rate of a user: that at which a camera takes pictures."""

UNEVENNESS: Range = (0.5, 1.5)
"""Range of a user's share of the load, relative to the others', before the shares are scaled to sum to one."""


def draw_participants(
    rng: np.random.Generator,
    count: int,
    networks: NetworkTable,
    num_users: CountRange,
    num_edges: CountRange,
    kinds: tuple[MachineRanges, ...],
) -> Participants:
    """Draw users and servers. The servers are the edges, then the cloud if there is one; their memory is unlimited.

    Args:
        rng: Source of randomness.
        count: Number of scenarios, B.
        networks: The networks; every user gets each with the same probability.
        num_users: Least and most users.
        num_edges: Least and most edges.
        kinds: Ranges of devices, of edges and, if there is a cloud, of the cloud.
    """
    users = np.arange(num_users[1]) < counts(rng, num_users, (count, 1))
    edges = counts(rng, num_edges, (count, 1))
    network = np.where(users, counts(rng, (0, len(networks.graphs) - 1), users.shape), -1)
    devices = draw_machines(rng, kinds[:1], np.zeros(users.shape, np.intp))
    has_cloud = len(kinds) == 3
    server = np.arange(num_edges[1] + has_cloud)
    is_edge, is_cloud = server < edges, (server == edges) & has_cloud
    servers = without(draw_machines(rng, kinds[1:], is_cloud.astype(np.intp)), server >= edges + has_cloud)
    return Participants(networks, network, devices, servers, is_edge, is_cloud, edges[:, 0], edges[:, 0] + has_cloud)


def limit_memory(rng: np.random.Generator, participants: Participants, share: Range) -> None:
    """Limit every edge's memory to a share, drawn uniformly, of the weights of all users' networks together.

    The memory is at least the largest layer of these networks, so that no edge is useless. `participants` is changed.
    """
    weights = participants.total_weight_bytes().sum(axis=1, keepdims=True)
    largest = participants.networks.largest_weight_bytes[participants.network].max(axis=1, keepdims=True)
    limits = np.maximum(uniform(rng, share, participants.is_edge.shape) * weights, largest)
    np.copyto(participants.servers.memory_bytes, limits, where=participants.is_edge)


def query_rates_hz(rng: np.random.Generator, participants: Participants, execution_s: Floats, load: Range) -> Floats:
    """Draw the users' query rates, shape (B, U), such that their load together lies within a range.

    Args:
        rng: Source of randomness.
        participants: Who takes part.
        execution_s: The participants' execution times, shape (B, U, L, S + 1).
        load: Range of the load, which is the sum over users of query rate x seconds of the whole network on the edge
            that is fastest for it. It may be less where `MAX_QUERY_RATE_HZ` limits a rate.
    """
    whole_s = execution_s.sum(axis=2)[..., 1:]
    fastest_s = np.where(participants.is_edge[:, None], whole_s, np.inf).min(axis=2)
    shares = uniform(rng, UNEVENNESS, fastest_s.shape) * (participants.network >= 0)
    shares *= uniform(rng, load, (len(shares), 1)) / shares.sum(axis=1, keepdims=True)
    rates: Floats = np.minimum(shares / np.maximum(fastest_s, np.finfo(float).tiny), MAX_QUERY_RATE_HZ)
    return rates
