"""The plan of joint efficiency, compiled: what saves most delay per second of upload comes next.

`agents.planners.joint_efficiency.joint_efficiency` states the rule and says what else was tried. This module makes the
plan of one scenario, from what is uploaded at its start until nothing helps.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from agents.planners.joint_efficiency.intervals import (
    ROUNDING,
    Efficiencies,
    best_interval,
    measure,
    smallest_useful_interval,
)
from dnnmig_env.arrays import Floats, Int8s
from dnnmig_env.compiling.jit import fill, jit_nogil, jit_without_refcounts
from dnnmig_env.envs.actions import by_upload
from dnnmig_env.simulation.dynamics import begin, complete, horizon_s
from dnnmig_env.simulation.moving.share import radio_share
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.plan_arrays import PlanArrays
from dnnmig_env.simulation.state import State, copy_row

NONE = cast(int, np.int64(-1))  # Numba compiles functions once more for a literal -1


@jit_nogil
def upload_twice(
    first: int,
    end: int,
    packed: PackedScenarios,
    state: State,
    efficiencies: Efficiencies,
    legal: Int8s,
    tolerance: float,
    plans: PlanArrays,
    cost_s: Floats,
) -> None:
    """Make the two plans of a scenario: plan 0 with any servers, plan 1 with one server per user.

    Args:
        first: The first plan to make, 0 or 1.
        end: One more than the last one to make.
        packed: The packed scenario, alone; slot 0's rates count.
        state: A state of two rows for each plan.
        efficiencies: Efficiencies of intervals, a row for each plan.
        legal: Uploads that each plan may make (1), shape (2, U * L * S); they are set to 0.
        tolerance: Relative change of a slowdown below which efficiencies are not measured anew.
        plans: Receives the plans.
        cost_s: Receives their J times the number of queries, shape (2,).
    """
    for k in range(first, end):
        cost_s[k] = upload_by_efficiency(
            packed, 0, state, 2 * k, efficiencies, k, legal[k], k == 1, tolerance, plans, k
        )


@jit_without_refcounts
def upload_by_efficiency(
    packed: PackedScenarios,
    b: int,
    state: State,
    now: int,
    efficiencies: Efficiencies,
    i: int,
    legal: Int8s,
    one_server: bool,
    tolerance: float,
    plans: PlanArrays,
    k: int,
) -> float:
    """Plan the uploads of scenario `b`, one partition after another; return J times the number of queries.

    Args:
        packed: The packed scenarios; slot 0's rates count.
        b: The scenario.
        state: A state of which two rows are used.
        now: The row that follows the plan; the row after it tries out what comes next.
        efficiencies: Efficiencies of intervals.
        i: Their row.
        legal: Uploads that may be made (1), shape (U * L * S,); those that are made or given up are set to 0.
        one_server: Keep every user to the server of its first upload.
        tolerance: Relative change of a slowdown below which efficiencies are not measured anew.
        plans: Receives the plan.
        k: Index of the plan among them.
    """
    then, num_servers, num_layers = now + 1, efficiencies.per_s.shape[2], efficiencies.per_s.shape[3]
    count, time_s, cost_s = 0, 0.0, 0.0
    begin(packed, b, state, now)
    efficiencies.stale[i] = True
    while True:
        total_s = _total_delay_s(packed, b, state, now)
        measure(packed, packed, b, state, now, legal, efficiencies, i, tolerance)
        while True:
            u, server, first, last = _choose(packed, b, state, now, time_s, efficiencies, i)
            if u < 0:
                plans.length[k] = count
                return cost_s + total_s * (horizon_s(packed, b) - time_s)
            uploads = by_upload(legal, num_layers, num_servers)[u]
            copy_row(state, now, state, then)
            _upload(packed, b, state, then, u, server, first, last, uploads)
            then_s = _total_delay_s(packed, b, state, then)
            per_s = 0.0
            if then_s < (1.0 - ROUNDING) * total_s:
                size_bytes = efficiencies.size_bytes[i, u, server - 1, first, last]
                per_s = (total_s - then_s) * packed.up_bytes_per_s[b, 0, u, server - 1] / size_bytes
                if per_s >= (1.0 - ROUNDING) * efficiencies.per_s[i, u, server - 1, first, last]:
                    break
            efficiencies.per_s[i, u, server - 1, first, last] = per_s
            efficiencies.stale[i, u] = True
        share = radio_share(packed, b, state, now, u)  # while the interval is on its way, nothing changes
        copy_row(state, then, state, now)
        size_bytes = efficiencies.size_bytes[i, u, server - 1, first, last]
        upload_s = size_bytes / (packed.up_bytes_per_s[b, 0, u, server - 1] * share)
        time_s, cost_s = time_s + upload_s, cost_s + total_s * upload_s
        state.memory_left_bytes[now, server - 1] -= size_bytes
        for v in range(first, last + 1):
            if uploads[v, server - 1] != 0:
                fill(uploads[v], 0)
                plans.user[k, count], plans.layer[k, count], plans.server[k, count] = u, v, server
                plans.closes[k, count] = False
                count += 1
        plans.closes[k, count - 1] = True
        if one_server:
            for other in range(num_servers):
                if other != server - 1:
                    fill(uploads[:, other], 0)
        efficiencies.stale[i, u] = True


@jit_without_refcounts
def _choose(
    packed: PackedScenarios, b: int, state: State, now: int, time_s: float, efficiencies: Efficiencies, i: int
) -> tuple[int, int, int, int]:
    """Return the interval to upload next as (user, server, first, last); the user is -1 if no candidate is left."""
    best = 0.0
    user = server = first = last = NONE
    for u in range(packed.num_users[b]):
        left_s = (horizon_s(packed, b) - time_s) * radio_share(packed, b, state, now, u)
        for s in range(packed.num_servers[b]):
            most_bytes = min(state.memory_left_bytes[now, s], left_s * packed.up_bytes_per_s[b, 0, u, s])
            low, high = best_interval(efficiencies, i, u, s, most_bytes)
            if low >= 0 and efficiencies.per_s[i, u, s, low, high] > best:
                best = efficiencies.per_s[i, u, s, low, high]
                user, server, first, last = u, s + 1, low, high
    if user >= 0:
        first, last = smallest_useful_interval(efficiencies, i, user, server - 1, first, last)
    return user, server, first, last


@jit_without_refcounts
def _upload(
    packed: PackedScenarios, b: int, state: State, i: int, u: int, server: int, first: int, last: int, uploads: Int8s
) -> None:
    """Make an interval usable in row `i`, and let all users react."""
    for v in range(first, last + 1):
        if uploads[v, server - 1] != 0:
            state.node[i, u, v], state.usable[i, u, v] = server, True
    complete(packed, b, state, i, u)


@jit_without_refcounts
def _total_delay_s(packed: PackedScenarios, b: int, state: State, i: int) -> float:
    """Return the sum of all users' delays, each weighted by its query rate."""
    total = 0.0
    for u in range(packed.num_users[b]):
        if packed.query_rate_hz[b, 0, u] > 0.0:  # the delay of an absent user may be infinite
            total += packed.query_rate_hz[b, 0, u] * state.delay_s[i, u]
    return total
