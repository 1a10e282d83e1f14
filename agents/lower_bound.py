"""A lower bound on the mean query delay of one user whose network is a chain, whatever is placed and ordered how.

By time t at most t seconds of uploads are over. So the least delay over all assignments of layers to nodes whose
weights take at most t seconds to upload bounds the delay of any query raised at t, and its mean over the horizon bounds
J from below:

    D(t) = min over assignments a with sum of upload_s(v, a(v)) <= t of delay(a)        J >= mean of D(t) over queries

D comes from a dynamic programme over layer x node x upload time, which counts in `CELLS` parts of the horizon, rounded
in favour of the bound. It is valid for every placement and order, memory limits, absences and changing rates included:
then upload_s is taken at the best rate of all slots, and each slot has a D of its own. What it leaves out: a layer once
uploaded stays uploaded, so no order reaches D at all times; and memory.

O(T L S^2 CELLS) for T slots, L layers and S servers.
"""

from __future__ import annotations

import numpy as np

from agents.planners.transfers import transfers_s
from dnnmig_env.layer_graph import NETWORK_INPUT
from dnnmig_env.problem import Floats, Ints, Problem, pack
from dnnmig_env.scenario import Scenario

CELLS = 8192
"""Parts of the horizon in which upload times are counted."""

ROUNDING = 1e-9
"""Share of an upload's cells by which rounding errors must not make it too long."""


def lower_bound(scenario: Scenario) -> float:
    """Return a number of seconds per query below which no plan brings the mean query delay J.

    Args:
        scenario: A scenario of one user whose network is a chain.

    Raises:
        ValueError: If there are several users or the network is no chain.
    """
    if len(scenario.users) != 1:
        raise ValueError(f"scenario has {len(scenario.users)} users; the lower bound holds for 1.")
    graph = scenario.users[0].graph
    for v, layer in enumerate(graph.layers):
        if layer.predecessors != ((v - 1,) if v else (NETWORK_INPUT,)):
            raise ValueError(
                f"network {graph.name!r} is no chain: layer {v} ({layer.name!r}) reads {list(layer.predecessors)}; "
                "make it one with dnnmig_env.preprocessing.blocks."
            )
    p = pack([scenario])
    cell_s, upload_cells = scenario.horizon_s / CELLS, _upload_cells(p, scenario.horizon_s / CELLS)
    cost_s = queries = 0.0
    for slot in range(scenario.num_slots):
        begin_s, end_s = p.slot_edges_s[0, slot : slot + 2]
        rate_hz = p.query_rate_hz[0, slot, 0]
        if rate_hz > 0:
            until_s = np.append(0.0, np.cumsum(least_delays_s(p, slot, upload_cells)) * cell_s)
            integral_s = np.interp([begin_s, end_s], np.arange(CELLS + 1) * cell_s, until_s)
            cost_s += rate_hz * (integral_s[1] - integral_s[0])
            queries += rate_hz * (end_s - begin_s)
    return float(cost_s / queries)


def least_delays_s(p: Problem, slot: int, upload_cells: Ints) -> Floats:
    """Return D in one slot: the least delay of a query when so many cells of uploads are over, shape (CELLS,).

    Args:
        p: A problem of one row and one user.
        slot: The slot whose rates hold.
        upload_cells: Cells that each layer's upload to each node takes, shape (L, S + 1); `CELLS` if it cannot be.
    """
    transfer_s, execution_s = transfers_s(p, 0, 0, slot), p.execution_s[0, 0]
    layers, nodes = upload_cells.shape
    ready_s = np.full((nodes, CELLS), np.inf)  # the tensor that layer v reads is on a node, with so many cells spent
    ready_s[0] = 0.0
    for v in range(layers):
        after_s = np.full_like(ready_s, np.inf)
        for node in range(nodes):
            spent = upload_cells[v, node]
            if p.weight_bytes[0, 0, v] > 0:
                arrive_s = np.min(ready_s + transfer_s[v, :, node, None], axis=0)
            else:  # not decided: it runs where its predecessor does
                arrive_s = ready_s[node]
            after_s[node, spent:] = arrive_s[: CELLS - spent] + execution_s[v, node]
        ready_s = after_s
    returned_s = np.min(ready_s + transfer_s[layers, :, 0, None], axis=0)
    return np.asarray(np.minimum.accumulate(returned_s))


def _upload_cells(p: Problem, cell_s: float) -> Ints:
    """Return how many cells each layer's upload to each node takes at least, shape (L, S + 1)."""
    weight_bytes, held = p.weight_bytes[0, 0], p.uploaded[0, 0]
    best_rate = p.up_bytes_per_s[0, :, 0].max(axis=0)
    upload_s = np.zeros((len(weight_bytes), 1 + len(best_rate)))
    with np.errstate(divide="ignore", invalid="ignore"):
        upload_s[:, 1:] = np.where(weight_bytes[:, None] > 0, weight_bytes[:, None] / best_rate, 0.0)
    for v in np.flatnonzero(held):
        upload_s[v, 1:] = np.inf  # what is uploaded is not uploaded again
        upload_s[v, held[v]] = 0.0
    return np.minimum(np.floor(upload_s / cell_s * (1.0 - ROUNDING)), CELLS).astype(np.int64)
