"""What an agent sees of a situation and of each candidate: ratios and logarithms within [-1, 1]."""

from __future__ import annotations

import numpy as np

from agents.candidates.newcomers import share_at_stake
from agents.candidates.reference_plan import Reference, cost_after_run
from agents.candidates.shortlist import LATER, SOON, Prospects
from agents.planners.joint_efficiency.intervals import Efficiencies
from dnnmig_env.compiling.jit import uncounted
from dnnmig_env.envs.facts import Row, input_bytes, log_scaled
from dnnmig_env.simulation.dynamics import horizon_s
from dnnmig_env.simulation.packed import Problem, Small
from dnnmig_env.simulation.state import State

SITUATION_FEATURES = (
    "horizon_left",
    "slot_left",
    "log_horizon_left",
    "changing",  # rates change: more than one time slot
    "users",
    "log_best_saving",  # what the most efficient run would save by the end, as a share of the delay at present
    "delay_ratio",
    "weights_left",
    "last_slots",
    "soon",  # log of the best efficiency as expected soon / at present
    "later",
    "done",  # the reference plan has nothing to upload now
    "newcomers",  # what is at stake for users who have not come yet, as a share of what is for all
)
CANDIDATE_FEATURES = (
    "action",  # number of the action + 1, by the number of actions; 0 = no candidate
    "run",  # log efficiency of the most efficient run that begins here, against the best of all
    "own",  # log efficiency of this layer alone
    "finest",  # log efficiency of the pair's best run, if this is where its finest part begins
    "soon_run",  # the same under the rates expected soon
    "soon_finest",
    "later_run",  # until the horizon, uploaded at the present rate
    "later_finest",
    "log_run_upload",  # time to upload the run / time left
    "log_own_upload",
    "run_saving",  # share of the user's delay at present
    "rate_soon",  # log of the expected rate to this server / that at present
    "rate_later",
    "rank",  # 1 for the upload that is next in the reference plan, 1/2 for the one after it, ...; 0 = not in it
    "as_planned",  # 1 if the reference plan has the layer on this server, -1 if on another one
    "gain",  # root of the share of all cost saved if the run is uploaded before the rest of the reference plan
    "before",  # the layer before is on this server
    "after",
    "latest",  # the latest upload was this user's, to this server
    "runs_here",  # share of the user's execution that is on this server at present
    "runs_elsewhere",  # on other servers
    "stored_here",  # share of the user's weights
    "stored_elsewhere",
    "query_share",
    "delay_ratio",
    "log_device_delay",
    "weights_left",
    "execution_share",
    "log_weight",
    "log_output",
    "log_input",
    "load_of_others",
    "log_speedup",
    "log_up_rate",
    "latency_ratio",
    "memory_left_for_user",
    "memory_left_for_all",
    "log_line",  # to the server that runs most of the user's layers, against the access rate
    "saving_share",  # the run's saving, as a share of the delay of all users
    "run_arrival",  # expected time until the run has arrived, as a share of the time left; 1 = not before the horizon
    "own_arrival",  # the same of this layer
    "stay",  # share of the horizon for which the user has been present
)
SITUATION_WIDTH, CANDIDATE_WIDTH = len(SITUATION_FEATURES), len(CANDIDATE_FEATURES)

REFERENCE_FEATURES = ("rank", "as_planned", "gain", "done")
"""What observations say of the reference plan."""

LOG_RANGE = 10.0
"""Efficiencies less than exp(-LOG_RANGE) times the greatest look alike."""

MOST_GAINS = 8
"""Candidates whose gain is computed, where the reference plan begins a new run; that of others is 0."""

LEAST_GAIN = 1e-6
"""Smaller shares of the cost count as nothing."""


@uncounted
def describe_situation(p: Problem, s: State, i: int, r: Reference, c: Prospects, out: Row) -> None:
    """Write the features that all candidates have in common."""
    slot, left_s = s.slot[i], horizon_s(p, i) - s.time_s[i]
    present, delay, device, weights, left = 0.0, 0.0, 0.0, 0.0, 0.0
    for u in range(p.num_users[i]):
        rate_hz = p.query_rate_hz[i, slot, u]
        if rate_hz > 0.0:
            present += 1.0
            delay += rate_hz * s.delay_s[i, u]
            device += rate_hz * s.device_delay_s[i, u]
            for v in range(p.num_layers[i, u]):
                weights += p.weight_bytes[i, u, v]
                if not s.usable[i, u, v]:
                    left += p.weight_bytes[i, u, v]
    out[0] = left_s / horizon_s(p, i)
    out[1] = (p.slot_edges_s[i, slot + 1] - s.time_s[i]) / (p.slot_edges_s[i, slot + 1] - p.slot_edges_s[i, slot])
    out[2] = log_scaled(left_s, 1.0, 2.0)
    out[3] = 1.0 if p.num_slots[i] > 1 else 0.0
    out[4] = min(present / 8.0, 1.0)
    if delay > 0.0:
        out[5] = log_scaled(c.best[i, 0] * left_s / delay, 0.0, 3.0)
        out[6] = min(delay / device, 1.0)
        out[7] = left / weights if weights > 0.0 else 0.0
    out[8] = 1.0 / (p.num_slots[i] - slot)
    if c.best.shape[1] > 1 and c.best[i, 0] > 0.0:
        out[9] = log_scaled(c.best[i, SOON] / c.best[i, 0], 0.0, 1.0)
        out[10] = log_scaled(c.best[i, LATER] / c.best[i, 0], 0.0, 1.0)
    out[11] = 1.0 if r.following[i] < 0 else 0.0
    out[12] = share_at_stake(p, s, i)


@uncounted
def describe(
    p: Problem,
    soon: Problem,
    later: Problem,
    course: Problem,
    s: State,
    i: int,
    e: Efficiencies,
    c: Prospects,
    k: int,
    actions: int,
    out: Row,
    at: int,
) -> None:
    """Write the features of candidate `k`, all but "gain", from position `at` on."""
    u, v, q, last = c.chosen[i, k, 0], c.chosen[i, k, 1], c.chosen[i, k, 2], c.chosen[i, k, 3]
    layers, servers, slot, views = e.per_s.shape[3], e.per_s.shape[2], s.slot[i], c.best.shape[1]
    a, row = (u * layers + v) * servers + q, i * views
    left_s, rate, rate_hz = horizon_s(p, i) - s.time_s[i], p.up_bytes_per_s[i, slot, u, q], p.query_rate_hz[i, slot, u]
    run = e.per_s[row, u, q, v, last]
    run_bytes, own_bytes = e.size_bytes[row, u, q, v, last], p.weight_bytes[i, u, v]
    saved_s = run * run_bytes / rate  # times the query rate
    out[at] = (a + 1.0) / actions
    out[at + 2] = _relative(e.per_s[row, u, q, v, v], c.best[i, 0])
    for view in range(views):
        own = at + 1 if view == 0 else at + 2 + 2 * view
        out[own] = _relative(e.per_s[row + view, u, q, v, c.chosen[i, k, 3 + view]], c.best[i, view])
        out[at + 3 + 2 * view] = _relative(c.finest[i, view, a], c.best[i, view])
    out[at + 8] = log_scaled(run_bytes / (rate * left_s), -1.0, 2.0)
    out[at + 9] = log_scaled(own_bytes / (rate * left_s), -1.0, 2.0)
    out[at + 10] = min(saved_s / (rate_hz * s.delay_s[i, u]), 1.0)
    if views > 1:
        out[at + 11] = log_scaled(soon.up_bytes_per_s[i, slot, u, q] / rate, 0.0, 1.0)
        out[at + 12] = log_scaled(later.up_bytes_per_s[i, slot, u, q] / rate, 0.0, 1.0)
    if c.rank[i, a] > 0:
        out[at + 13], out[at + 14] = 1.0 / c.rank[i, a], 1.0
    else:
        for other in range(p.num_servers[i]):
            if c.rank[i, (u * layers + v) * servers + other] > 0:
                out[at + 14] = -1.0
    out[at + 16] = 1.0 if v > 0 and s.node[i, u, v - 1] == q + 1 else 0.0
    out[at + 17] = 1.0 if v + 1 < p.num_layers[i, u] and s.node[i, u, v + 1] == q + 1 else 0.0
    out[at + 18] = 1.0 if c.latest[i, 0] == u and c.latest[i, 1] == q + 1 else 0.0
    _describe_pair(p, s, i, u, q, out, at)
    out[at + 27] = min(p.execution_s[i, u, v, 0] / s.device_delay_s[i, u], 1.0)
    out[at + 28] = log_scaled(own_bytes, 6.0, 3.0)
    out[at + 29] = log_scaled(p.tensor_bytes[i, u, v + 1], 5.5, 2.0)
    out[at + 30] = log_scaled(input_bytes(p, i, u, v), 5.5, 2.0)
    out[at + 33] = log_scaled(rate, 6.5, 2.0)
    latency_s = p.up_latency_s[i, slot, u, q] + p.down_latency_s[i, slot, u, q]
    out[at + 34] = min(latency_s / s.device_delay_s[i, u], 1.0)
    all_s = 0.0
    for w in range(p.num_users[i]):
        if p.query_rate_hz[i, slot, w] > 0.0:
            all_s += p.query_rate_hz[i, slot, w] * s.delay_s[i, w]
    out[at + 38] = min(saved_s / all_s, 1.0)
    out[at + 39] = _arrival(course, s, i, u, q, run_bytes)
    out[at + 40] = _arrival(course, s, i, u, q, own_bytes)
    for t in range(slot):
        if p.query_rate_hz[i, t, u] > 0.0:
            out[at + 41] += (p.slot_edges_s[i, t + 1] - p.slot_edges_s[i, t]) / horizon_s(p, i)


@uncounted
def _describe_pair(p: Problem, s: State, i: int, u: int, q: int, out: Row, at: int) -> None:
    """Write what all candidates of a user for a server have in common."""
    slot, rates, others, most, main = s.slot[i], 0.0, 0.0, 0.0, -1
    for w in range(p.num_users[i]):
        rates += p.query_rate_hz[i, slot, w]
        if w != u:
            others += s.load[i, w, q]
    for other in range(p.num_servers[i]):
        if s.load[i, u, other] > most:
            most, main = s.load[i, u, other], other
    out[at + 23] = p.query_rate_hz[i, slot, u] / rates
    out[at + 24] = min(s.delay_s[i, u] / s.device_delay_s[i, u], 1.0)
    out[at + 25] = log_scaled(s.device_delay_s[i, u], -0.5, 2.0)
    out[at + 31] = min(others, 1.0)
    if main >= 0 and main != q:
        out[at + 37] = log_scaled(p.between_bytes_per_s[i, main, q] / p.up_bytes_per_s[i, slot, u, q], 0.0, 2.0)
    left = _describe_whereabouts(p, s, i, u, q, out, at)
    memory, wanted = s.memory_left_bytes[i, q], 0.0
    out[at + 35] = 1.0 if memory >= left else memory / left
    for w in range(p.num_users[i]):
        if p.query_rate_hz[i, slot, w] > 0.0:
            for v in range(p.num_layers[i, w]):
                wanted += 0.0 if s.usable[i, w, v] else p.weight_bytes[i, w, v]
    out[at + 36] = 1.0 if memory >= wanted else memory / wanted


@uncounted
def _describe_whereabouts(p: Problem, s: State, i: int, u: int, q: int, out: Row, at: int) -> float:
    """Write where a user's layers run and are stored; return the bytes that are not yet uploaded."""
    device_s, server_s, weights, stored = 0.0, 0.0, 0.0, 0.0
    here_s, away_s, here = 0.0, 0.0, 0.0
    for v in range(p.num_layers[i, u]):
        own_s, weight = p.execution_s[i, u, v, 0], p.weight_bytes[i, u, v]
        device_s += own_s
        server_s += p.execution_s[i, u, v, q + 1]
        weights += weight
        stored += weight if s.usable[i, u, v] else 0.0
        here += weight if s.usable[i, u, v] and s.node[i, u, v] == q + 1 else 0.0
        here_s += own_s if s.assignment[i, u, v] == q + 1 else 0.0
        away_s += own_s if s.assignment[i, u, v] not in (0, q + 1) else 0.0
    out[at + 19], out[at + 20] = here_s / device_s, away_s / device_s
    out[at + 21], out[at + 22] = here / weights, (stored - here) / weights
    out[at + 26] = 1.0 - stored / weights
    out[at + 32] = log_scaled(device_s / server_s, 1.0, 2.0)
    return weights - stored


@uncounted
def _arrival(p: Problem, s: State, i: int, u: int, q: int, size_bytes: float) -> float:
    """Return how long an upload is expected to take that begins now, as a share of the time left; at most 1."""
    slot, left_s, missing = s.slot[i], horizon_s(p, i) - s.time_s[i], size_bytes
    now_s = s.time_s[i]
    for k in range(p.num_slots[i] - slot):
        rate, until_s = p.up_bytes_per_s[i, slot + k, u, q], p.slot_edges_s[i, slot + k + 1]
        if missing <= rate * (until_s - now_s):
            return float((now_s + missing / rate - s.time_s[i]) / left_s)
        missing -= rate * (until_s - now_s)
        now_s = until_s
    return 1.0


@uncounted
def forks(s: State, i: int, r: Reference, c: Prospects) -> bool:
    """Return whether the reference plan begins a new run now: its next upload does not continue the latest one."""
    k = r.following[i]
    if k < 0:
        return True
    u, v, server = r.user[i, k], r.layer[i, k], r.server[i, k]
    return not (c.latest[i, 0] == u and c.latest[i, 1] == server and v > 0 and s.node[i, u, v - 1] == server)


@uncounted
def gain(p: Problem, s: State, t: State, i: int, mask: Small, r: Reference, c: Prospects, k: int) -> float:
    """Return the feature "gain" of a candidate; 0 for the one that the reference plan has next.

    `t` is scratch, two rows for each episode.
    """
    u, v, q, last = c.chosen[i, k, 0], c.chosen[i, k, 1], c.chosen[i, k, 2], c.chosen[i, k, 3]
    if c.rank[i, (u * s.node.shape[2] + v) * s.memory_left_bytes.shape[1] + q] == 1:
        return 0.0
    return _root(1.0 - cost_after_run(p, s, r, t, i, mask, u, q, v, last) / r.cost_s[i])


@uncounted
def _root(saved: float) -> float:
    """Return the root of a share of the cost, with its sign."""
    if abs(saved) < LEAST_GAIN:
        return 0.0
    return float(max(np.sqrt(saved) if saved > 0.0 else -np.sqrt(-saved), -1.0))


@uncounted
def _relative(efficiency: float, best: float) -> float:
    """Return an efficiency against the best one: 1 for the same, 0 for exp(-LOG_RANGE) of it or none at all."""
    if efficiency <= 0.0 or best <= 0.0:
        return 0.0
    return float(min(max(1.0 + np.log(efficiency / best) / LOG_RANGE, 0.0), 1.0))
