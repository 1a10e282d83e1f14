"""Keeps the values that have arrived at a node until the query that needs them takes them."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from torch import Tensor


class Inbox:
    """The values of one user's queries that have arrived at one node."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._values: dict[int, dict[int, Tensor]] = {}
        self._events: dict[int, int] = {}

    def put(self, query: int, event: int, value: int, tensor: Tensor) -> None:
        """Add a value of a query, which uses the assignment of an event."""
        with self._changed:
            self._values.setdefault(query, {})[value] = tensor
            self._events[query] = event
            self._changed.notify_all()

    def take(self, query: int, values: Iterable[int]) -> dict[int, Tensor]:
        """Wait until some values of a query are there, and take them."""
        wanted = list(values)
        with self._changed:
            self._changed.wait_for(lambda: all(value in self._values.get(query, {}) for value in wanted))
            return {value: self._values[query].pop(value) for value in wanted} if wanted else {}

    def next_query(self, after: int) -> tuple[int, int]:
        """Wait until something of a later query is there; return the number of the query and its event."""
        with self._changed:
            self._changed.wait_for(lambda: any(query > after for query in self._events))
            query = min(query for query in self._events if query > after)
            event = self._events[query]
            for old in [number for number in self._events if number <= query]:
                del self._events[old]
            for old in [number for number in self._values if number < query]:
                del self._values[old]
            return query, event
