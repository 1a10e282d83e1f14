"""Every plan of single-layer uploads of a scenario, for scenarios of a few layers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, Upload


def every_plan(scenario: Scenario, starts_s: Sequence[float] = (0.0,)) -> list[Plan]:
    """Return all sequences of uploads that fit into memory.

    Args:
        scenario: The scenario.
        starts_s: Times that an upload may wait for, the first of them 0.
    """
    free = [
        (u, int(v))
        for u, user in enumerate(scenario.users)
        for v in np.flatnonzero(user.graph.movable & (np.asarray(user.uploaded) == 0))
    ]
    return [
        Plan(tuple(Upload(u, server, (v,), at) for (u, v), server, at in zip(order, servers, waits, strict=True)))
        for count in range(len(free) + 1)
        for order in itertools.permutations(free, count)
        for servers in _servers(scenario, order)
        for waits in itertools.combinations_with_replacement(starts_s, count)
    ]


def num_free_layers(scenario: Scenario) -> int:
    """Return the number of layers of a scenario that can be uploaded."""
    return sum(int(np.sum(user.graph.movable & (np.asarray(user.uploaded) == 0))) for user in scenario.users)


def _servers(scenario: Scenario, order: Sequence[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """Yield the servers that the layers may go to."""
    memory = [server.memory_bytes for server in scenario.servers]
    held = np.zeros(len(memory))
    for user in scenario.users:
        np.add.at(held, np.asarray(user.uploaded) - 1, user.graph.weight_bytes * (np.asarray(user.uploaded) > 0))
    for servers in itertools.product(range(1, len(memory) + 1), repeat=len(order)):
        used = held.copy()
        for (u, v), server in zip(order, servers, strict=True):
            used[server - 1] += scenario.users[u].graph.weight_bytes[v]
        if np.all(used <= memory):
            yield servers
