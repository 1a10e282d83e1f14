"""Episodes of decisions: B scenarios played side by side, the machinery under both environments."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from dnnmig_env.actions import Decisions, pending_layer, write_mask
from dnnmig_env.compiled import compiled_parallel, fill, uncounted
from dnnmig_env.kernel import State, advance, begin, horizon_s, upload
from dnnmig_env.observation import Offsets, observe_changing, observe_fixed
from dnnmig_env.problem import Bools, Floats, Ints, Problem, Small
from dnnmig_env.reward import device_only_cost_s, potential_s


class Outputs(NamedTuple):
    """What an environment reads after a step, for B rows."""

    observation: NDArray[np.float32]  # (B, D)
    mask: Small  # (B, A)
    reward: Floats  # (B,)
    legal: Ints  # (B,): number of legal actions besides "stop"
    device_only_s: Floats  # (B,): J of the device-only plan


class Rules(NamedTuple):
    """How rewards are given, for compiled code."""

    shaped: bool
    in_device_only_units: bool


def new_outputs(rows: int, observation_size: int, actions: int) -> Outputs:
    """Return zeroed outputs for `rows` episodes."""
    return Outputs(
        observation=np.zeros((rows, observation_size), np.float32),
        mask=np.zeros((rows, actions), np.int8),
        reward=np.zeros(rows),
        legal=np.zeros(rows, np.int64),
        device_only_s=np.zeros(rows),
    )


@uncounted
def start_rows(p: Problem, s: State, d: Decisions, out: Outputs, at: Offsets, rows: Ints) -> None:
    """Begin new episodes in the given rows, of the scenarios that `d.scenario` names."""
    for i in rows:
        b = d.scenario[i]
        begin(p, b, s, i)
        fill(d.decided[i], False)
        fill(d.reserved_bytes[i], 0.0)
        d.done[i], d.illegal[i], d.num_uploads[i] = False, False, 0
        out.device_only_s[i] = device_only_cost_s(p, b, s, i, 0.0) / s.queries[i]
        _mark_uploaded(p, s, d, i)
        out.legal[i] = write_mask(p, s, d, i, out.mask[i])
        observe_fixed(p, b, s, i, at, out.observation[i])
        observe_changing(p, b, s, d, i, at, out.observation[i])


@uncounted
def step_row(p: Problem, s: State, d: Decisions, out: Outputs, at: Offsets, rules: Rules, action: int, i: int) -> None:
    """Take one decision in row `i` and let time pass until the next, leaving reward, mask and observation in `out`."""
    b = d.scenario[i]
    slot, cost_before_s, potential_before_s = s.slot[i], s.cost_s[i], potential_s(p, b, s, i)
    if action < 0 or action >= out.mask.shape[1] or out.mask[i, action] == 0:
        _break_off(p, s, d, i)
    else:
        _decide(p, s, d, i, action)
    out.legal[i] = 0
    while not d.done[i]:
        d.done[i] = s.time_s[i] >= horizon_s(p, b)
        if not d.done[i]:
            out.legal[i] = write_mask(p, s, d, i, out.mask[i])
            if not _nothing_to_decide(p, s, d, out, i):
                break
            advance(p, b, s, i, p.slot_edges_s[b, s.slot[i] + 1])
    reward = -(s.cost_s[i] - cost_before_s) / s.queries[i]
    if rules.shaped:
        reward += (0.0 if d.done[i] else potential_s(p, b, s, i)) - potential_before_s
    out.reward[i] = reward / out.device_only_s[i] if rules.in_device_only_units else reward
    if s.slot[i] != slot:
        observe_fixed(p, b, s, i, at, out.observation[i])
    observe_changing(p, b, s, d, i, at, out.observation[i])
    if d.done[i]:
        fill(out.mask[i], 0)
        out.mask[i, out.mask.shape[1] - 1] = 1


@uncounted
def step_rows(
    p: Problem, s: State, d: Decisions, out: Outputs, at: Offsets, rules: Rules, actions: Ints, active: Bools
) -> None:
    """Step the active rows, one after another."""
    for i in range(len(actions)):
        if active[i]:
            step_row(p, s, d, out, at, rules, actions[i], i)


@compiled_parallel
def step_rows_in_parallel(
    p: Problem, s: State, d: Decisions, out: Outputs, at: Offsets, rules: Rules, actions: Ints, active: Bools
) -> None:
    """Step the active rows on all cores."""
    for i in numba.prange(len(actions)):
        if active[i]:
            step_row(p, s, d, out, at, rules, actions[i], i)


@uncounted
def _nothing_to_decide(p: Problem, s: State, d: Decisions, out: Outputs, i: int) -> bool:
    return out.legal[i] == 0 and pending_layer(p, s, d, i) < 0


@uncounted
def _decide(p: Problem, s: State, d: Decisions, i: int, action: int) -> None:
    b, pending = d.scenario[i], pending_layer(p, s, d, i)
    stop = action == d.upload_user.shape[1] * d.reserved_bytes.shape[1]
    layers, servers = d.decided.shape[2], d.reserved_bytes.shape[1]
    if pending >= 0:
        u, v = pending // layers, pending % layers
        d.decided[i, u, v] = True
        if not stop:
            server = action % servers
            s.node[i, u, v] = server + 1
            d.reserved_bytes[i, server] += p.weight_bytes[b, u, v]
    elif stop:
        advance(p, b, s, i, p.slot_edges_s[b, s.slot[i] + 1])
    else:
        u, v, server = action // servers // layers, action // servers % layers, action % servers
        k = d.num_uploads[i]
        d.upload_user[i, k], d.upload_layer[i, k], d.upload_server[i, k] = u, v, server + 1
        d.upload_from_s[i, k] = s.time_s[i]
        d.num_uploads[i] = k + 1
        if d.two_phase[i]:
            d.reserved_bytes[i, server] -= p.weight_bytes[b, u, v]
        upload(p, b, s, i, u, v, server + 1)


@uncounted
def _break_off(p: Problem, s: State, d: Decisions, i: int) -> None:
    """End an episode by an illegal action: the rest of the horizon is charged at the device-only delay."""
    b = d.scenario[i]
    s.cost_s[i] += device_only_cost_s(p, b, s, i, s.time_s[i])
    s.time_s[i], s.slot[i] = horizon_s(p, b), p.num_slots[b] - 1
    d.done[i], d.illegal[i] = True, True


@uncounted
def _mark_uploaded(p: Problem, s: State, d: Decisions, i: int) -> None:
    b = d.scenario[i]
    for u in range(p.num_users[b]):
        for v in range(p.num_layers[b, u]):
            d.decided[i, u, v] = s.usable[i, u, v]
