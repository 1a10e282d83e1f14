"""Efficiency: the delay saved per second of upload by every interval of layers on every server, kept up to date.

Shin, Jeong and Moon, "Enhanced Partitioning of DNN Layers for Uploading from Mobile Devices to Edge Servers", EMDL
2019, order one user's uploads to one server by it. Here all users and servers are measured alike:

    efficiency(u, I, s) = rate_u * (T_u(now) - T_u(now + I on s)) / (w(I) / B_us)

I is an interval: those layers from a first to a last one that may still go to server s. T_u is the query delay under
the present contention, rate_u the query rate, w the weight bytes, B_us the present rate to server s.

Measuring one user takes O(S L^2) queries of O(L + E), so it is done anew only when something has changed for that user.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Int8s
from dnnmig_env.compiling.jit import copy, fill, jit_without_refcounts
from dnnmig_env.envs.actions import action_of
from dnnmig_env.simulation.contention import num_stations, slowdown_for
from dnnmig_env.simulation.kernel import effective_assignment, query_delay_s
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State

ROUNDING = 1e-9
"""Savings below this share of a delay count as rounding errors."""


class Efficiencies(NamedTuple):
    """Efficiencies of all intervals in B episodes.

    The last two dimensions of `per_s` and `size_bytes` are the first and the last layer of an interval.
    """

    per_s: Floats  # (B, U, S, L, L): efficiency; 0 = saves nothing, or did not fit the memory when measured
    size_bytes: Floats  # (B, U, S, L, L): weights to upload
    slowdown: Floats  # (B, U, K): contention under which the user was measured
    stale: Bools  # (B, U): the user's links, or what it has uploaded or may upload, have changed since it was measured
    present: Floats  # (B, K): scratch
    node: Int8s  # (B, L): scratch
    usable: Bools  # (B, L): scratch
    assignment: Int8s  # (B, L): scratch


def new_efficiencies(packed: PackedScenarios, rows: int) -> Efficiencies:
    """Return efficiencies of `rows` episodes in which all users are stale, so that `measure` sets them."""
    _, users, layers, nodes = packed.execution_s.shape
    return Efficiencies(
        per_s=np.zeros((rows, users, nodes - 1, layers, layers)),
        size_bytes=np.zeros((rows, users, nodes - 1, layers, layers)),
        slowdown=np.ones((rows, users, num_stations(nodes))),
        stale=np.ones((rows, users), np.bool_),
        present=np.ones((rows, num_stations(nodes))),
        node=np.zeros((rows, layers), np.int8),
        usable=np.zeros((rows, layers), np.bool_),
        assignment=np.zeros((rows, layers), np.int8),
    )


@jit_without_refcounts
def measure(
    packed: PackedScenarios,
    sending: PackedScenarios,
    b: int,
    state: State,
    row: int,
    legal: Int8s,
    efficiencies: Efficiencies,
    i: int,
    tolerance: float,
) -> None:
    """Measure the users for whom something has changed.

    Args:
        packed: The scenarios under whose rates queries run; these rates may differ from those of the state's delays.
        sending: The scenarios at whose rates weights are uploaded.
        b: The scenario.
        state: The state.
        row: Its row.
        legal: Which uploads may be made (1), numbered as actions are, shape (U * L * S,) or longer.
        efficiencies: The efficiencies.
        i: Their row.
        tolerance: Relative change of a slowdown up to which contention counts as unchanged.
    """
    present = efficiencies.present[i]
    for u in range(packed.num_users[b]):
        slowdown_for(u, packed.home[b, state.slot[row]], state.present[row], state.sending[row], present)
        changed = efficiencies.stale[i, u]
        for k in range(present.shape[0]):
            changed = changed or abs(present[k] / efficiencies.slowdown[i, u, k] - 1.0) > tolerance
        if changed:
            efficiencies.stale[i, u] = False
            copy(efficiencies.slowdown[i, u], present)
            _measure_user(packed, sending, b, state, row, u, legal, efficiencies, i)


@jit_without_refcounts
def _measure_user(
    packed: PackedScenarios,
    sending: PackedScenarios,
    b: int,
    state: State,
    row: int,
    u: int,
    legal: Int8s,
    efficiencies: Efficiencies,
    i: int,
) -> None:
    """Measure all intervals of user `u` on all servers."""
    servers, layers = efficiencies.per_s.shape[2], efficiencies.per_s.shape[3]
    slot, node, usable = state.slot[row], efficiencies.node[i], efficiencies.usable[i]
    fill(efficiencies.per_s[i, u], 0.0)
    delay_s = min(
        state.device_delay_s[row, u],
        query_delay_s(
            packed,
            b,
            u,
            slot,
            state.assignment[row, u],
            efficiencies.present[i],
            state.finish_s[row],
            state.free_s[row],
        ),
    )
    for s in range(packed.num_servers[b]):
        worth = packed.query_rate_hz[b, slot, u] * sending.up_bytes_per_s[b, slot, u, s]
        for first in range(packed.num_layers[b, u]):
            if legal[action_of(u, first, s, layers, servers)] == 0:
                continue
            copy(node, state.node[row, u])
            copy(usable, state.usable[row, u])
            size_bytes = 0.0
            for last in range(first, packed.num_layers[b, u]):
                if legal[action_of(u, last, s, layers, servers)] == 0:
                    continue
                node[last], usable[last] = s + 1, True
                size_bytes += packed.weight_bytes[b, u, last]
                efficiencies.size_bytes[i, u, s, first, last] = size_bytes
                if size_bytes > state.memory_left_bytes[row, s]:
                    break
                effective_assignment(packed, b, u, node, usable, efficiencies.assignment[i])
                saved_s = delay_s - query_delay_s(
                    packed,
                    b,
                    u,
                    slot,
                    efficiencies.assignment[i],
                    efficiencies.present[i],
                    state.finish_s[row],
                    state.free_s[row],
                )
                if saved_s > ROUNDING * delay_s:
                    efficiencies.per_s[i, u, s, first, last] = worth * saved_s / size_bytes


@jit_without_refcounts
def best_interval(efficiencies: Efficiencies, i: int, u: int, s: int, most_bytes: float) -> tuple[int, int]:
    """Return the first and last layer of a user's most efficient interval for server `s`; -1 for both if none helps.

    Args:
        efficiencies: The efficiencies.
        i: Their row.
        u: The user.
        s: The server, 0 to S - 1.
        most_bytes: Bytes that fit the server's memory and arrive in time.
    """
    per_s, size_bytes = efficiencies.per_s[i, u, s], efficiencies.size_bytes[i, u, s]
    best, first, last = 0.0, -1, -1
    for v in range(per_s.shape[0]):
        for w in range(v, per_s.shape[1]):
            if per_s[v, w] > best and size_bytes[v, w] <= most_bytes:
                best, first, last = per_s[v, w], v, w
    return first, last


@jit_without_refcounts
def smallest_useful_interval(
    efficiencies: Efficiencies, i: int, u: int, s: int, first: int, last: int
) -> tuple[int, int]:
    """Return the first and last layer of the smallest useful sub-interval of an interval.

    The interval is narrowed down to its most efficient sub-interval of fewer bytes that saves time, again and again
    until there is none. To upload that one first costs nothing, as it is a part of the way to the whole interval.
    """
    per_s, size_bytes = efficiencies.per_s[i, u, s], efficiencies.size_bytes[i, u, s]
    finer = True
    while finer:
        finer, best, low, high = False, 0.0, first, last
        for v in range(low, high + 1):
            for w in range(v, high + 1):
                if per_s[v, w] > best and size_bytes[v, w] < size_bytes[low, high]:
                    best, finer, first, last = per_s[v, w], True, v, w
    return first, last
