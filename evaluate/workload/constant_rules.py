"""Rules that need no thought: nothing, or everything front to back to one server.

The server is the same for all users, or the nearest or the fastest of each. The users' networks are sent one after the
other, or layer by layer in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.plan import Plan, plan_of
from dnnmig_env.simulation.play import migration_delay_s

Steps = Sequence[tuple[int, int, int]]
"""Uploads of single layers: user, layer and server, in order."""


def constant_rules(packed: PackedScenarios) -> Iterator[tuple[str, Plan]]:
    """Yield the name and the plan of each rule for packed scenarios of which there is just one."""
    num_users, num_servers = int(packed.num_users[0]), int(packed.num_servers[0])
    yield "device only", Plan()
    targets = {f"all to {s}": [s] * num_users for s in range(1, num_servers)} | {
        "all to the last": [num_servers] * num_users,
        "all to the nearest": (packed.up_bytes_per_s[0, 0, :num_users].argmax(axis=1) + 1).tolist(),
        "all to the fastest": [_fastest_server(packed, user) for user in range(num_users)],
    }
    layers = [(u, int(v)) for u in range(num_users) for v in np.flatnonzero(packed.weight_bytes[0, u])]
    for name, target in targets.items():
        yield f"{name}, by user", plan_of(fitting(packed, [(u, v, target[u]) for u, v in layers]))
        in_turn = sorted(layers, key=lambda layer: (layer[1], layer[0]))
        yield f"{name}, in turn", plan_of(fitting(packed, [(u, v, target[u]) for u, v in in_turn]))


def fitting(packed: PackedScenarios, steps: Steps) -> list[tuple[int, int, int]]:
    """Leave out what does not fit into the servers' memory any more."""
    left_bytes, kept = packed.memory_bytes[0].copy(), []
    for u, v, server in steps:
        if packed.weight_bytes[0, u, v] <= left_bytes[server - 1]:
            left_bytes[server - 1] -= packed.weight_bytes[0, u, v]
            kept.append((u, v, server))
    return kept


def _fastest_server(packed: PackedScenarios, user: int) -> int:
    """Return the server on which a user's whole network would run fastest if it were alone."""
    delays_s = []
    for server in range(1, int(packed.num_servers[0]) + 1):
        node = np.zeros(packed.weight_bytes.shape[1:], np.int8)
        node[user] = server
        delay_s = np.empty(packed.weight_bytes.shape[1])
        migration_delay_s(packed, 0, 0, node, delay_s)
        delays_s.append(delay_s[user])
    return int(np.argmin(delays_s)) + 1
