"""Greedy: layer by layer, each to the node on which it finishes earliest, without regard to what comes after.

The baseline with which swarm methods such as EosDNN's PSO-GA (Xue et al., IEEE TGCN 2022) are compared. In topological
order, the users taking turns, a layer with weights goes to

    argmin over nodes n with room of: finish_s(v on n), for a result with its return to the device

under the contention of the layers placed so far, by the kernel's own arithmetic. So a chain moves to a server only
where one layer pays for the transfer of its input by itself. HEFT differs in the order of layers, fills gaps, and
leaves contention out. The order of users and the part of contention are a reconstruction.

O(U S L (L + E)).
"""

from __future__ import annotations

import numpy as np

from agents.planners.protocol import Placement
from agents.planners.slot_zero import memory_left_bytes, movable_layers, reachable_servers, slot_zero_packed
from dnnmig_env.arrays import Bools, Floats, Int8s
from dnnmig_env.compiling.jit import jit
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.contention import num_stations, slowdown_for, write_presence, write_seconds
from dnnmig_env.simulation.kernel import effective_assignment, query_delay_s, transfer_s
from dnnmig_env.simulation.packed import PackedScenarios


def greedy(scenario: Scenario, rng: np.random.Generator) -> Placement:
    """Place every layer where it finishes earliest.

    Args:
        scenario: The scenario.
        rng: Not used.
    """
    packed = slot_zero_packed(scenario)
    node = packed.uploaded[0].copy()
    place(packed, 0, movable_layers(scenario), reachable_servers(scenario), memory_left_bytes(scenario), node)
    return tuple(node[user_index, : len(user.graph)].copy() for user_index, user in enumerate(scenario.users))


@jit
def place(packed: PackedScenarios, b: int, movable: Bools, reachable: Bools, left_bytes: Floats, node: Int8s) -> None:
    """Place the movable layers of scenario `b`.

    Args:
        packed: The packed scenarios; slot 0's rates count.
        b: The scenario.
        movable: Layers to place, shape (U, L).
        reachable: Servers that each user can use, shape (U, S).
        left_bytes: Memory left on each server, shape (S,); the bytes that are placed are taken off.
        node: Server of each layer with weights, shape (U, L); receives those of the movable ones.
    """
    num_users, num_layers, num_servers = packed.num_users[b], node.shape[1], packed.num_servers[b]
    usable, assignment = np.ones(num_layers, np.bool_), np.zeros(node.shape, np.int8)
    num_nodes = packed.execution_s.shape[3]
    slowdown, seconds = np.ones(num_stations(num_nodes)), np.zeros(num_stations(num_nodes))
    present = np.zeros((num_users + 1, len(slowdown)))  # the last row is for weights on wires, of which there are none
    sending = np.zeros(num_nodes)
    finish_s, free_s = np.empty(num_layers), np.empty(num_nodes)
    for u in range(num_users):
        effective_assignment(packed, b, u, node[u], usable, assignment[u])
        _take_place(packed, b, u, assignment[u], slowdown, seconds, present, sending, finish_s, free_s)
    for v in range(num_layers):
        for u in range(num_users):
            if not movable[u, v]:
                continue
            slowdown_for(u, packed.home[b, 0], present, sending, slowdown)
            best_s, chosen = np.inf, 0
            for candidate in range(num_servers + 1):
                server = candidate - 1
                if server >= 0 and not (reachable[u, server] and packed.weight_bytes[b, u, v] <= left_bytes[server]):
                    continue
                node[u, v] = candidate
                effective_assignment(packed, b, u, node[u], usable, assignment[u])
                query_delay_s(packed, b, u, 0, assignment[u], slowdown, finish_s, free_s)
                end_s = finish_s[v]
                if packed.is_output[b, u, v] and candidate > 0:
                    end_s += transfer_s(packed, b, u, 0, candidate, 0, packed.tensor_bytes[b, u, v], slowdown)
                if end_s < best_s:
                    best_s, chosen = end_s, candidate
            node[u, v] = chosen
            if chosen > 0:
                left_bytes[chosen - 1] -= packed.weight_bytes[b, u, v]
            effective_assignment(packed, b, u, node[u], usable, assignment[u])
            _take_place(packed, b, u, assignment[u], slowdown, seconds, present, sending, finish_s, free_s)


@jit
def _take_place(
    packed: PackedScenarios,
    b: int,
    u: int,
    assignment: Int8s,
    slowdown: Floats,
    seconds: Floats,
    present: Floats,
    sending: Floats,
    finish_s: Floats,
    free_s: Floats,
) -> None:
    """Write one user's presence at the stations under an assignment into its row of `present`, shape (U + 1, K).

    All other arrays but `assignment` are scratch.
    """
    slowdown_for(u, packed.home[b, 0], present, sending, slowdown)
    write_seconds(packed, b, u, 0, assignment, seconds)
    delay_s = query_delay_s(packed, b, u, 0, assignment, slowdown, finish_s, free_s)
    write_presence(packed.query_rate_hz[b, 0, u], delay_s, seconds, slowdown, present[u], 0.0)
