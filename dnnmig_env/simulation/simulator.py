"""Carries out a plan in a scenario and returns the timeline of what happened."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.scenarios.uplink import Uplink
from dnnmig_env.simulation.packed import has_lanes, pack
from dnnmig_env.simulation.plan import Plan, Upload, check_plan
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import play
from dnnmig_env.simulation.reserved.reserved_timeline import reserved_timeline
from dnnmig_env.simulation.reserved.shares import Shares, check_shares, own_plan, own_scenario
from dnnmig_env.simulation.state import new_state
from dnnmig_env.simulation.timelines.timeline import Timeline
from dnnmig_env.simulation.timelines.upload_interval import Transfer, UploadInterval


def simulate(scenario: Scenario, plan: Plan, shares: Shares | None = None, uplink: Uplink | None = None) -> Timeline:
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
            that the queries of users slow each other down.
        uplink: How weights and the data of queries share the uplink; by default as the scenario says.

    Returns:
        The timeline, whose arrays are read-only; with shares a `ReservedTimeline`.

    Raises:
        ValueError: If the plan cannot be carried out in the scenario (see `check_plan`), or not under these shares
            (see `check_shares`), or shares are given where there are several lanes (`Limits.lanes`).
    """
    if uplink is not None:
        scenario = replace(scenario, uplink=uplink)
    check_plan(scenario, plan)
    if shares is None:
        return _carry_out(scenario, plan)
    if has_lanes(scenario):
        raise ValueError(
            "shares are given for a scenario with cells or with weights that move between servers; leave shares out."
        )
    check_shares(scenario, plan, shares)
    own = [
        _carry_out(own_scenario(scenario, shares, user), own_plan(scenario, plan, user))
        for user in range(len(scenario.users))
    ]
    return reserved_timeline(scenario, plan, shares, own)


def _carry_out(scenario: Scenario, plan: Plan) -> Timeline:
    packed, plans = pack([scenario]), plan_arrays([plan])
    # Besides slots and partitions, under the reading "shared" lanes may become busy and idle once for each layer and
    # each slot, and a layer may be dropped for each layer that comes.
    state = new_state(packed, rows=1, events=4 * (scenario.num_slots + plan.num_layers))
    source, (start_s, end_s, sent_bytes, usable_s) = np.empty(plan.num_layers, np.int64), np.empty((4, plan.num_layers))
    mean_delay_s = play(packed, 0, state, 0, plans, 0, source, start_s, end_s, sent_bytes, usable_s)
    events = int(state.num_events[0])
    arrays = (
        state.event_time_s[0, :events],
        state.event_delay_s[0, :events],
        state.event_assignment[0, :events],
        state.event_slowdown[0, :events],
        state.device_delay_s[0],
    )
    for array in arrays:
        array.flags.writeable = False
    uploads = _upload_intervals(scenario, plan, source, start_s, end_s, sent_bytes, usable_s)
    return Timeline(scenario, plan, uploads, *arrays, float(mean_delay_s))


def _upload_intervals(
    scenario: Scenario,
    plan: Plan,
    source: Ints,
    start_s: Floats,
    end_s: Floats,
    sent_bytes: Floats,
    usable_s: Floats,
) -> tuple[UploadInterval, ...]:
    intervals, first = [], 0
    for upload in plan.uploads:
        end = first + len(upload.layers)
        transfers = tuple(
            _transfer(scenario, upload, layer, int(source[k]), float(start_s[k]), float(end_s[k]), float(sent_bytes[k]))
            for k, layer in enumerate(upload.layers, start=first)
        )
        sent, times = float(sent_bytes[first:end].sum()), (float(start_s[first:end].min()), float(usable_s[end - 1]))
        intervals.append(UploadInterval(upload.user, upload.server, upload.layers, sent, *times, transfers))
        first = end
    return tuple(intervals)


def _transfer(
    scenario: Scenario, upload: Upload, layer: int, source: int, start_s: float, end_s: float, sent_bytes: float
) -> Transfer:
    stop_s = end_s
    if start_s < end_s == math.inf:
        stop_s = _broken_off_s(scenario, upload, source, start_s) if scenario.moves else scenario.horizon_s
    return Transfer(layer, source, sent_bytes, start_s, stop_s, arrives=end_s < math.inf)


def _broken_off_s(scenario: Scenario, upload: Upload, source: int, start_s: float) -> float:
    """Return when a transfer that never arrives is broken off: its user leaves, or its server gets out of reach."""
    starts_s = np.asarray(scenario.slot_starts_s)
    lost = np.asarray(scenario.users[upload.user].query_rate_hz) == 0
    if source == 0:
        lost = lost | (np.asarray(scenario.links.up_bytes_per_s)[:, upload.user, upload.server - 1] == 0)
    later = starts_s[lost & (starts_s > start_s)]
    return float(later[0]) if len(later) else scenario.horizon_s
