"""A scenario, which is all that is given: users with networks and devices, servers, links, time slots, a horizon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dnnmig_env.arrays import Floats
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.scenarios.node import Node, execution_s
from dnnmig_env.scenarios.uplink import Uplink
from dnnmig_env.scenarios.validation import validated


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
        copies: Further servers that hold a layer's weights at time 0, shape (L, S); none by default. Only where weights
            may move (`Scenario.moves`) is there more than one server that holds a layer.
    """

    name: str
    graph: LayerGraph
    device: Node
    query_rate_hz: ArrayLike = 1.0
    profile_s: ArrayLike | None = None
    uploaded: ArrayLike | None = None
    copies: ArrayLike | None = None


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
        home: Server in whose cell each user is (1..S), shape (T, U). Every cell is a radio channel of its own, and the
            users in it share that. None (0 everywhere) = all users share one channel.
    """

    up_bytes_per_s: ArrayLike
    down_bytes_per_s: ArrayLike | None = None
    up_latency_s: ArrayLike = 0.0
    down_latency_s: ArrayLike | None = None
    between_bytes_per_s: ArrayLike = 1.25e8
    between_latency_s: ArrayLike = 0.0
    home: ArrayLike | None = None


@dataclass(frozen=True, eq=False)
class Mobility:
    """Where users and servers are; policies may see the rows of the present slot.

    Attributes:
        user_positions_m: Position (x, y) of each user in each slot, shape (T, U, 2).
        user_velocities_m_per_s: Velocity of each user in each slot, shape (T, U, 2).
        server_positions_m: Position of each server, shape (S, 2); a server without a place (a cloud) is put at the
            centre.
        area_m: Side of the square in which users move; positions in observations are given in this unit.
        slot_s: Length of the slot that is shown to a network which plans by samples (`agents.policies.sampling`), as
            what is known of a scenario (`known_scenario`) is one slot up to the horizon; None = that of the first slot.
            Environments give velocities per slot of their own, and files do not hold it.
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
        moves: Whether weights that a server holds may be sent to further servers, by wire or by radio. Room for them is
            then made by dropping what nobody needs (see `dnnmig_env.simulation.moving.room`), and what is on its way
            for a user who leaves is lost.

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
    moves: bool = False

    def __post_init__(self) -> None:
        for name, value in validated(self).items():
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


def derived(scenario: Scenario, **changes: Any) -> Scenario:
    """Return a scenario like another one, with other values of some attributes, without checking it.

    Checks take longer than many plans, and planners derive scenarios at every decision. So this is for code that makes
    a valid scenario of a valid one; everybody else writes `dataclasses.replace`, which checks.

    Args:
        scenario: The scenario.
        changes: Attributes and their values as they are kept: every array of full shape and of the type that a checked
            scenario has. `execution_s` may be among them, so that it is not worked out again.
    """
    made = object.__new__(Scenario)
    for attribute in fields(Scenario):
        value = changes[attribute.name] if attribute.name in changes else getattr(scenario, attribute.name)
        object.__setattr__(made, attribute.name, value)
    if "execution_s" in changes:
        made.__dict__["execution_s"] = changes["execution_s"]
    elif "users" not in changes and "servers" not in changes:
        made.__dict__["execution_s"] = scenario.execution_s
    return made
