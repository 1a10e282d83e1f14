"""The execution graph of IONN: what the blocks of a DNN cost on the device and on one server, and its shortest paths.

Jeong et al., "IONN: Incremental Offloading of Neural Network Computations from Mobile Devices to Edge Servers", SoCC
2018. A block lies between consecutive dominators of the output (layers through which everything flows), so one tensor
enters it and one leaves it. The nodes of the graph are those tensors, each on the device or on the server; its edges:

    device -> device    the block runs on the device            device_s(i)
    device -> server    the tensor that enters it is sent       enter_s(i)
    server -> server    the block runs on the server            server_s(i) + K * upload_s(i)
    server -> device    the tensor that leaves it is sent       leave_s(i)

The query's input starts on the device and its result returns there. With penalty K = 1 a shortest path is the fastest
query that waits for its own uploads, with K = 0 the fastest query once all is uploaded. The length of a path is a sum
of the kernel's seconds. It equals the kernel's query delay for layers that are assigned block by block, with nobody
else at work. As in the paper, a block without weights is decided too, and free to upload; the kernel runs its layers on
the server of their latest predecessor that runs on one, whatever the path says.

Not in the paper (a reconstruction): layers that the server holds are free to upload; a block of which another server
holds a layer stays on the device; and if a path does not fit the server's memory, those of its blocks that fit are
taken, front ones first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from agents.planners.placements.one_user import Alone, choose_in_turn
from agents.planners.placements.transfers import transfers_s
from agents.planners.protocol import Placement
from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.preprocessing import block_edges
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import PackedScenarios

SLOT = 0
"""The only slot that planners know."""


@dataclass(frozen=True, eq=False)
class ExecutionGraph:
    """The seconds of N blocks of one user's network between its device and one server.

    Attributes:
        server: The server, 1..S.
        edges: Block i consists of layers edges[i] to edges[i + 1] - 1, shape (N + 1,).
        device_s: Execution on the device, shape (N,).
        server_s: Execution on the server, shape (N,); infinite if another server holds a layer of the block.
        enter_s: Sending the tensor that enters each block to the server, shape (N,).
        leave_s: Sending the tensor that leaves each block to the device, shape (N,).
        upload_s: Uploading each block's weights, shape (N,), without those that the server holds.
        upload_bytes: Bytes of these weights, shape (N,).
    """

    server: int
    edges: Ints
    device_s: Floats
    server_s: Floats
    enter_s: Floats
    leave_s: Floats
    upload_s: Floats
    upload_bytes: Floats

    def that_fit(self, blocks: Bools, left_bytes: float) -> Bools:
        """Return which of some blocks fit into the memory that is left together, front ones first, shape (N,)."""
        fitting = np.zeros_like(blocks)
        for block in np.flatnonzero(blocks):
            if self.upload_bytes[block] <= left_bytes:
                left_bytes -= self.upload_bytes[block]
                fitting[block] = True
        return fitting

    def layers(self, blocks: Bools) -> Bools:
        """Return the layers of some blocks, shape (L,); the blocks have shape (N,)."""
        return np.repeat(blocks, np.diff(self.edges))


def execution_graph(graph: LayerGraph, packed: PackedScenarios, user: int, server: int) -> ExecutionGraph:
    """Return the execution graph of a user's network.

    Args:
        graph: The network.
        packed: The packed scenario; slot 0's rates count.
        user: Index of the user.
        server: The server, 1..S.
    """
    edges, count = np.array(block_edges(graph)), len(graph)
    starts, last = edges[:-1], edges[1:] - 1
    held, weight_bytes = packed.uploaded[0, user, :count], packed.weight_bytes[0, user, :count]
    device_s, server_s = packed.execution_s[0, user, :count, 0], packed.execution_s[0, user, :count, server]
    elsewhere = ((weight_bytes > 0) & (held != 0) & (held != server)) | packed.on_device[0, user, :count]
    seconds = transfers_s(packed, 0, user, SLOT)
    back_s = seconds[:count, server, 0]  # of each layer's output
    enter_s = seconds[starts - 1, 0, server]  # of the output of the layer before each block
    # Several inputs all go to the first block, side by side, and a layer waits only for those that it reads.
    enter_s[0] = max(
        seconds[tensor, 0, server] - server_s[:v].sum()
        for v, layer in enumerate(graph.layers)
        for tensor in layer.predecessors
        if tensor < 0
    )
    leave_s = back_s[last]
    # Several outputs are all in the last block and return as soon as each is there.
    leave_s[-1] = max(back_s[sink] - server_s[sink + 1 :].sum() for sink in graph.output_layers)
    upload_bytes = np.add.reduceat(np.where(held == 0, weight_bytes, 0.0), starts)
    return ExecutionGraph(
        server,
        edges,
        np.add.reduceat(device_s, starts),
        np.add.reduceat(np.where(elsewhere, np.inf, server_s), starts),
        enter_s,
        leave_s,
        upload_bytes / packed.up_bytes_per_s[0, SLOT, user, server - 1],
        upload_bytes,
    )


def shortest_paths(execution: ExecutionGraph, penalties: Sequence[float]) -> Bools:
    """Return the blocks on the server side of the shortest path under each of P penalties, shape (P, N). O(P N).

    On a tie a path does not change sides.
    """
    penalty, count = np.asarray(penalties, np.float64), len(execution.device_s)
    on_device, on_server = np.zeros(len(penalty)), np.full(len(penalty), np.inf)
    enters, leaves = np.zeros((2, count, len(penalty)), np.bool_)
    for i in range(count):
        enter_s = on_device + execution.enter_s[i]
        enters[i] = enter_s < on_server
        on_server = np.minimum(on_server, enter_s) + execution.server_s[i] + penalty * execution.upload_s[i]
        on_device = on_device + execution.device_s[i]
        leave_s = on_server + execution.leave_s[i]
        leaves[i] = leave_s < on_device
        on_device = np.minimum(on_device, leave_s)
    side, here = np.zeros((len(penalty), count), np.bool_), np.zeros(len(penalty), np.bool_)
    for i in reversed(range(count)):
        here = here | leaves[i]
        side[:, i] = here
        here = here & ~enters[i]
    return side


@dataclass(frozen=True)
class ShortestPath:
    """Places the server side of a shortest path, for each user on the server where its queries are then fastest.

    Users choose in index order, see `agents.planners.placements.one_user`. O(U S (L + E)).

    Attributes:
        penalty: The penalty K on uploads, 0 to 1.
    """

    penalty: float = 0.0

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Placement:
        """Return the placement."""

        def candidates(alone: Alone) -> Iterator[Bools]:
            execution = execution_graph(scenario.users[alone.user].graph, alone.packed, alone.user, alone.server)
            side = shortest_paths(execution, [self.penalty])[0]
            yield execution.layers(execution.that_fit(side, alone.left_bytes)) & alone.movable

        return choose_in_turn(scenario, candidates)
