"""Links: users reach every server over their home edge, and from there over the network that joins the servers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.families.draw.batch import Participants
from dnnmig_env.families.draw.ranges import Range, log_uniform, uniform
from dnnmig_env.families.draw.recorded_rates import draw_traces, mean_rates, recorded_rates

BYTES_PER_MBIT = 125_000.0

RECORDED_SLOTS = 16
"""Number of equal time slots of a scenario whose rates are recorded; drawn ones do not change, one slot is enough."""


class Backbone(NamedTuple):
    """The network that joins the servers: each has one line into it, so two servers share the slower of their lines."""

    bytes_per_s: Floats  # (B, S, S): infinite from a server to itself
    latency_s: Floats  # (B, S, S): 0 from a server to itself

    def without_loops(self) -> Floats:
        """Return the rates between different servers, zero from a server to itself."""
        return np.where(np.isinf(self.bytes_per_s), 0.0, self.bytes_per_s)


def draw_backbone(
    rng: np.random.Generator, participants: Participants, mbps: tuple[Range, Range], latency_s: tuple[Range, Range]
) -> Backbone:
    """Draw the servers' lines.

    Args:
        rng: Source of randomness.
        participants: Who takes part; absent servers have no line.
        mbps: Range of the rates of edges' lines and of clouds', drawn log-uniformly.
        latency_s: Range of the latencies of edges' lines and of clouds', drawn uniformly.
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
    """Draw every user's home edge, each as likely, shape (B, 1, U)."""
    batch, num_users = participants.network.shape
    return (rng.random((batch, 1, num_users)) * participants.num_edges[:, None, None]).astype(np.int64)


def reach(
    home: Ints, access_bytes_per_s: Floats, access_latency_s: Floats, backbone: Backbone
) -> tuple[Floats, Floats]:
    """Return the rate and latency between every user and server, each of shape (B, T, U, S).

    The home edge is reached at the rate of the user's access; any other server at the lesser of that and the rate
    between home edge and server, the latencies adding up.

    Args:
        home: Index of each user's home edge, shape (B, T, U).
        access_bytes_per_s: Shape (B, T, U); 0 = no such user, whose latency then is 0 too.
        access_latency_s: Shape (B, 1, U).
        backbone: The network that joins the servers.
    """
    row = np.arange(len(home))[:, None, None]
    rate = np.minimum(access_bytes_per_s[..., None], backbone.bytes_per_s[row, home])
    latency = access_latency_s[..., None] + backbone.latency_s[row, home]
    return rate, latency * (rate > 0)


def num_slots(traces: tuple[str, ...]) -> int:
    """Return the number of time slots."""
    return RECORDED_SLOTS if traces else 1


def draw_access(
    rng: np.random.Generator,
    participants: Participants,
    mbps: Range,
    horizon_uploads: Range,
    horizon_s: Range | None,
    traces: tuple[str, ...],
) -> tuple[Floats, Floats]:
    """Draw how fast users send to the servers nearest to them, and how long a scenario lasts.

    Args:
        rng: Source of randomness.
        participants: Who takes part.
        mbps: Range of the access rate, log-uniform.
        horizon_uploads: Range, log-uniform, of the horizon as a multiple of the time that uploading every network
            once at the mean access rate takes.
        horizon_s: Range of the horizon in seconds, log-uniform, instead.
        traces: Recorded traces that take the place of drawn rates.

    Returns:
        The edges of the slots, shape (B, T + 1), and the rates in bytes/s, shape (B, T, U); 0 = no such user.
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
