"""How a timeline's queries use devices, servers and links: loads, skipped frames, and the spread of delays.

A user starts a query every `cycle = max(1 / query rate, delay)` seconds. A camera that takes pictures at its query rate
so skips those that come while a query is in flight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Int8s, Ints
from dnnmig_env.simulation.contention import DOWNLINK, UPLINK, num_stations, write_seconds
from dnnmig_env.simulation.packed import PackedScenarios

SETTLED = 1.05
"""Queries have settled once they never again take longer than this multiple of their final delay."""


@dataclass(frozen=True, eq=False)
class Usage:
    """Who uses what, over the whole horizon; made by `usage_of`. E events, U users, S servers.

    Attributes:
        delay_s: Delay of a query of each user from each event on, shape (E, U).
        started: Mean number of queries that each user starts between each event and the next, shape (E, U).
        raised: Mean number of frames that each user would like to be answered in that time, shape (E, U).
        device_load: Share of the horizon during which each user's device computes, shape (U,).
        server_load: Share of the horizon that each user's queries need of each server, shape (U, S).
        uplink_load: Share of the horizon that the data of each user's queries need of the uplink, shape (U,).
        downlink_load: The same of the downlink, shape (U,).
        wire_load: The same of each server's outgoing wire, shape (U, S).
        uploading: Share of the horizon during which an upload is on its way; under reserved shares and with several
            lanes, where several are at once, their sum.
    """

    delay_s: Floats
    started: Floats
    raised: Floats
    device_load: Floats
    server_load: Floats
    uplink_load: Floats
    downlink_load: Floats
    wire_load: Floats
    uploading: float

    @property
    def skipped(self) -> Floats:
        """Mean number of frames that each user skips, as a query is still in flight, shape (U,)."""
        return np.asarray((self.raised - self.started).sum(axis=0))

    @property
    def balance(self) -> float:
        """Jain's index of the servers' loads: 1 = all are used alike, 1/S = all work is on one; 1 if there is none."""
        load = self.server_load.sum(axis=0)
        return float(load.sum() ** 2 / (len(load) * (load**2).sum())) if load.any() else 1.0

    def late_share(self, deadline_s: float) -> float:
        """Return the share of queries that take longer than a deadline.

        Raises:
            ValueError: If the deadline is no positive number.
        """
        if not deadline_s > 0:
            raise ValueError(f"deadline_s is {deadline_s!r}; give a positive number of seconds.")
        return float(self.started[self.delay_s > deadline_s].sum() / self.started.sum())

    def percentile_s(self, percent: float) -> float:
        """Return the delay that a given percentage of all queries do not exceed."""
        delay_s, started = self.delay_s.ravel(), self.started.ravel()
        order = np.argsort(delay_s)
        reached = np.cumsum(started[order]) >= percent / 100 * started.sum() * (1 - 1e-12)
        return float(delay_s[order][np.argmax(reached)])

    def figures(self, deadline_s: float | None = None) -> dict[str, float]:
        """Return the figures as single numbers, by name; loads are those of all users together."""
        found = {
            "queries_finished": float(self.started.sum()),
            "frames_skipped": float(self.skipped.sum()),
            "delay_95_s": self.percentile_s(95),
            "delay_99_s": self.percentile_s(99),
            "device_load": float(self.device_load.max()),
            "server_load": float(self.server_load.sum(axis=0).max()),
            "server_balance": self.balance,
            "uplink_load": float(self.uplink_load.sum()),
            "uploading": self.uploading,
            "downlink_load": float(self.downlink_load.sum()),
            "wire_load": float(self.wire_load.sum(axis=0).max()),
        }
        return found if deadline_s is None else found | {"late_share": self.late_share(deadline_s)}


def usage_of(
    packed: PackedScenarios,
    slot: Ints,
    lasting_s: Floats,
    rate_hz: Floats,
    delay_s: Floats,
    assignment: Int8s,
    uploading_s: float,
) -> Usage:
    """Return the usage of what lasts from each event to the next.

    Args:
        packed: Packed scenarios, of which there is just one.
        slot: Time slot of each event, shape (E,).
        lasting_s: Seconds from each event to the next, or to the horizon, shape (E,).
        rate_hz: Query rate of each user from each event on, shape (E, U).
        delay_s: Delay of each user's queries from each event on, shape (E, U).
        assignment: Node per user and layer from each event on, shape (E, U, L).
        uploading_s: Seconds for which uploads are on their way.
    """
    (events, users), servers = rate_hz.shape, int(packed.num_servers[0])
    seconds, device_s = np.zeros((events, users, num_stations(servers + 1))), np.zeros((events, users))
    for event, user in np.argwhere(rate_hz > 0):
        write_seconds(packed, 0, user, slot[event], assignment[event, user], seconds[event, user])
        device_s[event, user] = packed.execution_s[0, user, assignment[event, user] == 0, 0].sum()
    started, horizon_s = queries_started(lasting_s, rate_hz, delay_s), lasting_s.sum()
    load = (started[..., None] * seconds).sum(axis=0) / horizon_s
    return Usage(
        delay_s=delay_s,
        started=started,
        raised=rate_hz * lasting_s[:, None],
        device_load=(started * device_s).sum(axis=0) / horizon_s,
        server_load=load[:, 1 : servers + 1],
        uplink_load=load[:, UPLINK],
        downlink_load=load[:, DOWNLINK],
        wire_load=load[:, servers + 1 : 2 * servers + 1],
        uploading=uploading_s / horizon_s,
    )


def queries_started(lasting_s: Floats, rate_hz: Floats, delay_s: Floats) -> Floats:
    """Return the mean number of queries that each user starts between each event and the next, shape (E, U).

    It starts one every `max(1 / query rate, delay)` seconds. The arguments are those of `usage_of`.
    """
    cycle_s = np.maximum(np.divide(1.0, rate_hz, out=np.full_like(rate_hz, np.inf), where=rate_hz > 0), delay_s)
    started: Floats = lasting_s[:, None] / cycle_s
    return started


def experienced(edges_s: Floats, delay_s: Floats, rate_hz: Floats) -> tuple[float, float]:
    """Return two integrals over time for one user: of query rate x delay of its latest query, and of query rate.

    The user starts a query as soon as it is present, and the next one when the last has ended, at its query rate at
    most. A query goes on as it began, whatever happens meanwhile, and counts up to the user's next start, or until the
    user leaves or the horizon ends.

    Args:
        edges_s: The events' times and, at last, the horizon, shape (E + 1,).
        delay_s: Delay of a query that starts after each event, shape (E,).
        rate_hz: The user's query rate from each event on, shape (E,); 0 = it is absent.
    """
    delays, rates, next_s, latest, rate = 0.0, 0.0, 0.0, 0.0, 0.0
    for start_s, end_s, each_s, now_hz in zip(edges_s[:-1], edges_s[1:], delay_s, rate_hz, strict=True):
        if now_hz == 0:  # it has left: its latest query counts no longer
            over_s = max(next_s - float(start_s), 0.0)
            delays, rates, next_s = delays - rate * latest * over_s, rates - rate * over_s, float(start_s)
            continue
        next_s = max(next_s, float(start_s))
        if next_s < end_s:
            cycle_s = max(1.0 / float(now_hz), float(each_s))
            lasting_s = math.ceil((end_s - next_s) / cycle_s) * cycle_s
            latest, rate = float(each_s), float(now_hz)
            delays, rates, next_s = delays + rate * latest * lasting_s, rates + rate * lasting_s, next_s + lasting_s
    over_s = max(next_s - float(edges_s[-1]), 0.0)
    return delays - rate * latest * over_s, rates - rate * over_s


def back_to_back(edges_s: Floats, delay_s: Floats, present: Bools) -> float:
    """Count queries that one user raises back to back; from edge e to edge e + 1 it has delay e and presence e."""
    count, now_s = 0.0, 0.0
    for start_s, end_s, each_s, here in zip(edges_s[:-1], edges_s[1:], delay_s, present, strict=True):
        now_s = max(now_s, float(start_s))
        if here and now_s < end_s:
            started = math.ceil((end_s - now_s) / each_s) if each_s > 0 else math.inf
            count += started
            now_s = now_s + started * each_s if each_s > 0 else float(end_s)
    return count


def settled(event_time_s: Floats, delay_s: Floats, lasts: Bools) -> Floats:
    """Return from when on each user's queries take at most `SETTLED` times their final delay, shape (U,).

    Args:
        event_time_s: Times of the events, shape (E,).
        delay_s: Delay of each user from each event on, shape (E, U).
        lasts: Whether a user raises queries between an event and the next, shape (E, U); NaN if it never does.
    """
    settled_s = np.full(delay_s.shape[1], np.nan)
    for user in range(len(settled_s)):
        lasting = np.flatnonzero(lasts[:, user])
        if len(lasting):
            delays = delay_s[lasting, user]
            late = np.flatnonzero(delays > SETTLED * delays[-1])
            settled_s[user] = event_time_s[lasting[late[-1] + 1 if len(late) else 0]]
    return settled_s
