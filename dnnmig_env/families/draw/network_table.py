"""Networks stacked into arrays, from which a generator picks the users' networks by index."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Int32s, Ints
from dnnmig_env.networks.graph_file import read_graph
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.preprocessing import prepare
from dnnmig_env.networks.zoo import TEST_NETWORKS, TRAIN_NETWORKS, load_prepared, networks
from dnnmig_env.simulation.graph_arrays import GraphArrays, graph_arrays, num_edges, num_shares
from dnnmig_env.simulation.packed import Limits


class NetworkTable(NamedTuple):
    """N networks of at most L layers, E predecessor edges, I inputs and H shares.

    The last row, N, is padding: no layers, all zero.
    """

    graphs: tuple[LayerGraph, ...]
    num_layers: Ints  # (N + 1,)
    weight_bytes: Floats  # (N + 1, L)
    tensor_bytes: Floats  # (N + 1, L + I)
    predecessor_offsets: Int32s  # (N + 1, L + 1)
    predecessors: Int32s  # (N + 1, E)
    share_offsets: Int32s  # (N + 1, L + 1)
    shares: Int32s  # (N + 1, H)
    on_device: Bools  # (N + 1, L)
    is_output: Bools  # (N + 1, L)
    flops: Floats  # (N + 1, L)
    bytes_moved: Floats  # (N + 1, L)
    operators: Floats  # (N + 1, L)
    total_weight_bytes: Floats  # (N + 1,)
    largest_weight_bytes: Floats  # (N + 1,)

    def limits(self, users: int, servers: int, slots: int, *, lanes: bool = False) -> Limits:
        """Return the sizes of scenarios whose users run these networks; for `lanes` see `Limits`."""
        layers, edges = self.weight_bytes.shape[1], self.predecessors.shape[1]
        inputs = self.tensor_bytes.shape[1] - layers
        return Limits(users, layers, servers, slots, edges, inputs, self.shares.shape[1], lanes)


def checked_networks(names: object, max_layers: int) -> str | tuple[str, ...]:
    """Check a generator's option `networks` by loading the networks, and return it with a list made into a tuple.

    Args:
        names: The option, as `network_table` takes it.
        max_layers: Most layers per network.

    Raises:
        ValueError: If the option is neither a name nor several names, or for the reasons of `network_table`.
    """
    given = tuple(names) if isinstance(names, list) else names
    if not isinstance(given, str | tuple) or not all(isinstance(name, str) for name in given):
        raise ValueError(f"networks is {names!r}; give 'train', 'test', 'all' or names of networks.")
    network_table(given, max_layers)
    return given


@cache
def network_table(names: str | tuple[str, ...], max_layers: int) -> NetworkTable:
    """Return networks, merged to at most `max_layers` layers each, as arrays.

    E, I and H are at least what every network of the zoo needs, whichever networks are chosen, so that an agent trained
    on some networks also fits the others. I is at least 4, and E and H are at least 4 L, so given scenarios may have
    more.

    Args:
        names: "train", "test" or "all" for these networks of the zoo, or the names of networks. A name that ends in
            ".json" is a file that `python -m dnnmig_env trace` wrote.
        max_layers: Most layers per network, L.

    Raises:
        ValueError: If a network is unknown or cannot be read, none is given, or `max_layers` is less than 1.
    """
    sets = {"train": TRAIN_NETWORKS, "test": TEST_NETWORKS, "all": networks()}
    chosen = sets.get(names, (names,)) if isinstance(names, str) else names
    if not chosen:
        raise ValueError("networks is empty; give 'train', 'test', 'all' or at least one name.")
    graphs = tuple(_prepared(name, max_layers) for name in chosen)
    zoo = tuple(load_prepared(name, max_layers) for name in networks())
    edges = max(4 * max_layers, *map(num_edges, (*graphs, *zoo)))
    shares = max(4 * max_layers, *map(num_shares, (*graphs, *zoo)))
    inputs = max(4, *(graph.num_inputs for graph in (*graphs, *zoo)))
    rows = [graph_arrays(graph, max_layers, edges, inputs, shares) for graph in graphs]
    stacked: dict[str, Any] = {
        name: _with_padding([getattr(row, name) for row in rows]) for name in GraphArrays._fields
    }
    return NetworkTable(
        graphs=graphs,
        **stacked,
        flops=_with_padding([_padded(graph.flops, max_layers) for graph in graphs]),
        bytes_moved=_with_padding([_padded(graph.bytes_moved, max_layers) for graph in graphs]),
        operators=_with_padding([_padded(graph.operators, max_layers) for graph in graphs]),
        total_weight_bytes=stacked["weight_bytes"].sum(axis=1),
        largest_weight_bytes=stacked["weight_bytes"].max(axis=1),
    )


def _prepared(name: str, max_layers: int) -> LayerGraph:
    if name.endswith(".json"):
        return prepare(read_graph(Path(name)), max_layers)
    return load_prepared(name, max_layers)


def _padded(values: Floats, size: int) -> Floats:
    return np.pad(values, (0, size - len(values)))


def _with_padding(rows: list[Any]) -> Any:
    stacked = np.stack(rows)
    stacked = np.concatenate([stacked, np.zeros_like(stacked[:1])])
    stacked.flags.writeable = False
    return stacked
