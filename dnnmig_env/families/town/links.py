"""The links of a town: people reach their home edge by radio and the cloud behind it; wires connect the servers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.families.draw.batch import Participants
from dnnmig_env.families.draw.links import BYTES_PER_MBIT
from dnnmig_env.families.draw.ranges import Range, log_uniform, uniform
from dnnmig_env.families.town.crowd import Crowd


class CloudLines(NamedTuple):
    """The line between the edges and the cloud in each of B scenarios."""

    bytes_per_s: Floats  # (B,)
    latency_s: Floats  # (B,)


def draw_cloud_lines(rng: np.random.Generator, count: int, mbps: Range, latency_s: Range) -> CloudLines:
    """Draw the lines of the cloud: rates log-uniform, latencies uniform."""
    return CloudLines(log_uniform(rng, mbps, (count,)) * BYTES_PER_MBIT, uniform(rng, latency_s, (count,)))


def between_servers(crowd: Crowd, participants: Participants, lines: CloudLines) -> tuple[Floats, Floats]:
    """Return the rates and latencies between all servers, both (B, S, S)."""
    rates, latencies = crowd.wires_bytes_per_s.copy(), crowd.wires_latency_s.copy()
    row, edge = np.nonzero(participants.is_edge)
    cloud = crowd.num_edges[row]
    rates[row, edge, cloud] = rates[row, cloud, edge] = lines.bytes_per_s[row]
    latencies[row, edge, cloud] = latencies[row, cloud, edge] = lines.latency_s[row]
    return rates, latencies


def to_servers(
    crowd: Crowd, num_slots: int, access_bytes_per_s: Floats, access_latency_s: Floats, lines: CloudLines
) -> tuple[Floats, Floats]:
    """Return the rates and latencies between users and servers, both (B, T, U, S); 0 for what cannot be reached.

    Args:
        crowd: The people.
        num_slots: Number of slots, T.
        access_bytes_per_s: Rate of the radio each time somebody is present, shape (N,).
        access_latency_s: Latency of each user's radio, shape (B, U).
        lines: The lines of the cloud.
    """
    batch, num_users = crowd.network.shape
    present, home, cloud = (crowd.scenario, crowd.slot, crowd.user), crowd.cell - 1, crowd.num_edges[crowd.scenario]
    delay_s = access_latency_s[crowd.scenario, crowd.user]
    rates, latencies = (np.zeros((batch, num_slots, num_users, crowd.edges.shape[1])) for _ in range(2))
    rates[(*present, home)] = access_bytes_per_s
    rates[(*present, cloud)] = np.minimum(access_bytes_per_s, lines.bytes_per_s[crowd.scenario])
    latencies[(*present, home)] = delay_s
    latencies[(*present, cloud)] = delay_s + lines.latency_s[crowd.scenario]
    return rates, latencies
