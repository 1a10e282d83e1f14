"""All placements that fit a small scenario."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from agents.planners.protocol import Placement
from agents.planners.slot_zero import movable_layers
from dnnmig_env.scenarios.scenario import Scenario


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
