"""Copies where an episode stands, so that something can be tried from there."""

from __future__ import annotations

from dnnmig_env.compiling.jit import copy, jit_without_refcounts
from dnnmig_env.simulation.state import State


@jit_without_refcounts
def copy_row(state: State, source: int, ahead: State, target: int) -> None:
    """Copy a row to a row of the same or another state, but for its scratch, its log and the number of queries."""
    ahead.time_s[target], ahead.slot[target], ahead.cost_s[target] = (
        state.time_s[source],
        state.slot[source],
        state.cost_s[source],
    )
    copy(ahead.node[target], state.node[source])
    copy(ahead.usable[target], state.usable[source])
    copy(ahead.assignment[target], state.assignment[source])
    copy(ahead.load[target], state.load[source])
    copy(ahead.stale[target], state.stale[source])
    copy(ahead.delay_s[target], state.delay_s[source])
    copy(ahead.device_delay_s[target], state.device_delay_s[source])
    copy(ahead.memory_left_bytes[target], state.memory_left_bytes[source])
