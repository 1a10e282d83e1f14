"""Makes reference plans: joint efficiency plans for mean rates, of which the best in the real time slots is kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.candidates.reference_plan import Reference, adopt, complete_reference, new_reference
from agents.planners.forecast import LOOK_AHEAD_S
from agents.planners.joint_efficiency.compiled_plan import upload_by_efficiency
from agents.planners.joint_efficiency.intervals import Efficiencies, new_efficiencies
from dnnmig_env.arrays import Int8s, Ints
from dnnmig_env.compiling.jit import jit_nogil, jit_without_refcounts
from dnnmig_env.envs.actions import action_of
from dnnmig_env.simulation.dynamics import horizon_s
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State, new_state

CONTENTION_TOLERANCE = 0.02
"""Relative change of a slowdown below which efficiencies are not measured anew: planning is ten times faster so."""


class PlanScratch(NamedTuple):
    """Scratch space in which the plans of B episodes are made and tried out."""

    mean: PackedScenarios  # the rest of each scenario as one slot of mean rates
    state: State  # two rows for each episode
    efficiencies: Efficiencies
    legal: Int8s  # (B, U * L * S)
    trial: Reference


def new_plan_scratch(packed: PackedScenarios, rows: int) -> PlanScratch:
    """Return scratch space to plan `rows` episodes of the packed scenarios."""
    _, users, layers, nodes = packed.execution_s.shape
    one_slot = {
        name: np.zeros_like(getattr(packed, name)[:, :1])
        for name in ("query_rate_hz", "up_bytes_per_s", "down_bytes_per_s", "up_latency_s", "down_latency_s")
    }
    mean = packed._replace(
        num_slots=np.ones(rows, np.int64),
        slot_edges_s=np.zeros((rows, 2)),
        uploaded=np.zeros_like(packed.uploaded),
        **one_slot,
    )
    return PlanScratch(
        mean=mean,
        state=new_state(packed, 2 * rows),
        efficiencies=new_efficiencies(packed, rows),
        legal=np.zeros((rows, users * layers * (nodes - 1)), np.int8),
        trial=new_reference(packed, rows),
    )


@jit_nogil
def plan_references(
    begin: int, end: int, packed: PackedScenarios, state: State, reference: Reference, scratch: PlanScratch, rows: Ints
) -> None:
    """Make the reference plans of the rows `rows[begin:end]`, whose episodes have just begun."""
    for k in range(begin, end):
        clear(reference, rows[k])
        replan(packed, state, reference, scratch, rows[k])


@jit_without_refcounts
def clear(reference: Reference, i: int) -> None:
    """Make row `i`'s plan empty and set its random numbers to their start."""
    reference.plans.length[i], reference.rng_state[i] = 0, 88_172_645_463_325_252


@jit_without_refcounts
def replan(packed: PackedScenarios, state: State, reference: Reference, scratch: PlanScratch, i: int) -> None:
    """Replace row `i`'s plan by the best of several plans of joint efficiency, unless it is better than all of them.

    These are made for the mean rates of the next `LOOK_AHEAD_S` seconds and for those until the horizon; for both, once
    freely and once with every user kept to one server.
    """
    complete_reference(packed, state, reference, scratch.state, scratch.legal[i], i)
    now_s, end_s, servers = state.time_s[i], horizon_s(packed, i), scratch.mean.memory_bytes.shape[1]
    for look_ahead_s in (LOOK_AHEAD_S, np.inf):
        if look_ahead_s < np.inf and (packed.num_slots[i] == 1 or now_s + look_ahead_s >= end_s):
            continue  # the next seconds do not differ from the time until the horizon
        average(packed, i, state, min(now_s + look_ahead_s, end_s), scratch.mean)
        for one_server in (False, True):
            _all_uploads(scratch.mean, i, servers, scratch.legal[i])
            upload_by_efficiency(
                scratch.mean,
                i,
                scratch.state,
                2 * i,
                scratch.efficiencies,
                i,
                scratch.legal[i],
                one_server,
                CONTENTION_TOLERANCE,
                scratch.trial.plans,
                i,
            )
            keep_if_better(packed, state, reference, scratch, i)


@jit_without_refcounts
def keep_if_better(packed: PackedScenarios, state: State, reference: Reference, scratch: PlanScratch, i: int) -> None:
    """Replace row `i`'s plan by the one on trial, if completing that costs less."""
    complete_reference(packed, state, scratch.trial, scratch.state, scratch.legal[i], i)
    if scratch.trial.cost_s[i] < reference.cost_s[i]:
        adopt(reference, scratch.trial, i)


@jit_without_refcounts
def _all_uploads(packed: PackedScenarios, b: int, servers: int, legal: Int8s) -> None:
    """Mark every upload that may be made in slot 0 of scenario `b` as legal, and all others as not."""
    layers = packed.weight_bytes.shape[2]
    for k in range(legal.shape[0]):
        legal[k] = 0
    for u in range(packed.num_users[b]):
        for v in range(packed.num_layers[b, u]):
            if (
                packed.query_rate_hz[b, 0, u] > 0.0
                and packed.weight_bytes[b, u, v] > 0.0
                and packed.uploaded[b, u, v] == 0
            ):
                for s in range(packed.num_servers[b]):
                    if packed.up_bytes_per_s[b, 0, u, s] > 0.0 and packed.down_bytes_per_s[b, 0, u, s] > 0.0:
                        legal[action_of(u, v, s, layers, servers)] = 1


@jit_without_refcounts
def average(packed: PackedScenarios, b: int, state: State, until_s: float, mean: PackedScenarios) -> None:
    """Write the rest of scenario `b` to `mean` as a scenario of one slot, with the mean rates from now until a time.

    Rates and latencies of links are averaged over the time for which the user is present. The horizon is what is left
    of the scenario's, and layers that have been uploaded stay so.
    """
    now_s = state.time_s[b]
    mean.slot_edges_s[b, 0], mean.slot_edges_s[b, 1] = 0.0, horizon_s(packed, b) - now_s
    for u in range(packed.num_users[b]):
        for v in range(packed.num_layers[b, u]):
            mean.uploaded[b, u, v] = state.node[b, u, v] if state.usable[b, u, v] else 0
        present_s, queries = 0.0, 0.0
        for s in range(packed.num_servers[b]):
            mean.up_bytes_per_s[b, 0, u, s], mean.down_bytes_per_s[b, 0, u, s] = 0.0, 0.0
            mean.up_latency_s[b, 0, u, s], mean.down_latency_s[b, 0, u, s] = 0.0, 0.0
        for slot in range(state.slot[b], packed.num_slots[b]):
            rate_hz = packed.query_rate_hz[b, slot, u]
            slot_s = min(packed.slot_edges_s[b, slot + 1], until_s) - max(packed.slot_edges_s[b, slot], now_s)
            if rate_hz > 0.0 and slot_s > 0.0:
                present_s += slot_s
                queries += rate_hz * slot_s
                for s in range(packed.num_servers[b]):
                    mean.up_bytes_per_s[b, 0, u, s] += slot_s * packed.up_bytes_per_s[b, slot, u, s]
                    mean.down_bytes_per_s[b, 0, u, s] += slot_s * packed.down_bytes_per_s[b, slot, u, s]
                    mean.up_latency_s[b, 0, u, s] += slot_s * packed.up_latency_s[b, slot, u, s]
                    mean.down_latency_s[b, 0, u, s] += slot_s * packed.down_latency_s[b, slot, u, s]
        mean.query_rate_hz[b, 0, u] = queries / (until_s - now_s)
        if present_s > 0.0:
            for s in range(packed.num_servers[b]):
                mean.up_bytes_per_s[b, 0, u, s] /= present_s
                mean.down_bytes_per_s[b, 0, u, s] /= present_s
                mean.up_latency_s[b, 0, u, s] /= present_s
                mean.down_latency_s[b, 0, u, s] /= present_s
