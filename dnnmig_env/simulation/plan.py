"""What is decided: which layers are uploaded to which server, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dnnmig_env.arrays import Int8s

if TYPE_CHECKING:
    from dnnmig_env.networks.layer_graph import LayerGraph
    from dnnmig_env.scenarios.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Upload:
    """One partition: layers of one user that go to one server and become usable together.

    Attributes:
        user: Index of the user.
        server: Server to which they go, 1..S.
        layers: Indices of layers with weights, in the order in which they are sent.
        not_before_s: Earliest start in seconds; the lane that the layers would use stays idle until then.
    """

    user: int
    server: int
    layers: tuple[int, ...]
    not_before_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Partitions in upload order. Layers with weights that are in none of them stay where they are at time 0.

    Each layer's transfer starts when the lane that it would use, the uplink of its user's cell or the wire of a server
    that holds it, is idle and its turn on that lane has come (`dnnmig_env.simulation.play`). With one cell, and weights
    that do not move between servers, they go one after another. Where they do move, a layer may go to several servers,
    and waits for room; what its server holds already is passed over until that drops it.

    Weightless layers have no place in a plan: a query runs them where their latest predecessor on a server runs or, if
    they share the weights of other layers, where these weights are.
    """

    uploads: tuple[Upload, ...] = ()

    @property
    def num_layers(self) -> int:
        """Number of layers the plan uploads."""
        return sum(len(upload.layers) for upload in self.uploads)

    def singletons(self) -> Plan:
        """Return a plan that uploads the same layers in the same order, with every layer a partition of its own."""
        return Plan(
            tuple(
                Upload(upload.user, upload.server, (layer,), upload.not_before_s)
                for upload in self.uploads
                for layer in upload.layers
            )
        )

    def placement(self, scenario: Scenario) -> tuple[Int8s, ...]:
        """Return for each user the server (0 = device) of every layer once the whole plan is uploaded, shape (L,).

        Where a layer goes to several servers, it is the last of them.

        Raises:
            ValueError: If an upload has an unknown user, server or layer.
        """
        placement = [np.array(user.uploaded, dtype=np.int8) for user in scenario.users]
        for index, upload in enumerate(self.uploads):
            _check_indices(f"upload {index} ({upload})", upload, scenario)
            placement[upload.user][list(upload.layers)] = upload.server
        return tuple(placement)


def check_plan(scenario: Scenario, plan: Plan) -> None:
    """Check that a plan can be carried out in a scenario.

    Raises:
        ValueError: If an upload has an unknown user, server or layer, no layer, a weightless layer, a layer that stays
            on the device, a start before time 0, or, unless weights may move, a layer that was uploaded before or more
            bytes than its server's memory still holds. The error names the upload.
    """
    memory_left = [server.memory_bytes for server in scenario.servers]
    sent = [set(np.flatnonzero(np.asarray(user.uploaded)).tolist()) for user in scenario.users]
    for user in scenario.users:
        for server in range(1, len(memory_left) + 1):
            memory_left[server - 1] -= user.graph.weight_bytes[np.asarray(user.uploaded) == server].sum()
    for index, upload in enumerate(plan.uploads):
        where = f"upload {index} ({upload})"
        _check_indices(where, upload, scenario)
        graph = scenario.users[upload.user].graph
        for layer in upload.layers:
            _check_movable(where, graph, layer)
            if scenario.moves:
                continue  # a layer may go to several servers, again to one that has dropped it, and wait for room
            if layer in sent[upload.user]:
                raise ValueError(f"{where}: layer {layer} was uploaded before; upload every layer at most once.")
            sent[upload.user].add(layer)
            memory_left[upload.server - 1] -= graph.weight_bytes[layer]
        if memory_left[upload.server - 1] < 0:
            raise ValueError(
                f"{where}: server {upload.server} lacks {-memory_left[upload.server - 1]:.0f} bytes of memory; "
                "place fewer layers on it."
            )


def _check_movable(where: str, graph: LayerGraph, layer: int) -> None:
    if not graph.movable[layer]:
        why = "stays on the device" if graph.layers[layer].on_device else "has no weights"
        raise ValueError(f"{where}: layer {layer} {why} and is never uploaded; leave it out.")


def _check_indices(where: str, upload: Upload, scenario: Scenario) -> None:
    _check_types(where, upload)
    if not 0 <= upload.user < len(scenario.users):
        raise ValueError(f"{where}: user is {upload.user}; known users are 0 to {len(scenario.users) - 1}.")
    if not 1 <= upload.server <= len(scenario.servers):
        raise ValueError(f"{where}: server is {upload.server}; known servers are 1 to {len(scenario.servers)}.")
    if not upload.layers:
        raise ValueError(f"{where}: layers is empty; every partition needs at least one layer.")
    if not upload.not_before_s >= 0:
        raise ValueError(f"{where}: not_before_s is {upload.not_before_s}; it must be a time from 0 on.")
    count = len(scenario.users[upload.user].graph)
    for layer in upload.layers:
        if not 0 <= layer < count:
            raise ValueError(f"{where}: layer {layer} is not among 0 to {count - 1}.")


def _check_types(where: str, upload: Upload) -> None:
    if not isinstance(upload.layers, Sequence | np.ndarray) or isinstance(upload.layers, str):
        raise ValueError(
            f"{where}: layers is {upload.layers!r}; give the indices of layers, such as ({upload.layers},)."
        )
    for argument, number in (
        ("user", upload.user),
        ("server", upload.server),
        *(("layer", one) for one in upload.layers),
    ):
        if isinstance(number, bool) or not isinstance(number, int | np.integer):
            raise ValueError(f"{where}: {argument} is {number!r}; it must be a whole number.")
    if not isinstance(upload.not_before_s, int | float | np.number):
        raise ValueError(f"{where}: not_before_s is {upload.not_before_s!r}; it must be a time in seconds.")


def plan_of(steps: Iterable[tuple[int, int, int]]) -> Plan:
    """Return the plan that uploads single layers, given as (user, layer, server) in order."""
    return Plan(tuple(Upload(user, server, (layer,)) for user, layer, server in steps))
