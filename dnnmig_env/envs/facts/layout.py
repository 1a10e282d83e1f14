"""How the plain observation is laid out: which features it has, and where each stands in the vector."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from dnnmig_env.arrays import Float32s, Floats, Ints
from dnnmig_env.envs.facts.lanes import LANE_PARTS, lane_shapes
from dnnmig_env.envs.facts.network import EDGE_FEATURES, EXECUTION_FEATURES, LAYER_FEATURES, LINE_FEATURES
from dnnmig_env.envs.features import Feature

TIME_FEATURES = (
    Feature("horizon_left", "share of the horizon that is left", "1", "x"),
    Feature("slot_left", "share of the time slot that is left", "1", "x"),
    Feature("log_horizon_left", "time until the horizon", "s", "(log10 x - 1) / 2"),
    Feature("placing", "1 if the next decision places a layer, 0 if it is an upload", "1", "x"),
)
SERVER_FEATURES = (
    Feature("exists", "1 for a server, 0 for padding", "1", "x"),
    Feature("log_memory_left", "memory that is neither used nor reserved", "bytes", "(log10 x - 8) / 3"),
    Feature("memory_left_for_all", "that memory by all weights that are not uploaded yet", "1", "min(x, 1)"),
    Feature("load", "mean number of queries on the server", "1", "min(x, 1)"),
    Feature("position_x", "place from the area's centre; 0 where nobody moves", "sides of the area", "x"),
    Feature("position_y", "place from the area's centre; 0 where nobody moves", "sides of the area", "x"),
)
USER_FEATURES = (
    Feature("present", "1 if the user is present; then all else is 0 where it is not", "1", "x"),
    Feature("query_share", "the user's query rate by that of all users", "1", "x"),
    Feature("delay_ratio", "delay of a query now by that on the device alone", "1", "min(x, 1)"),
    Feature("log_device_delay", "delay of a query on the device alone", "s", "(log10 x + 0.5) / 2"),
    Feature("weights_left", "share of the user's weights that are not uploaded yet", "1", "x"),
    Feature("position_x", "place from the area's centre", "sides of the area", "x"),
    Feature("position_y", "place from the area's centre", "sides of the area", "x"),
    Feature("velocity_x", "velocity", "sides per slot", "10 x"),
    Feature("velocity_y", "velocity", "sides per slot", "10 x"),
    Feature("log_query_rate", "queries per second", "1/s", "log10 x / 3"),
)
LINK_FEATURES = (
    Feature("log_up_rate", "rate from the device to the server", "bytes/s", "(log10 x - 6.5) / 2"),
    Feature("log_down_rate", "rate from the server to the device", "bytes/s", "(log10 x - 6.5) / 2"),
    Feature("latency_ratio", "latency to the server and back by the delay on the device alone", "1", "min(x, 1)"),
    Feature(
        "log_speedup", "seconds of the whole network on the device by those on the server", "1", "(log10 x - 1) / 2"
    ),
    Feature("load_of_others", "mean number of the other users' queries on the server", "1", "min(x, 1)"),
    Feature("up_latency_ratio", "latency to the server by the delay on the device alone", "1", "min(x, 1)"),
)
PARTS = {
    "time": TIME_FEATURES,
    "servers": SERVER_FEATURES,
    "users": USER_FEATURES,
    "links": LINK_FEATURES,
    "layers": LAYER_FEATURES,
    "lines": LINE_FEATURES,
    "executions": EXECUTION_FEATURES,
    "edges": EDGE_FEATURES,
    **LANE_PARTS,
}
"""The features of each part of the vector. The value of a logarithm is clipped to [-1, 1], and is -1 for x = 0."""


@dataclass(frozen=True)
class FactsLayout:
    """Where each fact stands in the vector, which consists of one part after another in the order of `PARTS`.

    Attributes:
        users: Most users, U.
        layers: Most layers per network, L.
        servers: Most servers, S.
        edges: Most edges of a network, E: pairs of a layer and a tensor that it reads. They stand at the end, so that
            a policy network which looks at no edges need not know their number.
        lanes: Whether there are facts about several lanes (`dnnmig_env.envs.facts.lanes`), which come last.
    """

    users: int
    layers: int
    servers: int
    edges: int = 0
    lanes: bool = False

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of each part, in the order in which the parts stand in the vector."""
        return _shapes_and_slices(self)[0]

    @property
    def slices(self) -> Mapping[str, slice]:
        """Slice of the vector that each part takes."""
        return _shapes_and_slices(self)[1]

    @property
    def size(self) -> int:
        """Length of the vector, D."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def edge_index(self, observation: Float32s | Floats) -> Ints:
        """Return the edges of the users' networks, shape (..., U, 2, E), for observations of shape (..., D).

        An edge is a pair: the layer whose output is read, and the layer that reads it. Layers count from 0; -1, -2, ...
        in place of the first are the network's inputs. Both are L where there is no edge.
        """
        part = np.asarray(observation)[..., self.slices["edges"]]
        numbers = np.rint(part.reshape(*part.shape[:-1], self.users, self.edges, 2) * self.layers).astype(np.int64) - 1
        reader, read = numbers[..., 0], numbers[..., 1]
        missing = reader < 0
        return np.stack([np.where(missing, self.layers, read), np.where(missing, self.layers, reader)], axis=-2)


@cache  # networks ask for them many times at every decision
def _shapes_and_slices(layout: FactsLayout) -> tuple[Mapping[str, tuple[int, ...]], Mapping[str, slice]]:
    """Return the shape of each part, and the slice of the vector that it takes."""
    sizes: dict[str, tuple[int, ...]] = {
        "time": (),
        "servers": (layout.servers,),
        "users": (layout.users,),
        "links": (layout.users, layout.servers),
        "layers": (layout.users, layout.layers),
        "lines": (layout.servers, layout.servers),
        "executions": (layout.users, layout.layers, layout.servers),
        "edges": (layout.users, layout.edges),
    }
    if layout.lanes:
        sizes |= lane_shapes(layout.users, layout.layers, layout.servers)
    shapes = {part: (*size, len(PARTS[part])) for part, size in sizes.items()}
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()]).tolist()
    slices = {name: slice(*each) for name, each in zip(shapes, pairwise([0, *ends]), strict=True)}
    return MappingProxyType(shapes), MappingProxyType(slices)
