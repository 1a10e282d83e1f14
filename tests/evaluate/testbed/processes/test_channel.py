"""The token bucket on a clock of its own: every number here is worked by hand."""

from __future__ import annotations

import pytest

from evaluate.testbed.processes.channel import BURST_S, WEIGHTS_SHARE, Channel, new_state


def channel() -> Channel:
    return Channel(new_state(1)[0])


def test_chunks_follow_each_other_without_gaps_though_the_sender_wakes_up_late() -> None:
    one = channel()
    # Three chunks of 2 ms of a message that began at 10 s; the sender asks 1 ms late each time.
    assert one.reserve(10.0, 0.002, 10.0) == pytest.approx(10.002)
    assert one.reserve(10.003, 0.002, 10.0) == pytest.approx(10.004)
    assert one.reserve(10.005, 0.002, 10.0) == pytest.approx(10.006)


def test_what_was_overslept_is_caught_up_only_as_far_as_the_burst() -> None:
    one = channel()
    one.reserve(10.0, 0.002, 10.0)
    # Asleep until 11: of that second only the last 20 ms may be used, so the chunk is over at 11 - 0.020 + 0.002.
    assert one.reserve(11.0, 0.002, 10.0) == pytest.approx(11.0 - BURST_S + 0.002)
    # From then on the schedule goes on: 10 chunks more may be sent at once until it has caught up with 11.
    ends = [one.reserve(11.0, 0.002, 10.0) for _ in range(9)]
    assert ends[-1] == pytest.approx(11.0)


def test_a_new_message_cannot_use_time_before_it_began() -> None:
    one = channel()
    one.reserve(10.0, 0.002, 10.0)
    assert one.reserve(10.015, 0.002, 10.015) == pytest.approx(10.017)


def test_the_long_run_rate_is_never_exceeded() -> None:
    one = channel()
    sent_s, now_s = 0.0, 0.0
    for number in range(1000):
        now_s += (0.0005, 0.004, 0.011)[number % 3]
        end_s = one.reserve(now_s, 0.002, 0.0)
        sent_s += 0.002
        assert sent_s <= end_s + 1e-9  # at most what fits from 0 on
    # 15.5 ms in three steps are more than three chunks, so the channel keeps up.
    assert end_s == pytest.approx(now_s, abs=BURST_S)


def test_two_users_take_turns() -> None:
    one = channel()
    ends = {user: 0.0 for user in "ab"}
    finished = []
    for _ in range(4):  # each asks as soon as its chunk before is over
        user = min(ends, key=lambda name: ends[name])
        ends[user] = one.reserve(ends[user], 0.002, 0.0)
        finished.append((user, round(ends[user] * 1e3)))
    # a: [0, 2], b: [2, 4], then a at 2: the channel is busy until 4, so [4, 6], and so on: half the rate for each.
    assert finished == [("a", 2), ("b", 4), ("a", 6), ("b", 8)]


def test_weights_wait_for_query_data() -> None:
    one = channel()
    assert one.reserve_for_weights(10.0, 0.002, 10.0) == pytest.approx(10.002)
    one.begin_data()
    one.begin_data()
    assert one.reserve_for_weights(10.002, 0.002, 10.0) is None
    assert one.reserve(10.002, 0.002, 10.002) == pytest.approx(10.004)  # data waits for one chunk of weights at most
    one.end_data()
    assert one.reserve_for_weights(10.004, 0.002, 10.0) is None  # one sender is still there
    one.end_data()
    assert one.reserve_for_weights(10.0042, 0.002, 10.0) == pytest.approx(10.006)  # from 10.004 on: no time is lost


def test_weights_have_two_per_cent_while_data_never_ends() -> None:
    one = channel()
    one.begin_data()
    now_s, weights_s = 0.0, 0.0
    while now_s < 20.0:  # data takes whatever it can
        if one.reserve_for_weights(now_s, 0.002, 0.0) is not None:
            weights_s += 0.002
        now_s = max(now_s + 0.0005, one.reserve(now_s, 0.002, now_s))
    assert WEIGHTS_SHARE == 0.02
    # One chunk of 2 ms each 0.002 / 0.02 = 100 ms: 200 of them in 20 s, a few less as they are asked for now and then.
    assert weights_s == pytest.approx(0.4, rel=0.06)


def test_the_first_chunk_of_weights_waits_for_its_share_too() -> None:
    one = channel()
    one.begin_data()
    # Waiting since 5 s: a chunk of 2 ms is 2 % of 100 ms, so it may go when 98 ms have passed.
    assert one.reserve_for_weights(5.097, 0.002, 5.0) is None
    assert one.reserve_for_weights(5.0981, 0.002, 5.0) == pytest.approx(5.0801)
