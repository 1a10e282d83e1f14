"""Which servers hold a layer, and on which of them its user's queries run it; compiled.

Where weights do not move, a layer is on one server at most, and runs there. Where they do (`PackedScenarios.moves`),
several servers may hold it. Of those that its user reaches, it runs on the user's home server if that is one of them,
else on the one where it arrived last.
"""

from __future__ import annotations

from dnnmig_env.compiling.jit import copy, fill, jit_without_refcounts
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State


@jit_without_refcounts
def hold_first(packed: PackedScenarios, b: int, state: State, i: int) -> None:
    """Set row `i` to what servers hold at time 0: those named by `uploaded` are the latest to have got it."""
    copy(state.node[i], packed.uploaded[b])
    copy(state.memory_left_bytes[i], packed.memory_bytes[b])
    if packed.moves[b] or state.arrivals[i] > 0:
        fill(state.held[i], 0)
        state.arrivals[i] = 0
    if packed.moves[b]:
        for u in range(packed.num_users[b]):
            for v in range(packed.num_layers[b, u]):
                for s in range(packed.num_servers[b]):
                    if packed.copies[b, u, v, s]:
                        _number(packed, b, state, i, u, v, s + 1)
                        state.memory_left_bytes[i, s] -= packed.weight_bytes[b, u, v]
    for u in range(packed.num_users[b]):
        for v in range(packed.num_layers[b, u]):
            server = packed.uploaded[b, u, v]
            state.usable[i, u, v] = server != 0
            if server != 0:
                _number(packed, b, state, i, u, v, server)
                state.memory_left_bytes[i, server - 1] -= packed.weight_bytes[b, u, v]
    find_all(packed, b, state, i)


@jit_without_refcounts
def hold(packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int, server: int) -> None:
    """Note that a layer has arrived on a server (1..S), so that queries may run it."""
    if packed.moves[b]:
        _number(packed, b, state, i, u, v, server)
        find(packed, b, state, i, u, v)
    else:
        state.node[i, u, v], state.usable[i, u, v] = server, True


@jit_without_refcounts
def _number(packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int, server: int) -> None:
    if packed.moves[b]:
        state.arrivals[i] += 1
        state.held[i, u, v, server - 1] = state.arrivals[i]


@jit_without_refcounts
def find(packed: PackedScenarios, b: int, state: State, i: int, u: int, v: int) -> None:
    """Find the server on which a layer is used, where weights may move; if there is none, the layer is not usable."""
    slot, latest, server = state.slot[i], 0, 0
    home = packed.home[b, slot, u]
    for s in range(packed.num_servers[b]):
        arrival = state.held[i, u, v, s]
        if arrival > 0 and packed.up_bytes_per_s[b, slot, u, s] > 0.0:
            if s + 1 == home:
                server = home
                break
            if arrival > latest:
                latest, server = arrival, s + 1
    state.usable[i, u, v] = server != 0
    if server != 0:
        state.node[i, u, v] = server


@jit_without_refcounts
def find_all(packed: PackedScenarios, b: int, state: State, i: int) -> None:
    """Find the servers on which all layers of present users are used, where weights may move."""
    if packed.moves[b]:
        for u in range(packed.num_users[b]):
            if packed.query_rate_hz[b, state.slot[i], u] > 0.0:
                for v in range(packed.num_layers[b, u]):
                    if packed.weight_bytes[b, u, v] > 0.0:
                        find(packed, b, state, i, u, v)
