"""Which layers a user's query could run on servers at present: all whose weights have arrived there."""

from __future__ import annotations

from collections.abc import Mapping

from dnnmig_env.networks.layer_graph import LayerGraph
from evaluate.truth.simulator.course import Assignment
from evaluate.truth.simulator.plain_scenario import DEVICE


def everything_available(graph: LayerGraph, arrived: Mapping[int, int]) -> Assignment:
    """Return the assignment that uses every layer whose weights have arrived on a server.

    A layer with weights runs where these are. A weightless one runs on the server of its latest predecessor that runs
    on one. A layer that shares weights of others needs these in the same place as its own; if it has none of its own,
    it runs where the shared ones are. Whatever does not fit runs on the device, and so does what has to stay there.

    Args:
        graph: The user's network.
        arrived: Server of each layer whose weights have arrived on one.
    """
    nodes: list[int] = []
    for layer, row in enumerate(graph.layers):
        places = {arrived.get(owner, DEVICE) for owner in row.shares}
        if row.weight_bytes > 0:
            places.add(arrived.get(layer, DEVICE))
        elif not row.shares:
            servers = [nodes[tensor] for tensor in row.predecessors if tensor >= 0 and nodes[tensor] != DEVICE]
            places.add(servers[-1] if servers else DEVICE)
        nodes.append(places.pop() if len(places) == 1 and not row.on_device else DEVICE)
    return tuple(nodes)
