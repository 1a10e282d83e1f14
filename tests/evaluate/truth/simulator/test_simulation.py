from __future__ import annotations

import math

import numpy as np
import pytest

from dnnmig_env.scenarios.scenario import User
from dnnmig_env.scenarios.uplink import Uplink as Mode
from dnnmig_env.simulation.plan import Plan, Upload
from evaluate.truth.simulator.outcome import Outcome
from evaluate.truth.simulator.simulation import play_out
from tests.evaluate.truth.simulator.by_hand import ALWAYS, chain, on_server, scenario, user

NEAR = 1e-4
"""Users who always ask begin within a microsecond of time 0, and a second after a microsecond is not quite a second."""


def delays_s(outcome: Outcome, of: int) -> list[float]:
    return [float(delay) for delay in outcome.delay_s[outcome.user == of]]


def starts_s(outcome: Outcome, of: int) -> list[float]:
    return [float(start) for start in outcome.start_s[outcome.user == of]]


def test_two_users_on_one_server() -> None:
    # Someone is always beside the other: 4 s and 2 s of work take 8 s and 4 s. The query under way at the horizon is
    # followed to its end, beside further queries of the other user, which do not count.
    outcome = play_out(scenario([on_server(4.0), on_server(2.0)], 5.0), Plan())
    assert delays_s(outcome, 0) == pytest.approx([8.0], abs=NEAR)
    assert delays_s(outcome, 1) == pytest.approx([4.0, 4.0], abs=NEAR)
    assert outcome.busy_s[1] == pytest.approx(5.0, abs=NEAR)
    assert outcome.present_s[:, 1] == pytest.approx([5.0, 5.0], abs=NEAR)
    assert outcome.work[:, 1] == pytest.approx([2.5, 2.5], abs=NEAR)
    assert outcome.num_finished == 1


def test_frames_that_come_meanwhile_are_skipped() -> None:
    # A query of 2.5 s at 1 Hz: the next one starts when it ends, and half of ten seconds' frames are missed and more.
    outcome = play_out(scenario([on_server(2.5, 1.0)], 10.0), Plan(), seed=3)
    starts = starts_s(outcome, 0)
    assert 0.0 <= starts[0] < 1.0
    assert np.diff(starts) == pytest.approx(2.5)
    assert outcome.expected_frames.tolist() == [10.0]
    assert outcome.frames_skipped.tolist() == [10.0 - len(starts)]


def test_a_query_that_ends_in_time_waits_for_the_next_frame() -> None:
    outcome = play_out(scenario([on_server(0.5, 0.5)], 10.0), Plan())
    assert np.diff(starts_s(outcome, 0)) == pytest.approx(2.0)
    assert delays_s(outcome, 0) == pytest.approx([0.5] * 5)
    assert outcome.frames_skipped.tolist() == [0.0]
    assert outcome.busy_s[1] == pytest.approx(2.5)


def test_users_start_out_of_step_and_the_seed_says_how() -> None:
    given = scenario([on_server(0.1, 0.5), on_server(0.1, 0.5)], 4.0)
    one, again, other = (play_out(given, Plan(), seed).start_s.tolist() for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert len(set(one)) == len(one)


@pytest.mark.parametrize("mode", ["priority", "independent", "shared"])
def test_weights_and_query_data_on_one_uplink(mode: Mode) -> None:
    # From some moment within 4 s on, user 0 sends 2 bytes at 1 byte/s and then computes for 1 s; user 1 sends 6 bytes
    # of weights from time 0 on. Priority: these lose the 2 s of three queries. Shared: data take 4 s as long as there
    # are weights, which have 2 bytes by then and a third one before the next query.
    sender = user(chain([0], [1], 2), [[1e3, 1.0]], 0.25, uploaded=[1])
    waiting = user(chain([0], [6]), [[1e3, 1.0]], 1e-6)
    outcome = play_out(scenario([sender, waiting], 40.0, uplink=mode), Plan((Upload(1, 1, (0,)),)), seed=1)
    first_s = starts_s(outcome, 0)[0]
    assert 1.0 < first_s < 2.0
    left = 6.0 - first_s
    ends_s = {"priority": 6.0 + 3 * 2.0, "independent": 6.0, "shared": first_s + 4.0 + 1.0 + 2.0 * (left - 2.0 - 1.0)}
    assert outcome.uploads == ((0.0, pytest.approx(ends_s[mode])),)
    assert delays_s(outcome, 0)[0] == pytest.approx({"priority": 3.0, "independent": 3.0, "shared": 5.0}[mode])
    assert delays_s(outcome, 0)[-1] == pytest.approx(3.0)
    assert outcome.weight_bytes.tolist() == pytest.approx([0.0, 6.0])


def test_uploads_follow_one_another_and_a_partition_arrives_as_a_whole() -> None:
    # 2 + 3 bytes for user 0, then 1 byte for user 1, not before 7 s.
    one = user(chain([0, 0], [2, 3]), [[2.0, 0.1], [2.0, 0.1]], 1e-6)
    two = user(chain([0], [1]), [[2.0, 0.1]], 1e-6)
    plan = Plan((Upload(0, 1, (1, 0)), Upload(1, 1, (0,), 7.0)))
    outcome = play_out(scenario([one, two], 20.0), plan)
    assert outcome.uploads == ((0.0, 5.0), (7.0, 8.0))
    assert [(choice.time_s, choice.assignments) for choice in outcome.choices] == [
        (0.0, ((0, 0), (0,))),
        (5.0, ((1, 1), (0,))),
        (8.0, ((1, 1), (1,))),
    ]


def test_a_query_goes_on_as_it_started() -> None:
    # Weights arrive at 3 s: the query that started at 0 s stays on the device for its 5 s, the next one takes 1 s.
    outcome = play_out(scenario([user(chain([0], [3]), [[5.0, 1.0]])], 7.5), Plan((Upload(0, 1, (0,)),)))
    assert starts_s(outcome, 0) == pytest.approx([0.0, 5.0, 6.0, 7.0], abs=NEAR)
    assert delays_s(outcome, 0) == pytest.approx([5.0, 1.0, 1.0, 1.0], abs=NEAR)
    assert (outcome.until_s - outcome.start_s).tolist() == pytest.approx([5.0, 1.0, 1.0, 0.5], abs=NEAR)
    assert outcome.experienced_delay_s == pytest.approx((5.0 * 5.0 + 1.0 * 2.5) / 7.5, abs=NEAR)


def test_a_transfer_goes_on_at_the_rates_of_the_new_slot() -> None:
    # 10 bytes at 1 byte/s for 2 s, the rest at 4 bytes/s: there at 4 s, plus 1 s of the new slot's latency.
    one = user(chain([0], [1], 10), [[1e3, 0.0]], uploaded=[1])
    links = {"up_bytes_per_s": [[[1.0]], [[4.0]]], "up_latency_s": [[[0.0]], [[1.0]]], "down_latency_s": 0.0}
    outcome = play_out(scenario([one], 3.0, slots=(0.0, 2.0), **links), Plan())
    assert delays_s(outcome, 0) == pytest.approx([5.0], abs=NEAR)


def test_a_transfer_waits_for_a_link_that_is_down_and_others_choose_the_device() -> None:
    # 5 bytes: 2 by 2 s, nothing until 6 s, 3 more by 9 s.
    one = user(chain([0], [1], 5), [[20.0, 0.0]], uploaded=[1])
    links = {"up_bytes_per_s": [[[1.0]], [[0.0]], [[1.0]]]}
    outcome = play_out(scenario([one], 8.0, slots=(0.0, 2.0, 6.0), **links), Plan())
    assert delays_s(outcome, 0) == pytest.approx([9.0], abs=NEAR)
    assert [choice.assignments for choice in outcome.choices] == [((1,),), ((0,),), ((1,),)]
    assert [choice.expected_s[0] for choice in outcome.choices] == pytest.approx([5.0, 20.0, 5.0])


def test_what_waits_at_the_horizon_for_a_link_that_is_down_is_abandoned() -> None:
    one = user(chain([0], [1], 5), [[20.0, 0.0]], uploaded=[1])
    links = {"up_bytes_per_s": [[[1.0]], [[0.0]]]}
    outcome = play_out(scenario([one, on_server(1.0)], 4.5, slots=(0.0, 2.0), **links), Plan())
    assert outcome.finished[outcome.user == 0].tolist() == [False]
    assert outcome.weights[outcome.user == 0].tolist() == [0.0]
    assert outcome.abandoned_weights[outcome.user == 0] == pytest.approx([4.5 * ALWAYS])
    assert math.isnan(outcome.user_experienced_delay_s[0])
    assert len(delays_s(outcome, 1)) == 5


def test_what_needs_a_link_after_the_horizon_that_is_down_is_abandoned() -> None:
    # The result is ready at 6 s, after the horizon, and the downlink is down.
    one = user(chain([5], [1]), [[20.0, 6.0]], uploaded=[1])
    links = {"up_bytes_per_s": 1.0, "down_bytes_per_s": [[[1.0]], [[0.0]]]}
    outcome = play_out(scenario([one, on_server(0.25, 1.0)], 4.5, slots=(0.0, 2.0), **links), Plan())
    assert outcome.finished[outcome.user == 0].tolist() == [False]


def test_users_come_and_go() -> None:
    # User 0 is there from 2 to 7 s: queries of 3 s start within a second of 2 s, and the second one is abandoned at
    # 7 s. Its weights wait for it, until 2 s; they take 1 s. User 1 has the server to itself from then on.
    one = user(chain([0], [1]), [[1e3, 3.0]], [0.0, 1.0, 0.0], uploaded=None)
    two = on_server(2.0, ALWAYS)
    outcome = play_out(scenario([one, two], 20.0, slots=(0.0, 2.0, 7.0)), Plan((Upload(0, 1, (0,)),)))
    assert outcome.uploads == ((2.0, 3.0),)
    mine = outcome.user == 0
    assert 2.0 <= outcome.start_s[mine][0] < 3.0  # on its device, which would take 1000 s
    assert not outcome.finished[mine].any()
    assert outcome.until_s[mine].tolist() == [7.0]
    assert delays_s(outcome, 1) == pytest.approx([2.0] * 10, abs=NEAR)
    assert outcome.expected_frames[0] == 5.0


def test_an_abandoned_query_leaves_its_server() -> None:
    # Beside each other until 4 s: user 1 has done 2 of 6 s; then alone: at 8 s.
    leaving = on_server(100.0, [ALWAYS, 0.0])
    outcome = play_out(scenario([leaving, on_server(6.0)], 7.0, slots=(0.0, 4.0)), Plan())
    assert delays_s(outcome, 1) == pytest.approx([8.0], abs=NEAR)
    assert outcome.present_s[:, 1] == pytest.approx([4.0, 7.0], abs=NEAR)


def test_nothing_of_an_abandoned_query_goes_on() -> None:
    # It computes on the device until 3 s, and would then be on the server; its user leaves at 2 s.
    leaving = user(chain([0, 0], [1, 1]), [[3.0, 3.0], [1e3, 100.0]], [ALWAYS, 0.0], uploaded=[0, 1])
    outcome = play_out(scenario([leaving, on_server(6.0)], 5.0, slots=(0.0, 2.0)), Plan())
    assert outcome.choices[0].assignments[0] == (0, 1)
    assert delays_s(outcome, 1) == pytest.approx([6.0], abs=NEAR)


def test_a_new_rate_counts_from_the_last_start() -> None:
    # Every 100 s, then every second: after the new slot at 10 s, the next start is at once, as 1 s has long passed.
    outcome = play_out(scenario([on_server(0.1, [0.01, 1.0])], 12.5, slots=(0.0, 10.0)), Plan(), seed=0)
    late = [start for start in starts_s(outcome, 0) if start >= 10.0]
    assert late[0] == 10.0
    assert np.diff(late) == pytest.approx(1.0)


def test_once_begun_an_upload_goes_on_although_its_user_leaves() -> None:
    leaving = user(chain([0], [5]), [[1.0, 0.5]], [1.0, 0.0])
    outcome = play_out(scenario([leaving, on_server(1.0)], 10.0, slots=(0.0, 2.0)), Plan((Upload(0, 1, (0,)),)))
    assert outcome.uploads == ((0.0, 5.0),)


def test_an_upload_that_does_not_arrive_by_the_horizon_changes_nothing() -> None:
    outcome = play_out(scenario([user(chain([0], [9]), [[4.0, 0.5]])], 6.0), Plan((Upload(0, 1, (0,)),)))
    assert outcome.uploads == ((0.0, math.inf),)
    assert outcome.weight_bytes.tolist() == [6.0]
    assert delays_s(outcome, 0) == pytest.approx([4.0, 4.0], abs=NEAR)


def test_the_owner_chooses_first() -> None:
    # Alone on the server a query takes 2 s, beside the other one 4 s. User 1 has a device of 10 s, so that it comes
    # when its weights arrive; user 0, which chooses after it, then leaves for its device of 3 s.
    users = [user(chain([0], [1]), [[device_s, 2.0]]) for device_s in (3.0, 10.0)]
    outcome = play_out(scenario(users, 10.0), Plan((Upload(0, 1, (0,)), Upload(1, 1, (0,)))))
    assert [choice.assignments for choice in outcome.choices] == [((0,), (0,)), ((1,), (0,)), ((0,), (1,))]


def test_query_data_between_servers_share_the_senders_wire() -> None:
    # Two users on servers 1 and 2 send 2 bytes over wire 1: 4 s instead of 2 s each time, if they meet. Same course,
    # same start: always together. A third sends over wire 2 and is not in the way.
    def crossing(first: int, second: int) -> User:
        seconds = [[1e3, 0.0, 0.0], [1e3, 0.0, 0.0]]
        return user(chain([2, 0], [1, 1]), seconds, uploaded=[first, second])

    given = scenario([crossing(1, 2), crossing(1, 2), crossing(2, 1)], 3.0, servers=2, between_bytes_per_s=1.0)
    outcome = play_out(given, Plan())
    assert delays_s(outcome, 0) == pytest.approx([4.0], abs=NEAR)
    assert delays_s(outcome, 1) == pytest.approx([4.0], abs=NEAR)
    assert delays_s(outcome, 2) == pytest.approx([2.0, 2.0], abs=NEAR)


def test_a_plan_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="layer 0 was uploaded before"):
        play_out(scenario([on_server(1.0)], 1.0), Plan((Upload(0, 1, (0,)),)))
