"""Makes reference plans: joint efficiency for mean rates, of which the best for the rates themselves is kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.candidates.reference_plan import Reference, adopt, complete_reference, new_reference
from agents.planners.forecast import LOOK_AHEAD_S
from agents.planners.joint_efficiency.compiled_plan import upload_by_efficiency
from agents.planners.joint_efficiency.intervals import Efficiencies, new_efficiencies
from dnnmig_env.compiling.jit import fill, shared, uncounted
from dnnmig_env.simulation.dynamics import horizon_s
from dnnmig_env.simulation.packed import Ints, Problem, Small
from dnnmig_env.simulation.state import State, new_state

CONTENTION_TOLERANCE = 0.02
"""Relative change of a slowdown below which efficiencies are not measured anew: ten times faster than exactly."""


class Workshop(NamedTuple):
    """Where plans are made and tried out, for B rows."""

    mean: Problem  # the scenarios with one slot of mean rates
    state: State  # two rows for each episode
    efficiencies: Efficiencies
    legal: Small  # (B, U * L * S)
    trial: Reference
    intervals: Ints  # (B, K, 4)
    sent: Ints  # (B, U, L)


def new_workshop(problem: Problem, rows: int) -> Workshop:
    """Return room to plan `rows` episodes of a problem."""
    _, users, layers, nodes = problem.execution_s.shape
    one_slot = {
        name: np.zeros_like(getattr(problem, name)[:, :1])
        for name in ("query_rate_hz", "up_bytes_per_s", "down_bytes_per_s", "up_latency_s", "down_latency_s")
    }
    mean = problem._replace(
        num_slots=np.ones(rows, np.int64),
        slot_edges_s=np.zeros((rows, 2)),
        uploaded=np.zeros_like(problem.uploaded),
        **one_slot,
    )
    return Workshop(
        mean=mean,
        state=new_state(problem, 2 * rows),
        efficiencies=new_efficiencies(problem, rows),
        legal=np.zeros((rows, users * layers * (nodes - 1)), np.int8),
        trial=new_reference(problem, rows),
        intervals=np.zeros((rows, users * layers, 4), np.int64),
        sent=np.zeros((rows, users, layers), np.int64),
    )


@shared
def plan_references(begin: int, end: int, p: Problem, s: State, r: Reference, w: Workshop, rows: Ints) -> None:
    """Make the plans of episodes that have just begun, in rows [begin, end) of `rows`."""
    for k in range(begin, end):
        clear(r, rows[k])
        improve(p, s, r, w, rows[k])


@uncounted
def clear(r: Reference, i: int) -> None:
    """Make a plan empty."""
    r.length[i], r.dice[i] = 0, 88_172_645_463_325_252


@uncounted
def improve(p: Problem, s: State, r: Reference, w: Workshop, i: int) -> None:
    """Take for row `i` the best of its plan and those of joint efficiency, for mean rates soon and until the end."""
    complete_reference(p, s, r, w.state, w.legal[i], i)
    now_s, end_s, servers = s.time_s[i], horizon_s(p, i), w.mean.memory_bytes.shape[1]
    for look_ahead_s in (LOOK_AHEAD_S, np.inf):
        if look_ahead_s < np.inf and (p.num_slots[i] == 1 or now_s + look_ahead_s >= end_s):
            continue  # soon is no other than until the end
        average(p, i, s, min(now_s + look_ahead_s, end_s), w.mean)
        for one_server in (False, True):
            _all_uploads(w.mean, i, servers, w.legal[i])
            fill(w.sent[i], 0)
            count, _ = upload_by_efficiency(
                w.mean,
                i,
                w.state,
                2 * i,
                w.efficiencies,
                i,
                w.legal[i],
                one_server,
                CONTENTION_TOLERANCE,
                w.intervals[i],
                w.sent[i],
            )
            _write(w.trial, i, w.intervals[i], count, w.sent[i])
            keep_if_better(p, s, r, w, i)


@uncounted
def keep_if_better(p: Problem, s: State, r: Reference, w: Workshop, i: int) -> None:
    """Make row `i`'s plan the one on trial, if completing that costs less."""
    complete_reference(p, s, w.trial, w.state, w.legal[i], i)
    if w.trial.cost_s[i] < r.cost_s[i]:
        adopt(r, w.trial, i)


@uncounted
def _write(r: Reference, i: int, intervals: Ints, count: int, sent: Ints) -> None:
    length = 0
    for k in range(count):
        u = intervals[k, 0]
        for v in range(intervals[k, 2], intervals[k, 3] + 1):
            if sent[u, v] == k + 1:
                r.user[i, length], r.layer[i, length], r.server[i, length] = u, v, intervals[k, 1]
                length += 1
    r.length[i] = length


@uncounted
def _all_uploads(p: Problem, b: int, servers: int, legal: Small) -> None:
    layers = p.weight_bytes.shape[2]
    for k in range(legal.shape[0]):
        legal[k] = 0
    for u in range(p.num_users[b]):
        for v in range(p.num_layers[b, u]):
            if p.query_rate_hz[b, 0, u] > 0.0 and p.weight_bytes[b, u, v] > 0.0 and p.uploaded[b, u, v] == 0:
                for q in range(p.num_servers[b]):
                    if p.up_bytes_per_s[b, 0, u, q] > 0.0 and p.down_bytes_per_s[b, 0, u, q] > 0.0:
                        legal[(u * layers + v) * servers + q] = 1


@uncounted
def average(p: Problem, b: int, s: State, until_s: float, mean: Problem) -> None:
    """Write what is left of scenario `b` with one slot: mean rates while present, from now until a time.

    Its horizon is what is left of the scenario's, and what has been uploaded stays so.
    """
    now_s = s.time_s[b]
    mean.slot_edges_s[b, 0], mean.slot_edges_s[b, 1] = 0.0, horizon_s(p, b) - now_s
    for u in range(p.num_users[b]):
        for v in range(p.num_layers[b, u]):
            mean.uploaded[b, u, v] = s.node[b, u, v] if s.usable[b, u, v] else 0
        present_s, queries = 0.0, 0.0
        for q in range(p.num_servers[b]):
            mean.up_bytes_per_s[b, 0, u, q], mean.down_bytes_per_s[b, 0, u, q] = 0.0, 0.0
            mean.up_latency_s[b, 0, u, q], mean.down_latency_s[b, 0, u, q] = 0.0, 0.0
        for slot in range(s.slot[b], p.num_slots[b]):
            rate_hz = p.query_rate_hz[b, slot, u]
            slot_s = min(p.slot_edges_s[b, slot + 1], until_s) - max(p.slot_edges_s[b, slot], now_s)
            if rate_hz > 0.0 and slot_s > 0.0:
                present_s += slot_s
                queries += rate_hz * slot_s
                for q in range(p.num_servers[b]):
                    mean.up_bytes_per_s[b, 0, u, q] += slot_s * p.up_bytes_per_s[b, slot, u, q]
                    mean.down_bytes_per_s[b, 0, u, q] += slot_s * p.down_bytes_per_s[b, slot, u, q]
                    mean.up_latency_s[b, 0, u, q] += slot_s * p.up_latency_s[b, slot, u, q]
                    mean.down_latency_s[b, 0, u, q] += slot_s * p.down_latency_s[b, slot, u, q]
        mean.query_rate_hz[b, 0, u] = queries / (until_s - now_s)
        if present_s > 0.0:
            for q in range(p.num_servers[b]):
                mean.up_bytes_per_s[b, 0, u, q] /= present_s
                mean.down_bytes_per_s[b, 0, u, q] /= present_s
                mean.up_latency_s[b, 0, u, q] /= present_s
                mean.down_latency_s[b, 0, u, q] /= present_s
