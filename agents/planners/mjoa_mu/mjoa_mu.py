"""MJOA-MU: cold starts of several users, weights uploaded while layers execute, shares handed out by ARA.

Yang et al., Computer Networks 2023. Several heterogeneous users and one server; models are uploaded on demand during
one co-inference. PBT-DP places each user's layers, ARA hands out the channel and the server, and the weights of later
layers, in topological order, are uploaded while earlier ones execute. `agents.planners.mjoa_mu.pbt_dp` and
`agents.planners.mjoa_mu.ara` say what is reconstructed, and how users find a server where there are several.

The paper reserves resources: `MjoaMu.reserve` returns the plan with the shares. As a planner for one channel that all
users share, it uploads in the order in which uploads would end if every user had its share of the channel to itself
(weighted fair queueing, by finish times). Each user's uploads then go on at the pace of its share, and the channel is
never idle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.planners.mjoa_mu.ara import Allocation, allocate
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, plan_of
from dnnmig_env.simulation.reserved.shares import Shares


@dataclass(frozen=True)
class MjoaMu:
    """Plans for the least cold-start delay of all users together.

    Attributes:
        finest: Smallest step of share that ARA moves; with 1 or more none is, and the shares stay proportional to
            demand.
        beam: Nodes of PBT-DP's tree to keep at each level.

    Raises:
        ValueError: If the finest share is not positive or the beam less than 1.
    """

    finest: float = 1 / 128
    beam: int = 64

    def __post_init__(self) -> None:
        if not self.finest > 0:
            raise ValueError(f"finest is {self.finest}; it must be positive, or ARA never ends.")
        if self.beam < 1:
            raise ValueError(f"beam is {self.beam}; keep at least 1 node.")

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Plan:
        """Return the plan for one channel that all users share; nothing is random in it."""
        return self.reserve(scenario)[0]

    def reserve(self, scenario: Scenario) -> tuple[Plan, Shares]:
        """Return the plan with the shares to reserve for it, as `simulate(scenario, plan, shares)` carries it out."""
        allocation = allocate(scenario, finest=self.finest, beam=self.beam)
        return fair_queue(scenario, allocation), allocation.shares


def fair_queue(scenario: Scenario, allocation: Allocation) -> Plan:
    """Return the plan that makes a placement's uploads in the order in which they would end at each user's share."""
    rates, bandwidth = np.asarray(scenario.links.up_bytes_per_s)[0], np.asarray(allocation.shares.bandwidth)
    queue = []
    for user_index, (user, placed) in enumerate(zip(scenario.users, allocation.placement, strict=True)):
        layers = np.flatnonzero(placed != np.asarray(user.uploaded))
        seconds = user.graph.weight_bytes[layers] / (rates[user_index, placed[layers] - 1] * bandwidth[user_index])
        queue += [
            (float(end_s), user_index, int(layer), int(placed[layer]))
            for end_s, layer in zip(np.cumsum(seconds), layers, strict=True)
        ]
    return plan_of((user_index, layer, server) for _, user_index, layer, server in sorted(queue))
