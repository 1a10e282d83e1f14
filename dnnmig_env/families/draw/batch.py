"""Drawn scenarios as arrays, in the two parts that a generator draws, and how they become a `ScenarioBatch`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.families.draw.machines import Machines
from dnnmig_env.families.draw.network_table import NetworkTable
from dnnmig_env.scenarios.node import Tier
from dnnmig_env.scenarios.scenario import Links, Mobility, Scenario, User
from dnnmig_env.scenarios.uplink import UPLINKS, Uplink
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.scenario_batch import ScenarioBatch


@dataclass(frozen=True, eq=False)
class Participants:
    """Who takes part in B scenarios: users with their networks and devices, and servers.

    Arrays are padded to the most users and servers. A user of the padding has the network -1, the padding of the table;
    a server of the padding is an absent machine (`machines.without`). So padding takes no time and holds nothing, and
    no code has to treat it differently.

    Attributes:
        networks: The networks that `network` indexes.
        network: Index of each user's network, shape (B, U).
        devices: Each user's device, shape (B, U).
        servers: The servers, shape (B, S).
        is_edge: Which servers are edges, shape (B, S).
        is_cloud: Which servers are clouds, shape (B, S).
        num_edges: Number of edges, shape (B,).
        num_servers: Number of servers, shape (B,).
    """

    networks: NetworkTable
    network: Ints
    devices: Machines
    servers: Machines
    is_edge: Bools
    is_cloud: Bools
    num_edges: Ints
    num_servers: Ints

    def execution_s(self) -> Floats:
        """Return the seconds of every layer on every node by the roofline, shape (B, U, L, S + 1)."""
        table, index = self.networks, self.network
        nodes = [_nodes(*pair) for pair in zip(self.devices[:3], self.servers[:3], strict=True)]
        seconds = table.flops[index][:, :, None] / nodes[0]
        np.maximum(seconds, table.bytes_moved[index][:, :, None] / nodes[1], out=seconds)
        seconds += table.operators[index][:, :, None] * nodes[2]
        return seconds.swapaxes(2, 3)

    def total_weight_bytes(self) -> Floats:
        """Return the bytes of each user's whole network, shape (B, U)."""
        return self.networks.total_weight_bytes[self.network]


@dataclass(frozen=True, eq=False)
class SlotConditions:
    """What holds in each slot of B scenarios: rates, latencies, query rates and positions.

    Padding is zero, as in `PackedScenarios`.

    Attributes:
        slot_edges_s: Starts of the slots and the horizon, shape (B, T + 1).
        query_rate_hz: Queries per second of each user, shape (B, T, U).
        bytes_per_s: Rates between device and server, in both directions, shape (B, T, U, S).
        latency_s: Latencies between device and server, in both directions, shape (B, T, U, S).
        between_bytes_per_s: Rates between servers, shape (B, S, S).
        between_latency_s: Latencies between servers, shape (B, S, S).
        user_positions: In sides of the area from its centre, shape (B, T, U, 2).
        user_velocities: In sides of the area per slot, shape (B, T, U, 2).
        server_positions: In sides of the area from its centre, shape (B, S, 2).
        area_m: Side of the square in which users move; None if nobody moves.
        home: Server in whose cell each user is (1..S), shape (B, T, U); None = all users share one cell.
    """

    slot_edges_s: Floats
    query_rate_hz: Floats
    bytes_per_s: Floats
    latency_s: Floats
    between_bytes_per_s: Floats
    between_latency_s: Floats
    user_positions: Floats | None = None
    user_velocities: Floats | None = None
    server_positions: Floats | None = None
    area_m: float | None = None
    home: Ints | None = None


def drawn_batch(
    family: str,
    uplink: Uplink,
    participants: Participants,
    execution_s: Floats,
    conditions: SlotConditions,
    *,
    moves: bool = False,
) -> ScenarioBatch:
    """Return drawn scenarios as a batch.

    Args:
        family: Family of the generator.
        uplink: How weights and data share the uplink.
        participants: Who takes part.
        execution_s: The result of `participants.execution_s()`, which generators need themselves.
        conditions: What holds in each slot.
        moves: Whether weights may be sent from server to server (`Scenario.moves`).
    """
    packed = _packed(participants, execution_s, conditions, moves=moves)
    packed.uplink[:] = UPLINKS.index(uplink)
    has_cells = conditions.home is not None
    return ScenarioBatch(packed, _Builder(family, uplink, participants, packed, conditions.area_m, has_cells, moves))


@dataclass(frozen=True, eq=False)
class _Builder:
    """Builds the `Scenario` object of a row of the arrays."""

    family: str
    uplink: Uplink
    participants: Participants
    packed: PackedScenarios
    area_m: float | None
    has_cells: bool
    moves: bool

    def __call__(self, row: int) -> Scenario:
        packed, participants = self.packed, self.participants
        users, servers, slots = int(packed.num_users[row]), int(packed.num_servers[row]), int(packed.num_slots[row])
        return Scenario(
            users=tuple(
                User(
                    name=f"user-{index}",
                    graph=participants.networks.graphs[participants.network[row, index]],
                    device=participants.devices.node("device", Tier.DEVICE, row, index),
                    query_rate_hz=packed.query_rate_hz[row, :slots, index],
                )
                for index in range(users)
            ),
            servers=tuple(
                participants.servers.node(f"{tier}-{index + 1}", tier, row, index)
                for index, tier in enumerate(
                    Tier.CLOUD if cloud else Tier.EDGE for cloud in participants.is_cloud[row, :servers]
                )
            ),
            links=Links(
                up_bytes_per_s=packed.up_bytes_per_s[row, :slots, :users, :servers],
                down_bytes_per_s=packed.down_bytes_per_s[row, :slots, :users, :servers],
                up_latency_s=packed.up_latency_s[row, :slots, :users, :servers],
                down_latency_s=packed.down_latency_s[row, :slots, :users, :servers],
                between_bytes_per_s=packed.between_bytes_per_s[row, :servers, :servers],
                between_latency_s=packed.between_latency_s[row, :servers, :servers],
                home=packed.home[row, :slots, :users] if self.has_cells else None,
            ),
            horizon_s=float(packed.slot_edges_s[row, slots]),
            slot_starts_s=packed.slot_edges_s[row, :slots],
            mobility=None if self.area_m is None else self._mobility(row, self.area_m),
            family=self.family,
            uplink=self.uplink,
            moves=self.moves,
        )

    def _mobility(self, row: int, area_m: float) -> Mobility:
        packed = self.packed
        users, servers, slots = packed.num_users[row], packed.num_servers[row], packed.num_slots[row]
        slot_s = np.diff(packed.slot_edges_s[row, : slots + 1])[:, None, None]
        return Mobility(
            user_positions_m=(packed.user_positions[row, :slots, :users] + 0.5) * area_m,
            user_velocities_m_per_s=packed.user_velocities[row, :slots, :users] * area_m / slot_s,
            server_positions_m=(packed.server_positions[row, :servers] + 0.5) * area_m,
            area_m=area_m,
        )


def _packed(
    participants: Participants, execution_s: Floats, conditions: SlotConditions, *, moves: bool
) -> PackedScenarios:
    table, network = participants.networks, participants.network
    batch, num_users, num_layers, nodes = execution_s.shape
    num_slots = conditions.query_rate_hz.shape[1]
    moving, has_lanes = (batch, num_slots, num_users, 2), moves or conditions.home is not None
    return PackedScenarios(
        num_users=np.count_nonzero(network >= 0, axis=1),
        num_servers=participants.num_servers,
        num_slots=np.full(batch, num_slots),
        num_layers=table.num_layers[network],
        execution_s=np.ascontiguousarray(execution_s),
        weight_bytes=table.weight_bytes[network],
        tensor_bytes=table.tensor_bytes[network],
        predecessor_offsets=table.predecessor_offsets[network],
        predecessors=table.predecessors[network],
        share_offsets=table.share_offsets[network],
        shares=table.shares[network],
        on_device=table.on_device[network],
        is_output=table.is_output[network],
        slot_edges_s=conditions.slot_edges_s,
        query_rate_hz=conditions.query_rate_hz,
        up_bytes_per_s=conditions.bytes_per_s,
        down_bytes_per_s=conditions.bytes_per_s.copy(),
        up_latency_s=conditions.latency_s,
        down_latency_s=conditions.latency_s.copy(),
        between_bytes_per_s=conditions.between_bytes_per_s,
        between_latency_s=conditions.between_latency_s,
        memory_bytes=participants.servers.memory_bytes,
        uploaded=np.zeros((batch, num_users, num_layers), np.int8),
        copies=np.zeros((batch, num_users, num_layers, nodes - 1 if has_lanes else 0), np.bool_),
        moves=np.full(batch, moves),
        home=np.zeros(moving[:3], np.int8) if conditions.home is None else conditions.home.astype(np.int8),
        uplink=np.zeros(batch, np.int8),
        user_positions=np.zeros(moving) if conditions.user_positions is None else conditions.user_positions,
        user_velocities=np.zeros(moving) if conditions.user_velocities is None else conditions.user_velocities,
        server_positions=(
            np.zeros((batch, nodes - 1, 2)) if conditions.server_positions is None else conditions.server_positions
        ),
        area_m=np.full(batch, conditions.area_m or 0.0),
    )


def _nodes(device: Floats, servers: Floats) -> Floats:
    """Return a value per node of each user, shape (B, U, S + 1, 1), from those of devices (B, U) and servers (B, S)."""
    nodes = np.empty((*device.shape, servers.shape[1] + 1, 1))
    nodes[..., 0, 0], nodes[..., 1:, 0] = device, servers[:, None]
    return nodes
