"""The cold start: the delay of one query per user that is raised before anything is uploaded and waits for its layers.

Source: MJOA-MU (Yang et al., Computer Networks 2023), extended to several users, servers and slots. Every user raises
one query at time 0, or, if it is absent then, as soon as it is present. The query runs each uploaded layer on the
server to which the plan uploads it, and waits for the layer's weights there: `start = max(ready, free, uploaded)`, the
times at which the layer's inputs are on the server, the server is free, and the weights have arrived. Tensors go before
weights on the uplink.

Uploading is *parallel* if weights are sent while layers execute. It is *serial* if no layer is uploaded before the
layer before it has executed.
"""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.compiling.jit import jit
from dnnmig_env.simulation.cold_start.cold_query import (
    ColdQueries,
    asked_s,
    awaited,
    execute_layers,
    new_cold_queries,
    present_from_s,
    weights_in_s,
)
from dnnmig_env.simulation.kernel import effective_assignment
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.plan_arrays import PlanArrays


@jit
def cold_start_s(packed: PackedScenarios, b: int, plans: PlanArrays, k: int, delay_s: Floats) -> None:
    """Compute the cold-start delay of each user under a plan with parallel uploading.

    This is the published recursion, `M_i = min{t: t - databusy(t) >= weights up to i / rate}`, with the plan's uploads
    in the plan's order: M_i is when the weights of layer i have arrived, databusy(t) how long tensors have had the
    uplink by then. One pass over the partitions suffices: a layer whose time is not known yet waits for the present
    partition or a later one, so when the pass comes to a partition, every tensor that can stop its bytes is known.

    Args:
        packed: The scenarios.
        b: The scenario.
        plans: The plans.
        k: The plan.
        delay_s: Receives each user's delay, shape (U,); infinite if a layer never arrives, NaN for a user that is
            never present.
    """
    query = _placed(packed, b, plans, k)
    for u in range(packed.num_users[b]):
        delay_s[u] = execute_layers(packed, b, u, packed.num_layers[b, u], query)
    channel_s, first = 0.0, 0
    for j in range(plans.length[k]):
        u, v, s = plans.user[k, j], plans.layer[k, j], plans.server[k, j] - 1
        start_s = present_from_s(packed, b, u, max(channel_s, plans.not_before_s[k, j]))
        channel_s = weights_in_s(packed, b, u, s, start_s, packed.weight_bytes[b, u, v], query)
        if plans.closes[k, j]:
            for member in range(first, j + 1):
                query.uploaded_s[u, plans.layer[k, member]] = channel_s
            delay_s[u] = execute_layers(packed, b, u, packed.num_layers[b, u], query)
            first = j + 1


@jit
def serial_cold_start_s(packed: PackedScenarios, b: int, plans: PlanArrays, k: int, delay_s: Floats) -> None:
    """Compute the cold-start delay of each user under a plan's placement with serial uploading, the baseline.

    The weights of a layer are asked for once the layer's inputs are on its server and the user's layers on servers
    before it, in topological order, have executed: `F_i = arrival_i + w_i / rate + server time`. Of several users, the
    one who can send first gets the channel; on a tie, the one who asked first. So only the plan's placement matters:
    its order, its partitions and its idle times play no part.

    Args:
        packed: The scenarios.
        b: The scenario.
        plans: The plans.
        k: The plan.
        delay_s: Receives each user's delay, shape (U,); infinite if a layer never arrives, NaN for a user that is
            never present.
    """
    query = _placed(packed, b, plans, k)
    for u in range(packed.num_users[b]):
        delay_s[u] = execute_layers(packed, b, u, packed.num_layers[b, u], query)
    channel_s = 0.0
    while True:
        user, layer, weights, start_s, since_s = -1, -1, -1, np.inf, np.inf
        for u in range(packed.num_users[b]):
            v, owner = awaited(packed, b, u, packed.num_layers[b, u], query)
            if v >= 0:
                own_since_s = asked_s(packed, b, u, v, query)
                own_start_s = present_from_s(packed, b, u, max(channel_s, own_since_s))
                if own_start_s < start_s or (own_start_s == start_s and own_since_s < since_s):
                    user, layer, weights, start_s, since_s = u, v, owner, own_start_s, own_since_s
        if user < 0:
            return
        server = query.assignment[user, layer] - 1
        channel_s = weights_in_s(packed, b, user, server, start_s, packed.weight_bytes[b, user, weights], query)
        if channel_s == np.inf:
            return
        query.uploaded_s[user, weights] = channel_s
        delay_s[user] = execute_layers(packed, b, user, packed.num_layers[b, user], query)


@jit
def _placed(packed: PackedScenarios, b: int, plans: PlanArrays, k: int) -> ColdQueries:
    """Return cold queries that run every layer where the plan puts it and await all weights that the plan uploads."""
    query, num_layers = new_cold_queries(packed, b), packed.weight_bytes.shape[2]
    node, usable, effective = packed.uploaded[b].copy(), np.ones(num_layers, np.bool_), np.zeros(num_layers, np.int8)
    for j in range(plans.length[k]):
        u, v = plans.user[k, j], plans.layer[k, j]
        node[u, v], query.uploaded_s[u, v] = plans.server[k, j], np.inf
    for u in range(packed.num_users[b]):
        effective_assignment(packed, b, u, node[u], usable, effective)
        query.assignment[u] = effective
    return query
