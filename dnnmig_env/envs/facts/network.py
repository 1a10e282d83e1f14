"""Facts that do not change in an episode: the users' networks, seconds of layers on servers, lines between servers."""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Float32s
from dnnmig_env.compiling.jit import jit_without_refcounts
from dnnmig_env.envs.features import Feature, positions
from dnnmig_env.simulation.packed import PackedScenarios

LAYER_FEATURES = (
    Feature("remaining", "1 if the layer has weights that are not uploaded yet", "1", "x"),
    Feature("node", "number of the server that holds or is to hold the layer, 0 = none", "1", "x / S"),
    Feature("in_use", "1 if queries run the layer on a server now", "1", "x"),
    Feature("execution_share", "seconds on the device by the delay on the device alone", "1", "min(x, 1)"),
    Feature("log_weight", "weights of the layer", "bytes", "(log10 x - 6) / 3"),
    Feature("log_output", "output of the layer", "bytes", "(log10 x - 5.5) / 2"),
    Feature("log_input", "what the layer reads", "bytes", "(log10 x - 5.5) / 2"),
    Feature("exists", "1 for a layer, 0 for padding", "1", "x"),
    Feature("movable", "1 if the layer has weights and need not stay on the device", "1", "x"),
    Feature("stays", "1 if the layer has to run on the device", "1", "x"),
    Feature("returns", "1 if the layer's output returns to the device", "1", "x"),
    Feature("log_shared", "weights of other layers that the layer needs too", "bytes", "(log10 x - 6) / 3"),
    Feature("owner", "mean number of these other layers, from 1 on; 0 = none", "1", "x / L"),
)
LINE_FEATURES = (
    Feature("log_rate", "rate from the first server to the second", "bytes/s", "(log10 x - 6.5) / 2"),
    Feature("log_latency", "latency from the first server to the second", "s", "(log10 x + 2) / 2"),
)
EXECUTION_FEATURES = (Feature("log_seconds", "seconds of the layer on the server", "s", "(log10 x + 3) / 3"),)
EDGE_FEATURES = (
    Feature("reader", "number of the layer that reads something, from 1 on; 0 = no edge", "1", "x / L"),
    Feature("read", "number of the layer whose output it reads; 0, -1, ... = the network's inputs", "1", "x / L"),
)

_LAYER, _LINE, _EDGE = positions(LAYER_FEATURES), positions(LINE_FEATURES), positions(EDGE_FEATURES)
_LAYER_WIDTH, _LINE_WIDTH, _EDGE_WIDTH = len(LAYER_FEATURES), len(LINE_FEATURES), len(EDGE_FEATURES)


@jit_without_refcounts
def observe_layers(packed: PackedScenarios, b: int, u: int, device_s: float, first: int, out: Float32s) -> None:
    """Write what does not change about the layers of a user, whose features begin at `out[first]`."""
    most_layers = packed.weight_bytes.shape[2]
    for v in range(packed.num_layers[b, u]):
        k, weight = first + v * _LAYER_WIDTH, packed.weight_bytes[b, u, v]
        out[k + _LAYER.execution_share] = min(packed.execution_s[b, u, v, 0] / device_s, 1.0)
        out[k + _LAYER.log_weight] = log_scaled(weight, 6.0, 3.0)
        out[k + _LAYER.log_output] = log_scaled(packed.tensor_bytes[b, u, v], 5.5, 2.0)
        out[k + _LAYER.log_input] = log_scaled(input_bytes(packed, b, u, v), 5.5, 2.0)
        out[k + _LAYER.exists] = 1.0
        out[k + _LAYER.movable] = 1.0 if weight > 0.0 else 0.0
        out[k + _LAYER.stays] = 1.0 if packed.on_device[b, u, v] else 0.0
        out[k + _LAYER.returns] = 1.0 if packed.is_output[b, u, v] else 0.0
        begin, end = packed.share_offsets[b, u, v], packed.share_offsets[b, u, v + 1]
        shared_bytes, numbers = 0.0, 0.0
        for h in range(begin, end):
            shared_bytes += packed.weight_bytes[b, u, packed.shares[b, u, h]]
            numbers += packed.shares[b, u, h] + 1
        out[k + _LAYER.log_shared] = log_scaled(shared_bytes, 6.0, 3.0)
        out[k + _LAYER.owner] = numbers / (end - begin) / most_layers if end > begin else 0.0


@jit_without_refcounts
def observe_executions(packed: PackedScenarios, b: int, u: int, first: int, out: Float32s) -> None:
    """Write the seconds of a user's layers on the servers, whose features begin at `out[first]`."""
    most_servers = packed.memory_bytes.shape[1]
    for v in range(packed.num_layers[b, u]):
        for s in range(packed.num_servers[b]):
            out[first + v * most_servers + s] = log_scaled(packed.execution_s[b, u, v, s + 1], -3.0, 3.0)


@jit_without_refcounts
def observe_edges(packed: PackedScenarios, b: int, u: int, first: int, out: Float32s) -> None:
    """Write which layer of a user reads what; the features of the first edge begin at `out[first]`."""
    most_layers, k = packed.weight_bytes.shape[2], first
    for v in range(packed.num_layers[b, u]):
        for e in range(packed.predecessor_offsets[b, u, v], packed.predecessor_offsets[b, u, v + 1]):
            out[k + _EDGE.reader] = (v + 1) / most_layers
            out[k + _EDGE.read] = clipped((packed.predecessors[b, u, e] + 1) / most_layers)
            k += _EDGE_WIDTH


@jit_without_refcounts
def observe_lines(packed: PackedScenarios, b: int, first: int, out: Float32s) -> None:
    """Write the rates and latencies between servers, whose features begin at `out[first]`."""
    most_servers = packed.memory_bytes.shape[1]
    for s in range(packed.num_servers[b]):
        for other in range(packed.num_servers[b]):
            if s != other:
                k = first + (s * most_servers + other) * _LINE_WIDTH
                out[k + _LINE.log_rate] = log_scaled(packed.between_bytes_per_s[b, s, other], 6.5, 2.0)
                out[k + _LINE.log_latency] = log_scaled(packed.between_latency_s[b, s, other], -2.0, 2.0)


@jit_without_refcounts
def input_bytes(packed: PackedScenarios, b: int, u: int, v: int) -> float:
    """Return the bytes that a layer reads from its predecessors."""
    total = 0.0
    for e in range(packed.predecessor_offsets[b, u, v], packed.predecessor_offsets[b, u, v + 1]):
        total += packed.tensor_bytes[b, u, packed.predecessors[b, u, e]]
    return total


@jit_without_refcounts
def log_scaled(value: float, middle: float, width: float) -> float:
    """Return (log10(value) - middle) / width, clipped to [-1, 1]; -1 if the value is 0."""
    return clipped((np.log10(value) - middle) / width) if value > 0.0 else -1.0


@jit_without_refcounts
def clipped(value: float) -> float:
    """Return a value clipped to [-1, 1]."""
    return min(max(value, -1.0), 1.0)
