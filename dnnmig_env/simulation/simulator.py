"""Carries out a plan in a scenario and returns the timeline of what happened."""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan, check_plan
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import play
from dnnmig_env.simulation.reserved.reserved_timeline import reserved_timeline
from dnnmig_env.simulation.reserved.shares import Shares, check_shares, own_plan, own_scenario
from dnnmig_env.simulation.state import new_state
from dnnmig_env.simulation.timeline import Timeline, UploadInterval


def simulate(scenario: Scenario, plan: Plan, shares: Shares | None = None) -> Timeline:
    """Carry out a plan and return all that happened until the horizon.

    Every delay comes from the compiled kernel. So `simulate(scenario, plan).mean_delay_s` is, bit for bit, what
    planners minimise (`play.mean_delays_s`). Up to rounding, it is minus the sum of the rewards that an environment
    pays for the same uploads.

    With shares, every user has a channel and servers of its own, at its shares of the rates and speeds, and uploads of
    different users go on at the same time. So every user is simulated alone, in a scenario of its own (`own_scenario`).

    Args:
        scenario: The scenario.
        plan: The plan; uploads that have not arrived by the horizon are cut off there.
        shares: Each user's shares of the channel and of the servers. None means that all uploads share one channel and
            that servers get slower with the load of the other users.

    Returns:
        The timeline, whose arrays are read-only; with shares a `ReservedTimeline`.

    Raises:
        ValueError: If the plan cannot be carried out in the scenario (see `check_plan`), or not under these shares
            (see `check_shares`).
    """
    check_plan(scenario, plan)
    if shares is None:
        return _carry_out(scenario, plan)
    check_shares(scenario, plan, shares)
    own = [
        _carry_out(own_scenario(scenario, shares, user), own_plan(scenario, plan, user))
        for user in range(len(scenario.users))
    ]
    return reserved_timeline(scenario, plan, shares, own)


def _carry_out(scenario: Scenario, plan: Plan) -> Timeline:
    packed, plans = pack([scenario]), plan_arrays([plan])
    state = new_state(packed, rows=1, events=scenario.num_slots + len(plan.uploads))
    start_s, end_s = np.empty(plan.num_layers), np.empty(plan.num_layers)
    mean_delay_s = play(packed, 0, state, 0, plans, 0, start_s, end_s)
    events = int(state.num_events[0])
    arrays = (
        state.event_time_s[0, :events],
        state.event_delay_s[0, :events],
        state.event_assignment[0, :events],
        state.device_delay_s[0],
    )
    for array in arrays:
        array.flags.writeable = False
    return Timeline(scenario, plan, _upload_intervals(scenario, plan, start_s, end_s), *arrays, float(mean_delay_s))


def _upload_intervals(scenario: Scenario, plan: Plan, start_s: Floats, end_s: Floats) -> tuple[UploadInterval, ...]:
    intervals, first = [], 0
    for upload in plan.uploads:
        last = first + len(upload.layers) - 1
        sent_bytes = sum(
            _sent_bytes(scenario, upload.user, upload.server, layer, start_s[k], end_s[k])
            for k, layer in enumerate(upload.layers, start=first)
        )
        times = (float(start_s[first]), float(end_s[last]))
        intervals.append(UploadInterval(upload.user, upload.server, upload.layers, sent_bytes, *times))
        first = last + 1
    return tuple(intervals)


def _sent_bytes(scenario: Scenario, user: int, server: int, layer: int, start_s: float, end_s: float) -> float:
    """Return the bytes of one layer's weights that got over the channel by the horizon."""
    weight_bytes = float(scenario.users[user].graph.weight_bytes[layer])
    if np.isfinite(end_s):
        return weight_bytes
    edges_s = np.append(np.asarray(scenario.slot_starts_s), scenario.horizon_s)
    rates = np.asarray(scenario.links.up_bytes_per_s)[:, user, server - 1]
    return float(rates @ np.diff(np.maximum(edges_s, min(start_s, scenario.horizon_s))))
