"""Plays whole plans through the kernel: one with a log of events, or many at once for their delay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np

from dnnmig_env.compiling.jit import borrowed, compiled, compiled_parallel, uncounted
from dnnmig_env.simulation.dynamics import advance, begin, complete, horizon_s, send
from dnnmig_env.simulation.kernel import compose, load_of, query_delay_s, slowdown_for
from dnnmig_env.simulation.packed import Bools, Floats, Ints, Problem, Small
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.state import State, new_state


class PlanArrays(NamedTuple):
    """P plans of at most K uploaded layers each, in upload order."""

    length: Ints  # (P,)
    user: Ints  # (P, K)
    layer: Ints  # (P, K)
    server: Ints  # (P, K): 1..S
    closes: Bools  # (P, K): the layer is the last of its partition
    not_before_s: Floats  # (P, K)


def empty_plans(plans: int, layers: int) -> PlanArrays:
    """Return `plans` empty plans with room for `layers` uploads each; every layer closes its own partition."""
    shape = (plans, layers)
    return PlanArrays(
        length=np.zeros(plans, np.int64),
        user=np.zeros(shape, np.int64),
        layer=np.zeros(shape, np.int64),
        server=np.zeros(shape, np.int64),
        closes=np.ones(shape, np.bool_),
        not_before_s=np.zeros(shape),
    )


def plan_arrays(plans: Sequence[Plan]) -> PlanArrays:
    """Return plans as arrays."""
    arrays = empty_plans(len(plans), max((plan.num_layers for plan in plans), default=0))
    for row, plan in enumerate(plans):
        arrays.length[row] = plan.num_layers
        k = 0
        for upload in plan.uploads:
            for layer in upload.layers:
                arrays.user[row, k], arrays.layer[row, k], arrays.server[row, k] = upload.user, layer, upload.server
                arrays.closes[row, k] = layer == upload.layers[-1]
                arrays.not_before_s[row, k] = upload.not_before_s
                k += 1
    return arrays


def mean_delays_s(problem: Problem, plans: PlanArrays, scenarios: Ints | None = None) -> Floats:
    """Return the mean query delay J of every plan in seconds per query, shape (P,).

    Args:
        problem: The scenarios.
        plans: The plans.
        scenarios: Scenario of each plan, shape (P,); by default scenario 0 for all.
    """
    count = len(plans.length)
    rows = np.zeros(count, np.int64) if scenarios is None else np.asarray(scenarios, np.int64)
    state = new_state(problem, count)
    result = np.empty(count)
    play_rows = _play_rows_in_parallel if count >= 64 else _play_rows
    play_rows(problem, rows, state, plans, result)
    return result


@uncounted
def play(p: Problem, b: int, s: State, i: int, plans: PlanArrays, k: int, start_s: Floats, end_s: Floats) -> float:
    """Play plan `k` in row `i` of the state and return its mean query delay J.

    Args:
        p: The problem.
        b: The scenario.
        s: The state.
        i: Row of the state to use.
        plans: The plans.
        k: The plan.
        start_s: Receives the start of each layer's upload, shape (K,); infinite if it never starts.
        end_s: Receives its end, shape (K,); infinite if the last byte is not in at the horizon.
    """
    begin(p, b, s, i)
    first = 0
    for j in range(plans.length[k]):
        u, v, server = plans.user[k, j], plans.layer[k, j], plans.server[k, j]
        advance(p, b, s, i, plans.not_before_s[k, j])
        start_s[j], end_s[j] = np.inf, np.inf
        if s.time_s[i] >= horizon_s(p, b):
            continue
        before_s = s.time_s[i]
        arrived = send(p, b, s, i, u, v, server)
        start_s[j] = presence_s(p, b, u, before_s)
        if not arrived:
            continue
        end_s[j] = s.time_s[i]
        if plans.closes[k, j]:
            for member in range(first, j + 1):
                s.usable[i, u, plans.layer[k, member]] = True
            complete(p, b, s, i, u)
            first = j + 1
    advance(p, b, s, i, horizon_s(p, b))
    return float(s.cost_s[i] / s.queries[i])


@uncounted
def presence_s(p: Problem, b: int, u: int, time_s: float) -> float:
    """Return the first time from `time_s` on at which user `u` is present; infinite if never."""
    for slot in range(p.num_slots[b]):
        if p.slot_edges_s[b, slot + 1] > time_s and p.query_rate_hz[b, slot, u] > 0.0:
            return float(max(time_s, p.slot_edges_s[b, slot]))
    return np.inf


@compiled
def _play_row(p: Problem, rows: Ints, s: State, plans: PlanArrays, k: int, result: Floats) -> None:
    p, s, plans = borrowed(p), borrowed(s), borrowed(plans)
    start_s, end_s = np.empty(plans.user.shape[1]), np.empty(plans.user.shape[1])
    result[k] = play(p, rows[k], s, k, plans, k, start_s, end_s)


@compiled
def _play_rows(p: Problem, rows: Ints, s: State, plans: PlanArrays, result: Floats) -> None:
    for k in range(len(plans.length)):
        _play_row(p, rows, s, plans, k, result)


@compiled_parallel
def _play_rows_in_parallel(p: Problem, rows: Ints, s: State, plans: PlanArrays, result: Floats) -> None:
    for k in numba.prange(len(plans.length)):
        _play_row(p, rows, s, plans, k, result)


@compiled
def migration_delay_s(p: Problem, b: int, slot: int, node: Small, delay_s: Floats) -> float:
    """Return the mean delay with every placed layer uploaded (EosDNN's migration delay, upload time not added).

    Every user runs its whole placement, contention included, with the rates of one slot; the mean weighs users by
    their query rates in it.

    Args:
        p: The problem.
        b: The scenario.
        slot: The time slot.
        node: Server of each layer with weights (0 = device), shape (U, L).
        delay_s: Receives the delay of each user, shape (U,).
    """
    num_users = p.num_users[b]
    assignment = np.zeros(node.shape, np.int8)
    load = np.zeros((p.num_users[b], p.execution_s.shape[3] - 1))
    slowdown, free_s = np.empty(p.execution_s.shape[3]), np.empty(p.execution_s.shape[3])
    finish_s = np.empty(node.shape[1])
    usable = np.ones(node.shape[1], np.bool_)
    for u in range(num_users):
        compose(p, b, u, node[u], usable, assignment[u])
        load_of(p, b, u, slot, assignment[u], load[u])
    total, rates = 0.0, 0.0
    for u in range(num_users):
        slowdown_for(p, b, u, load, slowdown)
        delay_s[u] = query_delay_s(p, b, u, slot, assignment[u], slowdown, finish_s, free_s)
        rate = p.query_rate_hz[b, slot, u]
        if rate > 0.0:  # the delay of an absent user may be infinite
            total += rate * delay_s[u]
            rates += rate
    return total / rates
