"""The minimum cut of a graph whose capacities are seconds, by a library that counts in integers.

By the theorem of Ford and Fulkerson a maximum flow leaves a minimum cut: the vertices that the source still reaches.
`scipy.sparse.csgraph.maximum_flow` (Dinic, O(V^2 E)) takes 32-bit integers. So seconds are counted in units of 2^-29 of
the smaller trivial cut (the source alone, or the sink alone), which the minimum cannot exceed. Each edge is rounded by
at most half a unit: the seconds of the cut found exceed the minimum by at most E / 2^29 of the trivial cut's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dnnmig_env.arrays import Bools

UNITS = 2**29
"""Capacity of the smaller trivial cut in units; flows on an edge of twice that capacity still fit 32 bits."""

Edge = tuple[int, int, float]
"""Tail, head, and capacity in seconds, which may be infinite."""


def minimum_cut(num_vertices: int, edges: Sequence[Edge], source: int, sink: int) -> Bools:
    """Return which vertices lie on the sink's side of a minimum cut, as few as possible, shape (V,).

    Args:
        num_vertices: Number of vertices, V.
        edges: The edges, at least one; the capacities of parallel ones add up.
        source: The source; its edges have finite capacities.
        sink: The sink; its edges have finite capacities.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    tails, heads, seconds = (np.array(column) for column in zip(*edges, strict=True))
    trivial_s = min(seconds[tails == source].sum(), seconds[heads == sink].sum())
    units = seconds * (UNITS / trivial_s) if trivial_s > 0.0 else np.where(seconds > 0.0, np.inf, 0.0)
    graph = coo_array((units, (tails, heads)), shape=(num_vertices, num_vertices)).tocsr()
    graph.data = np.minimum(np.rint(graph.data), 2 * UNITS)
    capacity = graph.astype(np.int32)
    residual = capacity.astype(np.int64) - maximum_flow(capacity, source, sink).flow.astype(np.int64)
    residual.eliminate_zeros()
    reaching_sink = np.zeros(num_vertices, np.bool_)
    reaching_sink[breadth_first_order(residual.T.tocsr(), sink, return_predecessors=False)] = True
    return reaching_sink
