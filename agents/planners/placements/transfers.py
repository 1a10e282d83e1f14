"""The seconds that every tensor of a DNN takes between every two nodes, as a table for planners in plain Python."""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.compiling.jit import jit
from dnnmig_env.simulation.kernel import transfer_s
from dnnmig_env.simulation.packed import PackedScenarios


@jit
def transfers_s(packed: PackedScenarios, b: int, u: int, slot: int) -> Floats:
    """Return the seconds of each tensor between each two nodes, shape (L + 1, S + 1, S + 1); infinite without a link.

    Args:
        packed: The packed scenarios.
        b: The scenario.
        u: The user; tensor 0 is its network's input, tensor v + 1 the output of layer v.
        slot: The time slot whose rates hold.
    """
    tensors, nodes = packed.num_layers[b, u] + 1, packed.num_servers[b] + 1
    seconds = np.zeros((tensors, nodes, nodes))
    for tensor in range(tensors):
        for source in range(nodes):
            for target in range(nodes):
                if source != target:
                    size_bytes = packed.tensor_bytes[b, u, tensor]
                    seconds[tensor, source, target] = transfer_s(packed, b, u, slot, source, target, size_bytes)
    return seconds
