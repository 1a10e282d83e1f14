"""What query data leave of the radio uplink to weights, compiled."""

from __future__ import annotations

from dnnmig_env.compiling.jit import jit_without_refcounts
from dnnmig_env.simulation.contention import UPLINK, cycle_s
from dnnmig_env.simulation.packed import INDEPENDENT, SHARED, PackedScenarios
from dnnmig_env.simulation.state import State

LEAST_SHARE = 0.02
"""Share of the uplink that weights have at least, however much data the users' queries send."""


@jit_without_refcounts
def weights_share(packed: PackedScenarios, b: int, state: State, i: int) -> float:
    """Return the share of an uplink's rate at which weights move at present.

    Under `priority` they move while no query sends data, which leaves 1 - sum over the users of (seconds of a query's
    data on the uplink) / (time between two of its starts), and at least `LEAST_SHARE`. Under `shared` the upload is one
    customer beside the users' data; under `independent` they do not meet.
    """
    slot = state.slot[i]
    if packed.uplink[b] == INDEPENDENT:
        return 1.0
    if packed.uplink[b] == SHARED:
        customers = 1.0
        for u in range(packed.num_users[b]):
            customers += state.present[i, u, UPLINK]
        return 1.0 / customers
    free = 1.0
    for u in range(packed.num_users[b]):
        if state.seconds[i, u, UPLINK] > 0.0 and packed.query_rate_hz[b, slot, u] > 0.0:
            free -= state.seconds[i, u, UPLINK] / cycle_s(packed.query_rate_hz[b, slot, u], state.delay_s[i, u])
    return max(free, LEAST_SHARE)
