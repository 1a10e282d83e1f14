"""Cells, wires and weights that move, in examples worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from dnnmig_env.scenarios.scenario import User
from dnnmig_env.scenarios.uplink import Uplink as Mode
from dnnmig_env.simulation.plan import Plan, Upload
from evaluate.truth.simulator.outcome import Outcome
from evaluate.truth.simulator.simulation import play_out
from tests.evaluate.truth.simulator.by_hand import ALWAYS, chain, scenario, user

NEAR = 1e-4
INF = float("inf")
SELDOM = 1e-6
HANDOVER: dict[str, Any] = {
    "up_bytes_per_s": [[[1.0, 0.0]], [[0.0, 1.0]]],
    "home": [[1], [2]],
    "slots": (0.0, 2.0),
    "moves": True,
    "servers": 2,
}
"""One user, who goes from cell 1 to cell 2 after 2 s, and reaches nothing but its home server."""


def owner(weights: list[int], rate_hz: Any = SELDOM, device_s: float = 1e3, **given: Any) -> User:
    """Return a user with a chain of layers that take half a second on servers, and nothing to send."""
    seconds = [[device_s, 0.5, 0.5]] * len(weights)
    return user(chain([0] * len(weights), weights), seconds, rate_hz, **given)


def sender(input_bytes: int, uploaded: int = 1, **given: Any) -> User:
    """Return a user who sends so many bytes to a server that takes no time, again and again."""
    return user(chain([0], [1], input_bytes), [[1e3, 0.0, 0.0]], ALWAYS, uploaded=[uploaded], **given)


def sent(outcome: Outcome) -> list[tuple[int, float, float]]:
    """Return source, start and end of every transfer; the end of one that was broken off is negative."""
    return [
        (one.source, one.start_s, -one.broken_off_s if one.broken_off_s < INF else one.end_s)
        for one in outcome.sendings
    ]


def delays_s(outcome: Outcome, of: int) -> list[float]:
    return [float(delay) for delay in outcome.delay_s[outcome.user == of]]


# --- cells ---


def test_two_users_in_two_cells_upload_side_by_side() -> None:
    users, plan = [owner([4]), owner([4])], Plan((Upload(0, 1, (0,)), Upload(1, 2, (0,))))
    assert play_out(scenario(users, 9.0, servers=2, home=[[1, 2]]), plan).uploads == ((0.0, 4.0), (0.0, 4.0))
    assert play_out(scenario(users, 9.0, servers=2, home=[[2, 2]]), plan).uploads == ((0.0, 4.0), (4.0, 8.0))
    assert play_out(scenario(users, 9.0, servers=2), plan).uploads == ((0.0, 4.0), (4.0, 8.0))


@pytest.mark.parametrize(("home", "each_s"), [([1, 2], 2.0), ([2, 2], 4.0)])
def test_query_data_meet_on_the_radio_only_in_the_same_cell(home: list[int], each_s: float) -> None:
    # Both send 2 bytes to server 1 all the time.
    outcome = play_out(scenario([sender(2), sender(2)], 7.0, servers=2, home=[home]), Plan())
    for one in (0, 1):
        assert delays_s(outcome, one) == pytest.approx([each_s] * (4 if each_s == 2.0 else 2), abs=NEAR)
    assert outcome.present_s[:, 3] == pytest.approx([7.0, 7.0], abs=NEAR)
    assert outcome.work[:, 3] == pytest.approx([7.0 * 2.0 / each_s] * 2, abs=NEAR)
    assert outcome.choices[0].expected_s == pytest.approx([each_s] * 2, abs=NEAR)


def test_a_result_comes_by_the_downlink_of_the_own_cell() -> None:
    # 2 bytes down, all the time.
    users = [user(chain([2], [1]), [[1e3, 0.0, 0.0]], uploaded=[1]) for _ in range(3)]
    outcome = play_out(scenario(users, 4.0, servers=2, home=[[1, 2, 2]]), Plan())
    assert [delays_s(outcome, one) for one in range(3)] == [pytest.approx([s] * n, abs=NEAR) for s, n in
                                                            ((2.0, 2), (4.0, 1), (4.0, 1))]  # fmt: skip


@pytest.mark.parametrize("mode", ["priority", "shared", "independent"])
def test_weights_give_way_only_to_data_of_their_cell(mode: Mode) -> None:
    # User 0 sends all the time in cell 1; user 1's weights go up in cell 2.
    given = scenario([sender(100), owner([4])], 20.0, servers=2, home=[[1, 2]], uplink=mode)
    outcome = play_out(given, Plan((Upload(1, 2, (0,)),)))
    assert outcome.uploads == ((0.0, pytest.approx(4.0)),)
    assert delays_s(outcome, 0) == pytest.approx([100.0], abs=NEAR)


# --- handover ---


def test_data_in_mid_upload_go_on_in_the_new_cell() -> None:
    # User 0 sends 6 bytes at 1 byte/s: 2 by 2 s. In cell 2 its rate is 4 bytes/s, of which user 1 leaves half: the last
    # 4 bytes take 2 s. User 1 has sent 2 bytes by 2 s. From then on user 0 is always beside it, and it takes 16 s for
    # the other 8.
    links = {"up_bytes_per_s": [[[1.0, 1.0], [1.0, 1.0]], [[4.0, 4.0], [1.0, 1.0]]], "home": [[1, 2], [2, 2]]}
    outcome = play_out(scenario([sender(6), sender(10)], 8.0, servers=2, slots=(0.0, 2.0), **links), Plan())
    assert delays_s(outcome, 0) == pytest.approx([4.0, 3.0, 3.0], abs=NEAR)
    assert delays_s(outcome, 1) == pytest.approx([18.0], abs=NEAR)
    assert outcome.work[0, 3] == pytest.approx(6.0 + 6.0 + 2.0, abs=NEAR)


def test_weights_in_mid_upload_join_the_end_of_the_new_cells_queue() -> None:
    # User 0 has sent 2 of 6 bytes at 2 s, when it comes to cell 2. User 1 is under way there until 5 s; then the other
    # 4 bytes go, until 9 s. What is to follow in cell 2 waits for both. Cell 1 is idle.
    users = [owner([6]), owner([5]), owner([1]), owner([1])]
    plan = Plan((Upload(0, 1, (0,)), Upload(1, 2, (0,)), Upload(2, 2, (0,)), Upload(3, 1, (0,))))
    given = scenario(users, 20.0, servers=2, slots=(0.0, 2.0), home=[[1, 2, 2, 1], [2, 2, 2, 1]])
    assert play_out(given, plan).uploads == ((0.0, 9.0), (0.0, 5.0), (9.0, 10.0), (2.0, 3.0))


def test_a_query_that_needs_a_server_out_of_reach_is_abandoned_and_the_next_one_follows() -> None:
    # 5 bytes to server 1: 2 by 2 s, when it is out of reach. The next query sends 5 to the copy on server 2.
    one = sender(5, copies=[[False, True]])
    outcome = play_out(scenario([one], 7.5, **HANDOVER), Plan())
    assert outcome.start_s == pytest.approx([0.0, 2.0, 7.0], abs=NEAR)
    assert outcome.finished.tolist() == [False, True, True]
    assert outcome.delay_s[1:] == pytest.approx([5.0, 5.0], abs=NEAR)
    assert [choice.assignments for choice in outcome.choices] == [((1,),), ((2,),)]
    # Every 3 s, the next one is due at 3 s after the last start. Without a copy it runs on the device.
    alone = user(chain([0], [1], 5), [[50.0, 0.0, 0.0]], 1 / 3, uploaded=[1])
    outcome = play_out(scenario([alone], 7.5, **HANDOVER), Plan(), seed=1)
    assert 0.0 < outcome.start_s[0] < 2.0
    assert outcome.start_s[1] == pytest.approx(outcome.start_s[0] + 3.0)
    assert outcome.finished.tolist() == [False, True]
    assert outcome.delay_s[1] == pytest.approx(50.0)
    # Where weights do not move, it waits for the link.
    waits = play_out(scenario([sender(5)], 7.5, **{**HANDOVER, "moves": False}), Plan())
    assert waits.finished.tolist() == [False]
    assert waits.start_s == pytest.approx([0.0], abs=NEAR)


def test_weights_follow_over_the_wire() -> None:
    # 1 byte by radio until 1 s. At handover, by wire at 2 bytes/s: half a second. At 0.5 bytes/s the radio is faster.
    one, plan = owner([1], ALWAYS, 10.0), Plan((Upload(0, 1, (0,)), Upload(0, 2, (0,), 2.0)))
    assert sent(play_out(scenario([one], 9.0, between_bytes_per_s=2.0, **HANDOVER), plan)) == [
        (0, 0.0, 1.0),
        (1, 2.0, 2.5),
    ]
    assert sent(play_out(scenario([one], 9.0, between_bytes_per_s=0.5, **HANDOVER), plan)) == [
        (0, 0.0, 1.0),
        (0, 2.0, 3.0),
    ]
    # Sent ahead, as soon as server 1 has it.
    ahead = play_out(
        scenario([one], 9.0, between_bytes_per_s=2.0, **HANDOVER), Plan((Upload(0, 1, (0,)), Upload(0, 2, (0,))))
    )
    assert sent(ahead) == [(0, 0.0, 1.0), (1, 1.0, 1.5)]
    assert [(choice.time_s, choice.assignments[0]) for choice in ahead.choices] == [
        (0.0, (0,)), (1.0, (1,)), (1.5, (1,)), (2.0, (2,))]  # fmt: skip


def test_radio_and_wire_carry_weights_of_one_user_at_the_same_time() -> None:
    # Layer 0 is on server 1 and goes over the wire, layer 1 by radio, both to server 2; layer 2 waits for the radio.
    one = owner([4, 3, 2], uploaded=[1, 0, 0])
    plan = Plan(tuple(Upload(0, 2, (layer,)) for layer in range(3)))
    given = scenario([one], 9.0, servers=2, between_bytes_per_s=2.0, moves=True)
    assert sent(play_out(given, plan)) == [(1, 0.0, 2.0), (0, 0.0, 3.0), (0, 3.0, 5.0)]


@pytest.mark.parametrize(("mode", "ends"), [("priority", 1), ("shared", 2), ("independent", 3)])
def test_a_copy_goes_over_a_wire_that_query_data_use(mode: Mode, ends: int) -> None:
    # From some moment f within 4 s on, user 0 sends 2 bytes from server 1 to server 2 every 4 s. User 1's 4 bytes take
    # the same wire. Priority: they stand still for 2 s twice: 8 s. Shared: 2 bytes of data take 4 s beside them, in
    # which 2 bytes of weights go. So f + 2 bytes have gone when the second query comes, and the other 2 - f take twice
    # as many seconds: f + 4 + 2 * (2 - f).
    crossing = user(chain([2, 0], [1, 1]), [[1e3, 0.0, 0.0]] * 2, 0.25, uploaded=[1, 2])
    links = {"up_bytes_per_s": 0.1, "between_bytes_per_s": 1.0}
    given = scenario([crossing, owner([4], uploaded=[1])], 30.0, servers=2, uplink=mode, moves=True, **links)
    outcome = play_out(given, Plan((Upload(1, 2, (0,)),)), seed=1)
    first_s = float(outcome.start_s[outcome.user == 0][0])
    assert 1.0 < first_s < 2.0
    assert sent(outcome) == [(1, 0.0, pytest.approx({1: 8.0, 2: 8.0 - first_s, 3: 4.0}[ends]))]
    assert delays_s(outcome, 0)[0] == pytest.approx(4.0 if mode == "shared" else 2.0)
    assert outcome.weight_bytes == pytest.approx([0.0, 4.0])


# --- what is lost, and what is dropped ---


def test_what_is_on_its_way_to_someone_who_leaves_is_broken_off() -> None:
    # 3 of 4 bytes are lost. Only then has the server room for the others'.
    users, plan = [owner([4], [1.0, 0.0]), owner([4])], Plan((Upload(0, 1, (0,)), Upload(1, 1, (0,))))
    given = {"servers": 2, "slots": (0.0, 3.0), "memory_bytes": 4.0, "home": [[1, 2]] * 2, "moves": True}
    outcome = play_out(scenario(users, 10.0, **given), plan)
    assert sent(outcome) == [(0, 0.0, -3.0), (0, 3.0, 7.0)]
    assert [one.sent_bytes for one in outcome.sendings] == [3.0, 4.0]
    assert outcome.uploads == ((0.0, INF), (3.0, 7.0))
    assert outcome.weight_bytes.tolist() == [3.0, 4.0]


def test_what_the_radio_cannot_reach_any_more_is_broken_off_and_others_follow() -> None:
    plan = Plan((Upload(0, 1, (0,)), Upload(0, 2, (0,))))
    outcome = play_out(scenario([owner([5])], 9.0, between_bytes_per_s=0.0, **HANDOVER), plan)
    assert sent(outcome) == [(0, 0.0, -2.0), (0, 2.0, 7.0)]
    # Over a wire it goes on.
    wire = play_out(scenario([owner([5], uploaded=[1])], 9.0, **HANDOVER), Plan((Upload(0, 2, (0,)),)))
    assert sent(wire) == [(1, 0.0, pytest.approx(5 / 1.25e8))]


def test_room_is_made_of_what_the_gone_left_and_then_of_what_is_at_home_as_well() -> None:
    # Server 2 is full. At first 1 byte could be dropped, bob's copy of what his home has; cid needs 2. At 5 s ann has
    # left, and hers goes as well. That concerns bob, so that users choose.
    ann, bob = owner([1], [1.0, 0.0], uploaded=[2]), owner([1, 1], 1.0, uploaded=[1, 2], copies=[[0, 1], [0, 0]])
    plan = Plan((Upload(2, 2, (0,)),))
    given = {"servers": 2, "slots": (0.0, 5.0), "memory_bytes": 3.0, "moves": True, "home": [[2, 1, 2]] * 2}
    outcome = play_out(scenario([ann, bob, owner([2])], 9.0, **given), plan)
    assert sent(outcome) == [(0, 5.0, 7.0)]
    assert [(choice.time_s, choice.assignments[1]) for choice in outcome.choices] == [
        (0.0, (1, 2)), (5.0, (1, 2)), (5.0, (1, 2)), (7.0, (1, 2))]  # fmt: skip
    # Nothing is dropped as long as that would not do, nor what only this server has.
    full = play_out(scenario([ann, bob, owner([3])], 9.0, **given), plan)
    assert (sent(full), len(full.choices)) == ([], 2)


def test_who_runs_on_a_copy_that_is_dropped_goes_where_the_layer_is_still() -> None:
    # Bob comes from cell 2 to cell 1 and, as both servers are as fast, stays on server 2, until cid needs the room.
    bob, plan = owner([2], ALWAYS, uploaded=[1], copies=[[0, 1]]), Plan((Upload(1, 2, (0,), 3.0),))
    given = {"servers": 2, "slots": (0.0, 2.0), "memory_bytes": 2.0, "moves": True, "home": [[2, 2], [1, 2]]}
    outcome = play_out(scenario([bob, owner([2])], 9.0, **given), plan)
    assert sent(outcome) == [(0, 3.0, 5.0)]
    assert [(choice.time_s, choice.assignments[0]) for choice in outcome.choices] == [
        (0.0, (2,)),
        (2.0, (2,)),
        (3.0, (1,)),
        (5.0, (1,)),
    ]
