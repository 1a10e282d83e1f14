"""Everything to one server: the constant placements ("always edge", "always cloud") with which papers compare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.planners.protocol import Placement
from agents.planners.slot_zero import memory_left_bytes, movable_layers, reachable_servers
from agents.planners.turns import in_turns
from dnnmig_env.scenarios.scenario import Scenario


@dataclass(frozen=True)
class EverythingTo:
    """Places the layers of all users on one server, front to back while its memory lasts. O(U L).

    Users take turns layer by layer; a layer that no longer fits stays on the device. Users who cannot reach the
    server place nothing.

    Attributes:
        server: Number of the server, from 1.

    Raises:
        ValueError: If the number is less than 1.
    """

    server: int = 1

    def __post_init__(self) -> None:
        if self.server < 1:
            raise ValueError(f"server is {self.server}; servers are numbered from 1.")

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Placement:
        """Return the placement.

        Raises:
            ValueError: If the scenario has no such server.
        """
        if self.server > len(scenario.servers):
            raise ValueError(
                f"all-to-{self.server} needs a server {self.server}, but the scenario has {len(scenario.servers)}: "
                f"use all-to-1 to all-to-{len(scenario.servers)}."
            )
        placement = tuple(np.array(user.uploaded, np.int8) for user in scenario.users)
        movable = movable_layers(scenario) & reachable_servers(scenario)[:, [self.server - 1]]
        left_bytes = memory_left_bytes(scenario)[self.server - 1]
        for user, layer in in_turns([np.flatnonzero(row).tolist() for row in movable]):
            weight_bytes = scenario.users[user].graph.weight_bytes[layer]
            if weight_bytes <= left_bytes:
                left_bytes -= weight_bytes
                placement[user][layer] = self.server
        return placement
