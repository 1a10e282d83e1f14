"""Recorded positions: where people were at given times, and where they therefore were at the starts of time slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dnnmig_env.arrays import Floats, Ints


class Window(NamedTuple):
    """Where people are at the starts of slots, N times somebody is present, those of a person in a row."""

    user: Ints  # (N,): index in `RecordedPositions.users`
    slot: Ints  # (N,)
    positions_m: Floats  # (N, 2)
    velocities_m_per_s: Floats  # (N, 2): over the slot before, as far as the person was present in it


@dataclass(frozen=True, eq=False)
class RecordedPositions:
    """Recorded positions of users; between two records a user goes straight on at a constant speed.

    A user is present from its first record to its last one, both included.

    Attributes:
        users: Names of the users, in order of their first records.
        times_s: Times of each user's records, increasing.
        positions_m: Positions (x, y) of each user's records, one row each.

    Raises:
        ValueError: If there are no users, or the records of one are not of the same number, do not increase in time or
            are not finite.
    """

    users: tuple[str, ...]
    times_s: Sequence[ArrayLike]
    positions_m: Sequence[ArrayLike]

    def __post_init__(self) -> None:
        if not self.users or not len(self.users) == len(self.times_s) == len(self.positions_m):
            raise ValueError(
                f"users are {len(self.users)}, with times of {len(self.times_s)} and positions of "
                f"{len(self.positions_m)}; give at least one user, and times and positions for each."
            )
        for name, times, positions in zip(self.users, self._times, self._positions, strict=True):
            if times.ndim != 1 or not len(times) or positions.shape != (len(times), 2):
                raise ValueError(
                    f"user {name!r}: times_s has shape {times.shape}, positions_m {positions.shape}; give two "
                    "coordinates for each time."
                )
            if not (np.all(np.isfinite(times)) and np.all(np.isfinite(positions)) and np.all(np.diff(times) > 0)):
                raise ValueError(f"user {name!r}: times must increase, and all numbers be finite.")

    @cached_property
    def first_s(self) -> Floats:
        """Time of each user's first record, shape (U,)."""
        return np.array([times[0] for times in self._times])

    @cached_property
    def last_s(self) -> Floats:
        """Time of each user's last record, shape (U,)."""
        return np.array([times[-1] for times in self._times])

    @cached_property
    def first_m(self) -> Floats:
        """Position of each user's first record, shape (U, 2)."""
        return np.array([positions[0] for positions in self._positions])

    @cached_property
    def all_m(self) -> Floats:
        """Positions of all records, those of a user in a row, shape (records, 2)."""
        return np.concatenate(self._positions)

    def slots(self, begin_s: float, slot_s: float) -> tuple[Ints, Ints]:
        """Return the first slot at whose start each user is present, and the slot after the last one, both (U,).

        Args:
            begin_s: Time at which slot 0 begins; nobody is present before.
            slot_s: Length of a slot.
        """
        first = np.maximum(np.ceil((self.first_s - begin_s) / slot_s), 0.0).astype(np.int64)
        end = np.maximum(np.floor((self.last_s - begin_s) / slot_s) + 1, 0.0).astype(np.int64)
        return first, end

    def window(self, chosen: Ints, begin_s: float, slot_s: float, num_slots: int) -> Window:
        """Return where some users are at the starts of the slots in which they are present.

        Args:
            chosen: Indices of the users.
            begin_s: Time at which slot 0 begins.
            slot_s: Length of a slot.
            num_slots: Number of slots.
        """
        first, end = (np.minimum(slots[chosen], num_slots) for slots in self.slots(begin_s, slot_s))
        count = np.maximum(end - first, 0)
        user = np.repeat(chosen, count)
        slot = np.arange(len(user)) + np.repeat(first - (np.cumsum(count) - count), count)
        times_s = begin_s + slot * slot_s
        before_s = np.maximum(times_s - slot_s, self.first_s[user])
        elapsed_s = (times_s - before_s)[:, None]
        positions_m = self._at(user, times_s)
        velocities = np.zeros(positions_m.shape)
        np.divide(positions_m - self._at(user, before_s), elapsed_s, out=velocities, where=elapsed_s > 0)
        return Window(user, slot, positions_m, velocities)

    def _at(self, user: Ints, times_s: Floats) -> Floats:
        """Return where users are at times between their first and their last record, shape (N, 2)."""
        # All records lie on one axis of time, on which every user has a stretch of its own.
        begin_s, stretch_s, known_s = self._stretches
        keys_s = times_s - begin_s + user * stretch_s
        return np.stack([np.interp(keys_s, known_s, self.all_m[:, axis]) for axis in (0, 1)], axis=1)

    @cached_property
    def _stretches(self) -> tuple[float, float, Floats]:
        begin_s = float(self.first_s.min())
        stretch_s = float(self.last_s.max()) - begin_s + 1.0
        known_s = [times - begin_s + index * stretch_s for index, times in enumerate(self._times)]
        return begin_s, stretch_s, np.concatenate(known_s)

    @cached_property
    def _times(self) -> list[Floats]:
        return [np.asarray(times, dtype=np.float64) for times in self.times_s]

    @cached_property
    def _positions(self) -> list[Floats]:
        return [np.asarray(positions, dtype=np.float64) for positions in self.positions_m]
