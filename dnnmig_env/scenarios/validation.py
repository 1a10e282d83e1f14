"""Checks what a scenario is made of; every error names the argument, its value and the remedy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from dnnmig_env.arrays import Bools, Floats, Int8s
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
from dnnmig_env.scenarios.node import Node
from dnnmig_env.scenarios.uplink import check_uplink

if TYPE_CHECKING:
    from dnnmig_env.scenarios.scenario import Links, Mobility, Scenario, User


def validated(scenario: Scenario) -> dict[str, Any]:
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
    if not isinstance(scenario.moves, bool):
        raise ValueError(f"moves is {scenario.moves!r}; give True or False.")
    links = _checked_links(scenario.links, shape)
    if not scenario.moves:
        _check_reach(users, servers, np.asarray(links.up_bytes_per_s))
        _check_no_copies(users)
    _check_memory(servers, users)
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
    copies = _checked_copies(where, user, uploaded, num_servers)
    rate = full(f"{where}query_rate_hz", user.query_rate_hz, (num_slots,), QUERY_RATE)
    return replace(user, query_rate_hz=rate, profile_s=profile, uploaded=uploaded, copies=copies)


def _checked_copies(where: str, user: User, uploaded: Int8s, num_servers: int) -> Bools | None:
    """Return the further servers that hold each layer, shape (L, S), without those that `uploaded` names."""
    if user.copies is None:
        return None
    given = full(f"{where}copies", user.copies, (len(uploaded), num_servers), NUMBER)
    if np.any((given != 0) & (given != 1)):
        raise ValueError(f"{where}copies is {given.tolist()}; give True or False per layer and server.")
    copies = given.astype(np.bool_)
    copies[~user.graph.movable] = False
    lost = np.flatnonzero(copies.any(axis=1) & (uploaded == 0))
    if len(lost):
        raise ValueError(
            f"{where}copies puts layer {lost[0]} on a server, but uploaded says that none holds it; say in uploaded on "
            "which server it runs."
        )
    held = np.flatnonzero(uploaded)
    copies[held, uploaded[held] - 1] = False
    copies.flags.writeable = False
    return copies


def _check_no_copies(users: tuple[User, ...]) -> None:
    for user in users:
        if user.copies is not None and np.any(np.asarray(user.copies)):
            raise ValueError(
                f"user {user.name!r}: copies puts a layer on several servers, which only a scenario with moves=True "
                "allows; leave copies out, or set moves."
            )


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
        home=_checked_home(links.home, shape),
    )


def _checked_home(home: ArrayLike | None, shape: tuple[int, int, int]) -> Int8s:
    """Return the server in whose cell each user is, shape (T, U); 0 everywhere if all share one channel."""
    num_slots, num_users, num_servers = shape
    if home is None or not np.any(np.asarray(home)):
        home = 0  # in whatever shape it says so: users and slots of a scenario without cells may be replaced by others
    given = full("home", home, (num_slots, num_users), NUMBER)
    checked = given.astype(np.int8)
    if np.any(given) and np.any((given < 1) | (given > num_servers) | (checked != given)):
        raise ValueError(
            f"home is {given.tolist()}; give the server 1 to {num_servers} in whose cell each user is, in each slot."
        )
    checked.flags.writeable = False
    return checked


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


def _check_memory(servers: tuple[Node, ...], users: tuple[User, ...]) -> None:
    smallest = smallest_layer_bytes(users)
    for server in servers:
        if server.memory_bytes < smallest:
            raise ValueError(
                f"server {server.name!r}: memory_bytes is {server.memory_bytes!r}, too small for even the smallest "
                f"layer ({smallest:.0f} bytes); give it more memory or leave it out."
            )


def _check_uploaded(users: tuple[User, ...], servers: tuple[Node, ...]) -> None:
    for index, server in enumerate(servers, start=1):
        held = sum(float(user.graph.weight_bytes[held_by(user, index)].sum()) for user in users)
        if held > server.memory_bytes:
            raise ValueError(
                f"server {server.name!r}: uploaded puts {held:.0f} bytes on it, more than its memory_bytes "
                f"{server.memory_bytes!r}; mark fewer layers as uploaded."
            )


def smallest_layer_bytes(users: Sequence[User]) -> float:
    """Return the weights of the smallest layer that may be uploaded for any of some users; 0 if there is none."""
    return min(
        (float(user.graph.weight_bytes[user.graph.movable].min()) for user in users if user.graph.movable.any()),
        default=0.0,
    )


def held_by(user: User, server: int) -> Bools:
    """Return which layers of a checked scenario's user a server (1..S) holds at time 0, shape (L,)."""
    held: Bools = np.asarray(user.uploaded) == server
    return held if user.copies is None else held | np.asarray(user.copies)[:, server - 1]


def _check_unique(argument: str, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{argument} repeats the name {repeated[0]!r}; names must be unique.")
