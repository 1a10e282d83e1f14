"""A lower bound on what any decisions from now on cost: the relaxed problem that guides and ends the exact search.

In the relaxed problem users do not slow each other down, and a user runs whatever part of its uploaded layers is
fastest now. A node vector x gives the server of every movable layer, 0 = not uploaded. With it, user u's queries in
slot k take at least

    m_uk(x) = least delay, nobody else at work, of the device alone and of compose(y) over the parts y of x

where compose(y) is the assignment that uses all layers of y: whatever the user may run is the device alone or was
composed of a part of x, and contention only lengthens a query. More layers never make m longer. R_k(x) = sum_u rate_uk
m_uk(x) is then the least cost per second, and, with the horizon H,

    L(x, d) = min of     integral_0^H R(x)
              and, over uploads that make z of x,     integral_0^f (R(x) - R(z)) + L(z, f - least_s(z))

gives a lower bound. Here least_s(x) is the sum of the upload seconds of x at the best rates of all slots, d the seconds
lost against that, and f the time at which the last byte is in of an upload that is decided at least_s(x) + d.

    Claim: from any state with vector x at a time t >= least_s(x) + d, what follows costs at least
    L(x, d) - integral_0^t R(x).

The proof is by induction from full vectors down. If nothing more arrives, what follows costs at least integral_t^H
R(x). Otherwise the next layer arrives at some f' >= f, since an upload that starts later arrives no earlier. Until then
the cost is at least integral_t^f' R(x), and after it at least L(z, f - least_s(z)) - integral_0^f' R(z). The sum of the
two does not fall as f' grows, since R(x) >= R(z).

L is tabled for all vectors and for cells of d: the value at the lower end of a cell is valid for the whole cell, by the
same argument. Seconds are lost where rates change and where weights give way to data. In a single slot on whose uplink
they do not meet none are ever lost, and one cell is enough; L then leaves out little but contention.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.compiling.jit import jit, jit_without_refcounts
from dnnmig_env.simulation.dynamics import begin, send
from dnnmig_env.simulation.kernel import effective_assignment, query_delay_s
from dnnmig_env.simulation.packed import INDEPENDENT, PackedScenarios
from dnnmig_env.simulation.state import State, new_state

MAX_CELLS, MAX_TABLED = 128, 2**21
"""Most cells of lost seconds, and about the most values of L that are tabled, where seconds can be lost."""

ROUNDING = 1e-9
"""Share of a cell, and of a server's memory, that is given away so that rounding errors do not make the bound too
great."""


class Vectors(NamedTuple):
    """Node vectors as numbers: digit n in base S + 1 is the server of movable layer n, 0 = not uploaded.

    The N layers are ordered by user, so that the digits of each user are a number of their own.
    """

    user: Ints  # (N,)
    layer: Ints  # (N,)
    power: Ints  # (N + 1,): (S + 1) ** n
    first: Ints  # (U + 1,): user u has the digits first[u] to first[u + 1] - 1


class Bound(NamedTuple):
    """The tables of the relaxed problem for M vectors, D cells of lost seconds and V vectors of single users."""

    offset: Ints  # (U + 1,): where the vectors of each user begin among the V
    own_rate: Floats  # (T, V): query rate x m, of single users
    own_cost: Floats  # (T + 1, V): the integral of own_rate from 0 to each slot's start and, at last, to the horizon
    slot_edges_s: Floats  # (T + 1,)
    least_s: Floats  # (M,): least upload seconds; infinite where some layer cannot be uploaded
    cell_s: float
    cost: Floats  # (M, D): L


def vectors_of(movable: Bools, servers: int) -> Vectors:
    """Return the node vectors of movable layers, shape (U, L), on a number of servers."""
    user, layer = map(np.ascontiguousarray, np.nonzero(movable))  # as a single layer's are, for the same machine code
    power = (servers + 1) ** np.arange(len(user) + 1)
    return Vectors(user, layer, power, np.searchsorted(user, np.arange(len(movable) + 1)))


def bound_of(packed: PackedScenarios, vectors: Vectors) -> Bound:
    """Return the bound for the only scenario of `packed`. O(D M N S)."""
    slots, count, edges_s = int(packed.num_slots[0]), int(vectors.power[-1]), packed.slot_edges_s[0]
    own = vectors.power[np.diff(vectors.first)]
    offset = np.append(0, np.cumsum(own))
    own_delay_s = np.empty((slots, offset[-1]))
    _write_own_delays(packed, 0, vectors, offset, new_state(packed, 1), own_delay_s)
    own_rate = np.repeat(packed.query_rate_hz[0], own, axis=1) * own_delay_s
    own_cost = np.concatenate([np.zeros((1, offset[-1])), np.cumsum(own_rate * np.diff(edges_s)[:, None], axis=0)])
    never_late = slots == 1 and packed.uplink[0] == INDEPENDENT
    cells = 1 if never_late else min(max(MAX_TABLED // count, 1), MAX_CELLS)
    bound = Bound(
        offset, own_rate, own_cost, edges_s, np.zeros(count), float(edges_s[-1]) / cells, np.empty((count, cells))
    )
    state = new_state(packed, 1)
    begin(packed, 0, state, 0)
    # Data on the uplink only delay uploads, so the bound leaves them out: DNNs without layers send none.
    channel, left_bytes = (
        packed._replace(num_layers=np.zeros_like(packed.num_layers)),
        state.memory_left_bytes[0].copy(),
    )
    begin(channel, 0, state, 0)
    with np.errstate(divide="ignore"):
        fastest = packed.up_bytes_per_s[0].max(axis=0)[vectors.user]
        upload_s = packed.weight_bytes[0, vectors.user, vectors.layer][:, None] / fastest
    _write_least_s(vectors, upload_s, bound.least_s)
    _write_costs(channel, 0, vectors, bound, state, 0, left_bytes)
    return bound


@jit_without_refcounts
def digit(vectors: Vectors, x: int, n: int) -> int:
    """Return the server of movable layer `n` in vector `x`."""
    return int(x // vectors.power[n] % vectors.power[1])


@jit_without_refcounts
def cell(bound: Bound, x: int, time_s: float) -> int:
    """Return the cell of the seconds that a state with vector `x` has lost at a time."""
    lost = (time_s - bound.least_s[x]) / bound.cell_s
    return int(min(max(lost - ROUNDING, 0.0), bound.cost.shape[1] - 1.0))


@jit_without_refcounts
def relaxed_cost(vectors: Vectors, bound: Bound, u: int, x: int, slot: int, time_s: float) -> float:
    """Return user `u`'s part of integral_0^t R(x), for a time t in a slot."""
    first = vectors.first[u]
    own = x // vectors.power[first] % vectors.power[vectors.first[u + 1] - first] + bound.offset[u]
    return float(bound.own_cost[slot, own] + bound.own_rate[slot, own] * (time_s - bound.slot_edges_s[slot]))


@jit
def _write_own_delays(
    packed: PackedScenarios, b: int, vectors: Vectors, offset: Ints, state: State, own_delay_s: Floats
) -> None:
    """Write m for every user, slot and node vector of this user alone, shape (T, V); `state` is a scratch state."""
    alone, assignment = np.ones(state.slowdown.shape[2]), np.zeros(packed.execution_s.shape[2], np.int8)
    for u in range(packed.num_users[b]):
        node, usable, first = state.node[0, u], state.usable[0, u], vectors.first[u]
        node[:] = packed.uploaded[b, u]
        for x in range(offset[u + 1] - offset[u]):
            for n in range(vectors.first[u + 1] - first):
                node[vectors.layer[first + n]] = digit(vectors, x, n)
            for v in range(packed.num_layers[b, u]):
                usable[v] = node[v] != 0
            for slot in range(own_delay_s.shape[0]):
                if x == 0:
                    assignment[:] = 0
                    least_s = query_delay_s(packed, b, u, slot, assignment, alone, state.finish_s[0], state.free_s[0])
                else:
                    least_s = np.inf
                effective_assignment(packed, b, u, node, usable, assignment)
                composed_s = query_delay_s(packed, b, u, slot, assignment, alone, state.finish_s[0], state.free_s[0])
                least_s = min(least_s, composed_s)
                for n in range(vectors.first[u + 1] - first):
                    part = x - digit(vectors, x, n) * vectors.power[n]
                    if part != x:
                        least_s = min(least_s, own_delay_s[slot, offset[u] + part])
                own_delay_s[slot, offset[u] + x] = least_s


@jit
def _write_least_s(vectors: Vectors, upload_s: Floats, least_s: Floats) -> None:
    """Write the least upload seconds of every vector, shape (M,), from those of layers to servers, shape (N, S)."""
    for n in range(upload_s.shape[0]):
        for server in range(upload_s.shape[1]):
            for x in range(vectors.power[n]):
                least_s[x + (server + 1) * vectors.power[n]] = least_s[x] + upload_s[n, server]


@jit
def _write_costs(
    channel: PackedScenarios, b: int, vectors: Vectors, bound: Bound, state: State, i: int, memory_bytes: Floats
) -> None:
    """Write L of every vector and cell.

    Args:
        channel: The packed scenarios, with DNNs without layers.
        b: The scenario.
        vectors: The vectors.
        bound: The bound; its `cost` is written, all else in it is complete.
        state: A scratch state.
        i: Its row.
        memory_bytes: Bytes that fit on each server before anything is uploaded, shape (S,).
    """
    left_bytes = memory_bytes.copy()
    for x in range(len(bound.least_s) - 1, -1, -1):
        left_bytes[:] = memory_bytes * (1.0 + ROUNDING)
        for n in range(len(vectors.user)):
            server = digit(vectors, x, n)
            if server != 0:
                left_bytes[server - 1] -= channel.weight_bytes[b, vectors.user[n], vectors.layer[n]]
        for k in range(bound.cost.shape[1]):
            time_s = bound.least_s[x] + k * bound.cell_s
            bound.cost[x, k] = _least_cost(channel, b, vectors, bound, state, i, left_bytes, x, time_s)


@jit_without_refcounts
def _least_cost(
    channel: PackedScenarios,
    b: int,
    vectors: Vectors,
    bound: Bound,
    state: State,
    i: int,
    left_bytes: Floats,
    x: int,
    time_s: float,
) -> float:
    """Return L of a vector at a time, from the L of the vectors that follow it."""
    slot, last, end_s = 0, channel.num_slots[b] - 1, bound.slot_edges_s[channel.num_slots[b]]
    least = 0.0
    for u in range(channel.num_users[b]):
        least += relaxed_cost(vectors, bound, u, x, last, end_s)
    if time_s >= end_s:
        return least
    while bound.slot_edges_s[slot + 1] <= time_s:
        slot += 1
    for n in range(len(vectors.user)):
        if digit(vectors, x, n) != 0:
            continue
        u, v = vectors.user[n], vectors.layer[n]
        for server in range(1, channel.num_servers[b] + 1):
            z = x + server * vectors.power[n]
            if channel.weight_bytes[b, u, v] <= left_bytes[server - 1] and bound.least_s[z] < end_s:
                state.time_s[i], state.slot[i] = time_s, slot
                if send(channel, b, state, i, u, v, server) == 0.0:
                    cost = bound.cost[z, cell(bound, z, state.time_s[i])]
                    cost += relaxed_cost(vectors, bound, u, x, state.slot[i], state.time_s[i])
                    cost -= relaxed_cost(vectors, bound, u, z, state.slot[i], state.time_s[i])
                    least = min(least, cost)
    return least
