"""Computes how long a query takes, compiled; all other delays, except those of cold starts, come from these functions.

Every function works on one user `u` of one scenario `b` of a `PackedScenarios`, at one moment;
`dnnmig_env.simulation.dynamics` lets time pass. The docstring of `dnnmig_env.simulation` says what the one-letter names
mean. The rules (`docs/model.md` has them all):

- An assignment gives each layer the node on which queries run it. A query runs its layers in topological order. A node
  runs one layer at a time, and a layer starts when its node is free and all that it reads has arrived there.
- The network's inputs start on the device. A tensor that is needed on another node takes `latency + bytes / rate` to
  get there; the tensors of one query do not slow each other. The network's outputs return to the device, and the query
  ends when the last of them is there.
- A layer without weights is never uploaded: it runs on the server of its latest predecessor that runs on a server.
- A layer that shares weights of other layers runs on a server only while these weights are there too. If it has no
  weights of its own, it runs where they are.
- The queries of the other users make layers take longer on servers, and tensors on links, by the factors of
  `dnnmig_env.simulation.contention`; latencies stay what they are.
"""

from __future__ import annotations

from dnnmig_env.arrays import Bools, Floats, Int8s
from dnnmig_env.compiling.jit import fill, jit_inlined, jit_without_refcounts
from dnnmig_env.simulation.contention import link_s, link_station
from dnnmig_env.simulation.packed import PackedScenarios


@jit_inlined
def transfer_s(
    packed: PackedScenarios, b: int, u: int, slot: int, source: int, target: int, size_bytes: float, slowdown: Floats
) -> float:
    """Return the seconds that `size_bytes` take from node `source` to node `target`, latency included.

    `slowdown` holds the factor by which the other users slow the user at each station, shape (K,).
    """
    if source == 0:
        latency = packed.up_latency_s[b, slot, u, target - 1]
    elif target == 0:
        latency = packed.down_latency_s[b, slot, u, source - 1]
    else:
        latency = packed.between_latency_s[b, source - 1, target - 1]
    moving_s = link_s(packed, b, u, slot, source, target, size_bytes)
    return float(latency + moving_s * slowdown[link_station(source, target, packed.execution_s.shape[3])])


@jit_without_refcounts
def query_delay_s(
    packed: PackedScenarios,
    b: int,
    u: int,
    slot: int,
    assignment: Int8s,
    slowdown: Floats,
    finish_s: Floats,
    free_s: Floats,
) -> float:
    """Return the delay of one query of user `u` under an assignment, in seconds.

    Args:
        packed: The scenarios.
        b: The scenario.
        u: The user.
        slot: The time slot whose rates hold.
        assignment: Node per layer, shape (L,).
        slowdown: Factor by which the others slow the user at each station, shape (K,).
        finish_s: Receives the seconds from the start of the query until each layer has run, shape (L,).
        free_s: Receives the seconds until each node has run the last of its layers, shape (S + 1,).
    """
    offsets, predecessors = packed.predecessor_offsets[b, u], packed.predecessors[b, u]
    tensor_bytes, execution_s, is_output = packed.tensor_bytes[b, u], packed.execution_s[b, u], packed.is_output[b, u]
    fill(free_s, 0.0)
    delay_s = 0.0
    for v in range(packed.num_layers[b, u]):
        node = assignment[v]
        start_s = free_s[node]
        for e in range(offsets[v], offsets[v + 1]):
            before = predecessors[e]
            source, arrival_s = (0, 0.0) if before < 0 else (assignment[before], finish_s[before])
            if source != node:
                arrival_s += transfer_s(packed, b, u, slot, source, node, tensor_bytes[before], slowdown)
            start_s = max(start_s, arrival_s)
        finish_s[v] = start_s + execution_s[v, node] * slowdown[node]
        free_s[node] = finish_s[v]
        if is_output[v]:
            end_s = finish_s[v]
            if node != 0:
                end_s += transfer_s(packed, b, u, slot, node, 0, tensor_bytes[v], slowdown)
            delay_s = max(delay_s, end_s)
    return delay_s


@jit_inlined
def effective_assignment(
    packed: PackedScenarios, b: int, u: int, node: Int8s, usable: Bools, assignment: Int8s
) -> None:
    """Write the assignment that uses every available layer.

    A layer with weights runs on its server once the weights have arrived there, and on the device before. A weightless
    layer runs on the server of its latest predecessor that runs on a server, or on the device if none does. A layer
    that shares weights of others needs these on its server too; without weights of its own it runs where the first of
    them are, or on the device if another's are not there. Layers that stay on the device run there.

    Args:
        packed: The scenarios.
        b: The scenario.
        u: The user.
        node: Server to which each layer is or will be uploaded (0 = none), shape (L,).
        usable: Layers whose weights have arrived, shape (L,).
        assignment: Receives the node per layer, shape (L,).
    """
    offsets, predecessors = packed.predecessor_offsets[b, u], packed.predecessors[b, u]
    share_offsets, shares = packed.share_offsets[b, u], packed.shares[b, u]
    weight_bytes, on_device = packed.weight_bytes[b, u], packed.on_device[b, u]
    for v in range(packed.num_layers[b, u]):
        chosen = 0
        first, last = share_offsets[v], share_offsets[v + 1]
        if weight_bytes[v] > 0.0:
            if usable[v]:
                chosen = node[v]
        elif on_device[v]:
            chosen = 0
        elif first < last:
            chosen = node[shares[first]]
        else:
            for e in range(offsets[v + 1] - 1, offsets[v] - 1, -1):
                before = predecessors[e]
                if before >= 0 and assignment[before] != 0:
                    chosen = assignment[before]
                    break
        for e in range(first, last):
            if not usable[shares[e]] or node[shares[e]] != chosen:
                chosen = 0
        assignment[v] = chosen
