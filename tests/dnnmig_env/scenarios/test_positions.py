"""Recorded positions: where people are between two records, and when they are there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dnnmig_env.scenarios.positions import RecordedPositions

ALONG_X = RecordedPositions(
    ("late", "long"),
    [[5.0, 7.0], [1.0, 3.0, 11.0]],
    [[[0.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [10.0, 0.0], [10.0, 80.0]]],
)


def test_positions_by_hand() -> None:
    found = ALONG_X.window(np.array([0, 1]), begin_s=2.0, slot_s=2.0, num_slots=10)
    # "late" is present from 5 s to 7 s, so at 6 s; "long" from 1 s to 11 s, so at 2, 4, 6, 8 and 10 s.
    assert found.user.tolist() == [0, 1, 1, 1, 1, 1]
    assert found.slot.tolist() == [2, 0, 1, 2, 3, 4]
    np.testing.assert_allclose(found.positions_m, [[0, 2], [5, 0], [10, 10], [10, 30], [10, 50], [10, 70]])
    # Over the slot before, as far as one was there: "late" for 1 s, "long" at 2 s for 1 s.
    expected = [[0, 2], [5, 0], [2.5, 5], [0, 10], [0, 10], [0, 10]]
    np.testing.assert_allclose(found.velocities_m_per_s, expected)


def test_both_ends_of_a_stay_count_and_who_appears_has_no_velocity_yet() -> None:
    found = ALONG_X.window(np.array([1]), begin_s=1.0, slot_s=5.0, num_slots=10)
    assert found.slot.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.positions_m, [[0, 0], [10, 30], [10, 80]])
    np.testing.assert_allclose(found.velocities_m_per_s, [[0, 0], [2, 6], [0, 10]])


def test_slots_end_with_the_scenario() -> None:
    found = ALONG_X.window(np.array([0, 1]), begin_s=0.0, slot_s=2.0, num_slots=3)
    assert found.user.tolist() == [1, 1]
    assert found.slot.tolist() == [1, 2]
    first, end = ALONG_X.slots(0.0, 2.0)
    assert (first.tolist(), end.tolist()) == ([3, 1], [4, 6])
    first, end = ALONG_X.slots(20.0, 2.0)
    assert np.all(end <= first)
    first, end = ALONG_X.slots(5.2, 1.9)  # "late" at 5.2 s only: 7.1 s is too late
    assert (first.tolist(), end.tolist()) == ([0, 0], [1, 4])


@pytest.mark.parametrize(
    ("users", "times", "positions", "message"),
    [
        ((), [], [], "users are 0, with times of 0 and positions of 0; give at least one user"),
        (("a",), [], [[[0, 0]]], "users are 1, with times of 0"),
        (
            ("a",),
            [[0, 1]],
            [[[0, 0]]],
            r"user 'a': times_s has shape \(2,\), positions_m \(1, 2\); give two coordinates",
        ),
        (("a",), [[]], [np.zeros((0, 2))], r"user 'a': times_s has shape \(0,\)"),
        (("a",), [[1, 1]], [[[0, 0], [1, 1]]], "user 'a': times must increase, and all numbers be finite"),
        (("a",), [[0, 1]], [[[0, 0], [np.nan, 1]]], "user 'a': times must increase, and all numbers be finite"),
    ],
)
def test_what_cannot_be_recorded_is_refused(users: Any, times: Any, positions: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RecordedPositions(users, times, positions)
