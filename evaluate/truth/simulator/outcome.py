"""What came of a plan, query by query."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Ints
from evaluate.truth.simulator.course import Assignment


@dataclass(frozen=True, slots=True)
class Choice:
    """What the users chose at one event: a slot began, or a partition had arrived.

    Attributes:
        time_s: Time of the event.
        expected_s: Delay that each user expected, shape (U,); 0 for absent ones.
        assignments: Node of each layer, for each user.
    """

    time_s: float
    expected_s: tuple[float, ...]
    assignments: tuple[Assignment, ...]


@dataclass(frozen=True, slots=True)
class Sending:
    """What came of one layer of the plan up to the horizon.

    Attributes:
        user: Its user.
        layer: The layer.
        server: Server to which it went.
        source: Node from which it went: 0 is the user's device, which sends by radio, 1 to S are the servers.
        start_s: When it started.
        end_s: When it had arrived; infinite if it had not.
        broken_off_s: When it was broken off; infinite if it was not.
        sent_bytes: Bytes that were sent.
    """

    user: int
    layer: int
    server: int
    source: int
    start_s: float
    end_s: float
    broken_off_s: float
    sent_bytes: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a plan; made by `play_out`.

    The Q queries are those that started before the horizon, in the order of their starts. A query that is still under
    way at the horizon is followed to its end.

    Attributes:
        user: User of each query, shape (Q,).
        start_s: Its start, shape (Q,).
        end_s: Its end, shape (Q,); NaN if it was abandoned, as its user left, its server was out of reach or its
            link was down at the horizon.
        until_s: Time up to which it was its user's latest query, shape (Q,): the user's next start, or when the user
            left, or the horizon.
        rate_hz: How often its user asked at its start, shape (Q,).
        uploads: Start and end of each partition of the plan, in its order; infinite if not by the horizon.
        choices: What users chose at each event.
        present_s: Seconds up to the horizon for which each user had something to do at each station, shape
            (U, stations); see `PlainScenario` for the stations' numbers, of which 0, the device, is left at zero.
        busy_s: Seconds up to the horizon for which anybody had, shape (stations,); those of all cells added up.
        work: What each station has done for each user's queries by the horizon, shape (U, stations): seconds of a
            server's time, bytes over a channel or wire.
        weight_bytes: Bytes of weights that have been sent for each user by the horizon, shape (U,).
        expected_frames: Number of frames that each user's rate gives up to the horizon, shape (U,).
        horizon_s: The horizon.
        sendings: What came of each layer of the plan that was sent, in its order.
    """

    user: Ints
    start_s: Floats
    end_s: Floats
    until_s: Floats
    rate_hz: Floats
    uploads: tuple[tuple[float, float], ...]
    choices: tuple[Choice, ...]
    present_s: Floats
    busy_s: Floats
    work: Floats
    weight_bytes: Floats
    expected_frames: Floats
    horizon_s: float
    sendings: tuple[Sending, ...] = ()

    @cached_property
    def finished(self) -> Bools:
        """Which queries came to their end, shape (Q,)."""
        return np.isfinite(self.end_s)

    @property
    def num_finished(self) -> int:
        """Number of queries that ended by the horizon."""
        return int(np.count_nonzero(self.end_s <= self.horizon_s))

    @property
    def delay_s(self) -> Floats:
        """Delay of each query, shape (Q,)."""
        return self.end_s - self.start_s

    @cached_property
    def weights(self) -> Floats:
        """Weight of each query in a mean, shape (Q,): its user's rate times the time for which it was the latest one.

        J weighs a user's time by how often it asks. So does this: the sum over the queries approximates the integral
        of `rate_u(t) * delay_u(t)`, with the delay of the latest query for `delay_u(t)`. Abandoned queries weigh
        nothing, as their delays are not known.
        """
        return np.where(self.finished, self.rate_hz * (self.until_s - self.start_s), 0.0)

    @property
    def abandoned_weights(self) -> Floats:
        """What abandoned queries would weigh if they had ended, shape (Q,); 0 for those that did."""
        return np.where(self.finished, 0.0, self.rate_hz * (self.until_s - self.start_s))

    @property
    def experienced_delay_s(self) -> float:
        """Mean delay of the latest query over time, users weighted by how often they ask; NaN without any queries.

        This is no estimate of J, which is the mean over random instants of the delay that a query *starting* then
        meets: a query that started before weights arrived goes on as it started, however long that takes.
        """
        return weighted_mean(np.where(self.finished, self.delay_s, 0.0), self.weights)

    @property
    def user_experienced_delay_s(self) -> Floats:
        """The experienced delay of each user alone, shape (U,); NaN for one without finished queries."""
        return self.user_means(np.where(self.finished, self.delay_s, 0.0))

    @property
    def frames_skipped(self) -> Floats:
        """Number of frames that came while a query was under way, shape (U,): those expected less those that started.

        Never less than 0, although a user may happen to start one query more than its rate gives.
        """
        started = np.bincount(self.user, minlength=len(self.expected_frames))
        return np.maximum(self.expected_frames - started, 0.0)

    def user_means(self, values: Floats) -> Floats:
        """Return each user's weighted mean of a number per query, shape (U,)."""
        total, weight = self.user_sums(self.weights * values), self.user_sums(self.weights)
        means: Floats = np.divide(total, weight, out=np.full(len(total), np.nan), where=weight > 0)
        return means

    def user_sums(self, values: Floats) -> Floats:
        """Return each user's sum of a number per query, shape (U,)."""
        return np.asarray(np.bincount(self.user, values, len(self.expected_frames)), np.float64)


def weighted_mean(values: Floats, weights: Floats) -> float:
    """Return a weighted mean; NaN if all weights are 0."""
    total = float(weights.sum())
    return float(weights @ values) / total if total > 0.0 else float("nan")
