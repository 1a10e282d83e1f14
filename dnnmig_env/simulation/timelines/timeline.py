"""What happened when a plan was carried out: when each partition was uploaded, the query delays, figures of merit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Int8s, Ints
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.cold_start.cold_start import cold_start_s, serial_cold_start_s
from dnnmig_env.simulation.packed import PackedScenarios, has_lanes, pack
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import migration_delay_s
from dnnmig_env.simulation.timelines.moves import Moves, moves_of
from dnnmig_env.simulation.timelines.query_detail import Query, tensors_sent, trace_query
from dnnmig_env.simulation.timelines.upload_interval import UploadInterval
from dnnmig_env.simulation.timelines.usage import Usage, back_to_back, experienced, queries_started, settled, usage_of


@dataclass(frozen=True, eq=False)
class Timeline:
    """All that happened when a plan was carried out; made by `simulate`.

    Delays change only at the E events: whenever a slot starts (the first one at time 0) or a partition is complete.
    Several events may share one time; the last of them says what holds from then on.

    Attributes:
        scenario: The scenario.
        plan: The plan.
        uploads: One `UploadInterval` for each partition of the plan, in the plan's order.
        event_time_s: Times of the events, shape (E,).
        event_delay_s: Delay of a query of each user from each event on, shape (E, U); while the user is absent, the
            delay on its device alone.
        event_assignment: Node per user and layer from each event on, shape (E, U, L).
        event_slowdown: Factor by which the others slow each user at each station from each event on, shape (E, U, K);
            `dnnmig_env.simulation.contention` says which stations there are.
        device_delay_s: Delay of each user on its device alone, shape (U,).
        mean_delay_s: Mean query delay J in seconds per query.
    """

    scenario: Scenario
    plan: Plan
    uploads: tuple[UploadInterval, ...]
    event_time_s: Floats = field(repr=False)
    event_delay_s: Floats = field(repr=False)
    event_assignment: Int8s = field(repr=False)
    event_slowdown: Floats = field(repr=False)
    device_delay_s: Floats = field(repr=False)
    mean_delay_s: float

    def delay_s(self, at_s: float) -> Floats:
        """Return the delay of a query that each user raises at a time, shape (U,)."""
        delays: Floats = self.event_delay_s[self._event_at(at_s)]
        return delays

    def query(self, user: int, at_s: float) -> Query:
        """Return one query in detail: when each node computes and when each tensor travels.

        Args:
            user: Index of the user; one that is absent runs everything on its device.
            at_s: Time at which the query is raised, 0 to the horizon.

        Raises:
            ValueError: If the user is unknown or the time outside the horizon.
        """
        self._check_user(user)
        event = self._event_at(at_s)
        # An absent user keeps its assignment for when it returns, but queries run on its device meanwhile.
        assignment = self.event_assignment[event, user] * self.present[event, user]
        slot, graph = int(self.event_slot[event]), self.scenario.users[user].graph
        return trace_query(self._packed, graph, user, slot, assignment, self.event_slowdown[event, user], at_s)

    @cached_property
    def event_slot(self) -> Ints:
        """Slot of each event, shape (E,)."""
        return np.searchsorted(np.asarray(self.scenario.slot_starts_s), self.event_time_s, side="right") - 1

    @property
    def present(self) -> Bools:
        """Which users are present from each event on, shape (E, U)."""
        return self._rate_hz > 0

    @property
    def mean_device_delay_s(self) -> float:
        """Mean query delay J if every query ran on its user's device alone."""
        queries = self._queries.sum(axis=0)
        return float(queries @ self.device_delay_s / queries.sum())

    @cached_property
    def user_mean_delay_s(self) -> Floats:
        """Mean query delay of each user over its own queries, shape (U,); NaN for one that is never present."""
        queries = self._queries.sum(axis=0)
        total_s = (self._queries * self.event_delay_s).sum(axis=0)
        return _read_only(np.divide(total_s, queries, out=np.full_like(queries, np.nan), where=queries > 0))

    @property
    def worst_mean_delay_s(self) -> float:
        """The greatest of the users' mean query delays."""
        return float(np.nanmax(self.user_mean_delay_s))

    @property
    def fairness(self) -> float:
        """Jain's index of the users' speed-ups over their devices alone: 1 = all gain alike, 1/U = one gains all.

        Jain, Chiu, Hawe (1984): `(sum x)^2 / (n * sum x^2)`, where x are the speed-ups of the n users that raise
        queries that take time.
        """
        raises = self.user_mean_delay_s > 0
        speed_up = self.device_delay_s[raises] / self.user_mean_delay_s[raises]
        return float(speed_up.sum() ** 2 / (len(speed_up) * (speed_up**2).sum())) if len(speed_up) else 1.0

    @property
    def upload_s(self) -> float:
        """Time at which the last partition has arrived; 0 for an empty plan, infinite if it has not by the horizon."""
        return max((upload.end_s for upload in self.uploads), default=0.0)

    @cached_property
    def cold_start_delay_s(self) -> Floats:
        """Delay of one query per user raised at time 0 that waits for its layers (MJOA-MU), shape (U,).

        Weights are sent while layers execute; see `cold_start_s`. NaN for users never present, and with several lanes.
        """
        return self._cold_start_s(cold_start_s)

    @cached_property
    def serial_cold_start_delay_s(self) -> Floats:
        """The same with the plan's placement uploaded serially, MJOA-MU's baseline (`serial_cold_start_s`)."""
        return self._cold_start_s(serial_cold_start_s)

    @cached_property
    def migration_delay_s(self) -> float:
        """Mean delay once everything is uploaded, with every layer where the plan puts it (EosDNN's migration delay).

        The rates are those of the first slot in which a user is present. Infinite if the plan uses a link that is down
        in that slot; NaN where weights may move between servers, so that a layer may be on several.
        """
        if self.scenario.moves:
            return math.nan
        rates = np.array([user.query_rate_hz for user in self.scenario.users])
        slot = int(np.argmax(rates.sum(axis=0) > 0))
        node = np.zeros(self._packed.weight_bytes.shape[1:], np.int8)
        for user, placement in enumerate(self.plan.placement(self.scenario)):
            node[user, : len(placement)] = placement
        return float(migration_delay_s(self._packed, 0, slot, node, np.empty(len(rates))))

    @property
    def migration_and_upload_s(self) -> float:
        """Migration delay with the upload time added."""
        return self.migration_delay_s + self.upload_s

    @cached_property
    def closed_loop_queries(self) -> Floats:
        """Number of queries that each user raises back to back until the last upload ends (IONN's measure), shape (U,).

        Each query starts when the one before it ends, and uses what is usable at its start. The query that is under way
        when the last upload ends counts, as in the published figures. A user raises no queries while absent. Infinite
        if a query takes no time.
        """
        end_s = min(self.upload_s, self.scenario.horizon_s)
        edges_s = np.minimum(np.append(self.event_time_s, self.scenario.horizon_s), end_s)
        counts = [
            back_to_back(edges_s, self.event_delay_s[:, user], self.present[:, user])
            for user in range(len(self.scenario.users))
        ]
        return _read_only(np.array(counts))

    @cached_property
    def settled_s(self) -> Floats:
        """Time from which on each user's queries take at most 5 % longer than their final delay, shape (U,).

        Only times at which the user is present count; NaN for a user that is never present.
        """
        return _read_only(settled(self.event_time_s, self.event_delay_s, self._queries > 0))

    @property
    def weight_bytes_sent(self) -> float:
        """Bytes of weights that were sent over the channel by the horizon."""
        return sum(upload.sent_bytes for upload in self.uploads)

    @cached_property
    def tensor_bytes_sent(self) -> float:
        """Expected bytes of the tensors that the queries of all users send between nodes up to the horizon.

        A query sends a tensor at most once to each node, however many layers there read it.
        """
        total, started = 0.0, self.usage.started
        for user, row in enumerate(self.scenario.users):
            for event in np.flatnonzero(started[:, user] > 0):
                sent = tensors_sent(row.graph, self.event_assignment[event, user, : len(row.graph)])
                total += started[event, user] * sum(row.graph.tensor_bytes(tensor) for tensor, _, _ in sent)
        return float(total)

    @cached_property
    def moves(self) -> Moves:
        """What moved between cells and servers."""
        started = queries_started(self._lasting_s, self._rate_hz, self.event_delay_s)
        return moves_of(self.scenario, self.uploads, self.event_time_s, self.event_assignment, self.present, started)

    @cached_property
    def usage(self) -> Usage:
        """How queries and uploads use devices, servers and links; see `Usage`."""
        ends_s = [(each.start_s, min(each.end_s, self.scenario.horizon_s)) for each in self.uploads]
        if has_lanes(self.scenario):
            ends_s = [(each.start_s, each.stop_s) for upload in self.uploads for each in upload.transfers]
        uploading_s = sum(stop_s - start_s for start_s, stop_s in ends_s if start_s < math.inf)
        queries = self._rate_hz, self.event_delay_s, self.event_assignment
        return usage_of(self._packed, self.event_slot, self._lasting_s, *queries, uploading_s)

    @cached_property
    def experienced_delay_s(self) -> float:
        """Time average of the delay of each user's latest query, users weighted by their query rates.

        A query that began before weights arrived goes on as it began. So this is more than J, which is the delay that a
        query started at a random instant meets, wherever queries are long compared with the time between two uploads.
        """
        edges_s = np.append(self.event_time_s, self.scenario.horizon_s)
        parts = [
            experienced(edges_s, self.event_delay_s[:, user], self._rate_hz[:, user])
            for user in range(len(self.scenario.users))
        ]
        delays, rates = np.sum(parts, axis=0)
        return float(delays / rates)

    def figures(self, deadline_s: float | None = None) -> dict[str, float]:
        """Return every figure of merit as one number, by name, as a row of a table.

        A figure that has one value per user becomes the mean over the users that are ever present, with two exceptions:
        `closed_loop_queries` is the sum, and `settled_s` the latest. Loads, counts of queries and percentiles are those
        of `Usage`: of the device and the server that are used most, of the links by all users together.

        Args:
            deadline_s: If given, `late_share` tells the share of queries that take longer.
        """
        return {
            "mean_delay_s": self.mean_delay_s,
            "experienced_delay_s": self.experienced_delay_s,
            "worst_mean_delay_s": self.worst_mean_delay_s,
            "fairness": self.fairness,
            "cold_start_delay_s": _mean(self.cold_start_delay_s),
            "serial_cold_start_delay_s": _mean(self.serial_cold_start_delay_s),
            "migration_delay_s": self.migration_delay_s,
            "migration_and_upload_s": self.migration_and_upload_s,
            "closed_loop_queries": float(self.closed_loop_queries.sum()),
            "settled_s": float(np.nanmax(self.settled_s)),
            "upload_s": self.upload_s,
            "weight_bytes_sent": self.weight_bytes_sent,
            "tensor_bytes_sent": self.tensor_bytes_sent,
            **(self.moves.figures() if has_lanes(self.scenario) else {}),
            **self.usage.figures(deadline_s),
        }

    @cached_property
    def _packed(self) -> PackedScenarios:
        return pack([self.scenario])

    @cached_property
    def _rate_hz(self) -> Floats:
        """Query rate of each user from each event on, shape (E, U)."""
        return np.array([np.asarray(user.query_rate_hz)[self.event_slot] for user in self.scenario.users]).T

    @cached_property
    def _queries(self) -> Floats:
        """Expected number of queries that each user raises between each event and the next, shape (E, U)."""
        return self._rate_hz * self._lasting_s[:, None]

    @cached_property
    def _lasting_s(self) -> Floats:
        """Seconds from each event to the next, or to the horizon, shape (E,)."""
        return np.diff(np.append(self.event_time_s, self.scenario.horizon_s))

    def _cold_start_s(self, write: Callable[..., None]) -> Floats:
        delay_s = np.full(len(self.scenario.users), np.nan)
        if not has_lanes(self.scenario):
            write(self._packed, 0, plan_arrays([self.plan]), 0, delay_s)
        return _read_only(delay_s)

    def _check_user(self, user: int) -> None:
        if not 0 <= user < len(self.scenario.users):
            raise ValueError(f"user is {user}; known users are 0 to {len(self.scenario.users) - 1}.")

    def _event_at(self, at_s: float) -> int:
        if not 0 <= at_s <= self.scenario.horizon_s:
            raise ValueError(f"at_s is {at_s!r}; give a time from 0 to the horizon ({self.scenario.horizon_s} s).")
        return int(np.searchsorted(self.event_time_s, at_s, side="right")) - 1


def _mean(values: Floats) -> float:
    """Return the mean of the values that are numbers; NaN if none is."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else math.nan


def _read_only(array: Floats) -> Floats:
    array.flags.writeable = False
    return array
