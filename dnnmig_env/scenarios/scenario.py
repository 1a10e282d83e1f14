"""A scenario, which is all that is given: users with networks and devices, servers, links, time slots, a horizon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from dnnmig_env.arrays import Floats
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.scenarios.bounds import (
    AREA,
    HORIZON,
    LATENCY,
    LINK_RATE,
    MOST_SERVERS,
    NUMBER,
    PLACE,
    QUERY_RATE,
    START,
    WORK,
    check_bounds,
    full,
)
from dnnmig_env.scenarios.node import Node, execution_s

Uplink = Literal["priority", "shared", "independent"]
"""How weights and the data of queries share the radio uplink. `priority`: weights give way to data, and move only while
no data do. `shared`: an upload is one more customer beside the users' data. `independent`: they do not meet."""

UPLINKS: tuple[Uplink, ...] = get_args(Uplink)


@dataclass(frozen=True, eq=False)
class User:
    """One user: a network, the device that holds it, and how often it is queried.

    Attributes:
        name: Name, unique within a scenario.
        graph: The user's network.
        device: The user's own node (node 0 of the user's placements).
        query_rate_hz: Queries per second, one number or one per time slot, shape (T,); 0 = not present.
        profile_s: Measured seconds per layer and node (column 0 is the device, then come the servers), shape
            (L, S + 1); if given, they take the place of the roofline.
        uploaded: Server that already holds each layer's weights at time 0 (1..S, 0 = none), shape (L,); all zero by
            default.
    """

    name: str
    graph: LayerGraph
    device: Node
    query_rate_hz: ArrayLike = 1.0
    profile_s: ArrayLike | None = None
    uploaded: ArrayLike | None = None


@dataclass(frozen=True, eq=False)
class Links:
    """Rates and latencies of the links between nodes; those of links to and from a device may change with the slot.

    Every argument broadcasts: one number stands for all slots, users and servers.

    Attributes:
        up_bytes_per_s: Rates from device to server, shape (T, U, S); 0 = no connection in that slot.
        down_bytes_per_s: Rates from server to device, shape (T, U, S); by default those of the uplink.
        up_latency_s: Latencies from device to server, shape (T, U, S).
        down_latency_s: Latencies from server to device, shape (T, U, S); by default those of the uplink.
        between_bytes_per_s: Rates between servers, a row per sending server, shape (S, S); the diagonal is not used.
        between_latency_s: Latencies between servers, a row per sending server, shape (S, S).
    """

    up_bytes_per_s: ArrayLike
    down_bytes_per_s: ArrayLike | None = None
    up_latency_s: ArrayLike = 0.0
    down_latency_s: ArrayLike | None = None
    between_bytes_per_s: ArrayLike = 1.25e8
    between_latency_s: ArrayLike = 0.0


@dataclass(frozen=True, eq=False)
class Mobility:
    """Where users and servers are; policies may see the rows of the present slot.

    Attributes:
        user_positions_m: Position (x, y) of each user in each slot, shape (T, U, 2).
        user_velocities_m_per_s: Velocity of each user in each slot, shape (T, U, 2).
        server_positions_m: Position of each server, shape (S, 2); a server without a place (a cloud) is put at the
            centre.
        area_m: Side of the square in which users move; positions in observations are given in this unit.
        slot_s: Length of the slot in which velocities in observations are given; None = that of each slot. What is
            known of a scenario (`known_scenario`) is one slot up to the horizon, and keeps the present slot's length.
    """

    user_positions_m: ArrayLike
    user_velocities_m_per_s: ArrayLike
    server_positions_m: ArrayLike
    area_m: float = 1000.0
    slot_s: float | None = None


@dataclass(frozen=True, eq=False)
class Scenario:
    """One instance of the problem: all that is given before anything is decided. Immutable, and checked when made.

    Numbers that do not vary may be given as scalars. The scenario then holds copies of `users`, `links` and `mobility`
    in which they are read-only arrays of full shape.

    Attributes:
        users: The users, U of them.
        servers: The servers, S of them; node s + 1 of a placement is `servers[s]`.
        links: Rates and latencies between the nodes.
        horizon_s: Length of the time considered, H.
        slot_starts_s: Start of each time slot, shape (T,); the first is 0.
        mobility: Positions and velocities; None if nobody moves.
        family: Family of the generator that made the scenario, or "custom".
        uplink: How weights and the data of queries share the radio uplink; see `Uplink`.

    Raises:
        ValueError: If anything is missing, negative, NaN, of the wrong shape, or cannot work (a server that a user
            never reaches, memory that holds no layer, a horizon of zero), or there are too many servers.
    """

    users: tuple[User, ...]
    servers: tuple[Node, ...]
    links: Links
    horizon_s: float
    slot_starts_s: Sequence[float] | Floats = field(default=(0.0,))
    mobility: Mobility | None = None
    family: str = "custom"
    uplink: Uplink = "priority"

    def __post_init__(self) -> None:
        for name, value in _validated(self).items():
            object.__setattr__(self, name, value)

    @property
    def num_slots(self) -> int:
        """Number of time slots, T."""
        return len(self.slot_starts_s)

    @cached_property
    def execution_s(self) -> tuple[Floats, ...]:
        """For each user, the seconds that each layer takes on each node, shape (L, S + 1); column 0 is the device."""
        return tuple(self._execution_s(user) for user in self.users)

    def _execution_s(self, user: User) -> Floats:
        if user.profile_s is not None:
            return np.asarray(user.profile_s, dtype=np.float64)
        return np.stack([execution_s(user.graph, node) for node in (user.device, *self.servers)], axis=1)


def check_uplink(uplink: str) -> None:
    """Check that a reading of the uplink is known.

    Raises:
        ValueError: If it is not; the error lists the known ones.
    """
    if uplink not in UPLINKS:
        raise ValueError(f"uplink is {uplink!r}; choose one of {', '.join(UPLINKS)}.")


def _validated(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario's attributes, checked, with every array of full shape and read-only.

    Raises:
        ValueError: If one is wrong; the error names the argument, its value and the remedy.
    """
    users, servers = tuple(scenario.users), tuple(scenario.servers)
    if not users:
        raise ValueError("users is empty; give at least one user.")
    if not servers:
        raise ValueError("servers is empty; give at least one edge or cloud server.")
    if len(servers) > MOST_SERVERS:
        raise ValueError(f"servers has {len(servers)} entries; a scenario can have {MOST_SERVERS} at most.")
    _check_unique("users", [user.name for user in users])
    _check_unique("servers", [server.name for server in servers])
    check_uplink(scenario.uplink)
    check_bounds("horizon_s", scenario.horizon_s, HORIZON)
    starts = _slot_starts(scenario.slot_starts_s, scenario.horizon_s)
    shape = (len(starts), len(users), len(servers))
    users = tuple(_checked_user(user, shape) for user in users)
    if not any(np.any(np.asarray(user.query_rate_hz) > 0) for user in users):
        raise ValueError("query_rate_hz is 0 for every user in every slot; somebody must raise queries.")
    links = _checked_links(scenario.links, shape)
    _check_reach(users, servers, np.asarray(links.up_bytes_per_s))
    for server in servers:
        _check_memory(server, users)
    _check_uploaded(users, servers)
    mobility = None if scenario.mobility is None else _checked_mobility(scenario.mobility, shape)
    return {"users": users, "servers": servers, "slot_starts_s": starts, "links": links, "mobility": mobility}


def _slot_starts(starts: Sequence[float] | Floats, horizon_s: float) -> Floats:
    array = full("slot_starts_s", starts, (len(starts),), START)
    if len(array) == 0 or array[0] != 0 or np.any(np.diff(array) <= 0) or array[-1] >= horizon_s:
        raise ValueError(
            f"slot_starts_s is {array.tolist()}; slots start at 0, increase, and begin before the horizon "
            f"({horizon_s} s)."
        )
    return array


def _checked_user(user: User, shape: tuple[int, int, int]) -> User:
    num_slots, _, num_servers = shape
    where, num_layers = f"user {user.name!r}: ", len(user.graph)
    check_bounds(f"{where}flops of {user.graph.name!r}", user.graph.flops.sum(), WORK)
    check_bounds(f"{where}bytes_moved of {user.graph.name!r}", user.graph.bytes_moved.sum(), WORK)
    if user.device.memory_bytes < user.graph.weight_bytes.sum():
        raise ValueError(
            f"{where}memory_bytes of its device is {user.device.memory_bytes!r}, less than the "
            f"{user.graph.weight_bytes.sum():.0f} bytes of {user.graph.name!r}; a device holds its whole network."
        )
    profile = user.profile_s
    if profile is not None:
        profile = full(f"{where}profile_s", profile, (num_layers, num_servers + 1), LATENCY)
    given = full(f"{where}uploaded", 0 if user.uploaded is None else user.uploaded, (num_layers,), NUMBER)
    uploaded = given.astype(np.int8)
    if np.any(given > num_servers) or np.any(uploaded != given):
        raise ValueError(
            f"{where}uploaded is {given.tolist()}; give a server 1 to {num_servers} per layer, or 0 for none."
        )
    uploaded[~user.graph.movable] = 0
    uploaded.flags.writeable = False
    rate = full(f"{where}query_rate_hz", user.query_rate_hz, (num_slots,), QUERY_RATE)
    return replace(user, query_rate_hz=rate, profile_s=profile, uploaded=uploaded)


def _checked_links(links: Links, shape: tuple[int, int, int]) -> Links:
    between = (shape[2], shape[2])
    down = links.up_bytes_per_s if links.down_bytes_per_s is None else links.down_bytes_per_s
    down_latency = links.up_latency_s if links.down_latency_s is None else links.down_latency_s
    return replace(
        links,
        up_bytes_per_s=full("up_bytes_per_s", links.up_bytes_per_s, shape, LINK_RATE),
        down_bytes_per_s=full("down_bytes_per_s", down, shape, LINK_RATE),
        up_latency_s=full("up_latency_s", links.up_latency_s, shape, LATENCY),
        down_latency_s=full("down_latency_s", down_latency, shape, LATENCY),
        between_bytes_per_s=full("between_bytes_per_s", links.between_bytes_per_s, between, LINK_RATE),
        between_latency_s=full("between_latency_s", links.between_latency_s, between, LATENCY),
    )


def _checked_mobility(mobility: Mobility, shape: tuple[int, int, int]) -> Mobility:
    num_slots, num_users, num_servers = shape
    check_bounds("area_m", mobility.area_m, AREA)
    if mobility.slot_s is not None and not 0.0 < mobility.slot_s < math.inf:
        raise ValueError(f"slot_s is {mobility.slot_s}; it must be positive and finite, or None.")
    moving = (num_slots, num_users, 2)
    return replace(
        mobility,
        user_positions_m=full("user_positions_m", mobility.user_positions_m, moving, PLACE),
        user_velocities_m_per_s=full("user_velocities_m_per_s", mobility.user_velocities_m_per_s, moving, PLACE),
        server_positions_m=full("server_positions_m", mobility.server_positions_m, (num_servers, 2), PLACE),
    )


def _check_reach(users: tuple[User, ...], servers: tuple[Node, ...], up_bytes_per_s: Floats) -> None:
    reachable = up_bytes_per_s.max(axis=0) > 0
    for user, server in zip(*np.nonzero(~reachable), strict=True):
        raise ValueError(
            f"server {servers[server].name!r} has no link to user {users[user].name!r} (up_bytes_per_s is 0 in every "
            "slot); give the link a rate or leave the server out."
        )


def _check_memory(server: Node, users: tuple[User, ...]) -> None:
    smallest = min(
        (user.graph.weight_bytes[user.graph.movable].min() for user in users if user.graph.movable.any()),
        default=0.0,
    )
    if server.memory_bytes < smallest:
        raise ValueError(
            f"server {server.name!r}: memory_bytes is {server.memory_bytes!r}, too small for even the smallest layer "
            f"({smallest:.0f} bytes); give it more memory or leave it out."
        )


def _check_uploaded(users: tuple[User, ...], servers: tuple[Node, ...]) -> None:
    for index, server in enumerate(servers, start=1):
        held = sum(float(user.graph.weight_bytes[np.asarray(user.uploaded) == index].sum()) for user in users)
        if held > server.memory_bytes:
            raise ValueError(
                f"server {server.name!r}: uploaded puts {held:.0f} bytes on it, more than its memory_bytes "
                f"{server.memory_bytes!r}; mark fewer layers as uploaded."
            )


def _check_unique(argument: str, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{argument} repeats the name {repeated[0]!r}; names must be unique.")
