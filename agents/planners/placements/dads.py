"""DADS: the cut of a DNN between its device and one server that takes the least seconds in all, by maximum flow.

Hu, Bao, Wang and Liu, "Dynamic Adaptive DNN Surgery for Inference Acceleration on the Edge", INFOCOM 2019, the
algorithm for light load. A query's delay is taken to be the sum of all seconds, one layer after another:

    sum over layers on the device: device_s + sum over layers on the server: server_s
        + sum over tensors made on the device that the server reads: upload_s, once however many layers read it
        + sum over tensors made on the server that the device reads, and results: download_s, once

This is the value of a cut between the device D and the server S in the graph with the edges

    D -> v: server_s      v -> S: device_s      v -> its only reader: upload_s      the reader -> v: download_s
    several readers: v -> a: upload_s, a -> each: infinite; each -> d: infinite, d -> v: download_s

where the auxiliary vertices a and d make a tensor with several readers cost once. A minimum cut is therefore an
optimum. On a chain the sum is the delay itself. Where branches run in parallel it is an upper bound, and the kernel's
delay of the cut decides between servers. One cut takes O(V^2 E) in the worst case, milliseconds for networks of
hundreds of layers.

Reconstruction: in the paper nothing returns to the device; here results do and other tensors may. Weightless layers are
not decided in this model but follow a predecessor that runs on a server. With a single predecessor they share its
vertex; with several, infinite edges put them on the server where one of these is. What shares weights is bound to the
layers that own them in the same way. That they stay on the device where
none is cannot be expressed by a cut: they are put there afterwards, which may take longer than the cut. Layers held by
another server count as if they ran on this one; layers larger than the server's memory stay on the device. A cut too
large for the memory is sought again with a price per byte, bisected (a Lagrange multiplier: it may miss the best cut
that fits). Several users and servers: see `agents.planners.placements.one_user`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from agents.planners.placements.minimum_cut import Edge, minimum_cut
from agents.planners.placements.one_user import Alone, choose_in_turn
from agents.planners.placements.transfers import transfers_s
from agents.planners.protocol import Placement
from dnnmig_env.arrays import Bools
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import PackedScenarios

DEVICE, SERVER = 0, 1
"""The terminals of the cut; a layer v whose place is decided is vertex 2 + v."""

PRICES = 24
"""Number of prices per byte that are tried for a server of limited memory."""


def dads(scenario: Scenario, rng: np.random.Generator) -> Placement:
    """Place for each user, in index order, what a minimum cut puts on the server that is best for it.

    Args:
        scenario: The scenario.
        rng: Not used.
    """
    return choose_in_turn(scenario, _cuts)


def _cuts(alone: Alone) -> Iterator[Bools]:
    """Yield the minimum cut and, while it is too large for the server, those under a price per byte."""
    vertices, edges = cut_graph(alone)
    if not edges:  # no layer fits the server
        return
    layers = _on_server(alone, vertices, edges, 0.0)
    yield layers
    if alone.fits(layers):
        return
    seconds = alone.packed.execution_s[0, alone.user, : len(layers), 0]
    price, low, high = float(seconds.sum() / alone.weight_bytes[layers].sum()), 0.0, math.inf
    for _ in range(PRICES):
        layers = _on_server(alone, vertices, edges, price)
        yield layers
        if alone.fits(layers):
            high = price
        else:
            low = price
        price = 4.0 * price if math.isinf(high) else (low + high) / 2


def _on_server(alone: Alone, vertices: list[int], edges: list[Edge], price: float) -> Bools:
    """Return the movable layers on the server's side, shape (L,), when its memory costs `price` seconds per byte."""
    decided = [layer for layer in np.flatnonzero(alone.movable) if vertices[layer] != DEVICE]
    prices = [(DEVICE, vertices[layer], price * alone.weight_bytes[layer]) for layer in decided]
    num_tensors = len(vertices) + _num_inputs(alone.packed)
    num_vertices = 2 + len(vertices) + 2 * num_tensors  # terminals, layers, two auxiliary ones per tensor
    return alone.movable & minimum_cut(num_vertices, edges + prices, DEVICE, SERVER)[vertices]


def cut_graph(alone: Alone) -> tuple[list[int], list[Edge]]:
    """Return the vertex that stands for each layer, and the edges with their seconds."""
    vertices, edges = _vertices(alone)
    for layer, vertex in enumerate(vertices):
        device_s, server_s = alone.packed.execution_s[0, alone.user, layer, [0, alone.server]]
        edges += [(DEVICE, vertex, server_s), (vertex, SERVER, device_s)]
    unused, seconds = 2 + len(vertices), transfers_s(alone.packed, 0, alone.user, 0)
    all_readers = _readers(alone, vertices)
    for tensor in range(-_num_inputs(alone.packed), len(vertices)):
        readers, maker = all_readers[tensor], DEVICE if tensor < 0 else vertices[tensor]
        upload_s, download_s = seconds[tensor, 0, alone.server], seconds[tensor, alone.server, 0]
        edges += _fan_out(maker, readers, SERVER, unused, upload_s)
        edges += [
            (head, tail, cost_s) for tail, head, cost_s in _fan_out(maker, readers, DEVICE, unused + 1, download_s)
        ]
        unused += 2
    # What no cut can change is left out.
    return vertices, [
        (tail, head, cost_s) for tail, head, cost_s in edges if tail != head and tail != SERVER and head != DEVICE
    ]


def _vertices(alone: Alone) -> tuple[list[int], list[Edge]]:
    """Return the vertex of each layer, and the edges that bind layers to their predecessors or to shared weights."""
    packed, user = alone.packed, alone.user
    vertices: list[int] = []
    edges: list[Edge] = []
    for layer in range(len(alone.movable)):
        owners = packed.shares[0, user, slice(*packed.share_offsets[0, user, layer : layer + 2])]
        edges += [(_vertex_with_weights(alone, owner), 2 + layer, math.inf) for owner in owners]
        first, last = packed.predecessor_offsets[0, user, layer : layer + 2]
        sources = {
            vertices[predecessor] for predecessor in packed.predecessors[0, user, first:last] if predecessor >= 0
        } - {DEVICE}
        if alone.weight_bytes[layer] > 0.0:
            vertices.append(_vertex_with_weights(alone, layer))
        elif packed.on_device[0, user, layer]:
            vertices.append(DEVICE)
        elif len(owners) > 0:
            vertices.append(_vertex_with_weights(alone, owners[0]) if len(owners) == 1 else 2 + layer)
        elif not sources or SERVER in sources:
            vertices.append(SERVER if sources else DEVICE)
        elif len(sources) == 1:
            vertices.append(min(sources))
        else:
            vertices.append(2 + layer)
            edges += [(2 + layer, source, math.inf) for source in sources]
    return vertices, edges


def _vertex_with_weights(alone: Alone, layer: int) -> int:
    """Return the vertex of a layer with weights."""
    decided = alone.movable[layer] and alone.weight_bytes[layer] <= alone.left_bytes
    return 2 + layer if decided else SERVER if alone.held[layer] else DEVICE


def _readers(alone: Alone, vertices: list[int]) -> list[set[int]]:
    """Return the vertices that read each tensor, inputs last (-1 is the first); the device reads results."""
    packed, user = alone.packed, alone.user
    readers: list[set[int]] = [set() for _ in range(len(vertices) + _num_inputs(packed))]
    for layer, vertex in enumerate(vertices):
        for edge in range(packed.predecessor_offsets[0, user, layer], packed.predecessor_offsets[0, user, layer + 1]):
            readers[packed.predecessors[0, user, edge]].add(vertex)
        if packed.is_output[0, user, layer]:
            readers[layer].add(DEVICE)
    return readers


def _num_inputs(packed: PackedScenarios) -> int:
    return int(packed.tensor_bytes.shape[2] - packed.weight_bytes.shape[2])


def _fan_out(maker: int, readers: set[int], there: int, auxiliary: int, seconds: float) -> list[Edge]:
    """Return edges that cost `seconds` once if any reader is on the side of terminal `there` and the maker is not."""
    if there in readers:
        return [(maker, there, seconds)]
    others = sorted(readers - {maker, DEVICE, SERVER})
    if len(others) == 1:
        return [(maker, others[0], seconds)]
    return [(maker, auxiliary, seconds), *((auxiliary, reader, math.inf) for reader in others)]
