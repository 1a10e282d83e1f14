"""Writes the plain observation, compiled: facts that hold for a whole slot, and those that any decision changes."""

from __future__ import annotations

from dnnmig_env.arrays import Float32s
from dnnmig_env.compiling.jit import fill, jit_without_refcounts
from dnnmig_env.envs.actions import Decisions, pending_layer
from dnnmig_env.envs.facts.lanes import observe_lanes
from dnnmig_env.envs.facts.layout import LINK_FEATURES, SERVER_FEATURES, TIME_FEATURES, USER_FEATURES
from dnnmig_env.envs.facts.network import (
    EDGE_FEATURES,
    LAYER_FEATURES,
    LINE_FEATURES,
    clipped,
    log_scaled,
    observe_edges,
    observe_executions,
    observe_layers,
    observe_lines,
)
from dnnmig_env.envs.features import positions
from dnnmig_env.simulation.dynamics import horizon_s
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State

_TIME, _SERVER, _USER = positions(TIME_FEATURES), positions(SERVER_FEATURES), positions(USER_FEATURES)
_LINK, _LAYER = positions(LINK_FEATURES), positions(LAYER_FEATURES)
_TIME_WIDTH, _SERVER_WIDTH, _USER_WIDTH = len(TIME_FEATURES), len(SERVER_FEATURES), len(USER_FEATURES)
_LINK_WIDTH, _LAYER_WIDTH = len(LINK_FEATURES), len(LAYER_FEATURES)
_LINE_WIDTH, _EDGE_WIDTH = len(LINE_FEATURES), len(EDGE_FEATURES)


@jit_without_refcounts
def _server_at(s: int) -> int:
    """Return where the features of a server begin in the vector."""
    return _TIME_WIDTH + s * _SERVER_WIDTH


@jit_without_refcounts
def _user_at(packed: PackedScenarios, u: int) -> int:
    """Return where the features of a user begin."""
    return int(_server_at(packed.memory_bytes.shape[1]) + u * _USER_WIDTH)


@jit_without_refcounts
def _link_at(packed: PackedScenarios, u: int, s: int) -> int:
    """Return where the features of the link between a user and a server begin."""
    users = packed.num_layers.shape[1]
    return int(_user_at(packed, users) + (u * packed.memory_bytes.shape[1] + s) * _LINK_WIDTH)


@jit_without_refcounts
def _layer_at(packed: PackedScenarios, u: int, v: int) -> int:
    """Return where the features of a layer of a user begin."""
    users, layers = packed.weight_bytes.shape[1:]
    return int(_link_at(packed, users, 0) + (u * layers + v) * _LAYER_WIDTH)


@jit_without_refcounts
def _line_at(packed: PackedScenarios) -> int:
    """Return where the features of the lines between servers begin."""
    return int(_layer_at(packed, packed.num_layers.shape[1], 0))


@jit_without_refcounts
def _execution_at(packed: PackedScenarios, u: int) -> int:
    """Return where the features of a user's executions on servers begin."""
    layers, servers = packed.weight_bytes.shape[2], packed.memory_bytes.shape[1]
    return int(_line_at(packed) + servers * servers * _LINE_WIDTH + u * layers * servers)


@jit_without_refcounts
def _edge_at(packed: PackedScenarios, u: int) -> int:
    """Return where the features of a user's edges begin."""
    users, edges = packed.predecessors.shape[1:]
    return int(_execution_at(packed, users) + u * edges * _EDGE_WIDTH)


@jit_without_refcounts
def _lanes_at(packed: PackedScenarios) -> int:
    """Return where the facts about several lanes begin."""
    return int(_edge_at(packed, packed.num_layers.shape[1]))


@jit_without_refcounts
def observe_fixed(packed: PackedScenarios, b: int, state: State, i: int, out: Float32s) -> None:
    """Clear the vector `out` and write the facts that do not change within a slot: networks, links, positions."""
    fill(out, 0.0)
    slot, num_servers = state.slot[i], packed.num_servers[b]
    rates = 0.0
    for u in range(packed.num_users[b]):
        rates += packed.query_rate_hz[b, slot, u]
    for server in range(num_servers):
        k = _server_at(server)
        out[k + _SERVER.exists] = 1.0
        out[k + _SERVER.position_x], out[k + _SERVER.position_y] = (
            packed.server_positions[b, server, 0],
            packed.server_positions[b, server, 1],
        )
    for u in range(packed.num_users[b]):
        rate, device_s = packed.query_rate_hz[b, slot, u], state.device_delay_s[i, u]
        if rate == 0.0:
            continue  # all facts about an absent user are 0
        k = _user_at(packed, u)
        out[k + _USER.present], out[k + _USER.query_share] = 1.0, rate / rates
        out[k + _USER.log_device_delay] = log_scaled(device_s, -0.5, 2.0)
        out[k + _USER.log_query_rate] = log_scaled(rate, 0.0, 3.0)
        for axis in range(2):
            out[k + _USER.position_x + axis] = clipped(packed.user_positions[b, slot, u, axis])
            out[k + _USER.velocity_x + axis] = clipped(packed.user_velocities[b, slot, u, axis] * 10.0)
        _observe_links(packed, b, u, slot, device_s, _link_at(packed, u, 0), out)
        observe_layers(packed, b, u, device_s, _layer_at(packed, u, 0), out)
        observe_executions(packed, b, u, _execution_at(packed, u), out)
        observe_edges(packed, b, u, _edge_at(packed, u), out)
    observe_lines(packed, b, _line_at(packed), out)


@jit_without_refcounts
def observe_changing(
    packed: PackedScenarios, b: int, state: State, decisions: Decisions, i: int, out: Float32s
) -> None:
    """Write the facts that any decision can change: time, memory, loads, delays, and where each layer is."""
    slot, num_servers = state.slot[i], packed.num_servers[b]
    left_s = horizon_s(packed, b) - state.time_s[i]
    slot_s = packed.slot_edges_s[b, slot + 1] - packed.slot_edges_s[b, slot]
    out[_TIME.horizon_left] = left_s / horizon_s(packed, b)
    out[_TIME.slot_left] = (packed.slot_edges_s[b, slot + 1] - state.time_s[i]) / slot_s
    out[_TIME.log_horizon_left] = log_scaled(left_s, 1.0, 2.0)
    out[_TIME.placing] = 1.0 if pending_layer(packed, b, state, decisions, i) >= 0 else 0.0
    bytes_left = 0.0
    for u in range(packed.num_users[b]):
        if packed.query_rate_hz[b, slot, u] > 0.0:
            bytes_left += _observe_progress(packed, b, state, i, u, out)
    for server in range(num_servers):
        k = _server_at(server)
        memory = state.memory_left_bytes[i, server] - decisions.reserved_bytes[i, server]
        out[k + _SERVER.log_memory_left] = log_scaled(memory, 8.0, 3.0)
        out[k + _SERVER.memory_left_for_all] = 1.0 if memory >= bytes_left else memory / bytes_left
        total = 0.0
        for u in range(packed.num_users[b]):
            total += state.present[i, u, server + 1]
        out[k + _SERVER.load] = min(total, 1.0)
        for u in range(packed.num_users[b]):
            if packed.query_rate_hz[b, slot, u] > 0.0:
                out[_link_at(packed, u, server) + _LINK.load_of_others] = min(
                    total - state.present[i, u, server + 1], 1.0
                )
    if packed.copies.shape[3] > 0:
        observe_lanes(packed, b, state, i, _lanes_at(packed), out)


@jit_without_refcounts
def _observe_links(
    packed: PackedScenarios, b: int, u: int, slot: int, device_s: float, first: int, out: Float32s
) -> None:
    on_device = 0.0
    for v in range(packed.num_layers[b, u]):
        on_device += packed.execution_s[b, u, v, 0]
    for server in range(packed.num_servers[b]):
        k = first + server * _LINK_WIDTH
        on_server = 0.0
        for v in range(packed.num_layers[b, u]):
            on_server += packed.execution_s[b, u, v, server + 1]
        latency_s = packed.up_latency_s[b, slot, u, server] + packed.down_latency_s[b, slot, u, server]
        out[k + _LINK.log_up_rate] = log_scaled(packed.up_bytes_per_s[b, slot, u, server], 6.5, 2.0)
        out[k + _LINK.log_down_rate] = log_scaled(packed.down_bytes_per_s[b, slot, u, server], 6.5, 2.0)
        out[k + _LINK.latency_ratio] = min(latency_s / device_s, 1.0)
        out[k + _LINK.up_latency_ratio] = min(packed.up_latency_s[b, slot, u, server] / device_s, 1.0)
        out[k + _LINK.log_speedup] = log_scaled(on_device / on_server, 1.0, 2.0)


@jit_without_refcounts
def _observe_progress(packed: PackedScenarios, b: int, state: State, i: int, u: int, out: Float32s) -> float:
    """Write one user's delay and where its layers are; return its weight bytes that are not uploaded yet."""
    most_servers, first = packed.memory_bytes.shape[1], _layer_at(packed, u, 0)
    all_bytes, bytes_left = 0.0, 0.0
    for v in range(packed.num_layers[b, u]):
        k, weight, usable = first + v * _LAYER_WIDTH, packed.weight_bytes[b, u, v], state.usable[i, u, v]
        all_bytes += weight
        if not usable:
            bytes_left += weight
        out[k + _LAYER.remaining] = 1.0 if weight > 0.0 and not usable else 0.0
        out[k + _LAYER.node] = state.node[i, u, v] / most_servers
        out[k + _LAYER.in_use] = 1.0 if state.assignment[i, u, v] != 0 else 0.0
    k = _user_at(packed, u)
    out[k + _USER.delay_ratio] = min(state.delay_s[i, u] / state.device_delay_s[i, u], 1.0)
    out[k + _USER.weights_left] = bytes_left / all_bytes if all_bytes > 0.0 else 0.0
    return bytes_left
