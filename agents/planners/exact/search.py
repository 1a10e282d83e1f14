"""The exact search: the states to which decisions lead, level by level, except those that cannot lead to the best plan.

A node of the search is a row of the kernel's `State`; nodes with the same number of uploads are a level. A decision
lets time pass until a later slot begins, or does not, and then uploads one layer, as the environment allows it: its
user is present and has a connection to the server, and the weights fit. Instead, the search may stop at a node for
good.

A node is not pursued

- if its upload does not end before the horizon: it changes no query, so it is no better than to stop;
- if, by `agents.planners.exact.bound`, nothing that follows it beats the best plan known by more than the tolerance;
- if another node has the same vector, assignments, presence at stations, slot and time (but for rounding) and no
  greater cost. What follows a state depends on nothing else: delays, and what users pick, follow from assignments,
  presence and available layers; and users whom the kernel does not ask would pick what they have;
- if, with one user in one slot, another node of the same vector and assignment is no later, and its cost, with its
  present delay from its own time to this one's, is no greater. The same uploads take the same seconds from there, so
  they end no later, and after them the user has the same delays for the longer;
- if, with one user in one slot and an uplink on which weights and data do not meet, another node of the same vector has
  neither greater cost nor greater delay. The time follows from the vector, as nothing is waited for and rates do not
  change. The next delay is the least of the present one, the device's, and that of all available layers, which follows
  from the vector. So the same uploads never lead to a greater delay or cost from the other node than from this one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.planners.exact.bound import Bound, Vectors, cell, digit, relaxed_cost
from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.compiling.jit import jit, jit_without_refcounts
from dnnmig_env.simulation.dynamics import advance, horizon_s, upload
from dnnmig_env.simulation.packed import INDEPENDENT, PackedScenarios
from dnnmig_env.simulation.state import State, copy_row, meet_alike, run_alike

ROUNDING = 1e-12
"""Times whose relative difference is smaller are the same."""


class Nodes(NamedTuple):
    """What the search knows; node i is row i of the state. Behind the K nodes lie two rows for trying decisions out."""

    vector: Ints  # (K + 2,)
    parent: Ints  # (K + 2,): the node before the last decision, -1 at the root
    layer: Ints  # (K + 2,): the movable layer uploaded last
    waits_until_s: Floats  # (K + 2,): start of the slot for which this upload waited, 0 if for none
    out: Bools  # (K + 2,): not to be pursued, as another node is no worse
    older: Ints  # (K + 2,): another node of the same vector, -1 = none
    newest: Ints  # (M,): one of the nodes of each vector, -1 = none
    filled: Ints  # (1,): number of nodes; K + 1 if there are more than there is room for
    best: Ints  # (1,): where to stop is best, -1 = nowhere better than the plan known before
    best_cost: Floats  # (1,): integral of query rate x delay of the best plan known
    tolerance: float  # by which share of its cost a plan has to be better to be looked for


def root(capacity: int, vectors: Vectors, best_cost: float, tolerance: float) -> Nodes:
    """Return the nodes at the start: only the root, row 0 of the state, in which nothing is decided.

    Args:
        capacity: Most nodes, K.
        vectors: The node vectors.
        best_cost: Cost of the best plan known so far.
        tolerance: Share of that cost by which a plan has to be better to be looked for.
    """
    integers = (np.empty(capacity + 2, np.int64) for _ in range(4))
    vector, parent, layer, older = integers
    waits_until_s, out, newest = (
        np.empty(capacity + 2),
        np.empty(capacity + 2, np.bool_),
        np.full(vectors.power[-1], -1),
    )
    vector[0], parent[0], older[0], out[0], newest[0] = 0, -1, -1, False, 0
    filled, best = np.ones(1, np.int64), np.full(1, -1)
    return Nodes(
        vector, parent, layer, waits_until_s, out, older, newest, filled, best, np.full(1, best_cost), tolerance
    )


@jit
def grow(
    packed: PackedScenarios, b: int, vectors: Vectors, bound: Bound, state: State, nodes: Nodes, first: int, last: int
) -> None:
    """Add the nodes to which the nodes `first` to `last` - 1 lead, as long as there is room."""
    for node in range(first, last):
        if not nodes.out[node] and nodes.filled[0] <= len(nodes.vector) - 2:
            _decide(packed, b, vectors, bound, state, nodes, node)


@jit_without_refcounts
def _decide(
    packed: PackedScenarios, b: int, vectors: Vectors, bound: Bound, state: State, nodes: Nodes, node: int
) -> None:
    """Add the nodes to which a node leads, and note if stopping there is best."""
    now = len(nodes.vector) - 2
    copy_row(state, node, state, now)
    nodes.vector[now], nodes.waits_until_s[now] = nodes.vector[node], 0.0
    while _promises(packed, b, vectors, bound, state, nodes, now):
        for layer in range(len(vectors.user)):
            if digit(vectors, nodes.vector[node], layer) == 0:
                _upload(packed, b, vectors, bound, state, nodes, node, layer)
        if state.slot[now] + 1 == packed.num_slots[b]:
            advance(packed, b, state, now, horizon_s(packed, b))
            if state.cost_s[now] < nodes.best_cost[0]:
                nodes.best_cost[0], nodes.best[0] = state.cost_s[now], node
            break
        nodes.waits_until_s[now] = packed.slot_edges_s[b, state.slot[now] + 1]
        advance(packed, b, state, now, nodes.waits_until_s[now])


@jit_without_refcounts
def _upload(
    packed: PackedScenarios, b: int, vectors: Vectors, bound: Bound, state: State, nodes: Nodes, node: int, layer: int
) -> None:
    """Add the nodes to which uploading a layer now leads, one for each server."""
    now, then, u, v = len(nodes.vector) - 2, len(nodes.vector) - 1, vectors.user[layer], vectors.layer[layer]
    slot = state.slot[now]
    for server in range(1, packed.num_servers[b] + 1):
        connected = packed.query_rate_hz[b, slot, u] > 0.0 and packed.up_bytes_per_s[b, slot, u, server - 1] > 0.0
        if connected and packed.weight_bytes[b, u, v] <= state.memory_left_bytes[now, server - 1]:
            copy_row(state, now, state, then)
            upload(packed, b, state, then, u, v, server)
            nodes.vector[then] = nodes.vector[node] + server * vectors.power[layer]
            if state.usable[then, u, v] and _promises(packed, b, vectors, bound, state, nodes, then):
                place = _place(packed, b, state, nodes, then)
                if place >= 0:
                    copy_row(state, then, state, place)
                    nodes.parent[place], nodes.layer[place] = node, layer
                    nodes.waits_until_s[place] = nodes.waits_until_s[now]


@jit_without_refcounts
def _promises(
    packed: PackedScenarios, b: int, vectors: Vectors, bound: Bound, state: State, nodes: Nodes, i: int
) -> bool:
    """Return whether anything that follows row `i` may be better than the best plan known."""
    x, time_s = nodes.vector[i], state.time_s[i]
    cost = state.cost_s[i] + bound.cost[x, cell(bound, x, time_s)]
    for u in range(packed.num_users[b]):
        cost -= relaxed_cost(vectors, bound, u, x, state.slot[i], time_s)
    return bool(cost < nodes.best_cost[0] * (1.0 - nodes.tolerance))


@jit_without_refcounts
def _place(packed: PackedScenarios, b: int, state: State, nodes: Nodes, i: int) -> int:
    """Return the node that row `i` becomes: a new one, or one that is no better than the row.

    Return -1 if one is no worse than the row, or there is no room for a new one.
    """
    x, place = nodes.vector[i], -1
    node = nodes.newest[x]
    while node >= 0:
        if not nodes.out[node]:
            if _is_no_worse(packed, b, state, node, i):
                return -1
            if _is_no_worse(packed, b, state, i, node):
                nodes.out[node], place = True, node
        node = nodes.older[node]
    if place < 0:
        place = nodes.filled[0]
        nodes.filled[0] += 1
        if nodes.filled[0] > len(nodes.vector) - 2:
            return -1
        nodes.vector[place], nodes.older[place], nodes.newest[x] = x, nodes.newest[x], place
    nodes.out[place] = False
    return int(place)


@jit_without_refcounts
def _is_no_worse(packed: PackedScenarios, b: int, state: State, one: int, other: int) -> bool:
    """Return whether nothing that follows row `other` is better than the same after row `one`; both have one vector."""
    if packed.num_users[b] == 1 and packed.num_slots[b] == 1:
        earlier_s = state.time_s[other] - state.time_s[one]
        cost = state.cost_s[one] + packed.query_rate_hz[b, 0, 0] * state.delay_s[one, 0] * max(earlier_s, 0.0)
        if cost > state.cost_s[other] or earlier_s < -ROUNDING * state.time_s[one]:
            return False
        if packed.uplink[b] == INDEPENDENT:
            return bool(state.delay_s[one, 0] <= state.delay_s[other, 0])
        return run_alike(state, one, other)
    if state.cost_s[one] > state.cost_s[other]:
        return False
    if (
        state.slot[one] != state.slot[other]
        or abs(state.time_s[one] - state.time_s[other]) > ROUNDING * state.time_s[one]
    ):
        return False
    return run_alike(state, one, other) and meet_alike(state, one, other, ROUNDING)
