"""Draws who takes part in scenarios, users with networks and devices, edges and a cloud, and how much they ask."""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.families.draw.batch import Participants
from dnnmig_env.families.draw.machines import MachineRanges, draw_machines, without
from dnnmig_env.families.draw.network_table import NetworkTable
from dnnmig_env.families.draw.ranges import CountRange, Range, counts, uniform

MAX_QUERY_RATE_HZ = 30.0
"""No user asks more often than a camera takes pictures."""

UNEVENNESS: Range = (0.5, 1.5)
"""Between which a user's share of the load lies, relative to the others', before the shares are made to sum to one."""


def draw_participants(
    rng: np.random.Generator,
    count: int,
    networks: NetworkTable,
    num_users: CountRange,
    num_edges: CountRange,
    kinds: tuple[MachineRanges, ...],
) -> Participants:
    """Draw users and servers; the edges come first, then the cloud if there is one. Server memory is unlimited.

    Args:
        rng: Source of randomness.
        count: Number of scenarios, B.
        networks: Networks, each as likely for every user.
        num_users: Least and most users.
        num_edges: Least and most edges.
        kinds: What devices, edges and, if there is one, the cloud are like.
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
    """Let every edge hold only a share, drawn uniformly, of the weights of all users' networks together.

    It still holds the largest layer of any network, so that no edge is useless.
    """
    weights = participants.total_weight_bytes().sum(axis=1, keepdims=True)
    largest = participants.networks.largest_weight_bytes[participants.network].max(axis=1, keepdims=True)
    limits = np.maximum(uniform(rng, share, participants.is_edge.shape) * weights, largest)
    np.copyto(participants.servers.memory_bytes, limits, where=participants.is_edge)


def query_rates_hz(rng: np.random.Generator, participants: Participants, execution_s: Floats, load: Range) -> Floats:
    """Draw query rates such that all users together load the edges as wished, shape (B, U).

    Args:
        rng: Source of randomness.
        participants: Who takes part.
        execution_s: Its execution times, shape (B, U, L, S + 1).
        load: Range of the sum over users of query rate x seconds of the whole network on the edge fastest for it.
    """
    whole_s = execution_s.sum(axis=2)[..., 1:]
    fastest_s = np.where(participants.is_edge[:, None], whole_s, np.inf).min(axis=2)
    shares = uniform(rng, UNEVENNESS, fastest_s.shape) * (participants.network >= 0)
    shares *= uniform(rng, load, (len(shares), 1)) / shares.sum(axis=1, keepdims=True)
    rates: Floats = np.minimum(shares / np.maximum(fastest_s, np.finfo(float).tiny), MAX_QUERY_RATE_HZ)
    return rates
