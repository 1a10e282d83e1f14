"""Greedy: layer by layer, each to the node on which it finishes earliest, without a thought for what comes after.

The baseline that swarm methods such as EosDNN's PSO-GA (Xue et al., IEEE TGCN 2022) are compared with. In topological
order, the users taking turns, a layer with weights goes to

    argmin over nodes n with room of: finish_s(v on n), for a result with its return to the device

under the contention of the layers placed so far, by the kernel's own arithmetic. So a chain moves to a server only
where one layer pays for the transfer of its input by itself. HEFT differs by its order of layers, by filling gaps, and
by leaving contention out. The order of users and the part of contention are a reconstruction.

O(U S L (L + E)).
"""

from __future__ import annotations

import numpy as np

from agents.planners.protocol import Placement
from agents.planners.slot_zero import memory_left_bytes, movable_layers, present_problem, reachable_servers
from dnnmig_env.compiling.jit import borrowed, compiled
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.kernel import compose, load_of, query_delay_s, slowdown_for, transfer_s
from dnnmig_env.simulation.packed import Bools, Floats, Problem, Small


def greedy(scenario: Scenario, rng: np.random.Generator) -> Placement:
    """Place every layer where it finishes earliest.

    Args:
        scenario: The scenario.
        rng: Not used.
    """
    p = present_problem(scenario)
    node = p.uploaded[0].copy()
    place(p, 0, movable_layers(scenario), reachable_servers(scenario), memory_left_bytes(scenario), node)
    return tuple(node[u, : len(user.graph)].copy() for u, user in enumerate(scenario.users))


@compiled
def place(p: Problem, b: int, movable: Bools, reachable: Bools, left_bytes: Floats, node: Small) -> None:
    """Place the movable layers of scenario `b`.

    Args:
        p: The problem; slot 0's rates count.
        b: The scenario.
        movable: Layers to place, shape (U, L).
        reachable: Servers that each user can use, shape (U, S).
        left_bytes: Memory left on each server, shape (S,); what is placed is taken off.
        node: Server of each layer with weights, shape (U, L); receives those of the movable ones.
    """
    p = borrowed(p)
    num_users, num_layers, num_servers = p.num_users[b], node.shape[1], p.num_servers[b]
    usable, assignment = np.ones(num_layers, np.bool_), np.zeros(node.shape, np.int8)
    load, slowdown = np.zeros((num_users, num_servers)), np.ones(num_servers + 1)
    finish_s, free_s = np.empty(num_layers), np.empty(num_servers + 1)
    for u in range(num_users):
        compose(p, b, u, node[u], usable, assignment[u])
        load_of(p, b, u, 0, assignment[u], load[u])
    for v in range(num_layers):
        for u in range(num_users):
            if not movable[u, v]:
                continue
            slowdown_for(p, b, u, load, slowdown)
            best_s, chosen = np.inf, 0
            for candidate in range(num_servers + 1):
                server = candidate - 1
                if server >= 0 and not (reachable[u, server] and p.weight_bytes[b, u, v] <= left_bytes[server]):
                    continue
                node[u, v] = candidate
                compose(p, b, u, node[u], usable, assignment[u])
                query_delay_s(p, b, u, 0, assignment[u], slowdown, finish_s, free_s)
                end_s = finish_s[v]
                if p.is_sink[b, u, v] and candidate > 0:
                    end_s += transfer_s(p, b, u, 0, candidate, 0, p.tensor_bytes[b, u, v + 1])
                if end_s < best_s:
                    best_s, chosen = end_s, candidate
            node[u, v] = chosen
            if chosen > 0:
                left_bytes[chosen - 1] -= p.weight_bytes[b, u, v]
            compose(p, b, u, node[u], usable, assignment[u])
            load_of(p, b, u, 0, assignment[u], load[u])
