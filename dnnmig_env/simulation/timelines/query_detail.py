"""One query in detail: which node runs which layer when, and which tensors travel between nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnmig_env.arrays import Floats, Int8s
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.simulation.kernel import query_delay_s, transfer_s
from dnnmig_env.simulation.packed import PackedScenarios


@dataclass(frozen=True, slots=True)
class Computation:
    """One layer that runs on one node. Times are seconds since the query was raised."""

    layer: int
    node: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Transfer:
    """One tensor that travels between two nodes. Times are seconds since the query was raised.

    Attributes:
        tensor: Layer whose output travels; -1 is the network's first input, -2 its second, and so on.
        source: Node that it leaves.
        target: Node that it reaches.
        start_s: Time at which it leaves.
        end_s: Time at which its last byte has arrived, latency included.
        size_bytes: Size of the tensor.
    """

    tensor: int
    source: int
    target: int
    start_s: float
    end_s: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Query:
    """One query of one user.

    Attributes:
        user: Index of the user.
        at_s: Time at which it was raised.
        delay_s: Seconds until its last result was back on the device.
        computations: One per layer, in topological order.
        transfers: One for each tensor and each other node that needs it, in the order of the tensors.
    """

    user: int
    at_s: float
    delay_s: float
    computations: tuple[Computation, ...]
    transfers: tuple[Transfer, ...]


def trace_query(
    packed: PackedScenarios,
    graph: LayerGraph,
    user: int,
    slot: int,
    assignment: Int8s,
    slowdown: Floats,
    at_s: float,
) -> Query:
    """Return one query in detail.

    Args:
        packed: Packed scenarios, of which there is just one.
        graph: The user's network.
        user: Index of the user.
        slot: Time slot whose rates hold.
        assignment: Node per layer, shape (L,).
        slowdown: Factor by which the other users slow the query at each station, shape (K,).
        at_s: Time at which the query is raised; it is only copied to the result.
    """
    free_s, finish_s = np.zeros(packed.execution_s.shape[3]), np.zeros(len(assignment))
    delay_s = query_delay_s(packed, 0, user, slot, assignment, slowdown, finish_s, free_s)
    computations = []
    for layer in range(len(graph)):
        node, end_s = int(assignment[layer]), float(finish_s[layer])
        busy_s = float(packed.execution_s[0, user, layer, node] * slowdown[node])
        computations.append(Computation(layer, node, end_s - busy_s, end_s))
    transfers = []
    for tensor, source, target in tensors_sent(graph, assignment):
        start_s = 0.0 if tensor < 0 else float(finish_s[tensor])
        size_bytes = graph.tensor_bytes(tensor)
        end_s = start_s + transfer_s(packed, 0, user, slot, source, target, float(size_bytes), slowdown)
        transfers.append(Transfer(tensor, source, target, start_s, end_s, size_bytes))
    return Query(user, at_s, float(delay_s), tuple(computations), tuple(transfers))


def tensors_sent(graph: LayerGraph, assignment: NDArray[np.integer]) -> list[tuple[int, int, int]]:
    """Return the (tensor, source, target) of a query's transfers; layers on one node share the transfer of a tensor."""
    nodes = [int(node) for node in assignment]
    sent = {(tensor, nodes[layer]) for layer, row in enumerate(graph.layers) for tensor in row.predecessors}
    sent |= {(sink, 0) for sink in graph.output_layers}
    found = [(tensor, 0 if tensor < 0 else nodes[tensor], target) for tensor, target in sorted(sent)]
    return [(tensor, source, target) for tensor, source, target in found if source != target]
