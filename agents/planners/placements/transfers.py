"""The seconds that every tensor of a DNN takes between every two nodes, as a table for planners in plain Python."""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.compiling.jit import jit
from dnnmig_env.simulation.contention import num_stations
from dnnmig_env.simulation.kernel import transfer_s
from dnnmig_env.simulation.packed import PackedScenarios


@jit
def transfers_s(packed: PackedScenarios, b: int, u: int, slot: int) -> Floats:
    """Return the seconds of each tensor between each two nodes, shape (L + I, S + 1, S + 1); infinite without a link.

    L and I are the user's layers and the inputs that fit; as in `PackedScenarios`, input tensors are counted from the
    end of the axis.

    Args:
        packed: The packed scenarios.
        b: The scenario.
        u: The user.
        slot: The time slot whose rates hold.
    """
    layers, nodes = packed.num_layers[b, u], packed.num_servers[b] + 1
    inputs = packed.tensor_bytes.shape[2] - packed.weight_bytes.shape[2]
    seconds, alone = np.zeros((layers + inputs, nodes, nodes)), np.ones(num_stations(packed.execution_s.shape[3]))
    for tensor in range(-inputs, layers):
        for source in range(nodes):
            for target in range(nodes):
                if source != target:
                    size_bytes = packed.tensor_bytes[b, u, tensor]
                    seconds[tensor, source, target] = transfer_s(packed, b, u, slot, source, target, size_bytes, alone)
    return seconds
