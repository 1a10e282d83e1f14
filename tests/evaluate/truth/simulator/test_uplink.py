from __future__ import annotations

import pytest

from dnnmig_env.scenarios.uplink import Uplink as Mode
from evaluate.truth.simulator.uplink import LEAST_SHARE, WINDOW_S, Uplink
from tests.evaluate.truth.simulator.test_station import Clock


@pytest.mark.parametrize(
    ("mode", "weights_s", "data_s"),
    [
        ("priority", 12.0, 3.0),  # 1 byte by 1 s, nothing while data move from 1 to 3 s, 9 bytes from 3 s on
        ("shared", 12.0, 5.0),  # half each from 1 s: 2 bytes of data take 4 s, weights have 3 by then, and 7 to go
        ("independent", 10.0, 3.0),
    ],
)
def test_weights_and_data(mode: Mode, weights_s: float, data_s: float) -> None:
    clock = Clock()
    uplink = Uplink(clock.env, 2, mode)
    uplink.send_weights(clock.job("weights", 0, 10.0))
    clock.at(1.0, lambda: uplink.add(clock.job("data", 1, 2.0)))
    clock.env.run(until=50.0)
    assert clock.ends == {"data": pytest.approx(data_s), "weights": pytest.approx(weights_s)}
    assert uplink.weight_bytes == pytest.approx([10.0, 0.0])
    assert uplink.work() == pytest.approx([0.0, 2.0])
    assert uplink.busy_s == pytest.approx(data_s - 1.0)
    assert not uplink.is_sending


def test_weights_never_get_less_than_a_small_share() -> None:
    clock = Clock()
    uplink = Uplink(clock.env, 2, "priority")
    uplink.add(clock.job("data", 1, 1000.0))
    uplink.send_weights(clock.job("weights", 0, 3.0, 2.0))
    clock.env.run(until=2000.0)
    assert clock.ends == {"weights": pytest.approx(3.0 / (2.0 * LEAST_SHARE)), "data": pytest.approx(1000.0)}


def test_the_least_share_is_granted_over_a_window() -> None:
    # 5 s alone at full rate are far ahead of the least share, of which a window's worth is remembered. So weights wait
    # for as long as the window, whatever begins meanwhile; then the last byte of 6 trickles.
    clock = Clock()
    uplink = Uplink(clock.env, 2, "priority")
    uplink.send_weights(clock.job("weights", 0, 6.0))
    clock.at(5.0, lambda: uplink.add(clock.job("data", 1, 1000.0)))
    clock.at(10.0, lambda: uplink.add(clock.job("more", 0, 1.0)))
    clock.env.run(until=2000.0)
    assert clock.ends["weights"] == pytest.approx(5.0 + WINDOW_S + 1.0 / LEAST_SHARE)


def test_weights_get_what_data_leave_in_the_long_run() -> None:
    # Data take 0.9 s of every second. A trickle beside all data would make it 0.118 of the rate instead of 0.1.
    clock = Clock()
    uplink = Uplink(clock.env, 2, "priority")
    uplink.send_weights(clock.job("weights", 0, 20.0))
    for second in range(300):
        clock.at(second + 0.05, lambda: uplink.add(clock.job("data", 1, 0.9)))
    clock.env.run(until=400.0)
    assert clock.ends["weights"] == pytest.approx(20.0 / 0.1, abs=1.0)


def test_an_upload_whose_link_is_down_waits_and_slows_nobody() -> None:
    clock = Clock()
    uplink = Uplink(clock.env, 2, "shared")
    uplink.send_weights(clock.job("weights", 0, 2.0, 0.0))
    assert not uplink.is_sending
    uplink.add(clock.job("data", 1, 3.0))
    clock.at(4.0, lambda: uplink.change_rates(lambda job: 2.0))
    clock.env.run(until=50.0)
    assert clock.ends == {"data": pytest.approx(3.0), "weights": pytest.approx(5.0)}
    assert uplink.busy_s == pytest.approx(3.0)


def test_a_new_upload_begins_without_a_past_after_a_rest() -> None:
    # Behind an upload that was far ahead of the least share, the next one trickles at once if the channel rested.
    clock = Clock()
    uplink = Uplink(clock.env, 2, "priority")
    uplink.send_weights(clock.job("first", 0, 5.0))

    def go_on() -> None:
        uplink.rest()
        uplink.add(clock.job("data", 1, 1000.0))
        uplink.send_weights(clock.job("second", 0, 1.0))

    clock.at(6.0, go_on)
    clock.env.run(until=2000.0)
    assert clock.ends["second"] == pytest.approx(6.0 + 1.0 / LEAST_SHARE)


def test_uploads_wait_for_those_that_came_before() -> None:
    # The second one gets what is left: it starts at 3 s.
    clock = Clock()
    uplink = Uplink(clock.env, 2, "priority")
    uplink.send_weights(clock.job("first", 0, 3.0))
    uplink.send_weights(clock.job("second", 1, 4.0, 2.0))
    assert uplink.wait_s(0.5) == pytest.approx(3.0 / 0.5 + 4.0 / (2.0 * 0.5))
    clock.env.run(until=2.0)
    assert uplink.wait_s(1.0) == pytest.approx(1.0 + 2.0)
    clock.env.run(until=9.0)
    assert clock.ends == {"first": pytest.approx(3.0), "second": pytest.approx(5.0)}
    assert not uplink.has_weights
    assert uplink.weight_bytes == pytest.approx([3.0, 4.0])


def test_uploads_can_be_taken_off_and_go_on_elsewhere() -> None:
    # Of "first" 2 of 5 bytes have gone. It ends on the other uplink at 2 + 3 s; "second" begins here at once.
    clock = Clock()
    here, there = (Uplink(clock.env, 2, "priority") for _ in range(2))
    first, second = clock.job("first", 0, 5.0), clock.job("second", 1, 4.0)
    here.send_weights(first)
    here.send_weights(second)
    clock.env.run(until=2.0)
    assert here.remove_weights(first)
    assert not here.remove_weights(first)
    there.send_weights(first)
    clock.env.run(until=20.0)
    assert clock.ends == {"first": pytest.approx(5.0), "second": pytest.approx(6.0)}
    assert (here.weight_bytes, there.weight_bytes) == (pytest.approx([2.0, 4.0]), pytest.approx([3.0, 0.0]))
    stalled = clock.job("stalled", 0, 5.0, 0.0)
    here.send_weights(stalled)
    assert here.wait_s(1.0) == float("inf")
    assert here.has_weights
    assert not here.is_sending
