"""Draws links: a user reaches its home edge directly, other servers over that and the network between the servers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.families.draw.batch import Participants
from dnnmig_env.families.draw.ranges import Ranges, log_uniform, uniform
from dnnmig_env.families.draw.recorded_rates import draw_traces, mean_rates, recorded_rates

BYTES_PER_MBIT = 125_000.0
"""Bytes in a megabit, which is 10^6 bits."""

RECORDED_SLOTS = 16
"""Number of equal time slots of a scenario with recorded rates. Drawn rates do not change, so one slot is enough."""


class Backbone(NamedTuple):
    """The network between the servers: each has one line into it, so two servers have the rate of the slower line."""

    bytes_per_s: Floats  # (B, S, S): infinite from a server to itself
    latency_s: Floats  # (B, S, S): 0 from a server to itself

    def without_loops(self) -> Floats:
        """Return the rates between servers with zero from a server to itself, shape (B, S, S)."""
        return np.where(np.isinf(self.bytes_per_s), 0.0, self.bytes_per_s)


def draw_backbone(
    rng: np.random.Generator, participants: Participants, mbps: tuple[Ranges, Ranges], latency_s: tuple[Ranges, Ranges]
) -> Backbone:
    """Draw every server's line into the network between the servers.

    Args:
        rng: Source of randomness.
        participants: Who takes part; absent servers have no line.
        mbps: Range of the rates of edges' lines and range of those of clouds' lines, drawn log-uniformly.
        latency_s: Range of the latencies of edges' lines and range of those of clouds' lines, drawn uniformly.
    """
    cloud, exists = participants.is_cloud, participants.is_edge | participants.is_cloud
    shape = cloud.shape
    rate = np.where(cloud, log_uniform(rng, mbps[1], shape), log_uniform(rng, mbps[0], shape)) * BYTES_PER_MBIT * exists
    delay = np.where(cloud, uniform(rng, latency_s[1], shape), uniform(rng, latency_s[0], shape))
    pairs = exists[:, :, None] & exists[:, None]
    bytes_per_s = np.minimum(rate[:, :, None], rate[:, None])
    between_s = (delay[:, :, None] + delay[:, None]) * pairs
    own = np.arange(shape[1])
    bytes_per_s[:, own, own], between_s[:, own, own] = np.where(exists, np.inf, 0.0), 0.0
    return Backbone(bytes_per_s, between_s)


def draw_homes(rng: np.random.Generator, participants: Participants) -> Ints:
    """Draw every user's home edge, all edges with the same probability; return their indices, shape (B, 1, U)."""
    batch, num_users = participants.network.shape
    return (rng.random((batch, 1, num_users)) * participants.num_edges[:, None, None]).astype(np.int64)


def reach(
    home: Ints, access_bytes_per_s: Floats, access_latency_s: Floats, backbone: Backbone
) -> tuple[Floats, Floats]:
    """Return the rate and latency between every user and server, each of shape (B, T, U, S).

    The home edge is reached at the rate of the user's access. Any other server is reached at the lesser of that rate
    and the rate between home edge and server, and the latencies add up.

    Args:
        home: Index of each user's home edge, shape (B, T, U) or (B, 1, U).
        access_bytes_per_s: Rate of each user's access, shape (B, T, U); 0 = no such user, whose latency then is 0 too.
        access_latency_s: Latency of each user's access, shape (B, 1, U).
        backbone: The network between the servers.
    """
    row = np.arange(len(home))[:, None, None]
    rate = np.minimum(access_bytes_per_s[..., None], backbone.bytes_per_s[row, home])
    latency = access_latency_s[..., None] + backbone.latency_s[row, home]
    return rate, latency * (rate > 0)


def num_slots(traces: tuple[str, ...]) -> int:
    """Return the number of time slots: `RECORDED_SLOTS` if there are traces, else 1."""
    return RECORDED_SLOTS if traces else 1


def draw_access(
    rng: np.random.Generator,
    participants: Participants,
    mbps: Ranges,
    horizon_uploads: Ranges,
    horizon_s: Ranges | None,
    traces: tuple[str, ...],
) -> tuple[Floats, Floats]:
    """Draw the rate of each user's access (the link to its home edge), and how long a scenario lasts.

    Args:
        rng: Source of randomness.
        participants: Who takes part.
        mbps: Range of the access rate, log-uniform.
        horizon_uploads: Range, log-uniform, of the horizon as a multiple of the time that it takes to upload every
            user's network once at its mean access rate.
        horizon_s: Range of the horizon in seconds, log-uniform; if given, it takes the place of `horizon_uploads`.
        traces: Paths of recorded traces; if given, they take the place of drawn rates.

    Returns:
        The edges of the slots in seconds, shape (B, T + 1), and the rates in bytes/s, shape (B, T, U); 0 = no such
        user.
    """
    shape, users = participants.network.shape, participants.network >= 0
    if traces:
        recorded = draw_traces(rng, traces, shape)
        mean = mean_rates(recorded)
    else:
        mean = log_uniform(rng, mbps, shape) * BYTES_PER_MBIT
    if horizon_s is None:
        length_s = log_uniform(rng, horizon_uploads, (shape[0], 1))
        length_s *= (participants.total_weight_bytes() / mean).sum(axis=1, keepdims=True)
    else:
        length_s = log_uniform(rng, horizon_s, (shape[0], 1))
    slot_edges_s = length_s * (np.arange(num_slots(traces) + 1) / num_slots(traces))
    rates = recorded_rates(rng, recorded, slot_edges_s) if traces else mean[:, None]
    return slot_edges_s, rates * users[:, None]
