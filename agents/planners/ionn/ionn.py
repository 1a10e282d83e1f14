"""IONN: upload the parts of a DNN that help soonest first, as shortest paths under a falling penalty find them.

Jeong et al., "IONN: Incremental Offloading of Neural Network Computations from Mobile Devices to Edge Servers", SoCC
2018. The unit is the block, the graph that of `agents.planners.ionn.execution_graph`:

    for K = 1, n, n**2, ... and at last 0 (once n**level is below 0.001):
        S = the blocks on the server side of the shortest path under the penalty K on uploads
        if S is not empty and differs from the last plan: it is the next plan
    partition j = plan j minus everything uploaded before

The paper has one user and one server. The rest is a reconstruction: of several servers, every user alone takes the one
on which its last plan (K = 0) has the least delay; several users take turns, partition by partition. Of a partition
that no longer fits the server's memory, the blocks that fit are uploaded, front ones first.

O(U S (L + E) + U P N) for P penalties (11 for n = 0.5, 32 for 0.8) and N blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agents.planners.ionn.execution_graph import ExecutionGraph, ShortestPath, execution_graph, shortest_paths
from agents.planners.slot_zero import memory_left_bytes, movable_layers, slot_zero_packed
from agents.planners.turns import in_turns
from dnnmig_env.arrays import Bools
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, Upload

LEAST_PENALTY = 0.001
"""Penalties below this one count as 0."""

MOST = 0.9999
"""Greatest factor, that is slowest decay, that is allowed: it already takes 69 000 shortest paths."""


@dataclass(frozen=True)
class Ionn:
    """Uploads the differences between one shortest path and the next.

    Attributes:
        penalty: Factor n by which the penalty falls from plan to plan; the paper has 0.5. A factor nearer to 1 leads to
            finer partitions, where there are any.

    Raises:
        ValueError: If the penalty is not between 0 and 1.
    """

    penalty: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.penalty <= MOST:
            raise ValueError(f"penalty is {self.penalty!r}; it must be more than 0 and less than 1, at most {MOST}.")

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Plan:
        """Return the plan."""
        packed, movable, left_bytes = slot_zero_packed(scenario), movable_layers(scenario), memory_left_bytes(scenario)
        queues: list[list[tuple[ExecutionGraph, Bools]]] = [[] for _ in scenario.users]
        for user_index, (user, placed) in enumerate(zip(scenario.users, ShortestPath()(scenario, rng), strict=True)):
            chosen = placed[placed != user.uploaded]
            if len(chosen):
                execution = execution_graph(user.graph, packed, user_index, int(chosen[0]))
                queues[user_index] = [
                    (execution, blocks) for blocks in partitions(execution, falling_penalties(self.penalty))
                ]
        uploads = []
        for user_index, (execution, blocks) in in_turns(queues):
            fitting = execution.that_fit(blocks, left_bytes[execution.server - 1])
            layers = np.flatnonzero(
                execution.layers(fitting) & movable[user_index, : len(scenario.users[user_index].graph)]
            )
            if len(layers):
                left_bytes[execution.server - 1] -= execution.upload_bytes[fitting].sum()
                uploads.append(Upload(user_index, execution.server, tuple(layers.tolist())))
        return Plan(tuple(uploads))


def falling_penalties(factor: float) -> list[float]:
    """Return the penalties K one after another: powers of a factor from 1 on, and 0 in place of those below 0.001."""
    penalties = [1.0]
    while penalties[-1] >= LEAST_PENALTY:
        penalties.append(factor ** len(penalties))
    return [*penalties[:-1], 0.0]


def partitions(execution: ExecutionGraph, penalties: Sequence[float]) -> list[Bools]:
    """Return the blocks of each partition, shape (N,): what each plan has beyond those before it.

    Blocks without weights join the next partition that has weights.
    """
    uploaded, found = np.zeros(len(execution.device_s), np.bool_), []
    for side in shortest_paths(execution, penalties):
        new = side & ~uploaded
        if execution.upload_bytes[new].any():
            found.append(new)
            uploaded |= side
    return found
