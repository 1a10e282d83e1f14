"""Which servers hold which weights at a time, what has been dropped left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dnnmig_env.arrays import Bools
from dnnmig_env.simulation.packed import PackedScenarios, pack
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import play
from dnnmig_env.simulation.state import new_state
from dnnmig_env.simulation.timelines.timeline import Timeline


def held_at(timeline: Timeline, times_s: Sequence[float]) -> Bools:
    """Return which servers hold each layer of each user at some times, shape (F, U, L, S).

    Where weights move, only the simulation knows what a server has dropped. So the plan is played up to each time.

    Args:
        timeline: What happened when the plan was carried out.
        times_s: The times, F of them, from 0 to the horizon.

    Raises:
        ValueError: If a time is outside the scenario.
    """
    scenario = timeline.scenario
    for at_s in times_s:
        if not 0 <= at_s <= scenario.horizon_s:
            raise ValueError(f"times_s has {at_s!r}; give times from 0 to the horizon ({scenario.horizon_s} s).")
    if not scenario.moves:
        return np.array([_sent(timeline, at_s) for at_s in times_s])
    packed = pack([scenario])
    return np.array([_moved(timeline, packed, at_s) for at_s in times_s])


def _sent(timeline: Timeline, at_s: float) -> Bools:
    """Return what servers hold at a time where weights stay where they have been sent, shape (U, L, S)."""
    scenario = timeline.scenario
    layers = max(len(user.graph) for user in scenario.users)
    held = np.zeros((len(scenario.users), layers, len(scenario.servers)), np.bool_)
    for user, row in enumerate(scenario.users):
        for layer, server in enumerate(np.asarray(row.uploaded).tolist()):
            held[user, layer, server - 1] = server > 0
    for upload in timeline.uploads:
        for transfer in upload.transfers:
            if transfer.arrives and transfer.stop_s <= at_s:
                held[upload.user, transfer.layer, upload.server - 1] = True
    return held


def _moved(timeline: Timeline, packed: PackedScenarios, at_s: float) -> Bools:
    """Return the same where weights move."""
    # The horizon is the end of the last slot: the slot in which the time lies becomes the last one, and ends then.
    edges_s = packed.slot_edges_s.copy()
    slots = int(np.searchsorted(edges_s[0, : timeline.scenario.num_slots], max(at_s, 1e-9), side="left"))
    edges_s[0, slots] = at_s
    cut = packed._replace(slot_edges_s=edges_s, num_slots=np.array([slots], packed.num_slots.dtype))
    state, plans, count = new_state(cut, rows=1), plan_arrays([timeline.plan]), timeline.plan.num_layers
    play(cut, 0, state, 0, plans, 0, np.empty(count, np.int64), *np.empty((4, count)))
    held: Bools = state.held[0] > 0
    return held
