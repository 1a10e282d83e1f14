"""Copies where an episode stands, so that something can be tried from there."""

from __future__ import annotations

from dnnmig_env.compiling.jit import copy, uncounted
from dnnmig_env.simulation.state import State


@uncounted
def copy_row(s: State, source: int, t: State, target: int) -> None:
    """Copy a row to a row of the same or another state, but for its scratch, its log and the number of queries."""
    t.time_s[target], t.slot[target], t.cost_s[target] = s.time_s[source], s.slot[source], s.cost_s[source]
    copy(t.node[target], s.node[source])
    copy(t.usable[target], s.usable[source])
    copy(t.assignment[target], s.assignment[source])
    copy(t.load[target], s.load[source])
    copy(t.stale[target], s.stale[source])
    copy(t.delay_s[target], s.delay_s[source])
    copy(t.device_delay_s[target], s.device_delay_s[source])
    copy(t.memory_left_bytes[target], s.memory_left_bytes[source])
