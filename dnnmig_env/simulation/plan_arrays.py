"""Plans as the arrays that compiled code reads: many plans at once, padded to a common length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.simulation.plan import Plan, Upload


class PlanArrays(NamedTuple):
    """P plans of at most K uploaded layers each, in upload order."""

    length: Ints  # (P,): number of layers that each plan uploads
    user: Ints  # (P, K)
    layer: Ints  # (P, K)
    server: Ints  # (P, K): 1..S
    closes: Bools  # (P, K): the layer is the last of its partition
    not_before_s: Floats  # (P, K): earliest start of the layer's upload


def empty_plans(plans: int, layers: int) -> PlanArrays:
    """Return `plans` empty plans with room for `layers` uploads each; every layer closes its own partition."""
    shape = (plans, layers)
    return PlanArrays(
        length=np.zeros(plans, np.int64),
        user=np.zeros(shape, np.int64),
        layer=np.zeros(shape, np.int64),
        server=np.zeros(shape, np.int64),
        closes=np.ones(shape, np.bool_),
        not_before_s=np.zeros(shape),
    )


def longer_plans(plans: PlanArrays) -> PlanArrays:
    """Return plans with room for twice as many layers, of which the first are those of the given plans."""
    count, layers = plans.user.shape
    longer = empty_plans(count, 2 * layers)
    longer.length[:] = plans.length
    for name in ("user", "layer", "server", "closes", "not_before_s"):
        getattr(longer, name)[:, :layers] = getattr(plans, name)
    return longer


def plan_arrays(plans: Sequence[Plan]) -> PlanArrays:
    """Return plans as arrays."""
    arrays = empty_plans(len(plans), max((plan.num_layers for plan in plans), default=0))
    for row, plan in enumerate(plans):
        arrays.length[row] = plan.num_layers
        k = 0
        for upload in plan.uploads:
            for layer in upload.layers:
                arrays.user[row, k], arrays.layer[row, k], arrays.server[row, k] = upload.user, layer, upload.server
                arrays.closes[row, k] = layer == upload.layers[-1]
                arrays.not_before_s[row, k] = upload.not_before_s
                k += 1
    return arrays


def plan_in_row(plans: PlanArrays, row: int) -> Plan:
    """Return one of the plans as a `Plan`; each layer that closes a partition is the last of an `Upload`."""
    uploads, layers = [], []
    for k in range(plans.length[row]):
        layers.append(int(plans.layer[row, k]))
        if plans.closes[row, k]:
            user, server = int(plans.user[row, k]), int(plans.server[row, k])
            uploads.append(Upload(user, server, tuple(layers), float(plans.not_before_s[row, k])))
            layers = []
    return Plan(tuple(uploads))
