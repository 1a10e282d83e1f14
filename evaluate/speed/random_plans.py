"""Random plans, on which the kernel and its plain counterpart are timed."""

from __future__ import annotations

import numpy as np

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, Upload


def random_plan(scenario: Scenario, rng: np.random.Generator) -> Plan:
    """Return a plan that uploads every layer with weights, in random order, to random servers that have room for it."""
    left_bytes = [server.memory_bytes for server in scenario.servers]
    layers = [
        (user_index, layer, size_bytes)
        for user_index, user in enumerate(scenario.users)
        for layer, size_bytes in enumerate(user.graph.weight_bytes)
        if user.graph.movable[layer]
    ]
    uploads = []
    for index in rng.permutation(len(layers)):
        user_index, layer, size_bytes = layers[index]
        roomy = [server_index for server_index, room in enumerate(left_bytes) if room >= size_bytes]
        if roomy:
            server = int(rng.choice(roomy))
            left_bytes[server] -= size_bytes
            uploads.append(Upload(user_index, server + 1, (layer,)))
    return Plan(tuple(uploads))
