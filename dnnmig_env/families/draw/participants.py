"""Draws who takes part in scenarios (users with networks and devices, edges, a cloud) and the users' query rates."""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.families.draw.batch import Participants
from dnnmig_env.families.draw.machines import MachineRanges, draw_machines, without
from dnnmig_env.families.draw.network_table import NetworkTable
from dnnmig_env.families.draw.ranges import CountRange, Range, Ranges, choices, counts, log_uniform, uniform

QUERY_RATE_HZ: Range = (1.0, 30.0)
"""What people ask for: from one query per second to one for each picture that a camera takes."""


def draw_participants(
    rng: np.random.Generator,
    count: int,
    networks: NetworkTable,
    num_users: CountRange,
    num_edges: CountRange,
    kinds: tuple[tuple[MachineRanges, ...], ...],
) -> Participants:
    """Draw users and servers. The servers are the edges, then the cloud if there is one; their memory is unlimited.

    Args:
        rng: Source of randomness.
        count: Number of scenarios, B.
        networks: The networks; every user gets each with the same probability.
        num_users: Least and most users.
        num_edges: Least and most edges.
        kinds: Kinds of devices, of edges and, if there is a cloud, of clouds; all of a list are as probable.
    """
    users = np.arange(num_users[1]) < counts(rng, num_users, (count, 1))
    edges = counts(rng, num_edges, (count, 1))
    network = np.where(users, counts(rng, (0, len(networks.graphs) - 1), users.shape), -1)
    return draw_machines_of(rng, networks, network, edges[:, 0], num_edges[1], kinds)


def draw_machines_of(
    rng: np.random.Generator,
    networks: NetworkTable,
    network: Ints,
    num_edges: Ints,
    most_edges: int,
    kinds: tuple[tuple[MachineRanges, ...], ...],
) -> Participants:
    """Draw the machines of given users and servers; see `draw_participants`.

    Args:
        rng: Source of randomness.
        networks: The networks.
        network: Index of each user's network, -1 for no user, shape (B, U).
        num_edges: Number of edges in each scenario, shape (B,).
        most_edges: Most edges.
        kinds: Kinds of devices, of edges and, if there is a cloud, of clouds; all of a list are as probable.
    """
    edges = num_edges[:, None]
    devices = draw_machines(rng, kinds[0], choices(rng, len(kinds[0]), network.shape))
    has_cloud = len(kinds) == 3
    server = np.arange(most_edges + has_cloud)
    is_edge, is_cloud = server < edges, (server == edges) & has_cloud
    kind = choices(rng, len(kinds[1]), is_edge.shape)
    if has_cloud:
        kind = np.where(is_cloud, len(kinds[1]) + choices(rng, len(kinds[2]), is_cloud.shape), kind)
    servers = without(draw_machines(rng, sum(kinds[1:], ()), kind), server >= edges + has_cloud)
    return Participants(networks, network, devices, servers, is_edge, is_cloud, edges[:, 0], edges[:, 0] + has_cloud)


def limit_memory(
    rng: np.random.Generator, participants: Participants, share: Ranges, *, of_one_network: bool = False
) -> None:
    """Limit every edge's memory to a share, drawn uniformly, of the weights of all users' networks together.

    The memory is at least the largest layer of these networks, so that no edge is useless. An edge of which the list of
    machines says how much it holds keeps that. `participants` is changed.

    Args:
        rng: Source of randomness.
        participants: Who takes part.
        share: Range of the share.
        of_one_network: Whether it is a share, more than 1 perhaps, of the mean network of the scenario's users.
    """
    weights = participants.total_weight_bytes().sum(axis=1, keepdims=True)
    if of_one_network:
        weights = weights / (participants.network >= 0).sum(axis=1, keepdims=True)
    largest = participants.networks.largest_weight_bytes[participants.network].max(axis=1, keepdims=True)
    limits = np.maximum(uniform(rng, share, participants.is_edge.shape) * weights, largest)
    memory_bytes = participants.servers.memory_bytes
    np.copyto(memory_bytes, limits, where=participants.is_edge & np.isinf(memory_bytes))


def query_rates_hz(rng: np.random.Generator, participants: Participants, rate_hz: Ranges) -> Floats:
    """Draw the users' query rates log-uniform in a range, shape (B, U); 0 for a user that a scenario does not have."""
    rates: Floats = log_uniform(rng, rate_hz, participants.network.shape) * (participants.network >= 0)
    return rates
