"""What is expected of links: worked by hand, causal, and the same wherever the present is written down."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.planners.forecast import (
    COURSE,
    LINKS,
    LOOK_AHEAD_S,
    POINTS,
    SHADOWING_S,
    STAY_S,
    expect_course,
    expect_slot,
    expected_packed,
    expected_scenario,
)
from dnnmig_env.families.mobile import Mobile
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Mobility, Scenario, User
from dnnmig_env.simulation.dynamics import advance, begin
from dnnmig_env.simulation.known_scenario import known_scenario
from dnnmig_env.simulation.packed import PackedScenarios, pack
from dnnmig_env.simulation.radio import radio_bytes_per_s
from dnnmig_env.simulation.state import new_state
from tests.one_channel import one_channel

GRAPH = LayerGraph("net", 10_000, (Layer("only", 1e9, 1_000_000, 1_000, (-1,)),))


def radio(distance_m: float) -> float:
    return float(radio_bytes_per_s(np.array([distance_m]), np.zeros(1))[0])


def at_edge_1(velocity_m_per_s: float, shadowing: float = 1.0, horizon_s: float = LOOK_AHEAD_S) -> Scenario:
    """A user 100 m before edge 1, on the line from edge 1 at 150 m to edge 2 at 450 m; the cloud is nowhere.

    Lines: 1 MB/s and 3 ms between the edges, 2 MB/s and 20 ms from edge 1 to the cloud, 0.5 MB/s and 40 ms from edge 2.
    """
    access = radio(100.0) * shadowing
    tiers = {"edge-1": Tier.EDGE, "edge-2": Tier.EDGE, "cloud": Tier.CLOUD}
    return Scenario(
        users=(User("user", GRAPH, Node("device", Tier.DEVICE, 1e10, 1e10)),),
        servers=tuple(Node(name, tier, 1e12, 1e11) for name, tier in tiers.items()),
        links=Links(
            up_bytes_per_s=[[access, min(access, 1e6), min(access, 2e6)]],
            up_latency_s=[[0.005, 0.008, 0.025]],
            between_bytes_per_s=[[0, 1e6, 2e6], [1e6, 0, 5e5], [2e6, 5e5, 0]],
            between_latency_s=[[0, 0.003, 0.02], [0.003, 0, 0.04], [0.02, 0.04, 0]],
        ),
        horizon_s=horizon_s,
        mobility=Mobility([[250.0, 300.0]], [[velocity_m_per_s, 0.0]], [[150, 300], [450, 300], [300, 300]], 600.0),
    )


def expected(packed: PackedScenarios) -> PackedScenarios:
    """Expect in every slot of every scenario."""
    f = expected_packed(packed)
    for b in range(len(packed.num_users)):
        for slot in range(packed.num_slots[b]):
            expect_slot(packed, b, slot, LOOK_AHEAD_S, f)
    return f


def test_a_user_on_its_way_from_edge_1_to_edge_2() -> None:
    # At 100/12 m/s the user makes 100 m in the 12 s that are looked at: it passes the middle, at 300 m, halfway.
    speed = 100.0 / LOOK_AHEAD_S
    after_s = LOOK_AHEAD_S * (np.arange(POINTS) + 0.5) / POINTS
    from_1 = 100.0 + speed * after_s
    at_1 = from_1 < 150.0
    assert at_1.sum() == POINTS / 2
    access = radio_bytes_per_s(np.where(at_1, from_1, 300.0 - from_1), np.zeros(POINTS))
    access *= 0.5 ** np.exp(-after_s / SHADOWING_S)  # a shadow that halves the rate at present wears off
    over_1 = np.where(at_1, np.inf, 1e6)
    over_2 = np.where(at_1, 1e6, np.inf)
    to_cloud = np.where(at_1, 2e6, 5e5)
    rates = [POINTS / np.sum(1 / np.minimum(access, line)) for line in (over_1, over_2, to_cloud)]

    links = expected_scenario(at_edge_1(speed, shadowing=0.5)).links
    np.testing.assert_allclose(links.up_bytes_per_s, [[rates]], rtol=1e-12)
    np.testing.assert_allclose(links.down_bytes_per_s, [[rates]], rtol=1e-12)
    # 5 ms of access, and half the time the line between the edges or the longer one to the cloud.
    np.testing.assert_allclose(links.up_latency_s, [[[0.0065, 0.0065, 0.035]]], rtol=1e-12)
    np.testing.assert_allclose(links.down_latency_s, [[[0.0065, 0.0065, 0.035]]], rtol=1e-12)


def test_borders_are_mirrors() -> None:
    # The border lies 350 m ahead; 100 m further the user is back at 500 m, 50 m from edge 2.
    # So far it goes until the last point, and not all points lie before the border.
    ahead = expected_scenario(at_edge_1(450.0 / (LOOK_AHEAD_S * (1 - 0.5 / POINTS)))).links
    x = 250.0 + 450.0 * (np.arange(POINTS) + 0.5) / (POINTS - 0.5)
    assert x[-1] == pytest.approx(700.0)
    x = np.where(x > 600.0, 1200.0 - x, x)
    access = radio_bytes_per_s(np.minimum(abs(x - 150.0), abs(x - 450.0)), np.zeros(POINTS))
    over_2 = np.where(abs(x - 150.0) < abs(x - 450.0), 1e6, np.inf)
    assert np.asarray(ahead.up_bytes_per_s)[0, 0, 1] == pytest.approx(POINTS / np.sum(1 / np.minimum(access, over_2)))


def test_a_user_who_stands_in_no_shadow_expects_what_it_has() -> None:
    standing = at_edge_1(0.0)
    for name in LINKS:
        now, later = (getattr(scenario.links, name) for scenario in (standing, expected_scenario(standing)))
        np.testing.assert_allclose(later, now, rtol=1e-12)


def test_a_shadow_wears_off_and_nothing_beyond_the_look_ahead_counts() -> None:
    good = np.asarray(at_edge_1(0.0).links.up_bytes_per_s)[0, 0, 0]
    soon, late, later = (
        np.asarray(expected_scenario(at_edge_1(0.0, 0.1, seconds)).links.up_bytes_per_s)[0, 0, 0]
        for seconds in (0.01, LOOK_AHEAD_S, 10 * LOOK_AHEAD_S)
    )
    assert soon == pytest.approx(0.1 * good, rel=0.01)
    assert soon < late < good
    assert late == later


def test_slots_to_come_are_not_looked_at() -> None:
    p = make_generator("mobile", moves=False).draw(np.random.default_rng(3), 6).packed
    other = make_generator("mobile", moves=False).draw(np.random.default_rng(4), 6).packed
    slot = 7
    changed = p._replace(
        **{
            name: np.where(np.arange(30)[:, None, None] > slot, getattr(other, name), getattr(p, name))
            for name in (*LINKS, "user_positions", "user_velocities")
        }
    )
    told, untold = expected(p), expected(changed)
    for name in LINKS:
        np.testing.assert_array_equal(getattr(told, name)[:, : slot + 1], getattr(untold, name)[:, : slot + 1])
        assert not np.array_equal(getattr(told, name), getattr(untold, name))


@pytest.mark.parametrize("family", ["single", "multi-user", "toy"])
def test_where_nobody_moves_the_present_is_expected(family: str) -> None:
    given = scenarios(family, 4, seed=2, **one_channel(family))
    packed = pack(given)
    f = expected_packed(packed)
    for name in LINKS:
        getattr(f, name)[:] = -1.0
    for b in range(4):
        for slot in range(packed.num_slots.max()):
            expect_slot(packed, b, slot, LOOK_AHEAD_S, f)
        assert expected_scenario(given[b]) is given[b]
    for name in LINKS:
        np.testing.assert_array_equal(getattr(f, name), getattr(packed, name))


def test_a_slot_of_a_whole_scenario_expects_what_the_known_scenario_does() -> None:
    given = scenarios("mobile", 3, seed=5, moves=False)
    packed = pack(given)
    f, state = expected(packed), new_state(packed, 3)
    for b, scenario in enumerate(given):
        begin(packed, b, state, b)
        u, s = len(scenario.users), len(scenario.servers)
        for slot in range(30):
            advance(packed, b, state, b, packed.slot_edges_s[b, slot])
            assert state.slot[b] == slot
            known = known_scenario(scenario, state, b)
            if known is None:
                continue
            links = expected_scenario(known).links
            for name in LINKS:
                np.testing.assert_allclose(getattr(links, name)[0], getattr(f, name)[b, slot, :u, :s], rtol=1e-9)


def test_links_of_users_who_are_not_there_stay_zero_and_nothing_else_is_written() -> None:
    packed = make_generator("mobile", moves=False, num_users=(1, 4)).draw(np.random.default_rng(0), 10).packed
    before = packed.up_bytes_per_s.copy()
    f = expected(packed)
    assert (packed.up_bytes_per_s == 0).any()
    for name in LINKS:
        np.testing.assert_array_equal(getattr(f, name) == 0, getattr(packed, name) == 0)
    np.testing.assert_array_equal(packed.up_bytes_per_s, before)
    assert f.execution_s is packed.execution_s


def test_an_outage_is_no_forecast_of_outages() -> None:
    # Without a link at present nothing is known; a planner is told a trickle (`known_scenario`), which recovers.
    scenario = at_edge_1(5.0)
    p = pack([scenario])
    for name in ("up_bytes_per_s", "down_bytes_per_s"):
        getattr(p, name)[:] = 0.0
    assert not expected(p).up_bytes_per_s.any()
    for name in ("up_bytes_per_s", "down_bytes_per_s"):
        getattr(p, name)[:] = 1.0
    assert (expected(p).up_bytes_per_s > 1.0).all()


def test_a_scenario_that_tells_of_the_future_is_refused() -> None:
    with pytest.raises(ValueError, match="scenario has 30 slots"):
        expected_scenario(scenarios("mobile", 1, seed=0, moves=False)[0])


def test_looking_ahead_is_nearer_to_what_comes_than_the_present() -> None:
    packed = make_generator("mobile", moves=False, speed_m_per_s=15.0).draw(np.random.default_rng(1), 60).packed
    f, look = expected(packed), round(LOOK_AHEAD_S / 2.0)
    errors = np.zeros(2)
    there = packed.up_bytes_per_s[:, 0] > 0
    for slot in range(0, 30 - look, 3):
        came = 1 / np.mean(1 / np.maximum(packed.up_bytes_per_s[:, slot : slot + look], 1.0), axis=1)
        for k, told in enumerate((f, packed)):
            errors[k] += np.mean(abs(np.log(told.up_bytes_per_s[:, slot][there] / came[there])))
    assert errors[0] < 0.9 * errors[1]


def test_the_course_of_a_user_on_its_way_slot_by_slot() -> None:
    # Slots of 4 s at 25 m/s: the middles of the next three slots are 150, 250 and 350 m from where the user is, at x =
    # 250 m. It turns at the border, at 600 m, so that these are at 400, 500 and 600 m: all nearer to edge 2 at 450 m.
    scenario, slots = at_edge_1(25.0, shadowing=0.5), 4
    links = scenario.links
    rates = np.repeat(np.asarray(links.up_bytes_per_s), slots, axis=0)
    scenario = replace(
        scenario,
        links=replace(links, up_bytes_per_s=rates, down_bytes_per_s=rates),
        horizon_s=16.0,
        slot_starts_s=(0.0, 4.0, 8.0, 12.0),
    )
    packed = pack([scenario])
    expected = expected_packed(packed, COURSE)
    for name in COURSE:
        getattr(expected, name)[:] = -1.0
    expect_course(packed, 0, 0, expected)
    after_s = np.array([6.0, 10.0, 14.0])
    access = radio_bytes_per_s(np.array([50.0, 50.0, 150.0]), np.zeros(3)) * 0.5 ** np.exp(-after_s / SHADOWING_S)
    expected_rates = [np.minimum(access, line) for line in (1e6, np.inf, 5e5)]
    np.testing.assert_allclose(expected.up_bytes_per_s[0, 1:, 0], np.transpose(expected_rates), rtol=1e-12)
    np.testing.assert_allclose(expected.down_bytes_per_s[0, 1:, 0], np.transpose(expected_rates), rtol=1e-12)
    np.testing.assert_allclose(expected.up_latency_s[0, 1:, 0], np.tile([0.008, 0.005, 0.045], (3, 1)), rtol=1e-12)
    for name in COURSE:
        np.testing.assert_array_equal(getattr(expected, name)[0, 0], getattr(packed, name)[0, 0])
    there = np.exp(-np.array([0.0, 4.0, 8.0, 12.0]) / STAY_S)
    np.testing.assert_allclose(expected.query_rate_hz[0, :, 0], packed.query_rate_hz[0, 0, 0] * there, rtol=1e-12)


def test_who_is_away_is_not_expected_and_who_is_there_leaves_by_and_by() -> None:
    packed = make_generator("mobile", moves=False).draw(np.random.default_rng(6), 8).packed
    expected, come_and_go = expected_packed(packed, COURSE), 0
    for b in range(8):
        for slot in (0, 11, 29):
            expect_course(packed, b, slot, expected)
            present = packed.query_rate_hz[b, slot]
            staying = np.exp(-2.0 * np.arange(30 - slot)[:, None] / STAY_S)
            np.testing.assert_allclose(expected.query_rate_hz[b, slot:], present * staying, rtol=1e-12)
            come_and_go += not np.array_equal(packed.query_rate_hz[b, slot:] > 0, expected.query_rate_hz[b, slot:] > 0)
    assert come_and_go > 5


def test_constants_are_those_with_which_the_published_agents_were_trained() -> None:
    # What they see of the future follows from these, as measured; with others they would act on something else.
    assert (LOOK_AHEAD_S, POINTS, SHADOWING_S, STAY_S) == (12.0, 8, 5.6, 30.0)
    assert np.exp(-2.0 / SHADOWING_S) == pytest.approx(Mobile().shadowing_correlation, abs=1e-3)  # a slot has 2 s
