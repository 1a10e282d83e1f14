"""The one place that computes a second of delay: what a query takes, compiled.

Every function works on one user `u` of one scenario `b` of a `Problem`, as things stand; `dnnmig_env.simulation.dynamics` lets
time pass. The rules are those of the README's section "The model":

- A query runs its layers in topological order under an assignment (layer -> node); a node takes one layer at a
  time, tensors travel between nodes, sinks return to the device.
- Weightless layers are never uploaded: they run on the server of their latest predecessor that runs on one.
- What the other users put on a server slows a user there.
"""

from __future__ import annotations

from dnnmig_env.compiling.jit import fill, inlined, uncounted
from dnnmig_env.simulation.packed import Bools, Floats, Problem, Small

MAX_LOAD = 0.95
"""Share of a server beyond which contention no longer grows: `slowdown = 1 / (1 - min(load, MAX_LOAD))`."""


@inlined
def transfer_s(p: Problem, b: int, u: int, slot: int, source: int, target: int, size_bytes: float) -> float:
    """Return the seconds that `size_bytes` take from one node to another, latency included."""
    if source == 0:
        rate, latency = p.up_bytes_per_s[b, slot, u, target - 1], p.up_latency_s[b, slot, u, target - 1]
    elif target == 0:
        rate, latency = p.down_bytes_per_s[b, slot, u, source - 1], p.down_latency_s[b, slot, u, source - 1]
    else:
        rate, latency = p.between_bytes_per_s[b, source - 1, target - 1], p.between_latency_s[b, source - 1, target - 1]
    return float(latency if size_bytes == 0.0 else latency + size_bytes / rate)


@uncounted
def query_delay_s(
    p: Problem,
    b: int,
    u: int,
    slot: int,
    assignment: Small,
    slowdown: Floats,
    finish_s: Floats,
    free_s: Floats,
) -> float:
    """Return the delay of one query of user `u` under an assignment.

    Args:
        p: The problem.
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
    for v in range(p.num_layers[b, u]):
        node = assignment[v]
        start_s = free_s[node]
        for e in range(p.predecessor_offsets[b, u, v], p.predecessor_offsets[b, u, v + 1]):
            q = p.predecessors[b, u, e]
            source, arrival_s = (0, 0.0) if q < 0 else (assignment[q], finish_s[q])
            if source != node:
                arrival_s += transfer_s(p, b, u, slot, source, node, p.tensor_bytes[b, u, q + 1])
            start_s = max(start_s, arrival_s)
        finish_s[v] = start_s + p.execution_s[b, u, v, node] * slowdown[node]
        free_s[node] = finish_s[v]
        if p.is_sink[b, u, v]:
            end_s = finish_s[v]
            if node != 0:
                end_s += transfer_s(p, b, u, slot, node, 0, p.tensor_bytes[b, u, v + 1])
            delay_s = max(delay_s, end_s)
    return delay_s


@inlined
def compose(p: Problem, b: int, u: int, node: Small, usable: Bools, assignment: Small) -> None:
    """Write the assignment that uses every available layer.

    A layer with weights runs on its server once they have arrived. A weightless layer runs on the server of its
    latest predecessor that runs on one, else on the device.

    Args:
        p: The problem.
        b: The scenario.
        u: The user.
        node: Server per layer, shape (L,).
        usable: Layers whose weights have arrived, shape (L,).
        assignment: Receives the node per layer, shape (L,).
    """
    for v in range(p.num_layers[b, u]):
        chosen = 0
        if p.weight_bytes[b, u, v] > 0.0:
            if usable[v]:
                chosen = node[v]
        else:
            for e in range(p.predecessor_offsets[b, u, v + 1] - 1, p.predecessor_offsets[b, u, v] - 1, -1):
                q = p.predecessors[b, u, e]
                if q >= 0 and assignment[q] != 0:
                    chosen = assignment[q]
                    break
        assignment[v] = chosen


@inlined
def load_of(p: Problem, b: int, u: int, slot: int, assignment: Small, load: Floats) -> None:
    """Write the load one user puts on each server, shape (S,): query rate x execution seconds there."""
    fill(load, 0.0)
    for v in range(p.num_layers[b, u]):
        node = assignment[v]
        if node != 0:
            load[node - 1] += p.query_rate_hz[b, slot, u] * p.execution_s[b, u, v, node]


@inlined
def slowdown_for(p: Problem, b: int, u: int, load: Floats, slowdown: Floats) -> None:
    """Write the factor by which the other users slow user `u` on each node, shape (S + 1,), from loads (U, S)."""
    fill(slowdown, 1.0)
    for s in range(p.num_servers[b]):
        others = 0.0
        for w in range(p.num_users[b]):
            if w != u:
                others += load[w, s]
        slowdown[s + 1] = 1.0 / (1.0 - min(others, MAX_LOAD))
