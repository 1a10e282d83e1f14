"""Two edges and a cloud on a line, and users with a chain of two layers of 4 and 2 MB, so that all can be counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dnnmig_env.scenarios.node import Tier
from dnnmig_env.scenarios.scenario import Mobility, Scenario
from tests.agents.planners.hand_made import MB, chain

WEST, EAST, CLOUD = 1, 2, 3
NOTHING = (0, 0)


def town(
    home: Sequence[Sequence[int]],
    uploaded: Sequence[Sequence[int]] = (),
    *,
    copies: dict[tuple[int, int], int] | None = None,
    foreign_mb_per_s: float = 0.0,
    rates: Sequence[Any] = (),
    memory_mb: float = 100.0,
    x_m: Sequence[Sequence[float]] = (),
    vx_m_per_s: Sequence[Sequence[float]] = (),
) -> Scenario:
    """A scenario with slots of 10 s; rows of `home`, `x_m` and `vx_m_per_s` are slots, of `uploaded` and `rates` users.

    The radio to the home edge carries 10 MB/s, that to the cloud 1 MB/s, wires 5 MB/s. The edges stand at 250 m and
    750 m of 1000 m.
    """
    slots, users = np.shape(home)
    plain = chain([4, 2], [0, 0], server_s=(0.1, 0.1, 0.2), rate_mb_per_s=(10, 10, 1), query_rate_hz=[1.0] * users)
    servers = tuple(
        replace(server, tier=Tier.CLOUD if index == 2 else Tier.EDGE, memory_bytes=memory_mb * MB)
        for index, server in enumerate(plain.servers)
    )
    up = np.full((slots, users, 3), foreign_mb_per_s * MB)
    up[..., CLOUD - 1] = 1 * MB
    np.put_along_axis(up, np.asarray(home)[..., None] - 1, 10 * MB, axis=2)
    held = [np.zeros((2, 3), np.bool_) for _ in range(users)]
    for (user, layer), server in (copies or {}).items():
        held[user][layer, server - 1] = True
    people = tuple(
        replace(
            user,
            uploaded=uploaded[index] if uploaded else NOTHING,
            copies=held[index],
            query_rate_hz=rates[index] if rates else 1.0,
        )
        for index, user in enumerate(plain.users)
    )
    place, way = (np.zeros((slots, users, 2)) for _ in range(2))
    place[..., 0], place[..., 1] = x_m if len(x_m) else 250.0, 500.0
    way[..., 0] = vx_m_per_s if len(vx_m_per_s) else 0.0
    return replace(
        plain,
        users=people,
        servers=servers,
        links=replace(plain.links, up_bytes_per_s=up, down_bytes_per_s=up, between_bytes_per_s=5 * MB, home=home),
        horizon_s=10.0 * slots,
        slot_starts_s=10.0 * np.arange(slots),
        mobility=Mobility(place, way, [[250.0, 500.0], [750.0, 500.0], [500.0, 500.0]], 1000.0),
        moves=True,
    )
