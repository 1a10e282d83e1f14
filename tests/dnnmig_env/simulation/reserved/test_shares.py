"""Reserved shares by hand, and against users who are alone in the scenario of all."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.simulation.plan import Plan, Upload, plan_of
from dnnmig_env.simulation.reserved.reserved_timeline import ReservedTimeline
from dnnmig_env.simulation.reserved.shares import Shares, equal_shares, own_scenario
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.viewer import describe
from tests.strategies import Sizes, cases, random_case

# A chain of two layers. Device: 1 s each. Server: 0.1 s and 0.2 s, so 0.2 s and 0.4 s at half its speed. Link: 2 MB/s.
# Input 0.5 MB, tensor between and result 0.1 MB each, weights 1 MB and 3 MB.
CHAIN = LayerGraph("net", 500_000, (Layer("a", 0, 1_000_000, 100_000, (-1,)), Layer("b", 0, 3_000_000, 100_000, (0,))))
PHONE, EDGE = Node("phone", Tier.DEVICE, 1e9, 1e9), Node("edge", Tier.EDGE, 1e9, 1e9)
ANN = User("ann", CHAIN, PHONE, profile_s=[[1.0, 0.1], [1.0, 0.2]])
BOB = replace(ANN, name="bob", query_rate_hz=3.0)
TWO = Scenario((ANN, BOB), (EDGE,), Links(2e6), horizon_s=8.0, uplink="independent")
PLAN = plan_of([(0, 0, 1), (1, 1, 1), (0, 1, 1)])
SHARES = Shares([0.5, 0.25], [[0.5], [0.5]])


def test_two_users_by_hand() -> None:
    timeline = simulate(TWO, PLAN, SHARES)
    # Ann at 1 MB/s: a is in at 1, b at 4. Bob, meanwhile, at 0.5 MB/s: b is in at 6.
    assert [(upload.start_s, upload.end_s) for upload in timeline.uploads] == [(0, 1), (0, 6), (1, 4)]
    assert timeline.weight_bytes_sent == pytest.approx(7e6)
    assert timeline.upload_s == 6.0
    # Ann: 2 s, with a 0.5 + 0.2 + 0.1 + 1, with both 0.5 + 0.2 + 0.4 + 0.1. Bob: 2 s, with b 1 + 0.2 + 0.4 + 0.2.
    assert timeline.event_time_s.tolist() == [0, 1, 4, 6]
    assert timeline.event_delay_s == pytest.approx(np.array([[2, 2], [1.8, 2], [1.2, 2], [1.2, 1.8]]))
    assert timeline.event_assignment[:, 0].tolist() == [[0, 0], [1, 0], [1, 1], [1, 1]]
    assert timeline.delay_s(4.5) == pytest.approx([1.2, 2.0])
    assert timeline.user_mean_delay_s == pytest.approx([12.2 / 8, 15.6 / 8])
    assert timeline.mean_delay_s == pytest.approx((12.2 / 8 + 3 * 15.6 / 8) / 4)
    assert timeline.migration_delay_s == pytest.approx((1.2 + 3 * 1.8) / 4)
    assert timeline.mean_device_delay_s == pytest.approx(2.0)
    # Raised back to back until 6: Ann at 0 (2 s), 2 (1.8), 3.8 (1.8), 5.6; Bob at 0, 2 and 4.
    assert timeline.closed_loop_queries.tolist() == [4, 3]
    assert timeline.settled_s.tolist() == [4, 6]


def test_a_cold_start_by_hand() -> None:
    # Ann: input until 0.5, a's weights until 1.5, b's until 4.5, b runs until 4.9, result back at 5.0.
    # Bob: 0.5 MB of b until a ends on his device at 1.0, its tensor until 1.2, the rest of b until 6.2, b until 6.6,
    # result back at 6.8.
    timeline = simulate(TWO, PLAN, SHARES)
    assert timeline.cold_start_delay_s == pytest.approx([5.0, 6.8])
    # Serial: Ann's b not before a has run, 1.7 to 4.7, so 5.2; Bob's b not before its input is there, 1.2 to 7.2.
    assert timeline.serial_cold_start_delay_s == pytest.approx([5.2, 7.8])


def test_a_query_in_detail_is_that_of_its_user() -> None:
    timeline = simulate(TWO, PLAN, SHARES)
    query = timeline.query(1, at_s=6.5)
    assert (query.user, query.at_s) == (1, 6.5)
    assert query.delay_s == pytest.approx(1.8)
    assert [(part.start_s, part.end_s) for part in query.computations] == [(0.0, 1.0), pytest.approx((1.2, 1.6))]
    with pytest.raises(ValueError, match="known users are 0 to 1"):
        timeline.query(2, at_s=0.0)


def test_what_is_shown_of_a_timeline_includes_every_user() -> None:
    text = describe(simulate(TWO, PLAN, SHARES))
    assert "ann" in text
    assert "bob" in text


def test_servers_without_a_share_hold_nothing() -> None:
    # Ann has no share of the server that holds a: all runs on her device. Bob is as if alone.
    held = replace(TWO, users=(replace(ANN, uploaded=[1, 0]), BOB))
    timeline = simulate(held, plan_of([(1, 1, 1)]), Shares([0.5, 0.25], [[0.0], [0.5]]))
    assert timeline.user_mean_delay_s == pytest.approx([2.0, 15.6 / 8])
    assert timeline.cold_start_delay_s == pytest.approx([2.0, 6.8])


def test_users_who_never_come_upload_nothing() -> None:
    absent = replace(TWO, users=(ANN, replace(BOB, query_rate_hz=0.0)))
    timeline = simulate(absent, PLAN, SHARES)
    assert timeline.uploads[1].start_s == math.inf
    assert timeline.weight_bytes_sent == pytest.approx(4e6)
    assert timeline.mean_delay_s == pytest.approx(12.2 / 8)
    assert timeline.device_delay_s == pytest.approx([2.0, 2.0])
    assert timeline.cold_start_delay_s == pytest.approx([5.0, math.nan], nan_ok=True)
    assert timeline.user_mean_delay_s == pytest.approx([12.2 / 8, math.nan], nan_ok=True)


def test_memory_is_shared_all_the_same() -> None:
    small = replace(TWO, servers=(replace(EDGE, memory_bytes=6e6),))
    with pytest.raises(ValueError, match="lacks 1000000 bytes"):
        simulate(small, PLAN, SHARES)


@given(cases(Sizes(users=1)))
def test_a_single_user_with_all_of_everything_is_as_if_nothing_were_shared(case: tuple[Scenario, Plan]) -> None:
    scenario, plan = case
    without = simulate(scenario, plan)
    whole = simulate(scenario, plan, equal_shares(1, len(scenario.servers)))
    assert isinstance(whole, ReservedTimeline)
    assert whole.mean_delay_s == without.mean_delay_s
    assert whole.migration_delay_s == without.migration_delay_s
    assert whole.uploads == without.uploads
    assert whole.cold_start_delay_s.tolist() == without.cold_start_delay_s.tolist()
    for at_s in np.linspace(0, scenario.horizon_s, 7):
        assert whole.query(0, at_s) == without.query(0, at_s)
    assert whole.figures() == pytest.approx(without.figures(), rel=1e-12)


@pytest.mark.parametrize("seed", range(60))
def test_every_user_is_as_if_alone_with_its_share(seed: int) -> None:
    scenario, plan = random_case(seed, Sizes(users=4, layers=6))
    rng = np.random.default_rng(seed)
    shape = len(scenario.users), len(scenario.servers)
    bandwidth, compute = rng.dirichlet(np.ones(shape[0])), rng.dirichlet(np.ones(shape[0]), size=shape[1]).T
    timeline = simulate(scenario, plan, Shares(bandwidth, compute))
    queries = np.zeros(shape[0])
    for u, user in enumerate(scenario.users):
        if not np.any(np.asarray(user.query_rate_hz) > 0):
            continue
        # Everybody else stays away; the whole channel is as fast as this user's share of it.
        alone = replace(
            scenario,
            users=tuple(
                replace(
                    other,
                    query_rate_hz=other.query_rate_hz if w == u else 0.0,
                    profile_s=scenario.execution_s[w] / np.append(1.0, compute[u]),
                )
                for w, other in enumerate(scenario.users)
            ),
            links=replace(
                scenario.links,
                up_bytes_per_s=np.asarray(scenario.links.up_bytes_per_s) * bandwidth[u],
                down_bytes_per_s=np.asarray(scenario.links.down_bytes_per_s) * bandwidth[u],
            ),
        )
        expected = simulate(alone, Plan(tuple(upload for upload in plan.uploads if upload.user == u)))
        assert timeline.user_mean_delay_s[u] == pytest.approx(expected.mean_delay_s)
        assert timeline.cold_start_delay_s[u] == pytest.approx(expected.cold_start_delay_s[u])
        assert timeline.serial_cold_start_delay_s[u] == pytest.approx(expected.serial_cold_start_delay_s[u])
        assert timeline.settled_s[u] == pytest.approx(expected.settled_s[u])
        sent = [upload for upload in timeline.uploads if upload.user == u]
        assert len(sent) == len(expected.uploads)
        for one, other in zip(sent, expected.uploads, strict=True):
            assert (one.start_s, one.end_s, one.layers) == (other.start_s, other.end_s, other.layers)
            assert one.sent_bytes == pytest.approx(other.sent_bytes)
        at_s = rng.uniform(0, scenario.horizon_s)
        assert timeline.query(u, at_s) == expected.query(u, at_s)
        queries[u] = np.asarray(user.query_rate_hz) @ np.diff([*np.asarray(scenario.slot_starts_s), scenario.horizon_s])
    mean_s = np.nansum(queries * timeline.user_mean_delay_s) / queries.sum()
    assert timeline.mean_delay_s == pytest.approx(mean_s)
    assert timeline.weight_bytes_sent == pytest.approx(sum(upload.sent_bytes for upload in timeline.uploads))


def test_what_is_sent_is_the_plan_once_there_is_time() -> None:
    for seed in range(20):
        scenario, plan = random_case(seed, Sizes(users=3, slots=1, outages=False, absences=False))
        late = Plan(tuple(Upload(upload.user, upload.server, upload.layers) for upload in plan.uploads))
        timeline = simulate(
            replace(scenario, horizon_s=1e6), late, equal_shares(len(scenario.users), len(scenario.servers))
        )
        weights = [scenario.users[u.user].graph.weight_bytes[list(u.layers)].sum() for u in late.uploads]
        assert timeline.weight_bytes_sent == pytest.approx(sum(weights))
        for user in range(len(scenario.users)):  # in plan order, without a gap
            own = [upload for upload in timeline.uploads if upload.user == user]
            assert [upload.start_s for upload in own] == pytest.approx(
                [0.0, *(upload.end_s for upload in own)][: len(own)]
            )


def test_own_scenarios_say_what_a_user_has() -> None:
    own = own_scenario(TWO, SHARES, 1)
    assert [user.name for user in own.users] == ["bob"]
    assert np.asarray(own.links.up_bytes_per_s).tolist() == [[[0.5e6]]]
    assert np.asarray(own.users[0].profile_s).tolist() == [[1.0, 0.2], [1.0, 0.4]]


@pytest.mark.parametrize(
    ("bandwidth", "compute", "message"),
    [
        ([0.5, -0.1], [[0.5], [0.5]], "bandwidth contains -0.1; every share lies between 0 and 1"),
        ([0.5, 0.5], [[1.5], [0.5]], "compute contains 1.5"),
        ([0.5, math.nan], [[0.5], [0.5]], "bandwidth contains nan"),
        ([0.7, 0.5], [[0.5], [0.5]], "bandwidth is .* for all users together; they have at most 1"),
        ([0.5, 0.5], [[0.7], [0.5]], "compute is .* for all users together"),
        ([0.5, 0.5], [0.5, 0.5], r"give \(U,\) and \(U, S\)"),
        ([0.5, 0.5], [[0.5]], r"give \(U,\) and \(U, S\)"),
    ],
)
def test_impossible_shares_are_refused(bandwidth: list[float], compute: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Shares(bandwidth, compute)


def test_equal_shares_are_those_of_users_and_only_rounding_may_exceed_the_whole() -> None:
    shares = equal_shares(3, 2)
    assert np.asarray(shares.bandwidth).tolist() == [1 / 3] * 3
    assert np.asarray(shares.compute).tolist() == [[1 / 3] * 2] * 3
    Shares([0.5, 0.5 + 1e-10], [[0.5], [0.5]])
    with pytest.raises(ValueError, match="for all users together; they have at most 1"):
        Shares([0.5, 0.5 + 1e-8], [[0.5], [0.5]])


def test_shares_that_do_not_suit_are_refused() -> None:
    with pytest.raises(ValueError, match="shares are for 3 users and 1 servers; give them for 2 and 1"):
        simulate(TWO, PLAN, equal_shares(3, 1))
    with pytest.raises(ValueError, match=r"upload 1 .* user 1 has no share of the channel or of server 1"):
        simulate(TWO, PLAN, Shares([0.5, 0.0], [[0.5], [0.5]]))


def test_shares_are_read_only_copies() -> None:
    given = np.array([0.5, 0.5])
    shares = Shares(given, [[0.5], [0.5]])
    given[0] = 1.0
    assert np.asarray(shares.bandwidth).tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(shares.bandwidth)[0] = 1.0
