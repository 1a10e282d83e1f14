"""Begins episodes and takes decisions in them, for B rows side by side, compiled; both environments stand on it.

In this module, row i of the packed scenarios is the scenario that row i of the state plays, so i stands for both.
"""

from __future__ import annotations

from dnnmig_env.arrays import Bools, Float32s, Ints
from dnnmig_env.compiling.jit import copy, fill, jit_nogil, jit_without_refcounts
from dnnmig_env.envs.actions import Decisions, pending_layer, upload_of, write_mask
from dnnmig_env.envs.facts.observing import observe_changing, observe_fixed
from dnnmig_env.envs.outputs import Outputs
from dnnmig_env.envs.reward import Rules, device_only_cost_s, potential_s
from dnnmig_env.simulation.dynamics import begin, begin_transfer, first_ended, horizon_s, land, pass_time
from dnnmig_env.simulation.moving.room import write_room
from dnnmig_env.simulation.moving.sources import first_source, survey_lanes
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.plan_arrays import PlanArrays
from dnnmig_env.simulation.state import State


@jit_without_refcounts
def start_rows(
    packed: PackedScenarios,
    state: State,
    decisions: Decisions,
    uploads: PlanArrays,
    out: Outputs,
    rows: Ints,
) -> None:
    """Begin new episodes in the given rows."""
    for i in rows:
        begin(packed, i, state, i)
        fill(decisions.decided[i], False)
        fill(decisions.reserved_bytes[i], 0.0)
        decisions.done[i], decisions.illegal[i], uploads.length[i] = False, False, 0
        out.device_only_s[i] = device_only_cost_s(packed, i, state, i, 0.0) / state.expected_queries[i]
        _mark_uploaded(packed, i, state, decisions)
        out.legal[i] = write_mask(packed, i, state, decisions, i, out.mask[i])
        if out.observation.shape[1] > 0:
            observe_fixed(packed, i, state, i, out.observation[i])
            observe_changing(packed, i, state, decisions, i, out.observation[i])


@jit_without_refcounts
def _step_row(
    packed: PackedScenarios,
    state: State,
    decisions: Decisions,
    uploads: PlanArrays,
    out: Outputs,
    rules: Rules,
    action: int,
    i: int,
) -> None:
    """Take one decision in row `i`, let time pass until the next; write reward, mask and observation to `out`."""
    slot, cost_before_s, potential_before_s = state.slot[i], state.cost_s[i], potential_s(packed, i, state, i)
    if action < 0 or action >= out.mask.shape[1] or out.mask[i, action] == 0:
        _break_off(packed, state, decisions, i)
    else:
        _decide(packed, state, decisions, uploads, i, action)
    out.legal[i] = 0
    while not decisions.done[i]:
        decisions.done[i] = state.time_s[i] >= horizon_s(packed, i)
        if not decisions.done[i]:
            out.legal[i] = write_mask(packed, i, state, decisions, i, out.mask[i])
            if not _nothing_to_decide(packed, state, decisions, out, i):
                break
            _wait(packed, state, i)
    if rules.pays:
        out.reward[i] = _reward(packed, state, decisions, out, rules, cost_before_s, potential_before_s, i)
    if out.observation.shape[1] > 0:
        if state.slot[i] != slot:
            observe_fixed(packed, i, state, i, out.observation[i])
        if decisions.done[i]:  # else `write_mask` has just looked at lanes and room
            survey_lanes(packed, i, state, i)
            write_room(packed, i, state, i)
        observe_changing(packed, i, state, decisions, i, out.observation[i])
    if decisions.done[i]:
        fill(out.mask[i], 0)
        out.mask[i, out.mask.shape[1] - 1] = 1


@jit_without_refcounts
def _reward(
    packed: PackedScenarios,
    state: State,
    decisions: Decisions,
    out: Outputs,
    rules: Rules,
    cost_before_s: float,
    potential_before_s: float,
    i: int,
) -> float:
    """Return the reward of row `i` for a decision, given the cost and the potential before it."""
    reward = -(state.cost_s[i] - cost_before_s) / state.expected_queries[i]
    if rules.shaped:
        reward += (0.0 if decisions.done[i] else potential_s(packed, i, state, i)) - potential_before_s
    return float(reward / out.device_only_s[i] if rules.in_device_only_units else reward)


@jit_nogil
def step_rows(
    first: int,
    end: int,
    packed: PackedScenarios,
    state: State,
    decisions: Decisions,
    uploads: PlanArrays,
    out: Outputs,
    rules: Rules,
    actions: Ints,
    active: Bools,
    shown: Float32s,
) -> None:
    """Take a decision in each active row from `first` up to, but not including, `end`; let time pass until the next.

    Reward, mask and observation are written to `out`. The observations of all rows are copied to `shown`, unless it has
    no rows: here, where they have just been written, copying them takes half the time that it takes later.
    """
    for i in range(first, end):
        if active[i]:
            _step_row(packed, state, decisions, uploads, out, rules, actions[i], i)
        if shown.shape[0] > 0:
            copy(shown[i], out.observation[i])


@jit_without_refcounts
def _nothing_to_decide(packed: PackedScenarios, state: State, decisions: Decisions, out: Outputs, i: int) -> bool:
    if out.legal[i] > 0:
        return False
    # A layer may have to be placed although no server has room for it: then "stop" is a decision as well.
    return pending_layer(packed, i, state, decisions, i) < 0 or not survey_lanes(packed, i, state, i)


@jit_without_refcounts
def _decide(
    packed: PackedScenarios, state: State, decisions: Decisions, uploads: PlanArrays, i: int, action: int
) -> None:
    pending = pending_layer(packed, i, state, decisions, i)
    users, layers = decisions.decided.shape[1:]
    servers = decisions.reserved_bytes.shape[1]
    stop = action == users * layers * servers
    if pending >= 0:
        u, v = pending // layers, pending % layers
        decisions.decided[i, u, v] = True
        if not stop:
            _, _, server = upload_of(action, layers, servers)
            state.node[i, u, v] = server + 1
            decisions.reserved_bytes[i, server] += packed.weight_bytes[i, u, v]
    elif stop:
        _wait(packed, state, i)
    else:
        u, v, server = upload_of(action, layers, servers)
        k = uploads.length[i]
        uploads.user[i, k], uploads.layer[i, k], uploads.server[i, k] = u, v, server + 1
        # In one lane, only what begins with a slot may have waited for it; others follow the one before at once.
        may_have_waited = (
            packed.moves[i] or packed.home[i, 0, 0] != 0 or state.time_s[i] == packed.slot_edges_s[i, state.slot[i]]
        )
        uploads.not_before_s[i, k] = state.time_s[i] if may_have_waited else 0.0
        uploads.length[i] = k + 1
        if decisions.two_phase[i]:
            decisions.reserved_bytes[i, server] -= packed.weight_bytes[i, u, v]
        source = first_source(packed, i, state, i, u, v, server + 1)
        begin_transfer(packed, i, state, i, u, v, server + 1, source)


@jit_without_refcounts
def _wait(packed: PackedScenarios, state: State, i: int) -> None:
    """Let time pass until the next event, the end of transfers or the start of a slot, and let users react to it.

    What ends at the same time lands one after the other, before anything is decided.
    """
    ended = pass_time(packed, i, state, i, horizon_s(packed, i))
    while ended >= 0:
        land(packed, i, state, i, ended)
        ended = first_ended(state, i)


@jit_without_refcounts
def _break_off(packed: PackedScenarios, state: State, decisions: Decisions, i: int) -> None:
    """End an episode by an illegal action: the rest of the horizon is charged at the device-only delay."""
    state.cost_s[i] += device_only_cost_s(packed, i, state, i, state.time_s[i])
    state.time_s[i], state.slot[i] = horizon_s(packed, i), packed.num_slots[i] - 1
    decisions.done[i], decisions.illegal[i] = True, True


@jit_without_refcounts
def _mark_uploaded(packed: PackedScenarios, i: int, state: State, decisions: Decisions) -> None:
    for u in range(packed.num_users[i]):
        for v in range(packed.num_layers[i, u]):
            decisions.decided[i, u, v] = state.usable[i, u, v]
