"""Keeps account of the queries that start before the horizon."""

from __future__ import annotations

import math

import numpy as np

from dnnmig_env.arrays import Floats, Ints


class QueryLog:
    """Queries in the order of their starts.

    Args:
        num_users: Number of users.
        horizon_s: Queries that start then or later are not counted.

    Attributes:
        under_way: Number of queries that are counted and have not ended.
    """

    def __init__(self, num_users: int, horizon_s: float) -> None:
        self._horizon_s = horizon_s
        self._user: list[int] = []
        self._start_s: list[float] = []
        self._end_s: list[float] = []
        self._until_s: list[float] = []
        self._rate_hz: list[float] = []
        self._latest = [-1] * num_users
        self.under_way = 0

    def start(self, user: int, now_s: float, rate_hz: float) -> None:
        """Note that a user's query starts, and that its query before is no longer the latest."""
        self.no_longer_latest(user, now_s)
        if now_s >= self._horizon_s:
            return
        self._latest[user] = len(self._user)
        self.under_way += 1
        self._user.append(user)
        self._start_s.append(now_s)
        self._end_s.append(math.nan)
        self._until_s.append(self._horizon_s)
        self._rate_hz.append(rate_hz)

    def end(self, user: int, now_s: float) -> None:
        """Note that a user's latest query ends."""
        if self._latest[user] >= 0:
            self._end_s[self._latest[user]] = now_s
            self.under_way -= 1

    def abandon(self, user: int, now_s: float) -> None:
        """Note that a user's latest query will never end."""
        if self._latest[user] >= 0:
            self.under_way -= 1
        self.no_longer_latest(user, now_s)

    def no_longer_latest(self, user: int, now_s: float) -> None:
        """Note that a user's latest query so far has been followed by another one, or that the user has left."""
        if self._latest[user] >= 0:
            self._until_s[self._latest[user]] = min(now_s, self._horizon_s)
        self._latest[user] = -1

    def columns(self) -> tuple[Ints, Floats, Floats, Floats, Floats]:
        """Return user, start, end, time until which it was the latest, and rate of each query, each of shape (Q,)."""
        floats = (np.array(values, np.float64) for values in (self._start_s, self._end_s, self._until_s, self._rate_hz))
        start_s, end_s, until_s, rate_hz = floats
        return np.array(self._user, np.int64), start_s, end_s, until_s, rate_hz
