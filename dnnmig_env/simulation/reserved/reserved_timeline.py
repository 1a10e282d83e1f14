"""What happened under reserved shares: the timelines of the users, each simulated alone, put together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.contention import num_stations
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.reserved.shares import Shares
from dnnmig_env.simulation.timelines.query_detail import Query
from dnnmig_env.simulation.timelines.timeline import Timeline
from dnnmig_env.simulation.timelines.upload_interval import UploadInterval


@dataclass(frozen=True, eq=False)
class ReservedTimeline(Timeline):
    """A timeline of users who do not slow each other down; `simulate` makes it when it is given shares.

    Uploads of different users overlap, as each user has a channel of its own. All figures mean what they mean in a
    `Timeline`.

    Attributes:
        shares: Each user's shares of the channel and of the servers.
        own: The timeline of each user in its own scenario (`own_scenario`), where it is user 0.
    """

    shares: Shares
    own: tuple[Timeline, ...]

    def query(self, user: int, at_s: float) -> Query:
        """Return one query in detail, as `Timeline.query` does; no other user slows it down."""
        self._check_user(user)
        return replace(self.own[user].query(0, at_s), user=user)

    @cached_property
    def cold_start_delay_s(self) -> Floats:
        """Delay of one query per user raised at time 0 that waits for its layers, shape (U,); NaN if never present."""
        return self._of_those_present([timeline.cold_start_delay_s[0] for timeline in self.own])

    @cached_property
    def serial_cold_start_delay_s(self) -> Floats:
        """The cold-start delay with the plan's placement uploaded serially, shape (U,); NaN if never present."""
        return self._of_those_present([timeline.serial_cold_start_delay_s[0] for timeline in self.own])

    @cached_property
    def migration_delay_s(self) -> float:
        """Mean delay once everything is uploaded, at the rates of the first slot in which a user is present."""
        rates = np.array([np.asarray(user.query_rate_hz) for user in self.scenario.users])
        rate_hz = rates[:, np.argmax(rates.sum(axis=0) > 0)]
        return _mean([timeline.migration_delay_s for timeline in self.own], rate_hz)

    def _of_those_present(self, delay_s: Sequence[float]) -> Floats:
        here = np.array([np.any(np.asarray(user.query_rate_hz) > 0) for user in self.scenario.users])
        result = np.where(here, delay_s, np.nan)
        result.flags.writeable = False
        return result


def reserved_timeline(scenario: Scenario, plan: Plan, shares: Shares, own: Sequence[Timeline]) -> ReservedTimeline:
    """Return the timeline of all users, given the timeline of each.

    Args:
        scenario: The scenario of all users.
        plan: The plan for all users.
        shares: The shares of all users.
        own: The timeline of each user in its own scenario, for its own part of the plan.
    """
    event_time_s = np.unique(np.concatenate([timeline.event_time_s for timeline in own]))
    event_delay_s = np.empty((len(event_time_s), len(own)))
    event_assignment = np.zeros((*event_delay_s.shape, max(len(user.graph) for user in scenario.users)), np.int8)
    event_slowdown = np.empty((*event_delay_s.shape, num_stations(len(scenario.servers) + 1)))
    for user, timeline in enumerate(own):
        latest = np.searchsorted(timeline.event_time_s, event_time_s, side="right") - 1
        event_delay_s[:, user] = timeline.event_delay_s[latest, 0]
        event_slowdown[:, user] = timeline.event_slowdown[latest, 0]
        event_assignment[:, user, : len(scenario.users[user].graph)] = timeline.event_assignment[latest, 0]
    device_delay_s = np.array([timeline.device_delay_s[0] for timeline in own])
    arrays = event_time_s, event_delay_s, event_assignment, event_slowdown, device_delay_s
    for array in arrays:
        array.flags.writeable = False
    slot_s = np.diff(np.append(np.asarray(scenario.slot_starts_s), scenario.horizon_s))
    queries = np.array([np.asarray(user.query_rate_hz) @ slot_s for user in scenario.users])
    mean_delay_s = _mean([timeline.mean_delay_s for timeline in own], queries)
    return ReservedTimeline(scenario, plan, _upload_intervals(plan, own), *arrays, mean_delay_s, shares, tuple(own))


def _upload_intervals(plan: Plan, own: Sequence[Timeline]) -> tuple[UploadInterval, ...]:
    """Return the users' upload intervals in the order of the plan; those of users who are never present never start."""
    intervals = [iter(timeline.uploads) for timeline in own]
    never = 0.0, math.inf, math.inf
    return tuple(
        replace(
            next(intervals[upload.user], UploadInterval(upload.user, upload.server, upload.layers, *never)),
            user=upload.user,
        )
        for upload in plan.uploads
    )


def _mean(values: Sequence[float], weights: Floats) -> float:
    """Return the weighted mean of the values with a positive weight; if there is only one such value, exactly that."""
    share = weights / weights.sum()
    return float(sum(value * each for value, each in zip(values, share, strict=True) if each > 0))
