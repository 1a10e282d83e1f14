"""All placements that fit a small scenario."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from agents.planners.protocol import Placement
from agents.planners.slot_zero import movable_layers
from dnnmig_env.scenarios.scenario import Scenario


def placements(scenario: Scenario) -> Iterator[Placement]:
    """Yield every placement that fits the memory and keeps what is uploaded."""
    users, layers = np.nonzero(movable_layers(scenario))
    held = np.concatenate([np.array(user.uploaded, np.int8) for user in scenario.users])
    weights = np.concatenate([user.graph.weight_bytes for user in scenario.users])
    ends = np.cumsum([len(user.graph) for user in scenario.users])
    free = np.append(0, ends)[users] + layers
    memory_bytes = [math.inf, *(server.memory_bytes for server in scenario.servers)]
    for nodes in itertools.product(range(len(memory_bytes)), repeat=len(users)):
        placed = held.copy()
        placed[free] = nodes
        if np.all(np.bincount(placed, weights, len(memory_bytes)) <= memory_bytes):
            yield tuple(np.split(placed, ends[:-1]))
