"""The oracle itself: examples worked out by hand, and laws that hold whatever the kernel does."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from dnnmig_env.scenarios.scenario import Links, Scenario
from dnnmig_env.scenarios.uplink import Uplink
from dnnmig_env.simulation.plan import Plan, Upload, plan_of
from tests.hand_made import MB, two_servers, user
from tests.oracle import Outcome, simulate
from tests.oracle_queries import cell, link, rate_hz, slot_at
from tests.strategies import MOVING, Sizes, cases, moving_cases, random_moving_case

FEW = settings(max_examples=40)
SLACK = 1e-9  # for rounding


# --- examples ---


def times(outcome: Outcome) -> list[tuple[int | None, float, float]]:
    """Return source, start and end of every transfer."""
    return [(one.source, one.start_s, one.end_s) for one in outcome.transfers]


def test_two_cells_send_side_by_side() -> None:
    # 2 MB at 1 MB/s take 2 s. Each user waits 1 s for a query before, and 0 s after. One query per second, 10 s.
    users = [user("ann", [2.0]), user("bob", [2.0])]
    plan = plan_of([(0, 0, 1), (1, 0, 2)])
    apart = simulate(two_servers(users, home=[[1, 2]], horizon_s=10.0), plan)
    assert times(apart) == [(0, 0.0, 2.0), (0, 0.0, 2.0)]
    assert apart.mean_delay_s == pytest.approx((2 + 2) / 20)
    assert {sent.lane for sent in apart.sent} == {("uplink", 1), ("uplink", 2)}
    together = simulate(two_servers(users, horizon_s=10.0), plan)
    assert times(together) == [(0, 0.0, 2.0), (0, 2.0, 4.0)]
    assert together.mean_delay_s == pytest.approx((2 + 4) / 20)


def test_data_meet_at_the_radio_only_in_the_same_cell() -> None:
    # 0.5 MB at 1 MB/s: a query alone takes 0.5 s, and one starts every second. In one cell, ann picks first and finds
    # nobody: 0.5 s, present 0.5. Bob finds 0.5: 0.5 * 1.5 = 0.75 s. Two sweeps: ann 0.5 * 1.75 = 0.875, bob
    # 0.5 * 1.875 = 0.9375; ann 0.5 * 1.9375 = 0.96875, bob 0.5 * 1.96875 = 0.984375.
    users = [
        user(name, [2.0], input_mb=0.5, uploaded=[s], profile_s=[9.0, 0, 0]) for name, s in (("ann", 1), ("bob", 2))
    ]
    assert simulate(two_servers(users, home=[[1, 2]], horizon_s=10.0), Plan()).curve == [(0.0, [0.5, 0.5])]
    assert simulate(two_servers(users, home=[[2, 2]], horizon_s=10.0), Plan()).curve == [(0.0, [0.96875, 0.984375])]


HANDOVER: dict[str, Any] = {
    "up_mb_per_s": [[[1.0, 0.0]], [[0.0, 1.0]]],
    "home": [[1], [2]],
    "slot_starts_s": [0.0, 10.0],
    "horizon_s": 20.0,
    "moves": True,
}


def test_weights_follow_over_the_wire_at_handover() -> None:
    # By radio to server 1: 4 MB at 1 MB/s, 4 s. From 10 s on it is out of reach, and queries take 1 s again until the
    # copy is there. From server 1 by wire at 2 MB/s: 2 s; by radio it would take 4 s.
    ann = user("ann", [4.0])
    plan = Plan((Upload(0, 1, (0,)), Upload(0, 2, (0,), 10.0)))
    outcome = simulate(two_servers([ann], wire_mb_per_s=2.0, **HANDOVER), plan)
    assert times(outcome) == [(0, 0.0, 4.0), (1, 10.0, 12.0)]
    assert outcome.curve == [(0.0, [1.0]), (4.0, [0.0]), (10.0, [1.0]), (12.0, [0.0])]
    assert outcome.mean_delay_s == pytest.approx((4 + 2) / 20)
    assert outcome.memory_bytes == [[0.0, 0.0], [4 * MB, 0.0], [4 * MB, 0.0], [4 * MB, 4 * MB]]
    # A wire of 0.5 MB/s would take 8 s: the radio sends.
    slow = simulate(two_servers([ann], wire_mb_per_s=0.5, **HANDOVER), plan)
    assert times(slow) == [(0, 0.0, 4.0), (0, 10.0, 14.0)]
    # Sent ahead, as soon as server 1 holds it: nothing is lost at handover.
    ahead = simulate(two_servers([ann], wire_mb_per_s=2.0, **HANDOVER), plan_of([(0, 0, 1), (0, 0, 2)]))
    assert times(ahead) == [(0, 0.0, 4.0), (1, 4.0, 6.0)]
    assert ahead.curve == [(0.0, [1.0]), (4.0, [0.0]), (6.0, [0.0]), (10.0, [0.0])]
    assert ahead.assignments == [[{0: 0}], [{0: 1}], [{0: 1}], [{0: 2}]]


def test_what_is_on_its_way_to_a_user_who_leaves_is_lost() -> None:
    # Ann leaves after 3 of 4 s: 3 MB are lost. Only then has the server room for bob's 4 MB.
    users = [user("ann", [4.0], query_rate_hz=[1.0, 0.0]), user("bob", [4.0])]
    scenario = two_servers(users, memory_mb=(4.0, 4.0), slot_starts_s=[0.0, 3.0], horizon_s=10.0, moves=True)
    plan = plan_of([(0, 0, 1), (1, 0, 1)])
    outcome = simulate(scenario, plan)
    assert times(outcome) == [(0, 0.0, math.inf), (0, 3.0, 7.0)]
    assert [one.sent_bytes for one in outcome.transfers] == [3 * MB, 4 * MB]
    assert [one.broken_off_s for one in outcome.transfers] == [3.0, math.inf]
    assert [time_s for time_s, _ in outcome.curve] == [0.0, 3.0, 7.0]
    assert outcome.memory_bytes == [[0.0, 0.0], [0.0, 0.0], [4 * MB, 0.0]]
    # Where weights do not move, it goes on to its last byte.
    roomy = replace(scenario, moves=False, servers=tuple(replace(s, memory_bytes=math.inf) for s in scenario.servers))
    assert times(simulate(roomy, plan)) == [(0, 0.0, 4.0), (0, 4.0, 8.0)]


def test_what_the_radio_cannot_reach_any_more_is_lost() -> None:
    # After 10 s server 1 is out of reach: 10 of 12 MB are lost. The other transfer takes the lane then.
    outcome = simulate(two_servers([user("ann", [12.0])], **HANDOVER), plan_of([(0, 0, 1), (0, 0, 2)]))
    assert times(outcome) == [(0, 0.0, math.inf), (0, 10.0, math.inf)]
    assert [one.sent_bytes for one in outcome.transfers] == [10 * MB, 10 * MB]
    assert [one.broken_off for one in outcome.transfers] == [True, False]


def test_room_is_made_of_what_the_gone_left_and_of_what_is_at_home_as_well() -> None:
    # Server 2 is full: ann's layer, bob's layer 0, which his home server 1 holds as well, and bob's layer 1, which only
    # server 2 holds. Cid needs 2 MB there. At first 1 MB could be dropped, which is not enough, so nothing is. At 5 s
    # ann has left: what is hers goes first, then bob's copy. Bob's queries run on server 1 and 2 all the time.
    ann = user("ann", [1.0], query_rate_hz=[1.0, 0.0], uploaded=[2])
    bob = user("bob", [1.0, 1.0], uploaded=[1, 2], copies=[[False, True], [False, False]])
    cid = user("cid", [2.0])
    given: dict[str, Any] = {"slot_starts_s": [0.0, 5.0], "horizon_s": 10.0, "moves": True, "home": [[2, 1, 2]] * 2}
    outcome = simulate(two_servers([ann, bob, cid], memory_mb=(9.0, 3.0), **given), plan_of([(2, 0, 2)]))
    assert times(outcome) == [(0, 5.0, 7.0)]
    assert outcome.dropped == [(5.0, 0, 0, 2), (5.0, 1, 0, 2)]
    assert [time_s for time_s, _ in outcome.curve] == [0.0, 5.0, 5.0, 7.0]
    assert outcome.memory_bytes == [[1 * MB, 3 * MB]] * 4
    assert [assignments[1] for assignments in outcome.assignments] == [{0: 1, 1: 2}] * 4
    # 1 MB is there without bob's copy.
    light = simulate(two_servers([ann, bob, user("cid", [1.0])], memory_mb=(9.0, 3.0), **given), plan_of([(2, 0, 2)]))
    assert light.dropped == [(0.0, 1, 0, 2)]


def test_of_those_who_left_the_one_absent_longest_loses_first() -> None:
    # Ann left after bob, so his layers go first, in the order in which they arrived: 1 before 0. Ann's further layer,
    # which comes first in the plan, keeps no lane from cid's, because she has left.
    ann = user("ann", [1.0, 1.0], uploaded=[1, 0], query_rate_hz=[1.0, 1.0, 0.0, 0.0])
    bob = user("bob", [1.0, 1.0], query_rate_hz=[1.0, 0.0, 0.0, 0.0])
    cid = user("cid", [1.5, 1.0], query_rate_hz=[0.0, 0.0, 0.0, 1.0])
    scenario = two_servers(
        [ann, bob, cid], memory_mb=(3.0, 9.0), slot_starts_s=[0.0, 3.0, 4.0, 5.0], horizon_s=10.0, moves=True
    )
    hers, others = Upload(0, 2, (1,), 4.5), plan_of([(1, 1, 1), (1, 0, 1), (2, 0, 1), (2, 1, 1)]).uploads
    outcome = simulate(scenario, Plan((*others[:2], hers, *others[2:])))
    assert times(outcome)[:2] == [(0, 0.0, 1.0), (0, 1.0, 2.0)]
    assert times(outcome)[2:] == [(None, math.inf, math.inf), (0, 5.0, 6.5), (0, 6.5, 7.5)]
    # 1.5 MB need the room of two layers; 0.5 MB are left then, and 1 MB needs that of one more.
    assert outcome.dropped == [(5.0, 1, 1, 1), (5.0, 1, 0, 1), (6.5, 0, 0, 1)]


def test_a_user_whose_copy_is_dropped_runs_its_layer_at_home() -> None:
    # From 1 s on ann is at home at server 2, but server 1, which is as fast, goes on. At 2 s it needs room for bob.
    ann = user("ann", [1.0], uploaded=[1], copies=[[False, True]])
    scenario = two_servers(
        [user("bob", [1.0]), ann],
        memory_mb=(1.0, 9.0),
        home=[[1, 1], [1, 2]],
        slot_starts_s=[0.0, 1.0],
        horizon_s=4.0,
        moves=True,
    )
    outcome = simulate(scenario, Plan((Upload(0, 1, (0,), 2.0),)))
    assert outcome.dropped == [(2.0, 1, 0, 1)]
    assert outcome.curve == [(0.0, [1.0, 0.0]), (1.0, [1.0, 0.0]), (2.0, [1.0, 0.0]), (3.0, [0.0, 0.0])]
    assert [assignments[1] for assignments in outcome.assignments] == [{0: 1}, {0: 1}, {0: 2}, {0: 2}]


@pytest.mark.parametrize(
    ("uplink", "end_s", "delays_s"), [("priority", 1.0, [0.1, 0.1]), ("shared", 1.08, [0.1, 0.2, 0.2, 0.1])]
)
def test_weights_give_way_on_a_wire(uplink: Uplink, end_s: float, delays_s: list[float]) -> None:
    # Every second a query sends 0.1 MB from server 1 to server 2 at 1 MB/s: the wire is busy 0.1 of the time. By
    # priority 0.9 MB of weights take 0.9 / 0.9 = 1 s. If they share the wire, data take twice as long and are there 0.2
    # of the time: the weights take 0.9 * 1.2 = 1.08 s.
    ann = user("ann", [1.0, 1.0, 0.9], output_mb=0.1, uploaded=[1, 2, 1])
    scenario = two_servers([ann], up_mb_per_s=0.1, uplink=uplink, horizon_s=10.0, moves=True)
    outcome = simulate(scenario, plan_of([(0, 2, 2)]))
    assert times(outcome)[0] == pytest.approx((1, 0.0, end_s))
    assert [delays[0] for _, delays in outcome.curve] == pytest.approx(delays_s)


@pytest.mark.parametrize("moves", [False, True])
def test_a_transfer_waits_in_the_cell_into_which_its_user_goes(moves: bool) -> None:
    # Ann has sent 1 of 3 MB when she comes into bob's cell. His transfer is first until 3 s, then her 2 MB go on.
    scenario = two_servers(
        [user("ann", [3.0]), user("bob", [3.0])],
        home=[[1, 2], [2, 2]],
        slot_starts_s=[0.0, 1.0],
        horizon_s=10.0,
        moves=moves,
    )
    outcome = simulate(scenario, plan_of([(0, 0, 1), (1, 0, 2)]))
    assert times(outcome) == [(0, 0.0, 5.0), (0, 0.0, 3.0)]
    lanes = [(sent.lane, sent.from_s, sent.until_s) for sent in outcome.sent if sent.transfer.user == 0]
    assert lanes == [(("uplink", 1), 0.0, 1.0), (("uplink", 2), 3.0, 5.0)]


def test_items_keep_the_lane_they_want_from_later_ones_only() -> None:
    # Ann's second item waits for 3 s, and keeps the uplink from bob's until then; the wire is free for her first.
    users = [user("ann", [1.0, 2.0], uploaded=[1, 0]), user("bob", [1.0])]
    plan = Plan((Upload(0, 2, (1,), 3.0), Upload(0, 2, (0,)), Upload(1, 1, (0,))))
    scenario = two_servers(users, up_mb_per_s=1.0, wire_mb_per_s=2.0, horizon_s=10.0, moves=True)
    assert times(simulate(scenario, plan)) == [(0, 3.0, 5.0), (1, 0.0, 0.5), (0, 5.0, 6.0)]


def test_the_source_that_ends_first_sends() -> None:
    # All on server 1: by wire at 2 MB/s, by radio at 1 MB/s. The first 4 MB take 2 s by wire. The next 4 MB would end
    # at 4 s either way, and the device comes first. The last 1 MB would end at 2.5 s by wire and at 5 s by radio: it
    # waits for the wire.
    ann = user("ann", [4.0, 4.0, 1.0], uploaded=[1, 1, 1])
    scenario = two_servers([ann], wire_mb_per_s=2.0, horizon_s=10.0, moves=True)
    outcome = simulate(scenario, plan_of([(0, 0, 2), (0, 1, 2), (0, 2, 2)]))
    assert times(outcome) == [(1, 0.0, 2.0), (0, 0.0, 4.0), (1, 2.0, 2.5)]


def test_a_layer_runs_at_home_or_else_where_it_arrived_last() -> None:
    # At time 0 `uploaded` counts as the latest. In the second slot ann is at home in the cell of server 2, in the third
    # she is in no server's reach, in the last in reach of server 2 only.
    up = [[[1.0, 1.0]], [[1.0, 1.0]], [[0.0, 0.0]], [[0.0, 1.0]]]
    ann = user("ann", [1.0], uploaded=[1], copies=[[False, True]])
    given: dict[str, Any] = {"up_mb_per_s": up, "slot_starts_s": [0.0, 1.0, 2.0, 3.0], "horizon_s": 4.0, "moves": True}
    outcome = simulate(two_servers([ann], **given), Plan())
    assert [assignments[0][0] for assignments in outcome.assignments] == [1, 1, 0, 2]
    outcome = simulate(two_servers([ann], home=[[1], [2], [2], [1]], **given), Plan())
    # A present assignment that is as fast stays: at the second slot layer 0 could run at home on server 2.
    assert [assignments[0][0] for assignments in outcome.assignments] == [1, 1, 0, 2]
    swift = replace(ann, profile_s=[1.0, 0.5, 0.0])
    outcome = simulate(two_servers([swift], home=[[1], [2], [2], [1]], **given), Plan())
    assert [assignments[0][0] for assignments in outcome.assignments] == [1, 2, 0, 2]


# --- laws ---


class History:
    """When which server held what, put together from what a run reports."""

    def __init__(self, scenario: Scenario, outcome: Outcome) -> None:
        self.scenario, self.outcome = scenario, outcome
        self.changes: dict[tuple[int, int, int], list[tuple[float, int]]] = {}
        for u, owner in enumerate(scenario.users):
            for v, first in enumerate(np.asarray(owner.uploaded)):
                for server in range(1, len(scenario.servers) + 1):
                    if first == server or (owner.copies is not None and np.asarray(owner.copies)[v, server - 1]):
                        self.changes[u, v, server] = [(-1.0, 1)]
        for one in outcome.transfers:
            held_s = max(one.end_s, outcome.uploads[one.upload][1])
            if held_s < math.inf:
                self.changes.setdefault(one.copy, []).append((held_s, 1))
        for time_s, *copy in outcome.dropped:
            self.changes[copy[0], copy[1], copy[2]].append((time_s, -1))

    def holds(self, u: int, v: int, server: int, time_s: float) -> bool:
        return sum(change for at_s, change in self.changes.get((u, v, server), []) if at_s <= time_s) > 0

    def memory_changes(self, server: int) -> list[tuple[float, float]]:
        """Return times and bytes; at the same time, what becomes free before what is taken."""
        changes = [
            (-1.0, self.size_bytes(copy[0], copy[1]))
            for copy, times in self.changes.items()
            if copy[2] == server and times[0][0] < 0
        ]
        for one in self.outcome.transfers:
            if one.server == server and one.source is not None:
                changes.append((one.start_s, one.weight_bytes))
                changes += [(one.broken_off_s, -one.weight_bytes)] if one.broken_off else []
        changes += [(time_s, -self.size_bytes(u, v)) for time_s, u, v, at in self.outcome.dropped if at == server]
        return sorted(changes)

    def size_bytes(self, u: int, v: int) -> float:
        return float(self.scenario.users[u].graph.weight_bytes[v])


@FEW
@given(moving_cases())
def test_bytes_sent_have_arrived_or_are_in_flight_or_are_lost(case: tuple[Scenario, Plan]) -> None:
    outcome = simulate(*case)
    for one in outcome.transfers:
        sent = sum(sent.size_bytes for sent in outcome.sent if sent.transfer is one)
        assert sent == pytest.approx(one.sent_bytes)
        if one.source is None:
            assert one.sent_bytes == 0 and one.start_s == one.end_s == one.broken_off_s == math.inf
        elif one.end_s < math.inf:
            assert one.left_bytes == 0 and not one.broken_off
            assert one.start_s >= one.not_before_s
        assert one.left_bytes >= 0


@FEW
@given(moving_cases())
def test_no_lane_carries_two_at_once_nor_more_than_its_rate(case: tuple[Scenario, Plan]) -> None:
    (scenario, _), outcome = case, simulate(*case)
    for lane in {sent.lane for sent in outcome.sent}:
        carried = [sent for sent in outcome.sent if sent.lane == lane]
        assert all(one.until_s <= other.from_s for one, other in pairwise(carried))
    for sent in outcome.sent:
        slot, one = slot_at(scenario, sent.from_s), sent.transfer
        assert one.source is not None
        assert sent.lane == (("wire", one.source) if one.source else ("uplink", cell(scenario, slot, one.user)))
        rate = link(scenario, slot, one.user, one.source, one.server)[0]
        assert sent.size_bytes <= rate * (sent.until_s - sent.from_s) * (1 + SLACK) + SLACK
        if scenario.uplink == "independent" and one.left_bytes > 0:
            assert sent.size_bytes == pytest.approx(rate * (sent.until_s - sent.from_s))


@FEW
@given(moving_cases())
def test_no_server_exceeds_its_memory(case: tuple[Scenario, Plan]) -> None:
    (scenario, _), outcome = case, simulate(*case)
    history = History(scenario, outcome)
    for server, node in enumerate(scenario.servers, start=1):
        taken = np.cumsum([size_bytes for _, size_bytes in history.memory_changes(server)])
        assert np.all(taken <= node.memory_bytes) and np.all(taken >= 0)
        assert all(memory[server - 1] <= node.memory_bytes for memory in outcome.memory_bytes)
        if len(taken):
            last_s = history.memory_changes(server)[-1][0]
            if last_s < outcome.curve[-1][0]:
                assert outcome.memory_bytes[-1][server - 1] == taken[-1]


@FEW
@given(moving_cases())
def test_nothing_needed_is_dropped_and_what_is_sent_by_wire_is_there(case: tuple[Scenario, Plan]) -> None:
    (scenario, _), outcome = case, simulate(*case)
    history = History(scenario, outcome)
    for time_s, u, v, server in outcome.dropped:
        slot = slot_at(scenario, time_s)
        present = [rate_hz(scenario, earlier, u) > 0 for earlier in range(slot + 1)]
        home = cell(scenario, slot, u)
        at_home_too = home not in (0, server) and history.holds(u, v, home, time_s)
        assert at_home_too if present[-1] else any(present)
    for one in outcome.transfers:
        if one.source:
            assert one.source != one.server
            # What was the source may be dropped in the moment in which the transfer starts.
            moments_s = (one.start_s - SLACK, one.start_s)
            assert any(history.holds(one.user, one.layer, one.source, moment_s) for moment_s in moments_s)


@FEW
@given(moving_cases())
def test_with_moves_nothing_goes_on_that_should_be_broken_off(case: tuple[Scenario, Plan]) -> None:
    (scenario, _), outcome = case, simulate(*case)
    for one in outcome.transfers:
        assert scenario.moves or (not one.source and not one.broken_off)
        if not scenario.moves or one.source is None:
            continue
        for slot, start_s in enumerate(np.asarray(scenario.slot_starts_s)):
            reached = one.source > 0 or link(scenario, slot, one.user, 0, one.server)[0] > 0
            if one.start_s < start_s < min(one.end_s, one.broken_off_s):
                assert rate_hz(scenario, slot, one.user) > 0 and reached
            if start_s == one.broken_off_s:
                assert rate_hz(scenario, slot, one.user) == 0 or not reached


@FEW
@given(moving_cases(replace(MOVING, users=1)))
def test_what_arrives_makes_its_owner_no_slower(case: tuple[Scenario, Plan]) -> None:
    (scenario, _), outcome = case, simulate(*case)
    arrivals = {end_s for _, end_s in outcome.uploads} - set(np.asarray(scenario.slot_starts_s).tolist())
    for (before_s, before), (time_s, after) in pairwise(outcome.curve):
        if time_s in arrivals and before_s < time_s:
            assert after[0] <= before[0] * (1 + SLACK)


@FEW
@given(moving_cases(replace(MOVING, uplinks=("independent",))))
def test_over_wires_of_infinite_rate_it_does_not_matter_where_weights_are(case: tuple[Scenario, Plan]) -> None:
    scenario, plan = case
    servers = [replace(server, memory_bytes=math.inf) for server in scenario.servers]
    servers += [replace(servers[0], name=name) for name in ("further", "furthest")]
    added = len(servers) - len(scenario.servers)

    def widened(rates: Any) -> Any:
        return np.concatenate([np.asarray(rates), np.repeat(np.asarray(rates)[..., :1], added, axis=-1)], axis=-1)

    links = Links(widened(scenario.links.up_bytes_per_s), between_bytes_per_s=1e18, home=scenario.links.home)
    ends_s = []
    for further in (len(servers) - 1, len(servers)):
        users = []
        for owner in scenario.users:
            uploaded = np.where(np.asarray(owner.uploaded) > 0, further, 0)
            profile_s = None if owner.profile_s is None else widened(owner.profile_s)
            users.append(replace(owner, uploaded=uploaded, profile_s=profile_s, copies=None))
        moved = replace(scenario, users=tuple(users), servers=tuple(servers), links=links, moves=True)
        ends_s.append([(one.start_s, one.end_s) for one in simulate(moved, plan).transfers])
    np.testing.assert_allclose(ends_s[0], ends_s[1], rtol=0, atol=1e-9)


@FEW
@given(cases())
def test_one_cell_is_one_channel(case: tuple[Scenario, Plan]) -> None:
    scenario, plan = case
    alike = replace(scenario, links=replace(scenario.links, home=np.ones((scenario.num_slots, len(scenario.users)))))
    same(simulate(scenario, plan), simulate(alike, plan))


@FEW
@given(cases(Sizes(outages=False, absences=False)))
def test_moves_change_nothing_where_nobody_goes_and_no_wire_sends(case: tuple[Scenario, Plan]) -> None:
    scenario, plan = case
    still = replace(scenario, links=replace(scenario.links, between_bytes_per_s=0.0))
    same(simulate(still, plan), simulate(replace(still, moves=True), plan))


def same(one: Outcome, other: Outcome) -> None:
    assert one.mean_delay_s == other.mean_delay_s
    assert (one.curve, one.assignments, one.uploads) == (other.curve, other.assignments, other.uploads)
    assert one.memory_bytes == other.memory_bytes


@FEW
@given(cases(replace(MOVING, uplinks=("independent",))))
def test_cells_know_nothing_of_each_other(case: tuple[Scenario, Plan]) -> None:
    scenario, plan = case
    home = np.arange(len(scenario.users)) % len(scenario.servers) + 1
    scenario = replace(scenario, links=replace(scenario.links, home=np.tile(home, (scenario.num_slots, 1))))
    together = simulate(scenario, plan).transfers
    for server in range(1, len(scenario.servers) + 1):
        members = set(np.flatnonzero(home == server).tolist())
        alone = simulate(scenario, Plan(tuple(upload for upload in plan.uploads if upload.user in members))).transfers
        expected = [(one.start_s, one.end_s) for one in together if one.user in members]
        np.testing.assert_allclose([(one.start_s, one.end_s) for one in alone], expected, rtol=1e-9)


def test_the_random_cases_hold_everything_they_should() -> None:
    # Guards the laws above against scenarios in which nothing happens.
    wires = lost = lost_on_wires = of_the_gone = twice = side_by_side = followed = 0
    for seed in range(300):
        scenario, plan = random_moving_case(seed)
        outcome = simulate(scenario, plan)
        wires += any(one.source for one in outcome.transfers)
        lost += any(one.broken_off and one.source == 0 for one in outcome.transfers)
        lost_on_wires += any(one.broken_off and one.source != 0 for one in outcome.transfers)
        present = [rate_hz(scenario, slot_at(scenario, time_s), u) > 0 for time_s, u, _, _ in outcome.dropped]
        of_the_gone += not all(present)
        twice += any(present)
        side_by_side += any(one.until_s > other.from_s for one, other in pairwise(outcome.sent))
        lanes = {(sent.transfer.user, sent.transfer.layer, sent.transfer.server, sent.lane) for sent in outcome.sent}
        followed += len(lanes) > len({lane[:3] for lane in lanes})
    assert min(wires, lost, of_the_gone, twice, side_by_side, followed) >= 10
    assert lost_on_wires >= 3
