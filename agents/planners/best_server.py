"""Best server: each user's whole network goes to the one server on which its queries would be fastest."""

from __future__ import annotations

import numpy as np

from agents.planners.planner import Placement
from agents.planners.present import memory_left_bytes, movable_layers, present_problem, reachable_servers
from dnnmig_env.playback import migration_delay_s
from dnnmig_env.problem import Bools, Floats, Problem, Small
from dnnmig_env.scenario import Scenario


def best_server(scenario: Scenario, rng: np.random.Generator) -> Placement:
    """Place each user's layers on the server with the least migration delay for that user alone.

    Users choose in index order, each among what memory the ones before have left; layers that do not fit stay on the
    device, front ones fit first. A user whose device beats every server places nothing. O(U S L).

    Args:
        scenario: The scenario.
        rng: Not used.
    """
    p = present_problem(scenario)
    movable, reachable = movable_layers(scenario), reachable_servers(scenario)
    left_bytes = memory_left_bytes(scenario)
    placement = [np.array(user.uploaded, np.int8) for user in scenario.users]
    for u in np.flatnonzero(movable.any(axis=1)):
        count = len(placement[u])
        best_s, best = _delay_alone_s(p, int(u), placement[u]), None
        for server in np.flatnonzero(reachable[u]) + 1:
            fits = _fitting(p.weight_bytes[0, u, :count], movable[u, :count], left_bytes[server - 1])
            candidate = np.where(fits, server, placement[u]).astype(np.int8)
            delay_s = _delay_alone_s(p, int(u), candidate)
            if delay_s < best_s:
                best_s, best = delay_s, candidate
        if best is not None:
            moved = best != placement[u]
            left_bytes[best[moved][0] - 1] -= p.weight_bytes[0, u, :count][moved].sum()
            placement[u] = best
    return tuple(placement)


def _fitting(weight_bytes: Floats, movable: Bools, left_bytes: float) -> Bools:
    fits = np.zeros(len(movable), np.bool_)
    for layer in np.flatnonzero(movable):
        if weight_bytes[layer] <= left_bytes:
            fits[layer] = True
            left_bytes -= weight_bytes[layer]
    return fits


def _delay_alone_s(p: Problem, user: int, node: Small) -> float:
    """Return the migration delay of one user with nobody else at work."""
    rates = np.zeros_like(p.query_rate_hz)
    rates[0, 0, user] = 1.0
    nodes = np.zeros(p.weight_bytes.shape[1:], np.int8)
    nodes[user, : len(node)] = node
    delay_s: float = migration_delay_s(p._replace(query_rate_hz=rates), 0, 0, nodes, np.empty(len(nodes)))
    return delay_s
