"""What a policy sees: a flat vector of present and past facts, each scaled into [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnnmig_env.compiling.jit import fill, uncounted
from dnnmig_env.envs.actions import Decisions, pending_layer
from dnnmig_env.simulation.dynamics import horizon_s
from dnnmig_env.simulation.packed import Problem
from dnnmig_env.simulation.state import State

Row = NDArray[np.float32]

TIME_FEATURES = ("horizon_left", "slot_left", "log_horizon_left", "placing")
SERVER_FEATURES = ("exists", "log_memory_left", "memory_left_for_all", "load", "position_x", "position_y")
USER_FEATURES = (
    "present",
    "query_share",
    "delay_ratio",
    "log_device_delay",
    "weights_left",
    "position_x",
    "position_y",
    "velocity_x",
    "velocity_y",
)
LINK_FEATURES = ("log_up_rate", "log_down_rate", "latency_ratio", "log_speedup", "load_of_others")
LAYER_FEATURES = ("remaining", "node", "in_use", "execution_share", "log_weight", "log_output", "log_input")

SERVER_WIDTH, USER_WIDTH = len(SERVER_FEATURES), len(USER_FEATURES)
LINK_WIDTH, LAYER_WIDTH = len(LINK_FEATURES), len(LAYER_FEATURES)


@dataclass(frozen=True)
class ObservationLayout:
    """Where things stand in the vector: time, servers (S, 6), users (U, 9), links (U, S, 5), layers (U, L, 7).

    Attributes:
        users: Most users, U.
        layers: Most layers per network, L.
        servers: Most servers, S.
    """

    users: int
    layers: int
    servers: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each part, in the order in which the parts stand in the vector."""
        return {
            "time": (len(TIME_FEATURES),),
            "servers": (self.servers, len(SERVER_FEATURES)),
            "users": (self.users, len(USER_FEATURES)),
            "links": (self.users, self.servers, len(LINK_FEATURES)),
            "layers": (self.users, self.layers, len(LAYER_FEATURES)),
        }

    @property
    def slices(self) -> dict[str, slice]:
        """Slice of the vector for each part."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes.values()])
        starts = [0, *ends[:-1]]
        return {name: slice(int(a), int(b)) for name, a, b in zip(self.shapes, starts, ends, strict=True)}

    @property
    def size(self) -> int:
        """Length of the vector, D."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())


class Offsets(NamedTuple):
    """Start of each part of the vector, for compiled code."""

    servers: int
    users: int
    links: int
    layers: int


def offsets(layout: ObservationLayout) -> Offsets:
    """Return where the parts of the vector start."""
    return Offsets(*(layout.slices[name].start for name in Offsets._fields))


@uncounted
def observe_fixed(p: Problem, b: int, s: State, i: int, at: Offsets, out: Row) -> None:
    """Write what stays as it is for a whole slot: networks, links, positions. Clears the row first."""
    fill(out, 0.0)
    slot, num_servers, most_servers = s.slot[i], p.num_servers[b], p.memory_bytes.shape[1]
    rates = 0.0
    for u in range(p.num_users[b]):
        rates += p.query_rate_hz[b, slot, u]
    for server in range(num_servers):
        k = at.servers + server * SERVER_WIDTH
        out[k] = 1.0
        out[k + 4], out[k + 5] = p.server_positions[b, server, 0], p.server_positions[b, server, 1]
    for u in range(p.num_users[b]):
        rate, device_s = p.query_rate_hz[b, slot, u], s.device_delay_s[i, u]
        if rate == 0.0:
            continue  # nothing is known of a user who is not there
        k = at.users + u * USER_WIDTH
        out[k], out[k + 1] = 1.0, rate / rates
        out[k + 3] = log_scaled(device_s, -0.5, 2.0)
        for axis in range(2):
            out[k + 5 + axis] = _clipped(p.user_positions[b, slot, u, axis])
            out[k + 7 + axis] = _clipped(p.user_velocities[b, slot, u, axis] * 10.0)
        _observe_links(p, b, u, slot, device_s, at.links + u * most_servers * LINK_WIDTH, out)
        _observe_layers(p, b, u, device_s, at.layers + u * p.weight_bytes.shape[2] * LAYER_WIDTH, out)


@uncounted
def observe_changing(p: Problem, b: int, s: State, d: Decisions, i: int, at: Offsets, out: Row) -> None:
    """Write what any decision can change: time, memory, loads, delays, and where each layer is."""
    slot, num_servers, most_servers = s.slot[i], p.num_servers[b], p.memory_bytes.shape[1]
    left_s = horizon_s(p, b) - s.time_s[i]
    slot_s = p.slot_edges_s[b, slot + 1] - p.slot_edges_s[b, slot]
    out[0] = left_s / horizon_s(p, b)
    out[1] = (p.slot_edges_s[b, slot + 1] - s.time_s[i]) / slot_s
    out[2] = log_scaled(left_s, 1.0, 2.0)
    out[3] = 1.0 if pending_layer(p, b, s, d, i) >= 0 else 0.0
    bytes_left = 0.0
    for u in range(p.num_users[b]):
        if p.query_rate_hz[b, slot, u] > 0.0:
            bytes_left += _observe_progress(p, b, s, i, u, at, out)
    for server in range(num_servers):
        k = at.servers + server * SERVER_WIDTH
        memory = s.memory_left_bytes[i, server] - d.reserved_bytes[i, server]
        out[k + 1] = log_scaled(memory, 8.0, 3.0)
        out[k + 2] = 1.0 if memory >= bytes_left else memory / bytes_left
        total = 0.0
        for u in range(p.num_users[b]):
            total += s.load[i, u, server]
        out[k + 3] = min(total, 1.0)
        for u in range(p.num_users[b]):
            if p.query_rate_hz[b, slot, u] > 0.0:
                out[at.links + (u * most_servers + server) * LINK_WIDTH + 4] = min(total - s.load[i, u, server], 1.0)


@uncounted
def _observe_links(p: Problem, b: int, u: int, slot: int, device_s: float, first: int, out: Row) -> None:
    on_device = 0.0
    for v in range(p.num_layers[b, u]):
        on_device += p.execution_s[b, u, v, 0]
    for server in range(p.num_servers[b]):
        k = first + server * LINK_WIDTH
        on_server = 0.0
        for v in range(p.num_layers[b, u]):
            on_server += p.execution_s[b, u, v, server + 1]
        latency_s = p.up_latency_s[b, slot, u, server] + p.down_latency_s[b, slot, u, server]
        out[k] = log_scaled(p.up_bytes_per_s[b, slot, u, server], 6.5, 2.0)
        out[k + 1] = log_scaled(p.down_bytes_per_s[b, slot, u, server], 6.5, 2.0)
        out[k + 2] = min(latency_s / device_s, 1.0)
        out[k + 3] = log_scaled(on_device / on_server, 1.0, 2.0)


@uncounted
def _observe_layers(p: Problem, b: int, u: int, device_s: float, first: int, out: Row) -> None:
    for v in range(p.num_layers[b, u]):
        k = first + v * LAYER_WIDTH
        out[k + 3] = min(p.execution_s[b, u, v, 0] / device_s, 1.0)
        out[k + 4] = log_scaled(p.weight_bytes[b, u, v], 6.0, 3.0)
        out[k + 5] = log_scaled(p.tensor_bytes[b, u, v + 1], 5.5, 2.0)
        out[k + 6] = log_scaled(input_bytes(p, b, u, v), 5.5, 2.0)


@uncounted
def _observe_progress(p: Problem, b: int, s: State, i: int, u: int, at: Offsets, out: Row) -> float:
    """Write one user's delay and where its layers are; return the weight bytes not yet uploaded."""
    most_servers, first = p.memory_bytes.shape[1], at.layers + u * p.weight_bytes.shape[2] * LAYER_WIDTH
    all_bytes, bytes_left = 0.0, 0.0
    for v in range(p.num_layers[b, u]):
        k, weight, usable = first + v * LAYER_WIDTH, p.weight_bytes[b, u, v], s.usable[i, u, v]
        all_bytes += weight
        if not usable:
            bytes_left += weight
        out[k] = 1.0 if weight > 0.0 and not usable else 0.0
        out[k + 1] = s.node[i, u, v] / most_servers
        out[k + 2] = 1.0 if s.assignment[i, u, v] != 0 else 0.0
    k = at.users + u * USER_WIDTH
    out[k + 2] = min(s.delay_s[i, u] / s.device_delay_s[i, u], 1.0)
    out[k + 4] = bytes_left / all_bytes if all_bytes > 0.0 else 0.0
    return bytes_left


@uncounted
def input_bytes(p: Problem, b: int, u: int, v: int) -> float:
    """Return the bytes that a layer reads from its predecessors."""
    total = 0.0
    for e in range(p.predecessor_offsets[b, u, v], p.predecessor_offsets[b, u, v + 1]):
        total += p.tensor_bytes[b, u, p.predecessors[b, u, e] + 1]
    return total


@uncounted
def log_scaled(value: float, middle: float, width: float) -> float:
    """Return (log10(value) - middle) / width within [-1, 1]; -1 for zero."""
    return _clipped((np.log10(value) - middle) / width) if value > 0.0 else -1.0


@uncounted
def _clipped(value: float) -> float:
    return min(max(value, -1.0), 1.0)
