"""Placements for tests: all that fit a small scenario, and the delay of any."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from agents.planners.planner import Placement
from agents.planners.present import movable_layers, present_problem
from dnnmig_env.playback import migration_delay_s
from dnnmig_env.scenario import Scenario


def migration_s(scenario: Scenario, placement: Placement) -> float:
    """Return the migration delay of a placement."""
    p = present_problem(scenario)
    node = np.zeros(p.weight_bytes.shape[1:], np.int8)
    for u, row in enumerate(placement):
        node[u, : len(row)] = row
    return float(migration_delay_s(p, 0, 0, node, np.empty(len(node))))


def placements(scenario: Scenario) -> Iterator[Placement]:
    """Yield every placement that fits the memory and keeps what is uploaded."""
    users, layers = np.nonzero(movable_layers(scenario))
    for nodes in itertools.product(range(len(scenario.servers) + 1), repeat=len(users)):
        placement = tuple(np.array(user.uploaded, np.int8) for user in scenario.users)
        for user, layer, node in zip(users, layers, nodes, strict=True):
            placement[user][layer] = node
        placed = list(zip(scenario.users, placement, strict=True))
        used_bytes = [sum(user.graph.weight_bytes[row == s].sum() for user, row in placed) for s in range(1, 99)]
        if all(size <= server.memory_bytes for size, server in zip(used_bytes, scenario.servers, strict=False)):
            yield placement
