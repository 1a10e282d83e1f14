"""Efficiency: of a placement, upload next the interval of layers that saves most delay per second of upload.

Shin, Jeong, Moon, "Enhanced Partitioning of DNN Layers for Uploading from Mobile Devices to Edge Servers", EMDL 2019.
The target is what a placement puts on servers; in the paper, which has one user and one server, the server side of the
shortest path under the penalty 0.001 (see `agents.planners.ionn.execution_graph`). A stretch (`Units.run`) is a part of
the target that is contiguous in topological order and goes to one server. A candidate I is an interval of whole blocks
inside a stretch, none of them uploaded:

    efficiency(I | U) = rate_u * (T_u(U) - T_u(U + I)) / (w(I) / B_us)

    while the target is not uploaded:
        I = the candidate of greatest efficiency
        while a strict sub-interval of I saves time by itself: I = the one of greatest efficiency (finer partitions)
        upload I, take it and what overlaps it from the candidates and measure its neighbours anew

U is what has been uploaded, T_u(U) the delay of a query that runs all of U where it was uploaded to, w the weight
bytes, B_us the rate to the stretch's server; fewer bytes win a tie. The paper has weightless layers compete too, with
an efficiency of plus or minus infinity. Here they are not decided (queries run them on the server of their latest
predecessor that runs on one), so an interval has the weightless layers in it and right behind it for free.

Reconstructions: several users compete weighted by their query rates rate_u, with T_u under the present contention, as
in `agents.planners.orders.lmu`; the target may be any placement, and if one of its stretches has only a piece of a
block, this piece is the unit; layers that are uploaded at the start end a stretch.

A block's delay depends on where its layers and those of the block before it run, and on nothing else. So intervals two
blocks away from an upload save what they saved before, and only nearer ones are measured anew; all intervals of a user
are when its contention has changed. For a stretch of N blocks that is O(N^2) queries of O(L + E) before the first
upload, fewer after it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.planners.ionn.execution_graph import ShortestPath
from agents.planners.protocol import Placement, TwoPhase
from agents.planners.slot_zero import movable_layers, reachable_servers, slot_zero_packed
from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.compiling.jit import jit
from dnnmig_env.networks.preprocessing import block_edges
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.contention import slowdown_for
from dnnmig_env.simulation.dynamics import begin, complete
from dnnmig_env.simulation.kernel import effective_assignment, query_delay_s
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.state import State, new_state


class Units(NamedTuple):
    """The N pieces of a target that intervals are made of, by user and in topological order.

    A unit consists of those layers with weights of a block that go to one server; the units of a stretch follow each
    other.
    """

    user: Ints  # (N,)
    server: Ints  # (N,): 1..S
    first: Ints  # (N,): first layer
    last: Ints  # (N,): last layer with weights
    block: Ints  # (N,): number of the block among the user's blocks with weights
    run: Ints  # (N,): number of the stretch
    weight_bytes: Floats  # (N,)


def by_efficiency(scenario: Scenario, placement: Placement, rng: np.random.Generator) -> Plan:
    """Return the plan that uploads a placement in partitions, the most efficient first.

    Args:
        scenario: The scenario.
        placement: Server of each layer, one array per user.
        rng: Not used.
    """
    packed, units = slot_zero_packed(scenario), units_of(scenario, placement)
    partition = np.zeros(len(units.user), np.int64)
    count = order_units(packed, 0, new_state(packed, 1), 0, units, partition)
    uploads = []
    for number in range(1, count + 1):
        members = np.flatnonzero(partition == number)
        user, first, last = int(units.user[members[0]]), units.first[members[0]], units.last[members[-1]]
        layers = first + np.flatnonzero(scenario.users[user].graph.weight_bytes[first : last + 1])
        uploads.append(Upload(user, int(units.server[members[0]]), tuple(layers.tolist())))
    return Plan(tuple(uploads))


efficiency = TwoPhase(ShortestPath(penalty=0.001), by_efficiency)
"""The paper's planner: its target and its order."""


def units_of(scenario: Scenario, placement: Placement) -> Units:
    """Return the units of what a placement puts on servers within reach."""
    movable, reachable = movable_layers(scenario), reachable_servers(scenario)
    parts, runs = [], 0
    for user_index, user in enumerate(scenario.users):
        layers = np.flatnonzero(user.graph.weight_bytes)
        server = placement[user_index][layers].astype(np.int64)
        server = np.where((server > 0) & reachable[user_index, server - 1] & movable[user_index, layers], server, 0)
        block = np.searchsorted(block_edges(user.graph), layers, side="right")
        block = np.unique(block, return_inverse=True)[1]  # only blocks with weights are numbered, from 0 on
        new_run = np.diff(server, prepend=-1) != 0
        starts = np.flatnonzero(new_run | (np.diff(block, prepend=-1) != 0))
        edges = np.append(starts, len(layers))
        run = runs + np.cumsum(new_run)[starts]
        sent_bytes = np.append(0.0, np.cumsum(user.graph.weight_bytes[layers]))
        columns = (
            np.full(len(starts), user_index),
            server[starts],
            layers[starts],
            layers[edges[1:] - 1],
            block[starts],
            run,
        )
        parts.append([column[server[starts] > 0] for column in (*columns, np.diff(sent_bytes[edges]))])
        runs += len(layers)
    return Units._make(np.concatenate(column) for column in zip(*parts, strict=True))


@jit
def order_units(packed: PackedScenarios, b: int, state: State, i: int, units: Units, partition: Ints) -> int:
    """Order the uploads of scenario `b` and return how many partitions there are.

    Args:
        packed: The packed scenarios; slot 0's rates count.
        b: The scenario.
        state: A state.
        i: Its row that follows the plan.
        units: The N units.
        partition: Receives the number (from 1) of the partition in which each unit is uploaded, shape (N,).
    """
    everything, num_users = packed.execution_s.shape[2], packed.num_users[b]
    value = np.full((len(partition), len(partition)), -np.inf)
    present, slowdown = np.ones(state.slowdown.shape[2]), np.zeros(state.slowdown.shape[1:])
    chosen, count = np.full(2, -1, np.int64), 0
    begin(packed, b, state, i)
    while True:
        for u in range(num_users):
            slowdown_for(u, packed.home[b, 0], state.present[i], state.sending[i], present)
            if np.any(present != slowdown[u]):
                slowdown[u] = present
                _measure(packed, b, state, i, u, units, partition, present, 0, everything, value)
            elif count > 0 and u == units.user[chosen[0]]:
                lower, upper = units.block[chosen[0]] - 1, units.block[chosen[1]] + 1
                _measure(packed, b, state, i, u, units, partition, present, lower, upper, value)
        if not _choose(units, partition, value, chosen):
            return count
        count += 1
        owner = units.user[chosen[0]]
        for unit in range(chosen[0], chosen[1] + 1):
            partition[unit] = count
            for v in range(units.first[unit], units.last[unit] + 1):
                state.node[i, owner, v], state.usable[i, owner, v] = units.server[unit], True
        complete(packed, b, state, i, owner)


@jit
def _measure(
    packed: PackedScenarios,
    b: int,
    state: State,
    i: int,
    u: int,
    units: Units,
    partition: Ints,
    slowdown: Floats,
    lower: int,
    upper: int,
    value: Floats,
) -> None:
    """Write the efficiency of one user's candidates that have a block from `lower` to `upper`, shape (N, N)."""
    node, usable, assignment = (
        state.node[i, u].copy(),
        state.usable[i, u].copy(),
        np.zeros(state.node.shape[2], np.int8),
    )
    finish_s, free_s = np.empty(state.node.shape[2]), state.free_s[i]
    effective_assignment(packed, b, u, node, usable, assignment)
    delay_s = query_delay_s(packed, b, u, state.slot[i], assignment, slowdown, finish_s, free_s)
    for first in range(len(partition)):
        if units.user[first] != u or units.block[first] > upper:
            continue
        node[:], usable[:] = state.node[i, u], state.usable[i, u]
        size_bytes = 0.0
        for last in range(first, len(partition)):
            if units.run[last] != units.run[first] or partition[last] != 0:
                break
            for v in range(units.first[last], units.last[last] + 1):
                node[v], usable[v] = units.server[last], True
            size_bytes += units.weight_bytes[last]
            if units.block[last] >= lower:
                effective_assignment(packed, b, u, node, usable, assignment)
                saved_s = delay_s - query_delay_s(packed, b, u, state.slot[i], assignment, slowdown, finish_s, free_s)
                upload_s = size_bytes / packed.up_bytes_per_s[b, 0, u, units.server[first] - 1]
                worth = packed.query_rate_hz[b, 0, u] * saved_s / upload_s
                value[first, last] = -np.inf if np.isnan(worth) else worth  # no link: both delays are infinite


@jit
def _choose(units: Units, partition: Ints, value: Floats, chosen: Ints) -> bool:
    """Write the first and last unit of the interval to upload next; return False if all units are uploaded."""
    first, last, found = 0, len(partition) - 1, False
    best, best_bytes = -np.inf, np.inf
    while True:
        finer = False
        for begin_ in range(first, last + 1):
            size_bytes = 0.0
            for end in range(begin_, last + 1):
                if units.run[end] != units.run[begin_] or partition[end] != 0:
                    break
                size_bytes += units.weight_bytes[end]
                if found and begin_ == first and end == last:
                    continue
                this = value[begin_, end]
                if this > best or (this == best and size_bytes < best_bytes):
                    best, best_bytes, finer = this, size_bytes, True
                    chosen[0], chosen[1] = begin_, end
        if not finer:
            return found
        first, last, found = chosen[0], chosen[1], True
        best, best_bytes = 0.0, 0.0  # a sub-interval must save time
