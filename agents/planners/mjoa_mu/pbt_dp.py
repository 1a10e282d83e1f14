"""PBT-DP: a pruned binary tree over layers finds where they run for the least cold-start delay (MJOA-MU).

Yang et al., Computer Networks 2023: one device and one server, models uploaded on demand during one co-inference. Level
i of the tree decides layer i, in topological order: device or server. The delay of what is decided is that of the cold
start, where weights go to the server in topological order, while layers execute, and tensors go before weights. F_i is
the time at which layer i has executed, M_i the time at which its weights are in, arrival_i the time at which its inputs
are there, and free the time at which its node is free:

    F_i = max(arrival_i, free) + device time    or    max(arrival_i, M_i, free) + server time
    M_i = min{t: t - databusy(t) >= weights up to i / rate}

With serial uploading, M_i = arrival_i + weights of i / rate. The paper's abstract says that the algorithm is
near-optimal, for chains and for other networks, but not how it prunes; that is a reconstruction. A node of the tree is
cut off by

- its bound, if that is no better than the best placement known. The bound takes each remaining layer at its faster
  place, without transfers and waiting;
- dominance, if another node has the same places on the frontier (layers that undecided ones read), executes these no
  later, has no later free times, and has used no more seconds of the uplink for weights and tensors (M is that and idle
  time);
- the beam, which keeps the nodes of least bound.

The best placement known at first is the best single cut with either end on the server, which includes everything on the
device and everything on the server. On a chain, dominance loses no optimum; elsewhere it may, as tensors still to be
sent may stop an upload. Where a layer shares the weights of a later one, a bound may be too high, so it may lose one
too. Weightless layers follow the kernel's rule and are not decided; nor are layers that are uploaded already. Compared
with every placement there is, with up to 15 layers, it found the best in 99.5 to 100 % of 800 random networks and
99.6 % of 234 merged real ones, and was less than 0.01 % above it on average.

O(L * beam * (L + E + beam * frontier)). It takes longer where branches run on both sides at once: if a tensor goes
before weights that are timed already, the layers so far are timed anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.planners.mjoa_mu.pruned_tree import Nodes, new_task, search
from agents.planners.protocol import Placement
from agents.planners.slot_zero import (
    memory_left_bytes,
    movable_layers,
    present_users,
    reachable_servers,
    slot_zero_packed,
)
from dnnmig_env.arrays import Bools, Floats, Int8s
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.cold_start.cold_query import ColdQueries, new_cold_queries
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.reserved.shares import everything_for, own_scenario

BEAM = 256
"""Nodes of the tree kept at each level."""


def best_placement(
    packed: PackedScenarios, server: int, movable: Bools, left_bytes: float, *, serial: bool = False, beam: int = BEAM
) -> tuple[Int8s, float]:
    """Place the layers of one user on its device or one server for the least cold-start delay.

    Args:
        packed: The packed scenario of one user, who is present, with one slot.
        server: The server, 1..S.
        movable: Layers that may be uploaded, shape (L,); all others stay where they are.
        left_bytes: Memory left on the server.
        serial: Upload serially (the baseline) instead of while layers execute.
        beam: Nodes of the tree to keep at each level.

    Returns:
        The server of each layer with weights (0 = device), shape (L,), and the cold-start delay in seconds.

    Raises:
        ValueError: If the beam is less than 1.
    """
    if beam < 1:
        raise ValueError(f"beam is {beam}; keep at least 1 node.")
    rows = 4 * beam + 2  # two levels with two children of each node, a blank node, and one to try cuts with
    queries = ColdQueries._make(np.repeat(array[None], rows, axis=0) for array in new_cold_queries(packed, 0))
    placed = packed.uploaded[0, 0].copy()
    nodes = Nodes(np.repeat(placed[None], rows, axis=0), *(np.zeros(rows) for _ in range(4)))
    delay_s = search(packed, new_task(packed, server, movable, left_bytes, serial), queries, nodes, placed)
    return placed, float(delay_s)


def best_server_placement(
    packed: PackedScenarios,
    movable: Bools,
    reachable: Bools,
    left_bytes: Floats,
    *,
    serial: bool = False,
    beam: int = BEAM,
) -> tuple[int, Int8s, float]:
    """Place the layers of one user on its device or on the server where the cold-start delay is least.

    To choose among servers is a reconstruction: the paper has one.

    Args:
        packed: The packed scenario of one user, who is present, with one slot.
        movable: Layers that may be uploaded, shape (L,).
        reachable: Servers that may be used, shape (S,), at least one.
        left_bytes: Memory left on each server, shape (S,).
        serial: Upload serially (the baseline) instead of while layers execute.
        beam: Nodes of the tree to keep at each level.

    Returns:
        The server, 1..S, and what `best_placement` returns for it.
    """
    found = [
        (server, *best_placement(packed, server, movable, float(left_bytes[server - 1]), serial=serial, beam=beam))
        for server in (np.flatnonzero(reachable) + 1).tolist()
    ]
    return min(found, key=lambda one: one[2])


@dataclass(frozen=True)
class PbtDp:
    """Places each user's layers for the least cold-start delay of its own, with nobody else at work.

    Users choose in index order, each the server that is best for it, with the memory that those before it have left.

    Attributes:
        beam: Nodes of the tree to keep at each level.
        serial: Upload serially (the baseline) instead of while layers execute.

    Raises:
        ValueError: If the beam is less than 1.
    """

    beam: int = BEAM
    serial: bool = False

    def __post_init__(self) -> None:
        if self.beam < 1:
            raise ValueError(f"beam is {self.beam}; keep at least 1 node.")

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Placement:
        """Return the placement; nothing is random in it."""
        movable, reachable = movable_layers(scenario), reachable_servers(scenario)
        left_bytes = memory_left_bytes(scenario)
        placement = [np.array(user.uploaded, np.int8) for user in scenario.users]
        for user_index in present_users(scenario):
            weight_bytes = scenario.users[user_index].graph.weight_bytes
            packed = slot_zero_packed(own_scenario(scenario, everything_for(user_index, *reachable.shape), user_index))
            if reachable[user_index].any():
                own = movable[user_index, : len(weight_bytes)]
                server, placed, _ = best_server_placement(
                    packed, own, reachable[user_index], left_bytes, serial=self.serial, beam=self.beam
                )
                left_bytes[server - 1] -= weight_bytes[placed != placement[user_index]].sum()
                placement[user_index] = placed
        return tuple(placement)
