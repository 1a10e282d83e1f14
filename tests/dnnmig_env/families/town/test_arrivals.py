"""People arrive as a Poisson process, and those who are too many are turned away."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dnnmig_env.families.town.arrivals import admit, draw_arrivals
from dnnmig_env.families.town.ground import Schedule


def test_arrivals_are_poisson_after_a_first_one_at_time_0() -> None:
    scenario, time_s = draw_arrivals(np.random.default_rng(0), np.full(4000, 0.02), 500.0)
    later = np.bincount(scenario) - 1
    assert abs(later.mean() - 10) < 0.2
    assert abs(later.var() - 10) < 0.8
    starts = np.flatnonzero(np.diff(scenario, prepend=-1))
    assert len(starts) == 4000 and not np.any(time_s[starts])
    assert np.all(np.diff(time_s)[np.diff(scenario) == 0] >= 0)
    others = np.delete(time_s, starts)
    assert others.min() > 0 and others.max() < 500
    np.testing.assert_allclose(np.histogram(others, 10, (0, 500))[0] / len(others), 0.1, atol=0.01)


def test_rates_are_those_of_each_scenario() -> None:
    scenario, _ = draw_arrivals(np.random.default_rng(1), np.repeat([0.0, 0.01, 0.1], 2000), 100.0)
    later = np.bincount(scenario, minlength=6000).reshape(3, 2000) - 1
    np.testing.assert_allclose(later.mean(axis=1), [0, 1, 10], atol=0.25)


def test_who_is_turned_away_by_hand() -> None:
    schedule = Schedule(slot_s=1.0, num_slots=20, horizon_s=20.0, num_users=4, num_present=2)
    people = [(0, 5), (1, 9), (2, 3), (4, 8), (5, 6), (6, 6), (6, 7), (9, 12), (9, 10), (20, 30)]
    #         in      in      full    full    in      never   in      two left; the fourth was the last that may come
    first, end = np.array(people).T
    index, number = admit(np.zeros(10, np.int64), first, end, schedule)
    assert index.tolist() == [0, 1, 4, 6]
    assert number.tolist() == [0, 1, 2, 3]
    index, number = admit(np.array([3, 3, 3, 5, 5]), first[[0, 1, 2, 0, 9]], end[[0, 1, 2, 0, 9]], schedule)
    assert index.tolist() == [0, 1, 3]
    assert number.tolist() == [0, 1, 0]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=40),
    st.integers(1, 4),
    st.integers(1, 12),
)
def test_nobody_is_turned_away_without_a_reason(stays: list[tuple[int, int]], num_present: int, num_users: int) -> None:
    schedule = Schedule(1.0, 25, 25.0, num_users, num_present)
    first, length = np.array(sorted(stays), np.int64).reshape(-1, 2).T
    end = first + length
    index, number = admit(np.zeros(len(first), np.int64), first, end, schedule)
    assert number.tolist() == list(range(len(index)))
    inside = set(index.tolist())
    for person in range(len(first)):
        earlier = [other for other in index.tolist() if other < person]
        there = sum(end[other] > first[person] for other in earlier)
        may = length[person] > 0 and first[person] < 25 and there < num_present and len(earlier) < num_users
        assert (person in inside) == may
