"""The expected delay share of users who have not arrived yet, for whom the channel may be kept free."""

from __future__ import annotations

import numpy as np

from dnnmig_env.compiling.jit import jit_without_refcounts
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State


@jit_without_refcounts
def newcomers_delay_share(packed: PackedScenarios, state: State, i: int) -> float:
    """Return the expected delay share of users who have not arrived, from 0 to 1.

    It is the delay that their queries would take per second on their devices, divided by the delay of all queries per
    second once these users have arrived. A user who has not been present in any slot so far may still arrive, unless
    this slot is the last one. The DNNs and devices of such users are known, but not their query rates: each is expected
    to load the server that is fastest for it as much as the present users load theirs, on average. Queries of present
    users are taken to last as long as now.
    """
    slot = state.slot[i]
    if slot + 1 == packed.num_slots[i]:
        return 0.0
    load, present, newcomers, now_s = 0.0, 0, 0.0, 0.0
    for u in range(packed.num_users[i]):
        rate_hz = packed.query_rate_hz[i, slot, u]
        if rate_hz > 0.0:
            present += 1
            load += rate_hz * _fastest_s(packed, i, u)
            now_s += rate_hz * state.delay_s[i, u]
        elif not _has_been_present(packed, i, slot, u):
            newcomers += state.device_delay_s[i, u] / _fastest_s(packed, i, u)
    if present == 0 or newcomers == 0.0:
        return 0.0
    newcomers_s = load / present * newcomers
    return float(newcomers_s / (newcomers_s + now_s))


@jit_without_refcounts
def _fastest_s(packed: PackedScenarios, i: int, u: int) -> float:
    """Return the seconds that a user's whole DNN executes on the server that is fastest for it."""
    fastest_s = np.inf
    for s in range(packed.num_servers[i]):
        whole_s = 0.0
        for v in range(packed.num_layers[i, u]):
            whole_s += packed.execution_s[i, u, v, s + 1]
        fastest_s = min(fastest_s, whole_s)
    return fastest_s


@jit_without_refcounts
def _has_been_present(packed: PackedScenarios, i: int, slot: int, u: int) -> bool:
    t = 0
    while t < slot and packed.query_rate_hz[i, t, u] == 0.0:
        t += 1
    return t < slot
