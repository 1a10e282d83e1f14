"""One network as the arrays that compiled code reads, padded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnnmig_env.arrays import Bools, Floats, Int32s
from dnnmig_env.networks.layer_graph import LayerGraph


def num_edges(graph: LayerGraph) -> int:
    """Return the number of a network's predecessor edges, those from the network's input included."""
    return sum(len(layer.predecessors) for layer in graph.layers)


def num_shares(graph: LayerGraph) -> int:
    """Return the number of a network's pairs of a layer and another one whose weights it needs."""
    return sum(len(layer.shares) for layer in graph.layers)


class GraphArrays(NamedTuple):
    """The arrays of one network in a `PackedScenarios`, padded to L layers, E edges, I inputs and H shares."""

    num_layers: int
    weight_bytes: Floats  # (L,)
    tensor_bytes: Floats  # (L + I,)
    predecessor_offsets: Int32s  # (L + 1,)
    predecessors: Int32s  # (E,)
    share_offsets: Int32s  # (L + 1,)
    shares: Int32s  # (H,)
    on_device: Bools  # (L,)
    is_output: Bools  # (L,)


@lru_cache(maxsize=1024)
def graph_arrays(graph: LayerGraph, layers: int, edges: int, inputs: int = 1, shares: int = 0) -> GraphArrays:
    """Return a network's arrays, padded and read-only; the 1024 that were used last are kept in memory."""
    count = len(graph)
    tensor_bytes = np.zeros(layers + inputs)
    tensor_bytes[:count] = graph.output_bytes
    for tensor in range(-graph.num_inputs, 0):
        tensor_bytes[tensor] = graph.tensor_bytes(tensor)
    offsets, predecessors = _per_layer([layer.predecessors for layer in graph.layers], layers, edges)
    share_offsets, owners = _per_layer([layer.shares for layer in graph.layers], layers, shares)
    return GraphArrays(
        num_layers=count,
        weight_bytes=_padded(np.where(graph.movable, graph.weight_bytes, 0.0), layers, np.float64),
        tensor_bytes=_padded(tensor_bytes, layers + inputs, np.float64),
        predecessor_offsets=offsets,
        predecessors=predecessors,
        share_offsets=share_offsets,
        shares=owners,
        on_device=_padded([layer.on_device for layer in graph.layers], layers, np.bool_),
        is_output=_padded(np.isin(np.arange(count), graph.output_layers), layers, np.bool_),
    )


def _per_layer(lists: Sequence[tuple[int, ...]], layers: int, size: int) -> tuple[Int32s, Int32s]:
    """Return lists of indices, one per layer, as offsets, shape (layers + 1,), and one array, shape (size,)."""
    offsets = np.cumsum([0, *map(len, lists)])
    joined = [index for indices in lists for index in indices]
    return _padded(offsets, layers + 1, np.int32, fill=int(offsets[-1])), _padded(joined, size, np.int32)


def _padded(values: Any, size: int, dtype: Any, fill: int = 0) -> NDArray[Any]:
    array = np.full(size, fill, dtype=dtype)
    array[: len(values)] = values
    array.flags.writeable = False
    return array
