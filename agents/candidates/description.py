"""Writes the features of a situation and of its candidates to observations (table: `agents.candidates.features`)."""

from __future__ import annotations

import numpy as np

from agents.candidates.features import CANDIDATE, SITUATION
from agents.candidates.newcomers import newcomers_delay_share
from agents.candidates.reference_plan import Reference, cost_after_interval
from agents.candidates.shortlist import LATER, SOON, Prospects
from agents.planners.joint_efficiency.intervals import Efficiencies
from dnnmig_env.arrays import Float32s, Int8s
from dnnmig_env.compiling.jit import jit_without_refcounts
from dnnmig_env.envs.actions import action_of
from dnnmig_env.envs.facts.network import input_bytes, log_scaled
from dnnmig_env.envs.features import positions
from dnnmig_env.simulation.dynamics import horizon_s
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State

_SITUATION, _CANDIDATE = positions(SITUATION), positions(CANDIDATE)
_INTERVAL = (_CANDIDATE.interval, _CANDIDATE.soon_interval, _CANDIDATE.later_interval)
_SMALLEST_USEFUL = (_CANDIDATE.smallest_useful, _CANDIDATE.soon_smallest_useful, _CANDIDATE.later_smallest_useful)

LOG_RANGE = 10.0
"""Efficiencies of exp(-LOG_RANGE) times the greatest one or less are all written as 0."""

MOST_GAINS = 8
"""Number of candidates, from the head of the list, whose feature "gain" is computed when the reference plan begins a
new interval. For all others, and at all other times, "gain" is 0."""

LEAST_GAIN = 1e-6
"""Gains and losses of a smaller share of the cost are written as 0."""


@jit_without_refcounts
def describe_situation(
    packed: PackedScenarios, state: State, i: int, reference: Reference, prospects: Prospects, out: Float32s
) -> None:
    """Write the features that all candidates of row `i` share (`SITUATION`) to the start of its observation."""
    slot, left_s = state.slot[i], horizon_s(packed, i) - state.time_s[i]
    present, delay, device, weights, left = 0.0, 0.0, 0.0, 0.0, 0.0
    for u in range(packed.num_users[i]):
        rate_hz = packed.query_rate_hz[i, slot, u]
        if rate_hz > 0.0:
            present += 1.0
            delay += rate_hz * state.delay_s[i, u]
            device += rate_hz * state.device_delay_s[i, u]
            for v in range(packed.num_layers[i, u]):
                weights += packed.weight_bytes[i, u, v]
                if not state.usable[i, u, v]:
                    left += packed.weight_bytes[i, u, v]
    out[_SITUATION.horizon_left] = left_s / horizon_s(packed, i)
    out[_SITUATION.slot_left] = (packed.slot_edges_s[i, slot + 1] - state.time_s[i]) / (
        packed.slot_edges_s[i, slot + 1] - packed.slot_edges_s[i, slot]
    )
    out[_SITUATION.log_horizon_left] = log_scaled(left_s, 1.0, 2.0)
    out[_SITUATION.changing] = 1.0 if packed.num_slots[i] > 1 else 0.0
    out[_SITUATION.users] = min(present / 8.0, 1.0)
    if delay > 0.0:
        out[_SITUATION.log_best_saving] = log_scaled(prospects.best[i, 0] * left_s / delay, 0.0, 3.0)
        out[_SITUATION.delay_ratio] = min(delay / device, 1.0)
        out[_SITUATION.weights_left] = left / weights if weights > 0.0 else 0.0
    out[_SITUATION.last_slots] = 1.0 / (packed.num_slots[i] - slot)
    if prospects.best.shape[1] > 1 and prospects.best[i, 0] > 0.0:
        out[_SITUATION.soon] = log_scaled(prospects.best[i, SOON] / prospects.best[i, 0], 0.0, 1.0)
        out[_SITUATION.later] = log_scaled(prospects.best[i, LATER] / prospects.best[i, 0], 0.0, 1.0)
    out[_SITUATION.done] = 1.0 if reference.next_upload[i] < 0 else 0.0
    out[_SITUATION.newcomers] = newcomers_delay_share(packed, state, i)


@jit_without_refcounts
def describe(
    packed: PackedScenarios,
    soon: PackedScenarios,
    later: PackedScenarios,
    course: PackedScenarios,
    state: State,
    i: int,
    efficiencies: Efficiencies,
    prospects: Prospects,
    k: int,
    actions: int,
    out: Float32s,
    at: int,
) -> None:
    """Write the features of candidate `k` of row `i`, all but "gain".

    Args:
        packed: The scenarios.
        soon: The scenarios under the rates that are expected in the next seconds.
        later: The scenarios under the rates that are expected until the horizon.
        course: The scenarios as they are expected to go on, slot by slot.
        state: Where the episodes stand.
        i: The row.
        efficiencies: Efficiencies of all intervals, V rows for each episode.
        prospects: The candidates.
        k: The candidate.
        actions: Number of actions, A.
        out: The row's observation, shape (D,), to which the features are written.
        at: Position of the candidate's first feature in it.
    """
    u, v, s, last = (
        prospects.chosen[i, k, 0],
        prospects.chosen[i, k, 1],
        prospects.chosen[i, k, 2],
        prospects.chosen[i, k, 3],
    )
    layers, servers, slot, views = (
        efficiencies.per_s.shape[3],
        efficiencies.per_s.shape[2],
        state.slot[i],
        prospects.best.shape[1],
    )
    a, row = action_of(u, v, s, layers, servers), i * views
    left_s, rate, rate_hz = (
        horizon_s(packed, i) - state.time_s[i],
        packed.up_bytes_per_s[i, slot, u, s],
        packed.query_rate_hz[i, slot, u],
    )
    efficiency = efficiencies.per_s[row, u, s, v, last]
    interval_bytes, layer_bytes = efficiencies.size_bytes[row, u, s, v, last], packed.weight_bytes[i, u, v]
    saved_s = efficiency * interval_bytes / rate  # seconds saved per query, times the query rate
    out[at + _CANDIDATE.action] = (a + 1.0) / actions
    out[at + _CANDIDATE.layer_efficiency] = _relative(efficiencies.per_s[row, u, s, v, v], prospects.best[i, 0])
    for view in range(views):
        out[at + _INTERVAL[view]] = _relative(
            efficiencies.per_s[row + view, u, s, v, prospects.chosen[i, k, 3 + view]], prospects.best[i, view]
        )
        out[at + _SMALLEST_USEFUL[view]] = _relative(prospects.smallest_useful[i, view, a], prospects.best[i, view])
    out[at + _CANDIDATE.log_interval_upload] = log_scaled(interval_bytes / (rate * left_s), -1.0, 2.0)
    out[at + _CANDIDATE.log_layer_upload] = log_scaled(layer_bytes / (rate * left_s), -1.0, 2.0)
    out[at + _CANDIDATE.interval_saving] = min(saved_s / (rate_hz * state.delay_s[i, u]), 1.0)
    if views > 1:
        out[at + _CANDIDATE.rate_soon] = log_scaled(soon.up_bytes_per_s[i, slot, u, s] / rate, 0.0, 1.0)
        out[at + _CANDIDATE.rate_later] = log_scaled(later.up_bytes_per_s[i, slot, u, s] / rate, 0.0, 1.0)
    if prospects.rank[i, a] > 0:
        out[at + _CANDIDATE.rank], out[at + _CANDIDATE.as_planned] = 1.0 / prospects.rank[i, a], 1.0
    else:
        for other in range(packed.num_servers[i]):
            if prospects.rank[i, action_of(u, v, other, layers, servers)] > 0:
                out[at + _CANDIDATE.as_planned] = -1.0
    out[at + _CANDIDATE.before] = 1.0 if v > 0 and state.node[i, u, v - 1] == s + 1 else 0.0
    out[at + _CANDIDATE.after] = 1.0 if v + 1 < packed.num_layers[i, u] and state.node[i, u, v + 1] == s + 1 else 0.0
    out[at + _CANDIDATE.latest] = 1.0 if prospects.latest[i, 0] == u and prospects.latest[i, 1] == s + 1 else 0.0
    _describe_pair(packed, state, i, u, s, out, at)
    out[at + _CANDIDATE.execution_share] = min(packed.execution_s[i, u, v, 0] / state.device_delay_s[i, u], 1.0)
    out[at + _CANDIDATE.log_weight] = log_scaled(layer_bytes, 6.0, 3.0)
    out[at + _CANDIDATE.log_output] = log_scaled(packed.tensor_bytes[i, u, v], 5.5, 2.0)
    out[at + _CANDIDATE.log_input] = log_scaled(input_bytes(packed, i, u, v), 5.5, 2.0)
    out[at + _CANDIDATE.log_up_rate] = log_scaled(rate, 6.5, 2.0)
    latency_s = packed.up_latency_s[i, slot, u, s] + packed.down_latency_s[i, slot, u, s]
    out[at + _CANDIDATE.latency_ratio] = min(latency_s / state.device_delay_s[i, u], 1.0)
    all_s = 0.0
    for w in range(packed.num_users[i]):
        if packed.query_rate_hz[i, slot, w] > 0.0:
            all_s += packed.query_rate_hz[i, slot, w] * state.delay_s[i, w]
    out[at + _CANDIDATE.saving_share] = min(saved_s / all_s, 1.0)
    out[at + _CANDIDATE.interval_arrival] = _arrival(course, state, i, u, s, interval_bytes)
    out[at + _CANDIDATE.layer_arrival] = _arrival(course, state, i, u, s, layer_bytes)
    for t in range(slot):
        if packed.query_rate_hz[i, t, u] > 0.0:
            out[at + _CANDIDATE.stay] += (packed.slot_edges_s[i, t + 1] - packed.slot_edges_s[i, t]) / horizon_s(
                packed, i
            )


@jit_without_refcounts
def _describe_pair(packed: PackedScenarios, state: State, i: int, u: int, s: int, out: Float32s, at: int) -> None:
    """Write the features that all candidates of a user for a server share."""
    slot, rates, others, most, main = state.slot[i], 0.0, 0.0, 0.0, -1
    for w in range(packed.num_users[i]):
        rates += packed.query_rate_hz[i, slot, w]
        if w != u:
            others += state.present[i, w, s + 1]
    for other in range(packed.num_servers[i]):
        if state.present[i, u, other + 1] > most:
            most, main = state.present[i, u, other + 1], other
    out[at + _CANDIDATE.query_share] = packed.query_rate_hz[i, slot, u] / rates
    out[at + _CANDIDATE.delay_ratio] = min(state.delay_s[i, u] / state.device_delay_s[i, u], 1.0)
    out[at + _CANDIDATE.log_device_delay] = log_scaled(state.device_delay_s[i, u], -0.5, 2.0)
    out[at + _CANDIDATE.load_of_others] = min(others, 1.0)
    if main >= 0 and main != s:
        out[at + _CANDIDATE.log_line] = log_scaled(
            packed.between_bytes_per_s[i, main, s] / packed.up_bytes_per_s[i, slot, u, s], 0.0, 2.0
        )
    left = _describe_whereabouts(packed, state, i, u, s, out, at)
    memory, wanted = state.memory_left_bytes[i, s], 0.0
    out[at + _CANDIDATE.memory_left_for_user] = 1.0 if memory >= left else memory / left
    for w in range(packed.num_users[i]):
        if packed.query_rate_hz[i, slot, w] > 0.0:
            for v in range(packed.num_layers[i, w]):
                wanted += 0.0 if state.usable[i, w, v] else packed.weight_bytes[i, w, v]
    out[at + _CANDIDATE.memory_left_for_all] = 1.0 if memory >= wanted else memory / wanted


@jit_without_refcounts
def _describe_whereabouts(
    packed: PackedScenarios, state: State, i: int, u: int, s: int, out: Float32s, at: int
) -> float:
    """Write where a user's layers run and are stored; return the bytes that are not yet uploaded."""
    device_s, server_s, weights, stored = 0.0, 0.0, 0.0, 0.0
    here_s, away_s, here = 0.0, 0.0, 0.0
    for v in range(packed.num_layers[i, u]):
        own_s, weight = packed.execution_s[i, u, v, 0], packed.weight_bytes[i, u, v]
        device_s += own_s
        server_s += packed.execution_s[i, u, v, s + 1]
        weights += weight
        stored += weight if state.usable[i, u, v] else 0.0
        here += weight if state.usable[i, u, v] and state.node[i, u, v] == s + 1 else 0.0
        here_s += own_s if state.assignment[i, u, v] == s + 1 else 0.0
        away_s += own_s if state.assignment[i, u, v] not in (0, s + 1) else 0.0
    out[at + _CANDIDATE.runs_here], out[at + _CANDIDATE.runs_elsewhere] = here_s / device_s, away_s / device_s
    out[at + _CANDIDATE.stored_here], out[at + _CANDIDATE.stored_elsewhere] = here / weights, (stored - here) / weights
    out[at + _CANDIDATE.weights_left] = 1.0 - stored / weights
    out[at + _CANDIDATE.log_speedup] = log_scaled(device_s / server_s, 1.0, 2.0)
    return weights - stored


@jit_without_refcounts
def _arrival(packed: PackedScenarios, state: State, i: int, u: int, s: int, size_bytes: float) -> float:
    """Return how long an upload that begins now is expected to take, as a share of the time left, at most 1."""
    slot, left_s, missing = state.slot[i], horizon_s(packed, i) - state.time_s[i], size_bytes
    now_s = state.time_s[i]
    for k in range(packed.num_slots[i] - slot):
        rate, until_s = packed.up_bytes_per_s[i, slot + k, u, s], packed.slot_edges_s[i, slot + k + 1]
        if missing <= rate * (until_s - now_s):
            return float((now_s + missing / rate - state.time_s[i]) / left_s)
        missing -= rate * (until_s - now_s)
        now_s = until_s
    return 1.0


@jit_without_refcounts
def starts_new_interval(state: State, i: int, reference: Reference, prospects: Prospects) -> bool:
    """Return whether the next upload of row `i`'s reference plan begins a new interval, or there is no next upload.

    It begins one if it does not continue the latest upload.
    """
    k = reference.next_upload[i]
    if k < 0:
        return True
    u, v, server = reference.plans.user[i, k], reference.plans.layer[i, k], reference.plans.server[i, k]
    return not (
        prospects.latest[i, 0] == u and prospects.latest[i, 1] == server and v > 0 and state.node[i, u, v - 1] == server
    )


@jit_without_refcounts
def gain(
    packed: PackedScenarios,
    state: State,
    ahead: State,
    i: int,
    mask: Int8s,
    reference: Reference,
    prospects: Prospects,
    k: int,
) -> float:
    """Return the feature "gain" of candidate `k`: what is saved if its interval comes before the rest of the plan.

    It is the root of the saving as a share of all cost, with its sign; 0 for the upload that is next in the reference
    plan. `ahead` is a scratch state with two rows for each episode, in which this is tried out.
    """
    u, v, s, last = (
        prospects.chosen[i, k, 0],
        prospects.chosen[i, k, 1],
        prospects.chosen[i, k, 2],
        prospects.chosen[i, k, 3],
    )
    if prospects.rank[i, action_of(u, v, s, state.node.shape[2], state.memory_left_bytes.shape[1])] == 1:
        return 0.0
    return _root(
        1.0 - cost_after_interval(packed, state, reference, ahead, i, mask, u, s, v, last) / reference.cost_s[i]
    )


@jit_without_refcounts
def _root(saved: float) -> float:
    """Return the square root of a share of the cost, with the share's sign, at least -1; 0 below `LEAST_GAIN`."""
    if abs(saved) < LEAST_GAIN:
        return 0.0
    return float(max(np.sqrt(saved) if saved > 0.0 else -np.sqrt(-saved), -1.0))


@jit_without_refcounts
def _relative(efficiency: float, best: float) -> float:
    """Return an efficiency relative to the best one on a logarithmic scale, from 0 to 1.

    It is 1 if both are equal, and 0 if it is exp(-LOG_RANGE) times the best one or less.
    """
    if efficiency <= 0.0 or best <= 0.0:
        return 0.0
    return float(min(max(1.0 + np.log(efficiency / best) / LOG_RANGE, 0.0), 1.0))
