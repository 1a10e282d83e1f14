"""LMU: cut a placement into fine partitions and upload the most efficient first (EosDNN's uploading plan).

Xue et al., "EosDNN: An Efficient Offloading Scheme for DNN Inference Acceleration in Local-Edge-Cloud Collaborative
Environments", IEEE Transactions on Green Communications and Networking, 2022. Its point: the few penalty factors of
IONN leave partitions that are very large, so build them from the bottom.

The paper's abstract and its relatives say what LMU does, not how; the merging rule below is a reconstruction:

    for every layer not yet uploaded, as a seed: I = {seed}
        while uploading I makes queries no faster: add to I the neighbour in its stretch with which they are fastest
    upload the I of greatest efficiency = (T_u(now) - T_u(now + I)) / (w(I) / B_us), fewest bytes on a tie
    until the placement is uploaded

A stretch is a series of layers, contiguous in topological order, that the placement puts on one server; uploaded layers
end it. T_u is the query delay under the present contention, w the weight bytes and B_us the rate to the layers' own
server. Another rule, to merge two neighbours whenever one of them gains nothing, merges too much and loses to IONN.

The networks of several users stand in one queue, each efficiency as it is (`lmu`). The DNN migration article of the
same group (IEEE Consumer Electronics Magazine 2023) has users compete for the channel: it goes to the user and the
partition of greatest efficiency times query rate of u (`multi_user_lmu`, a reconstruction from its two pages).

When no I helps by itself (its layers only pay off with those of another stretch), the least harmful goes first. One
partition costs O(U L R) queries for stretches of R layers; there are at most U L partitions.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from agents.planners.protocol import Placement
from agents.planners.slot_zero import movable_layers, reachable_servers, slot_zero_packed
from dnnmig_env.arrays import Floats, Int8s, Ints
from dnnmig_env.compiling.jit import jit
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.contention import slowdown_for
from dnnmig_env.simulation.dynamics import begin, complete
from dnnmig_env.simulation.kernel import effective_assignment, query_delay_s
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.state import State, new_state

NONE, BEFORE, AFTER = (cast(int, np.int64(number)) for number in (-1, -1, 1))  # literals would be compiled for each


def lmu(scenario: Scenario, placement: Placement, rng: np.random.Generator) -> Plan:
    """Return the plan that uploads a placement in fine partitions, those that save most seconds per second first.

    Args:
        scenario: The scenario.
        placement: Server of each layer, one array per user.
        rng: Not used.
    """
    return most_efficient_first(scenario, placement, np.ones(len(scenario.users)))


def multi_user_lmu(scenario: Scenario, placement: Placement, rng: np.random.Generator) -> Plan:
    """Return the plan that uploads a placement in fine partitions, the savings of users weighted by their query rates.

    Args:
        scenario: The scenario.
        placement: Server of each layer, one array per user.
        rng: Not used.
    """
    return most_efficient_first(scenario, placement, slot_zero_packed(scenario).query_rate_hz[0, 0])


def most_efficient_first(scenario: Scenario, placement: Placement, weights: Floats) -> Plan:
    """Return the plan that uploads a placement in fine partitions, most efficient first.

    Args:
        scenario: The scenario.
        placement: Server of each layer, one array per user.
        weights: Weight of a second that is saved in each user's queries, shape (U,).
    """
    movable, reachable = movable_layers(scenario), reachable_servers(scenario)
    targets = np.zeros(movable.shape, np.int8)
    for user, servers in enumerate(placement):
        targets[user, : len(servers)] = (
            np.where((servers > 0) & reachable[user, servers - 1], servers, 0) * movable[user, : len(servers)]
        )
    packed, pending, sent = slot_zero_packed(scenario), targets.copy(), np.zeros(targets.shape, np.int64)
    owners = np.zeros(np.count_nonzero(targets), np.int64)
    count = order_by_efficiency(packed, 0, new_state(packed, 1), 0, weights, pending, owners, sent)
    groups = [np.flatnonzero(sent[user] == number + 1) for number, user in enumerate(owners[:count])]
    return Plan(
        tuple(
            Upload(int(user), int(targets[user, layers[0]]), tuple(layers.tolist()))
            for user, layers in zip(owners[:count], groups, strict=True)
        )
    )


@jit
def order_by_efficiency(
    packed: PackedScenarios, b: int, state: State, i: int, weights: Floats, pending: Int8s, owners: Ints, sent: Ints
) -> int:
    """Order the uploads of scenario `b` and return how many partitions there are.

    Args:
        packed: The packed scenarios; slot 0's rates count.
        b: The scenario.
        state: A state.
        i: Its row that follows the plan.
        weights: Weight of a second that is saved in each user's queries, shape (U,).
        pending: Server of each layer to upload, else 0, shape (U, L); all zero in the end.
        owners: Receives the user of each partition, shape (K,).
        sent: Receives the number (from 1) of the partition in which each layer is uploaded, shape (U, L).
    """
    slowdown, finish_s = np.ones(state.slowdown.shape[2]), np.empty(pending.shape[1])
    interval, count = np.zeros(2, np.int64), 0
    begin(packed, b, state, i)
    while True:
        owner = first = last = NONE
        best, best_bytes = 0.0, 0.0
        for u in range(packed.num_users[b]):
            slowdown_for(u, packed.home[b, 0], state.present[i], state.sending[i], slowdown)
            for seed in range(packed.num_layers[b, u]):
                if pending[u, seed] == 0:
                    continue
                gain_s = _merge(packed, b, state, i, u, seed, pending, slowdown, finish_s, interval)
                size_bytes = 0.0
                for v in range(interval[0], interval[1] + 1):  # between its pending layers lie only weightless ones
                    size_bytes += packed.weight_bytes[b, u, v]
                rate = packed.up_bytes_per_s[b, 0, u, pending[u, seed] - 1]
                efficiency = weights[u] * gain_s * rate / size_bytes
                if owner < 0 or efficiency > best or (efficiency == best and size_bytes < best_bytes):
                    owner, first, last = u, interval[0], interval[1]
                    best, best_bytes = efficiency, size_bytes
        if owner < 0:
            return count
        owners[count] = owner
        count += 1
        for v in range(first, last + 1):
            if pending[owner, v] != 0:
                state.node[i, owner, v], state.usable[i, owner, v] = pending[owner, v], True
                pending[owner, v], sent[owner, v] = 0, count
        complete(packed, b, state, i, owner)


@jit
def _merge(
    packed: PackedScenarios,
    b: int,
    state: State,
    i: int,
    u: int,
    seed: int,
    pending: Int8s,
    slowdown: Floats,
    finish_s: Floats,
    interval: Ints,
) -> float:
    """Grow a layer within its stretch until uploading it makes queries faster; write the interval, return the gain."""
    interval[:] = seed
    gain_s = _gain_s(packed, b, state, i, u, seed, seed, pending, slowdown, finish_s)
    while gain_s <= 0.0:
        before, after = (
            _neighbour(packed, b, u, interval[0], BEFORE, pending),
            _neighbour(packed, b, u, interval[1], AFTER, pending),
        )
        if before < 0 and after < 0:
            break
        before_s, after_s = -np.inf, -np.inf
        if before >= 0:
            before_s = _gain_s(packed, b, state, i, u, before, interval[1], pending, slowdown, finish_s)
        if after >= 0:
            after_s = _gain_s(packed, b, state, i, u, interval[0], after, pending, slowdown, finish_s)
        if after < 0 or (before >= 0 and before_s > after_s):
            interval[0], gain_s = before, before_s
        else:
            interval[1], gain_s = after, after_s
    return gain_s


@jit
def _neighbour(packed: PackedScenarios, b: int, u: int, v: int, step: int, pending: Int8s) -> int:
    """Return the next layer with weights before or after `v` if it is in the same stretch, else -1."""
    server = pending[u, v]
    v += step
    while 0 <= v < packed.num_layers[b, u]:
        if packed.weight_bytes[b, u, v] > 0.0:
            return v if pending[u, v] == server else -1
        v += step
    return -1


@jit
def _gain_s(
    packed: PackedScenarios,
    b: int,
    state: State,
    i: int,
    u: int,
    first: int,
    last: int,
    pending: Int8s,
    slowdown: Floats,
    finish_s: Floats,
) -> float:
    """Return how many seconds queries save when the pending layers of an interval are uploaded; negative if slower."""
    node, usable, assignment = state.node[i, u].copy(), state.usable[i, u].copy(), np.zeros(pending.shape[1], np.int8)
    for v in range(first, last + 1):
        if pending[u, v] != 0:
            node[v], usable[v] = pending[u, v], True
    effective_assignment(packed, b, u, node, usable, assignment)
    return float(
        state.delay_s[i, u]
        - query_delay_s(packed, b, u, state.slot[i], assignment, slowdown, finish_s, state.free_s[i])
    )
