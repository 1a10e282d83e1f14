"""Upload sequences as the arrays that annealing changes, made from plans and made into plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.plan import Plan, Upload

ITEM, SERVER, WAIT = 0, 1, 2
"""Columns of an upload: which of the movable layers, its server 1..S, the slot whose start it waits for (0 = none)."""

NOWHERE = 0
"""The server of a layer that is not uploaded."""

# Functions would be compiled once for each value if these were plain numbers.
PRESENT, TRIAL, BEST = (cast(int, np.int64(plan)) for plan in range(3))
"""The three plans that a chain keeps."""

NONE, ONE = (cast(int, np.int64(count)) for count in range(2))
"""Counts that are passed to compiled functions."""


class Movable(NamedTuple):
    """The D layers that may be uploaded: user by user, in topological order."""

    user: Ints  # (D,)
    layer: Ints  # (D,)
    weight_bytes: Floats  # (D,)
    first: Ints  # (D,): index of the first movable layer of the same user
    last: Ints  # (D,): index of the last one
    servers: Ints  # (D, S): the servers it may go to, 1..S
    num_servers: Ints  # (D,): how many of them
    memory_left_bytes: Floats  # (S,): before anything is uploaded


class Walk(NamedTuple):
    """Where one chain stands; every array has an axis of C in front where C chains stand."""

    uploads: Ints  # (3, D, 3): of each plan, the ITEM, SERVER and WAIT of each upload
    length: Ints  # (3,): uploads of each plan
    cost_s: Floats  # (3,): of each plan, the integral of query rate x delay
    server: Ints  # (D,): where the present plan puts each layer, 0 = nowhere
    taken: Ints  # (D, 3): scratch, uploads that change places
    leaves: Ints  # (D,): scratch, 1 = the layer is to be taken out of the plan
    left_bytes: Floats  # (S,): scratch, memory left on each server
    random: Ints  # (1,): state of the random numbers
    evaluations: Ints  # (1,): plans tried out so far


def movable_in(packed: PackedScenarios) -> Movable:
    """Return the layers that may be uploaded: of users who are present, and can reach a server, in some known slot."""
    reachable = ((packed.up_bytes_per_s[0] > 0.0) & (packed.down_bytes_per_s[0] > 0.0)).any(axis=0)
    free = (packed.weight_bytes[0] > 0.0) & (packed.uploaded[0] == 0)
    present = (packed.query_rate_hz[0] > 0.0).any(axis=0) & reachable.any(axis=1)
    user, layer = (np.ascontiguousarray(indices) for indices in np.nonzero(free & present[:, None]))
    servers = np.zeros((len(user), reachable.shape[1]), np.int64)
    for k, user_index in enumerate(user):
        servers[k, : reachable[user_index].sum()] = np.flatnonzero(reachable[user_index]) + 1
    left_bytes = packed.memory_bytes[0].copy()
    np.subtract.at(
        left_bytes, packed.uploaded[0][packed.uploaded[0] > 0] - 1, packed.weight_bytes[0][packed.uploaded[0] > 0]
    )
    return Movable(
        user=user,
        layer=layer,
        weight_bytes=packed.weight_bytes[0, user, layer],
        first=np.searchsorted(user, user, side="left"),
        last=np.searchsorted(user, user, side="right") - 1,
        servers=servers,
        num_servers=np.count_nonzero(servers, axis=1),
        memory_left_bytes=left_bytes,
    )


def new_chains(movable: Movable, plans: Sequence[Plan], rng: np.random.Generator) -> Walk:
    """Return chains whose present plans are the given ones, split into single layers; no plan is played yet."""
    chains, layers, servers = len(plans), len(movable.user), len(movable.memory_left_bytes)
    walk = Walk(
        uploads=np.zeros((chains, 3, layers, 3), np.int64),
        length=np.zeros((chains, 3), np.int64),
        cost_s=np.full((chains, 3), np.inf),
        server=np.zeros((chains, layers), np.int64),
        taken=np.zeros((chains, layers, 3), np.int64),
        leaves=np.zeros((chains, layers), np.int64),
        left_bytes=np.zeros((chains, servers)),
        random=rng.integers(2**64, size=(chains, 1), dtype=np.uint64),
        evaluations=np.zeros((chains, 1), np.int64),
    )
    item = {key: k for k, key in enumerate(zip(movable.user.tolist(), movable.layer.tolist(), strict=True))}
    for chain, plan in enumerate(plans):
        for k, upload in enumerate(plan.singletons().uploads):
            walk.uploads[chain, PRESENT, k] = item[upload.user, upload.layers[0]], upload.server, 0
        walk.length[chain, PRESENT] = plan.num_layers
    return walk


def as_plan(packed: PackedScenarios, movable: Movable, uploads: Ints) -> Plan:
    """Return K uploads, shape (K, 3), as a plan."""
    return Plan(
        tuple(
            Upload(
                int(movable.user[item]), int(server), (int(movable.layer[item]),), float(packed.slot_edges_s[0, wait])
            )
            for item, server, wait in uploads
        )
    )


def num_rows(chains: int, layers: int) -> int:
    """Return how many rows of a state chains need.

    Each needs a snapshot before every upload, one at the end, and a row in which plans are tried out.
    """
    return chains * (layers + 2)
