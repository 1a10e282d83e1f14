"""What moves: handovers, cold starts, bytes by radio and by wire, bytes sent in vain, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, Upload, plan_of
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.moves import Moves
from dnnmig_env.simulation.timelines.moves import moves_of as made_of
from tests.hand_made import MB, two_servers, user


def handover(*, layers: list[float] | None = None, wire_mb_per_s: float = 2.0, **given: Any) -> Scenario:
    """Ann goes from cell 1 to cell 2 at 6 s. She reaches the server at home only, by radio at 1 MB/s.

    Her one layer of 4 MB takes 1 s on her device and no time on a server.
    """
    home = [[1], [2], [2]]
    up = [[[float(server == cell) for server in (1, 2)] for cell in row] for row in home]
    return two_servers(
        [user("ann", layers or [4], **given)],
        up_mb_per_s=up,
        wire_mb_per_s=wire_mb_per_s,
        home=home,
        slot_starts_s=(0.0, 6.0, 10.0),
        horizon_s=12.0,
        uplink="independent",
        moves=True,
    )


def moves_of(scenario: Scenario, plan: Plan) -> Moves:
    moves = simulate(scenario, plan).moves
    assert moves is not None
    return moves


def test_a_cold_start_by_hand() -> None:
    # By radio from 0 to 4, by wire from 6 on, when it is in the plan, to 8: on the device until 4 and from 6 to 8.
    plan = Plan((Upload(0, 1, (0,)), Upload(0, 2, (0,), not_before_s=6.0)))
    moves = moves_of(handover(), plan)
    assert (moves.handovers, moves.cold_starts) == (1, 1)
    assert (moves.radio_bytes, moves.wire_bytes, moves.vain_bytes) == (4 * MB, 4 * MB, 0.0)
    assert moves.on_device_share == pytest.approx((4 + 2) / 12)
    assert moves.figures() == {
        "handovers": 1.0,
        "cold_start_share": 1.0,
        "radio_bytes": 4e6,
        "wire_bytes": 4e6,
        "vain_bytes": 0.0,
        "on_device_share": pytest.approx(0.5),
        "handover_queries_per_s": pytest.approx(1.0),
    }


def test_queries_just_after_a_handover_by_hand() -> None:
    # A query takes 1 s on the device, from 6 to 8, and no time after that: then the next one waits for its 0.25 s.
    plan = Plan((Upload(0, 1, (0,)), Upload(0, 2, (0,), not_before_s=6.0)))
    moves = moves_of(handover(query_rate_hz=4.0), plan)
    assert (moves.handover_s, moves.handover_queries) == (pytest.approx(6.0), pytest.approx(2 * 1 + 4 * 4))
    assert moves.figures()["handover_queries_per_s"] == pytest.approx(3.0)
    leaves = moves_of(handover(query_rate_hz=[4.0, 4.0, 0.0]), plan)
    assert (leaves.handover_s, leaves.handover_queries) == (pytest.approx(4.0), pytest.approx(2 * 1 + 2 * 4))


def test_time_after_a_handover_ends_with_the_next_one_or_after_ten_seconds() -> None:
    home = [[1], [2], [1], [1]]
    up = [[[float(server == cell) for server in (1, 2)] for cell in row] for row in home]
    scenario = two_servers(
        [user("ann", [4])], up_mb_per_s=up, home=home, slot_starts_s=(0.0, 6.0, 8.0, 10.0), horizon_s=30.0, moves=True
    )
    moves = moves_of(scenario, Plan())
    assert (moves.handovers, moves.handover_s) == (2, pytest.approx(2 + 10))


@pytest.mark.parametrize("wire_mb_per_s", [4.0, 2.0])
def test_what_is_there_before_or_just_when_its_user_comes_makes_a_warm_start(wire_mb_per_s: float) -> None:
    # By wire from 4 to 5, or to 6, the very moment of the handover.
    moves = moves_of(handover(wire_mb_per_s=wire_mb_per_s), plan_of([(0, 0, 1), (0, 0, 2)]))
    assert (moves.handovers, moves.cold_starts) == (1, 0)
    assert (moves.radio_bytes, moves.wire_bytes, moves.vain_bytes) == (4 * MB, 4 * MB, 0.0)
    assert moves.on_device_share == pytest.approx(4 / 12)


def test_what_is_broken_off_was_sent_in_vain() -> None:
    # At 0.5 MB/s, 3 MB have passed the wire when Ann leaves at 10. She is there for 10 s, and served from 4 to 6.
    scenario = handover(wire_mb_per_s=0.5, query_rate_hz=[1.0, 1.0, 0.0])
    timeline = simulate(scenario, plan_of([(0, 0, 1), (0, 0, 2)]))
    (lost,) = timeline.uploads[1].transfers
    assert (lost.source, lost.start_s, lost.stop_s, lost.sent_bytes, lost.arrives) == (1, 4.0, 10.0, 3 * MB, False)
    moves = moves_of(scenario, plan_of([(0, 0, 1), (0, 0, 2)]))
    assert (moves.radio_bytes, moves.wire_bytes, moves.vain_bytes) == (4 * MB, 3 * MB, 3 * MB)
    assert moves.on_device_share == pytest.approx(8 / 10)


def test_bytes_that_were_broken_off_are_lost_even_if_others_bring_the_layer() -> None:
    # As if the wire had been broken off, and the partition completed by another upload of the same layer.
    timeline = simulate(handover(wire_mb_per_s=4.0), plan_of([(0, 0, 1), (0, 0, 2)]))
    whole = timeline.uploads[1]
    broken = replace(whole, transfers=(replace(whole.transfers[0], sent_bytes=3.0 * MB, arrives=False),))
    events = timeline.event_time_s, timeline.event_assignment, timeline.present, timeline.usage.started
    for upload, expected in [(whole, 0.0), (broken, 3.0 * MB)]:
        assert made_of(timeline.scenario, (timeline.uploads[0], upload), *events).vain_bytes == expected


def test_a_radio_transfer_is_broken_off_where_its_server_gets_out_of_reach() -> None:
    # From 4 s on, so that 2 of 4 MB are sent by 6.
    plan = Plan((Upload(0, 1, (0,), not_before_s=4.0),))
    (lost,) = simulate(handover(), plan).uploads[0].transfers
    assert (lost.source, lost.start_s, lost.stop_s, lost.sent_bytes, lost.arrives) == (0, 4.0, 6.0, 2 * MB, False)
    moves = moves_of(handover(), plan)
    assert (moves.radio_bytes, moves.wire_bytes, moves.vain_bytes) == (2 * MB, 0.0, 2 * MB)


def test_what_arrives_but_is_never_run_was_sent_in_vain() -> None:
    # A copy for cell 2 that Ann, who stays away from 6 s on, never uses.
    scenario = handover(wire_mb_per_s=4.0, query_rate_hz=[1.0, 0.0, 0.0])
    moves = moves_of(scenario, plan_of([(0, 0, 1), (0, 0, 2)]))
    assert (moves.handovers, moves.cold_starts) == (0, 0)
    assert math.isnan(moves.figures()["cold_start_share"])
    assert moves.vain_bytes == 4 * MB
    assert moves.on_device_share == pytest.approx(4 / 6)


def test_a_partition_of_which_a_part_was_there_is_not_in_vain() -> None:
    # The second of two layers of 4 MB is on server 1; the partition is complete when the first has come.
    scenario = handover(layers=[4, 4], uploaded=[0, 1])
    timeline = simulate(scenario, Plan((Upload(0, 1, (1, 0)),)))
    assert timeline.uploads[0].end_s == 4.0
    assert [each.source for each in timeline.uploads[0].transfers] == [-1, 0]
    moves = moves_of(scenario, Plan((Upload(0, 1, (1, 0)),)))
    assert (moves.radio_bytes, moves.vain_bytes) == (4 * MB, 0.0)


def test_a_handover_needs_its_user_before_and_after() -> None:
    for rates, expected in [([1.0, 0.0, 1.0], 0), ([0.0, 1.0, 1.0], 0), ([1.0, 1.0, 0.0], 1)]:
        assert moves_of(handover(query_rate_hz=rates), Plan()).handovers == expected


def test_where_all_share_one_channel_nothing_moves() -> None:
    scenario = two_servers([user("ann", [4])], horizon_s=12.0)
    timeline = simulate(scenario, plan_of([(0, 0, 1)]))
    assert (timeline.moves.handovers, timeline.moves.wire_bytes, timeline.moves.radio_bytes) == (0, 0.0, 4 * MB)
    assert "handovers" not in timeline.figures()
    assert "handovers" in simulate(handover(), Plan()).figures()


def test_several_lanes_have_no_cold_start_of_one_channel() -> None:
    timeline = simulate(handover(), plan_of([(0, 0, 1)]))
    assert math.isnan(timeline.cold_start_delay_s[0])
    assert math.isnan(timeline.serial_cold_start_delay_s[0])
    assert math.isnan(timeline.migration_delay_s)
