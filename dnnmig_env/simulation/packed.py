"""Scenarios as the arrays that compiled code reads: B scenarios together, padded to common sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Int8s, Int32s, Ints
from dnnmig_env.scenarios.bounds import MOST_SERVERS
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.scenarios.uplink import UPLINKS
from dnnmig_env.simulation.graph_arrays import GraphArrays, graph_arrays, num_edges, num_shares

SHARED, INDEPENDENT = UPLINKS.index("shared"), UPLINKS.index("independent")
"""Numbers of two of the readings of the uplink in `PackedScenarios.uplink`."""


class PackedScenarios(NamedTuple):
    """B scenarios as arrays.

    U, L, S, T, E, I and H are the most users, layers per network, servers, time slots, predecessor edges, inputs and
    shares per network that fit. Node 0 is the user's device, node s + 1 is server s. Tensor v of a user is the output
    of layer v; the inputs are the tensors -1, -2, ..., counted from the end of the axis. Padding is zero.
    """

    num_users: Ints  # (B,)
    num_servers: Ints  # (B,)
    num_slots: Ints  # (B,)
    num_layers: Ints  # (B, U)
    execution_s: Floats  # (B, U, L, S + 1): seconds of each layer on each node, without contention
    weight_bytes: Floats  # (B, U, L): to be uploaded; 0 if the layer is weightless or stays on the device
    tensor_bytes: Floats  # (B, U, L + I)
    predecessor_offsets: Int32s  # (B, U, L + 1): layer v reads predecessors[offsets[v]:offsets[v + 1]]
    predecessors: Int32s  # (B, U, E): tensors, ascending per layer
    share_offsets: Int32s  # (B, U, L + 1): layer v needs the weights of layers shares[offsets[v]:offsets[v + 1]] too
    shares: Int32s  # (B, U, H): ascending per layer
    on_device: Bools  # (B, U, L): the layer has to run on the device
    is_output: Bools  # (B, U, L): the layer's output returns to the device
    slot_edges_s: Floats  # (B, T + 1): slot k lasts from edge k to edge k + 1; the last edge is the horizon
    query_rate_hz: Floats  # (B, T, U): 0 = the user is absent
    up_bytes_per_s: Floats  # (B, T, U, S): from device to server
    down_bytes_per_s: Floats  # (B, T, U, S): from server to device
    up_latency_s: Floats  # (B, T, U, S)
    down_latency_s: Floats  # (B, T, U, S)
    between_bytes_per_s: Floats  # (B, S, S): from the first to the second server
    between_latency_s: Floats  # (B, S, S)
    memory_bytes: Floats  # (B, S): bytes of weights that each server can hold
    uploaded: Int8s  # (B, U, L): server that holds the weights at time 0, 0 = none
    copies: Bools  # (B, U, L, S): further servers that hold them then; without lanes (`Limits`) the last size is 0
    moves: Bools  # (B,): whether weights may be sent to further servers
    home: Int8s  # (B, T, U): server in whose cell each user is, 1..S; 0 = all users share one cell
    uplink: Int8s  # (B,): how weights and query data share the uplink, an index of `scenarios.uplink.UPLINKS`
    user_positions: Floats  # (B, T, U, 2), in sides of the area from its centre, -0.5 to 0.5; 0 if nobody moves
    user_velocities: Floats  # (B, T, U, 2), in sides of the area per slot
    server_positions: Floats  # (B, S, 2), as user_positions
    area_m: Floats  # (B,): side of the area; 0 if nobody moves


_QUANTITIES = {
    "users": ("users", ", or give the family a greater num_users"),
    "layers": ("layers in one network", ", or merge the network to fewer layers (max_layers of the user in its file)"),
    "servers": ("servers", ", or give the family a greater num_edges"),
    "slots": ("time slots", ", or make the slots of the scenario longer"),
    "edges": (
        "edges in one network (pairs of a layer and a tensor that it reads)",
        ", or merge the network to fewer layers (max_layers of the user in its file)",
    ),
    "inputs": ("inputs of one network", ""),
    "shares": ("shares in one network (pairs of a layer and another one whose weights it needs)", ""),
}
"""For each of the limits, what it counts, and what else to do about a scenario that exceeds it."""


@dataclass(frozen=True)
class Limits:
    """The sizes to which scenarios are padded.

    Attributes:
        users: Most users, U.
        layers: Most layers per network, L.
        servers: Most servers, S.
        slots: Most time slots, T.
        edges: Most predecessor edges per network, E: pairs of a layer and a tensor that it reads.
        inputs: Most inputs per network, I.
        shares: Most shares per network, H: pairs of a layer and another one whose weights it needs.
        lanes: Whether weights may be on several lanes at once: users may be in cells of their own, or weights may move
            between servers. Only then are there arrays and observations of all that.

    Raises:
        ValueError: If there are more than `MOST_SERVERS` servers.
    """

    users: int
    layers: int
    servers: int
    slots: int
    edges: int
    inputs: int = 1
    shares: int = 0
    lanes: bool = False

    def __post_init__(self) -> None:
        if self.servers > MOST_SERVERS:
            raise ValueError(f"servers is {self.servers}; a scenario has {MOST_SERVERS} at most (edges and cloud).")

    @classmethod
    def of(cls, scenarios: Sequence[Scenario]) -> Limits:
        """Return the smallest limits that hold all the scenarios."""
        graphs = [user.graph for scenario in scenarios for user in scenario.users]
        return cls(
            users=max(len(scenario.users) for scenario in scenarios),
            layers=max(map(len, graphs)),
            servers=max(len(scenario.servers) for scenario in scenarios),
            slots=max(scenario.num_slots for scenario in scenarios),
            edges=max(map(num_edges, graphs)),
            inputs=max(graph.num_inputs for graph in graphs),
            shares=max(map(num_shares, graphs)),
            lanes=any(has_lanes(scenario) for scenario in scenarios),
        )

    def check(self, scenario: Scenario) -> None:
        """Check that a scenario fits.

        Raises:
            ValueError: If it does not; the error names the quantity that is too large.
        """
        needed = Limits.of([scenario])
        if needed.lanes and not self.lanes:
            raise ValueError(
                "scenario has cells (home) or weights that move between servers (moves), this environment holds "
                "neither; make a MigrationEnv with limits=Limits.of([scenario]), or give it to an environment of a "
                "family that has them."
            )
        for quantity, (meaning, option) in _QUANTITIES.items():
            if getattr(needed, quantity) > getattr(self, quantity):
                raise ValueError(
                    f"scenario needs {getattr(needed, quantity)} {meaning}, this environment holds at most "
                    f"{getattr(self, quantity)}; make a MigrationEnv with limits=Limits.of([scenario])"
                    f"{option}."
                )


def has_lanes(scenario: Scenario) -> bool:
    """Return whether weights may be on several lanes at once in a scenario."""
    return scenario.moves or bool(np.any(np.asarray(scenario.links.home)))


def empty_packed(batch: int, limits: Limits) -> PackedScenarios:
    """Return `batch` packed scenarios that are all zeros."""
    users, layers, servers, slots = limits.users, limits.layers, limits.servers, limits.slots
    floats: dict[str, tuple[int, ...]] = {
        "execution_s": (batch, users, layers, servers + 1),
        "weight_bytes": (batch, users, layers),
        "tensor_bytes": (batch, users, layers + limits.inputs),
        "slot_edges_s": (batch, slots + 1),
        "query_rate_hz": (batch, slots, users),
        "up_bytes_per_s": (batch, slots, users, servers),
        "down_bytes_per_s": (batch, slots, users, servers),
        "up_latency_s": (batch, slots, users, servers),
        "down_latency_s": (batch, slots, users, servers),
        "between_bytes_per_s": (batch, servers, servers),
        "between_latency_s": (batch, servers, servers),
        "memory_bytes": (batch, servers),
        "user_positions": (batch, slots, users, 2),
        "user_velocities": (batch, slots, users, 2),
        "server_positions": (batch, servers, 2),
        "area_m": (batch,),
    }
    return PackedScenarios(
        num_users=np.zeros(batch, np.int64),
        num_servers=np.zeros(batch, np.int64),
        num_slots=np.zeros(batch, np.int64),
        num_layers=np.zeros((batch, users), np.int64),
        predecessor_offsets=np.zeros((batch, users, layers + 1), np.int32),
        predecessors=np.zeros((batch, users, limits.edges), np.int32),
        share_offsets=np.zeros((batch, users, layers + 1), np.int32),
        shares=np.zeros((batch, users, limits.shares), np.int32),
        on_device=np.zeros((batch, users, layers), np.bool_),
        is_output=np.zeros((batch, users, layers), np.bool_),
        uploaded=np.zeros((batch, users, layers), np.int8),
        copies=np.zeros((batch, users, layers, servers if limits.lanes else 0), np.bool_),
        moves=np.zeros(batch, np.bool_),
        home=np.zeros((batch, slots, users), np.int8),
        uplink=np.zeros(batch, np.int8),
        **{name: np.zeros(shape) for name, shape in floats.items()},
    )


def pack(scenarios: Sequence[Scenario], limits: Limits | None = None) -> PackedScenarios:
    """Return scenarios as arrays, padded to `limits` (by default the smallest that hold them all).

    Raises:
        ValueError: If a scenario exceeds the limits.
    """
    if limits is None:
        limits = Limits.of(scenarios)
    else:
        for scenario in scenarios:
            limits.check(scenario)
    packed = empty_packed(len(scenarios), limits)
    for row, scenario in enumerate(scenarios):
        _pack_row(packed, row, scenario, limits)
    return packed


def _pack_row(packed: PackedScenarios, row: int, scenario: Scenario, limits: Limits) -> None:
    users, servers, slots = len(scenario.users), len(scenario.servers), scenario.num_slots
    packed.num_users[row], packed.num_servers[row], packed.num_slots[row] = users, servers, slots
    for index, (user, seconds) in enumerate(zip(scenario.users, scenario.execution_s, strict=True)):
        arrays = graph_arrays(user.graph, limits.layers, limits.edges, limits.inputs, limits.shares)
        for name in GraphArrays._fields:
            getattr(packed, name)[row, index] = getattr(arrays, name)
        packed.execution_s[row, index, : len(user.graph), : servers + 1] = seconds
        packed.uploaded[row, index, : len(user.graph)] = np.asarray(user.uploaded)
        if user.copies is not None and limits.lanes:
            packed.copies[row, index, : len(user.graph), :servers] = np.asarray(user.copies)
        packed.query_rate_hz[row, :slots, index] = user.query_rate_hz
    packed.uplink[row] = UPLINKS.index(scenario.uplink)
    packed.moves[row] = scenario.moves
    packed.home[row, :slots, :users] = np.asarray(scenario.links.home)
    packed.slot_edges_s[row, :slots] = scenario.slot_starts_s
    packed.slot_edges_s[row, slots:] = scenario.horizon_s
    links = scenario.links
    for name in ("up_bytes_per_s", "down_bytes_per_s", "up_latency_s", "down_latency_s"):
        getattr(packed, name)[row, :slots, :users, :servers] = getattr(links, name)
    packed.between_bytes_per_s[row, :servers, :servers] = links.between_bytes_per_s
    packed.between_latency_s[row, :servers, :servers] = links.between_latency_s
    packed.memory_bytes[row, :servers] = [server.memory_bytes for server in scenario.servers]
    if scenario.mobility is not None:
        _pack_mobility(packed, row, scenario)


def _pack_mobility(packed: PackedScenarios, row: int, scenario: Scenario) -> None:
    mobility = scenario.mobility
    if mobility is None:
        return
    users, servers, slots = len(scenario.users), len(scenario.servers), scenario.num_slots
    slot_s = np.diff(packed.slot_edges_s[row, : slots + 1])[:, None, None]
    packed.area_m[row] = mobility.area_m
    packed.user_positions[row, :slots, :users] = np.asarray(mobility.user_positions_m) / mobility.area_m - 0.5
    packed.user_velocities[row, :slots, :users] = (
        np.asarray(mobility.user_velocities_m_per_s) * slot_s / mobility.area_m
    )
    packed.server_positions[row, :servers] = np.asarray(mobility.server_positions_m) / mobility.area_m - 0.5
