"""The cold start: one query per user raised before anything is uploaded, which waits for its layers.

Source: MJOA-MU (Yang et al., Computer Networks 2023), extended to several users, servers and slots. Every user raises
one query at time 0 (one that is absent then: as soon as it is present), which runs each uploaded layer on the server it
is uploaded to and waits for its weights: `start = max(ready, free, uploaded)`. Tensors go before weights on the uplink.

Uploading is *parallel*, where weights flow while layers execute, or *serial*, where the next layer is not uploaded
before the one before it has executed.
"""

from __future__ import annotations

import numpy as np

from dnnmig_env.compiling.jit import borrowed, compiled
from dnnmig_env.simulation.cold_start.cold_query import (
    Run,
    asked_s,
    awaited,
    new_run,
    present_from_s,
    run_layers,
    weights_in_s,
)
from dnnmig_env.simulation.kernel import compose
from dnnmig_env.simulation.packed import Floats, Problem
from dnnmig_env.simulation.play import PlanArrays


@compiled
def cold_start_s(p: Problem, b: int, plans: PlanArrays, k: int, delay_s: Floats) -> None:
    """Work out the cold-start delay of each user under a plan whose uploads go on while layers execute.

    The published recursion, `M_i = min{t: t - databusy(t) >= weights up to i / rate}`, with the plan's uploads in the
    plan's order. One pass over the partitions suffices: a layer whose time is not known yet waits for this partition or
    a later one, so every tensor that can stop a partition's bytes is known when its turn comes.

    Args:
        p: The problem.
        b: The scenario.
        plans: The plans.
        k: The plan.
        delay_s: Receives each user's delay, shape (U,); infinite if a layer never arrives, NaN for a user that is
            never present.
    """
    p, plans = borrowed(p), borrowed(plans)
    run = _placed(p, b, plans, k)
    for u in range(p.num_users[b]):
        delay_s[u] = run_layers(p, b, u, p.num_layers[b, u], run)
    channel_s, first = 0.0, 0
    for j in range(plans.length[k]):
        u, v, s = plans.user[k, j], plans.layer[k, j], plans.server[k, j] - 1
        start_s = present_from_s(p, b, u, max(channel_s, plans.not_before_s[k, j]))
        channel_s = weights_in_s(p, b, u, s, start_s, p.weight_bytes[b, u, v], run)
        if plans.closes[k, j]:
            for member in range(first, j + 1):
                run.uploaded_s[u, plans.layer[k, member]] = channel_s
            delay_s[u] = run_layers(p, b, u, p.num_layers[b, u], run)
            first = j + 1


@compiled
def serial_cold_start_s(p: Problem, b: int, plans: PlanArrays, k: int, delay_s: Floats) -> None:
    """Work out the cold-start delay of each user under a plan's placement with serial uploading, the baseline.

    The weights of a layer are asked for once its inputs are on its server and its user's server layers before it, in
    topological order, have executed: `F_i = arrival_i + w_i / rate + server time`. Of several users, the one who can
    send first has the channel, at a tie who has asked first. So a plan says only where layers go: its order, partitions
    and idle times play no part.

    Args:
        p: The problem.
        b: The scenario.
        plans: The plans.
        k: The plan.
        delay_s: Receives each user's delay, shape (U,); infinite if a layer never arrives, NaN for a user that is
            never present.
    """
    p, plans = borrowed(p), borrowed(plans)
    run = _placed(p, b, plans, k)
    for u in range(p.num_users[b]):
        delay_s[u] = run_layers(p, b, u, p.num_layers[b, u], run)
    channel_s = 0.0
    while True:
        owner, layer, start_s, since_s = -1, -1, np.inf, np.inf
        for u in range(p.num_users[b]):
            v = awaited(u, p.num_layers[b, u], run)
            if v >= 0:
                own_since_s = asked_s(p, b, u, v, run)
                own_start_s = present_from_s(p, b, u, max(channel_s, own_since_s))
                if own_start_s < start_s or (own_start_s == start_s and own_since_s < since_s):
                    owner, layer, start_s, since_s = u, v, own_start_s, own_since_s
        if owner < 0:
            return
        server = run.assignment[owner, layer] - 1
        channel_s = weights_in_s(p, b, owner, server, start_s, p.weight_bytes[b, owner, layer], run)
        if channel_s == np.inf:
            return
        run.uploaded_s[owner, layer] = channel_s
        delay_s[owner] = run_layers(p, b, owner, p.num_layers[b, owner], run)


@compiled
def _placed(p: Problem, b: int, plans: PlanArrays, k: int) -> Run:
    """Return a run in which every layer has the node that the plan gives it, and what is to be uploaded is awaited."""
    run, num_layers = new_run(p, b), p.weight_bytes.shape[2]
    node, usable, composed = p.uploaded[b].copy(), np.ones(num_layers, np.bool_), np.zeros(num_layers, np.int8)
    for j in range(plans.length[k]):
        u, v = plans.user[k, j], plans.layer[k, j]
        node[u, v], run.uploaded_s[u, v] = plans.server[k, j], np.inf
    for u in range(p.num_users[b]):
        compose(p, b, u, node[u], usable, composed)
        run.assignment[u] = composed
    return run
