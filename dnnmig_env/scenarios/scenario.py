"""What is given: users with their networks and devices, servers, links, time slots and a horizon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from dnnmig_env.arrays import Floats
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.scenarios.node import Node, execution_s


@dataclass(frozen=True, eq=False)
class User:
    """One user: a network, the device that holds it, and how often it is queried.

    Attributes:
        name: Name, unique within a scenario.
        graph: The user's network.
        device: The user's own node (node 0 of the user's placements).
        query_rate_hz: Queries per second, one number or one per time slot, shape (T,); 0 = not present.
        profile_s: Measured seconds per layer and node (column 0 the device, then the servers), shape (L, S + 1);
            takes the place of the roofline when given.
        uploaded: Server that already holds each layer's weights at time 0 (1..S, 0 = none), shape (L,);
            all zero by default.
    """

    name: str
    graph: LayerGraph
    device: Node
    query_rate_hz: ArrayLike = 1.0
    profile_s: ArrayLike | None = None
    uploaded: ArrayLike | None = None


@dataclass(frozen=True, eq=False)
class Links:
    """Rates and latencies between the nodes, per time slot where a device is one end.

    Every argument broadcasts: one number stands for all slots, users and servers.

    Attributes:
        up_bytes_per_s: Device to server, shape (T, U, S); 0 = no connection in that slot.
        down_bytes_per_s: Server to device, shape (T, U, S); as the uplink when left out.
        up_latency_s: Device to server, shape (T, U, S).
        down_latency_s: Server to device, shape (T, U, S); as the uplink's when left out.
        between_bytes_per_s: Between servers, shape (S, S); the diagonal is not used.
        between_latency_s: Between servers, shape (S, S).
    """

    up_bytes_per_s: ArrayLike
    down_bytes_per_s: ArrayLike | None = None
    up_latency_s: ArrayLike = 0.0
    down_latency_s: ArrayLike | None = None
    between_bytes_per_s: ArrayLike = 1.25e8
    between_latency_s: ArrayLike = 0.0


@dataclass(frozen=True, eq=False)
class Mobility:
    """Where users and servers are; policies may see the present slot's rows.

    Attributes:
        user_positions_m: Shape (T, U, 2).
        user_velocities_m_per_s: Shape (T, U, 2).
        server_positions_m: Shape (S, 2); servers without a place (a cloud) at the centre.
        area_m: Side of the square in which users move; scales the positions in observations.
    """

    user_positions_m: ArrayLike
    user_velocities_m_per_s: ArrayLike
    server_positions_m: ArrayLike
    area_m: float = 1000.0


@dataclass(frozen=True, eq=False)
class Scenario:
    """One instance of the problem; immutable and checked when made.

    Numbers may be given as scalars where they do not vary; the attributes of `users`, `links` and `mobility`
    are then replaced by read-only arrays of full shape.

    Attributes:
        users: The users, U of them.
        servers: The servers, S of them; node s + 1 of a placement is `servers[s]`.
        links: Rates and latencies.
        horizon_s: Length of the time considered, H.
        slot_starts_s: Start of each time slot, shape (T,); the first is 0.
        mobility: Positions and velocities, where users move.
        family: Family of the generator that made it, or "custom".

    Raises:
        ValueError: If anything is missing, negative, NaN, of the wrong shape, or cannot work (a server nobody
            reaches, memory that holds no layer, a horizon of zero).
    """

    users: tuple[User, ...]
    servers: tuple[Node, ...]
    links: Links
    horizon_s: float
    slot_starts_s: Sequence[float] | Floats = field(default=(0.0,))
    mobility: Mobility | None = None
    family: str = "custom"

    def __post_init__(self) -> None:
        from dnnmig_env.scenarios.validation import validated

        for name, value in validated(self).items():
            object.__setattr__(self, name, value)

    @property
    def num_slots(self) -> int:
        """Number of time slots, T."""
        return len(self.slot_starts_s)

    @cached_property
    def execution_s(self) -> tuple[Floats, ...]:
        """For each user the seconds per layer and node, shape (L, S + 1); column 0 is the device."""
        return tuple(self._execution_s(user) for user in self.users)

    def _execution_s(self, user: User) -> Floats:
        if user.profile_s is not None:
            return np.asarray(user.profile_s, dtype=np.float64)
        return np.stack([execution_s(user.graph, node) for node in (user.device, *self.servers)], axis=1)
