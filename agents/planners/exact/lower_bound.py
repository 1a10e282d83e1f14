"""A lower bound on the mean query delay of one user whose DNN is a chain, for any placement and any upload order.

By time t at most t seconds of uploads are over. So the least delay over all assignments of layers to nodes whose
weights take at most t seconds to upload bounds the delay of any query raised at t, and its mean over the horizon bounds
J from below:

    D(t) = min over assignments a with sum of upload_s(v, a(v)) <= t of delay(a)        J >= mean of D(t) over queries

D comes from a dynamic programme over layer x node x upload time. Upload time is counted in `CELLS` parts, rounded in
favour of the bound. The bound is valid for every placement and order, memory limits and absences included. It leaves
out memory limits, that weights give way to the data of queries, and that an uploaded layer stays uploaded, so that no
order reaches D at all times. A layer that only
shares weights may run anywhere in it, so where networks share weights it may lie far below what can be reached.

Where rates change, each slot has a D of its own, and upload seconds are those at the mean rate of each link until the
slot's end: in a short time dt no more of these seconds are over than dt times the greatest ratio of a link's present
rate to its mean rate. For one server this says that no more bytes are in than the link could carry.

O(T L S^2 CELLS) for T slots, L layers and S servers.
"""

from __future__ import annotations

import numpy as np

from agents.planners.placements.transfers import transfers_s
from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.networks.layer_graph import NETWORK_INPUT
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import PackedScenarios, pack

CELLS = 8192
"""Number of parts in which upload time is counted, up to the most that can be over."""

ROUNDING = 1e-9
"""Share by which an upload's cells are shortened, so that rounding errors do not make it too long."""


def lower_bound(scenario: Scenario) -> float:
    """Return a lower bound on the mean query delay J of all plans, in seconds per query.

    Args:
        scenario: A scenario of one user whose network is a chain.

    Raises:
        ValueError: If there are several users or the network is no chain.
    """
    if len(scenario.users) != 1:
        raise ValueError(f"scenario has {len(scenario.users)} users; the lower bound holds for 1.")
    graph = scenario.users[0].graph
    for layer_index, layer in enumerate(graph.layers):
        if layer.predecessors != ((layer_index - 1,) if layer_index else (NETWORK_INPUT,)):
            raise ValueError(
                f"network {graph.name!r} is no chain: layer {layer_index} ({layer.name!r}) reads "
                f"{list(layer.predecessors)}; make it one with dnnmig_env.networks.preprocessing.blocks."
            )
    packed, cost_s, queries = pack([scenario]), 0.0, 0.0
    for slot in range(scenario.num_slots):
        length_s, rate_hz = (
            packed.slot_edges_s[0, slot + 1] - packed.slot_edges_s[0, slot],
            packed.query_rate_hz[0, slot, 0],
        )
        if rate_hz > 0:
            cost_s += rate_hz * length_s * _mean_delay_s(packed, slot)
            queries += rate_hz * length_s
    return float(cost_s / queries)


def _mean_delay_s(packed: PackedScenarios, slot: int) -> float:
    """Return the mean of D over a slot."""
    lengths_s, rates = np.diff(packed.slot_edges_s[0, : slot + 2]), packed.up_bytes_per_s[0, : slot + 1, 0].copy()
    rates[: np.argmax(packed.query_rate_hz[0, :, 0] > 0)] = 0.0  # nothing is uploaded before the user has come
    mean_rate = lengths_s @ rates / lengths_s.sum()
    ratio = np.divide(rates, mean_rate, out=np.zeros_like(rates), where=mean_rate > 0).max(axis=1)
    # Upload seconds that can be over at most when the slot begins, and when it ends.
    begin_s, end_s = np.cumsum(np.append(0.0, lengths_s * ratio))[-2:]
    cell_s = end_s / (CELLS - 1) if end_s > 0 else 1.0
    delays_s = least_delays_s(packed, slot, _upload_cells(packed, mean_rate, cell_s))
    if end_s == begin_s:
        return float(delays_s[-1])
    until = np.append(0.0, np.cumsum(delays_s))
    integrals = np.interp([begin_s / cell_s, end_s / cell_s], np.arange(CELLS + 1), until)
    return float((integrals[1] - integrals[0]) / (end_s - begin_s) * cell_s)


def least_delays_s(packed: PackedScenarios, slot: int, upload_cells: Ints) -> Floats:
    """Return D in one slot: the least delay of a query by the number of cells of uploads that are over, shape (CELLS,).

    Args:
        packed: The packed scenario, of one user.
        slot: The slot whose rates hold.
        upload_cells: Cells that each layer's upload to each node takes, shape (L, S + 1); `CELLS` if it is impossible.
    """
    transfer_s, execution_s = transfers_s(packed, 0, 0, slot), packed.execution_s[0, 0]
    layers, nodes = upload_cells.shape
    shares = np.diff(packed.share_offsets[0, 0]) > 0  # wherever the shared weights are: any node is possible
    ready_s = np.full((nodes, CELLS), np.inf)  # when the tensor that a layer reads is on each node, by cells spent
    ready_s[0] = 0.0
    for layer in range(layers):
        after_s = np.full_like(ready_s, np.inf)
        for node in range(nodes):
            spent = upload_cells[layer, node]
            if packed.on_device[0, 0, layer] and node != 0:
                continue
            if packed.weight_bytes[0, 0, layer] > 0 or packed.on_device[0, 0, layer] or shares[layer]:
                arrive_s = np.min(ready_s + transfer_s[layer - 1, :, node, None], axis=0)
            else:  # not decided: it runs where its predecessor does
                arrive_s = ready_s[node]
            after_s[node, spent:] = arrive_s[: CELLS - spent] + execution_s[layer, node]
        ready_s = after_s
    returned_s = np.min(ready_s + transfer_s[layers - 1, :, 0, None], axis=0)
    return np.asarray(np.minimum.accumulate(returned_s))


def _upload_cells(packed: PackedScenarios, rate: Floats, cell_s: float) -> Ints:
    """Return the least number of cells that each layer's upload to each node takes at given rates, shape (L, S + 1)."""
    weight_bytes, held = packed.weight_bytes[0, 0], packed.uploaded[0, 0]
    upload_s = np.zeros((len(weight_bytes), 1 + len(rate)))
    with np.errstate(divide="ignore", invalid="ignore"):
        upload_s[:, 1:] = np.where(weight_bytes[:, None] > 0, weight_bytes[:, None] / rate, 0.0)
    for layer in np.flatnonzero(held):
        upload_s[layer, 1:] = np.inf  # what is uploaded is not uploaded again
        upload_s[layer, held[layer]] = 0.0
    return np.minimum(np.floor(upload_s / cell_s * (1.0 - ROUNDING)), CELLS).astype(np.int64)
