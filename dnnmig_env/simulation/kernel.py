"""The one place that computes a second of delay: what a query takes, compiled.

Every function works on one user `u` of one scenario `b` of a `PackedScenarios`, as things stand; `dnnmig_env.simulation.dynamics` lets
time pass. The rules are those of `docs/model.md`:

- A query runs its layers in topological order under an assignment (layer -> node); a node takes one layer at a
  time, tensors travel between nodes, sinks return to the device.
- Weightless layers are never uploaded: they run on the server of their latest predecessor that runs on one.
- What the other users put on a server slows a user there.
"""

from __future__ import annotations

from dnnmig_env.arrays import Bools, Floats, Int8s
from dnnmig_env.compiling.jit import fill, jit_inlined, jit_without_refcounts
from dnnmig_env.simulation.packed import PackedScenarios

MAX_LOAD = 0.95
"""Share of a server beyond which contention no longer grows: `slowdown = 1 / (1 - min(load, MAX_LOAD))`."""


@jit_inlined
def transfer_s(
    packed: PackedScenarios, b: int, u: int, slot: int, source: int, target: int, size_bytes: float
) -> float:
    """Return the seconds that `size_bytes` take from one node to another, latency included."""
    if source == 0:
        rate, latency = packed.up_bytes_per_s[b, slot, u, target - 1], packed.up_latency_s[b, slot, u, target - 1]
    elif target == 0:
        rate, latency = packed.down_bytes_per_s[b, slot, u, source - 1], packed.down_latency_s[b, slot, u, source - 1]
    else:
        rate, latency = (
            packed.between_bytes_per_s[b, source - 1, target - 1],
            packed.between_latency_s[b, source - 1, target - 1],
        )
    return float(latency if size_bytes == 0.0 else latency + size_bytes / rate)


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
    """Return the delay of one query of user `u` under an assignment.

    Args:
        packed: The problem.
        b: The scenario.
        u: The user.
        slot: The time slot whose rates hold.
        assignment: Node per layer, shape (L,).
        slowdown: Factor on execution per node, shape (S + 1,).
        finish_s: Receives each layer's finish time, shape (L,).
        free_s: Receives when each node is done with the query, shape (S + 1,).
    """
    fill(free_s, 0.0)
    delay_s = 0.0
    for v in range(packed.num_layers[b, u]):
        node = assignment[v]
        start_s = free_s[node]
        for e in range(packed.predecessor_offsets[b, u, v], packed.predecessor_offsets[b, u, v + 1]):
            before = packed.predecessors[b, u, e]
            source, arrival_s = (0, 0.0) if before < 0 else (assignment[before], finish_s[before])
            if source != node:
                arrival_s += transfer_s(packed, b, u, slot, source, node, packed.tensor_bytes[b, u, before + 1])
            start_s = max(start_s, arrival_s)
        finish_s[v] = start_s + packed.execution_s[b, u, v, node] * slowdown[node]
        free_s[node] = finish_s[v]
        if packed.is_sink[b, u, v]:
            end_s = finish_s[v]
            if node != 0:
                end_s += transfer_s(packed, b, u, slot, node, 0, packed.tensor_bytes[b, u, v + 1])
            delay_s = max(delay_s, end_s)
    return delay_s


@jit_inlined
def effective_assignment(
    packed: PackedScenarios, b: int, u: int, node: Int8s, usable: Bools, assignment: Int8s
) -> None:
    """Write the assignment that uses every available layer.

    A layer with weights runs on its server once they have arrived. A weightless layer runs on the server of its
    latest predecessor that runs on one, else on the device.

    Args:
        packed: The problem.
        b: The scenario.
        u: The user.
        node: Server per layer, shape (L,).
        usable: Layers whose weights have arrived, shape (L,).
        assignment: Receives the node per layer, shape (L,).
    """
    for v in range(packed.num_layers[b, u]):
        chosen = 0
        if packed.weight_bytes[b, u, v] > 0.0:
            if usable[v]:
                chosen = node[v]
        else:
            for e in range(packed.predecessor_offsets[b, u, v + 1] - 1, packed.predecessor_offsets[b, u, v] - 1, -1):
                before = packed.predecessors[b, u, e]
                if before >= 0 and assignment[before] != 0:
                    chosen = assignment[before]
                    break
        assignment[v] = chosen


@jit_inlined
def load_of(packed: PackedScenarios, b: int, u: int, slot: int, assignment: Int8s, load: Floats) -> None:
    """Write the load one user puts on each server, shape (S,): query rate x execution seconds there."""
    fill(load, 0.0)
    for v in range(packed.num_layers[b, u]):
        node = assignment[v]
        if node != 0:
            load[node - 1] += packed.query_rate_hz[b, slot, u] * packed.execution_s[b, u, v, node]


@jit_inlined
def slowdown_for(packed: PackedScenarios, b: int, u: int, load: Floats, slowdown: Floats) -> None:
    """Write the factor by which the other users slow user `u` on each node, shape (S + 1,), from loads (U, S)."""
    fill(slowdown, 1.0)
    for s in range(packed.num_servers[b]):
        others = 0.0
        for w in range(packed.num_users[b]):
            if w != u:
                others += load[w, s]
        slowdown[s + 1] = 1.0 / (1.0 - min(others, MAX_LOAD))
