"""What each family's scenarios are like: its docstring, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.scenarios.node import Tier
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.scenarios.uplink import UPLINKS
from dnnmig_env.simulation.packed import PackedScenarios

MBIT = 125_000.0
STATIC = ["edge-cloud", "multi-user"]


def draw(family: str, count: int = 400, **options: Any) -> PackedScenarios:
    return make_generator(family, **options).draw(np.random.default_rng(17), count).packed


def users(packed: PackedScenarios) -> np.ndarray:
    """Return who exists, shape (B, U)."""
    return packed.num_layers > 0


# --- edge-cloud and multi-user ---


@pytest.mark.parametrize(("family", "num_users", "num_edges"), [("edge-cloud", 3, 3), ("multi-user", 8, 3)])
def test_every_number_of_users_and_edges_occurs(family: str, num_users: int, num_edges: int) -> None:
    packed = draw(family)
    fewest_users, fewest_edges = (1, 1) if family == "edge-cloud" else (4, 2)
    assert set(packed.num_users) == set(range(fewest_users, num_users + 1))
    assert set(packed.num_servers) == set(range(fewest_edges + 1, num_edges + 2))
    np.testing.assert_array_equal(users(packed).sum(axis=1), packed.num_users)


@pytest.mark.parametrize("family", [*STATIC, "mobile"])
def test_a_cloud_comes_last_and_is_fast_and_limitless_and_far(family: str) -> None:
    for scenario in scenarios(family, 30, seed=2):
        *edges, cloud = scenario.servers
        assert cloud.tier is Tier.CLOUD
        assert {edge.tier for edge in edges} == {Tier.EDGE}
        assert cloud.flops_per_s > max(edge.flops_per_s for edge in edges)
        assert cloud.memory_bytes == np.inf
        rates, latencies = np.asarray(scenario.links.up_bytes_per_s), np.asarray(scenario.links.up_latency_s)
        assert np.all(rates[..., -1] <= 50 * MBIT)
        assert np.all(rates[..., -1] <= rates.max(axis=2))
        assert np.all(latencies[..., -1] > 0.02)
        assert np.all(latencies[..., -1] > latencies[..., :-1].max(axis=2))


@pytest.mark.parametrize("family", [*STATIC, "mobile"])
def test_servers_away_from_home_are_reached_through_it(family: str) -> None:
    for scenario in scenarios(family, 30, seed=3):
        links = scenario.links
        rates, latencies = np.asarray(links.up_bytes_per_s), np.asarray(links.up_latency_s)
        between, delays = np.asarray(links.between_bytes_per_s), np.asarray(links.between_latency_s)
        num_servers = len(scenario.servers)
        home = latencies[..., : num_servers - 1].argmin(axis=2)
        for slot, user in np.ndindex(*home.shape):
            at = home[slot, user]
            for server in set(range(num_servers)) - {at}:
                access, access_s = rates[slot, user, at], latencies[slot, user, at]
                assert rates[slot, user, server] == min(access, between[at, server])
                assert latencies[slot, user, server] == pytest.approx(access_s + delays[at, server])
        np.testing.assert_array_equal(between, between.T)
        np.testing.assert_array_equal(np.asarray(links.down_bytes_per_s), rates)


@pytest.mark.parametrize("family", [*STATIC, "mobile"])
def test_edges_hold_only_a_share_of_the_weights_but_any_layer(family: str) -> None:
    packed = draw(family)
    edges = np.isfinite(packed.memory_bytes) & (packed.memory_bytes > 0)
    total, largest = packed.weight_bytes.sum(axis=(1, 2)), packed.weight_bytes.max(axis=(1, 2))
    assert np.all(edges.sum(axis=1) == packed.num_servers - 1)
    shares = (packed.memory_bytes / total[:, None])[edges]
    assert np.all(packed.memory_bytes[edges] >= np.broadcast_to(largest[:, None], edges.shape)[edges])
    assert np.all((shares >= 0.2) & ((shares <= 0.8) | np.isclose(shares, (largest / total).repeat(edges.sum(axis=1)))))
    assert shares.min() < 0.25


@pytest.mark.parametrize("family", ["single", *STATIC, "mobile"])
def test_query_rates_and_the_uplink_are_what_was_asked_for(family: str) -> None:
    rates = draw(family).query_rate_hz
    assert np.all((rates == 0.0) | ((rates >= 1.0) & (rates <= 30.0)))
    asked = draw(family, query_rate_hz=(2.0, 4.0), uplink="shared")
    present = asked.query_rate_hz[asked.query_rate_hz > 0.0]
    assert 2.0 <= present.min() < 2.2 < 3.8 < present.max() <= 4.0
    for uplink in UPLINKS:
        (scenario,) = scenarios(family, 1, seed=2, uplink=uplink)
        assert scenario.uplink == uplink
    assert scenarios(family, 1, seed=2)[0].uplink == "priority"


@pytest.mark.parametrize("family", ["single", *STATIC])
def test_the_horizon_counts_uploads_of_everything(family: str) -> None:
    packed = draw(family, horizon_uploads=(0.8, 1.6))
    access = packed.up_bytes_per_s[:, 0].max(axis=2)
    upload_s = np.divide(packed.weight_bytes.sum(axis=2), access, out=np.zeros_like(access), where=access > 0).sum(
        axis=1
    )
    ratio = packed.slot_edges_s[:, 1] / upload_s
    assert 0.8 <= ratio.min() < 0.85
    assert 1.5 < ratio.max() <= 1.6


@pytest.mark.parametrize("family", ["single", *STATIC])
def test_a_horizon_in_seconds_is_kept(family: str) -> None:
    horizons = draw(family, horizon_s=(20, 40)).slot_edges_s[:, 1]
    assert 20 <= horizons.min() < 22
    assert 38 < horizons.max() <= 40


# --- machines ---


@pytest.mark.parametrize(
    ("tier", "flops_per_s", "memory_bytes_per_s", "layer_overhead_s"),
    [
        (Tier.DEVICE, (1e9, 20e9), (5e9, 30e9), (20e-6, 100e-6)),
        (Tier.EDGE, (0.2e12, 2e12), (100e9, 900e9), (5e-6, 20e-6)),
        (Tier.CLOUD, (5e12, 15e12), (1e12, 3e12), (5e-6, 5e-6)),
    ],
)
def test_machines_fill_their_ranges_and_fast_ones_are_good_at_everything(
    tier: Tier,
    flops_per_s: tuple[float, float],
    memory_bytes_per_s: tuple[float, float],
    layer_overhead_s: tuple[float, float],
) -> None:
    nodes = [
        node
        for scenario in scenarios("multi-user", 120, seed=4)
        for node in (*scenario.servers, *(user.device for user in scenario.users))
        if node.tier is tier
    ]
    columns = np.log([[n.flops_per_s, n.memory_bytes_per_s, n.layer_overhead_s] for n in nodes]).T
    bounds = np.log([flops_per_s, memory_bytes_per_s, layer_overhead_s])
    for values, (low, high) in zip(columns, bounds, strict=True):
        assert np.all((values >= low - 1e-9) & (values <= high + 1e-9))
        assert np.ptp(values) >= 0.85 * (high - low)
    assert np.corrcoef(columns[0], columns[1])[0, 1] > 0.7
    if tier is not Tier.CLOUD:
        assert np.corrcoef(columns[0], columns[2])[0, 1] < -0.7


# --- mobile ---


def test_the_home_edge_is_the_nearest_and_reached_at_the_radios_rate() -> None:
    changes = 0
    for scenario in scenarios("mobile", 20, seed=5):
        assert scenario.mobility is not None
        places = np.asarray(scenario.mobility.user_positions_m)
        edges = np.asarray(scenario.mobility.server_positions_m)[:-1]
        nearest = np.linalg.norm(places[:, :, None] - edges, axis=-1).argmin(axis=2)
        rates, latencies = np.asarray(scenario.links.up_bytes_per_s), np.asarray(scenario.links.up_latency_s)
        np.testing.assert_array_equal(latencies[..., :-1].argmin(axis=2), nearest)
        np.testing.assert_array_equal(np.take_along_axis(rates, nearest[..., None], 2)[..., 0], rates.max(axis=2))
        assert np.all((rates.max(axis=2) >= 2 * MBIT) & (rates.max(axis=2) <= 160 * MBIT))
        changes += np.count_nonzero(np.diff(nearest, axis=0))
    assert changes > 20


def test_without_shadowing_the_rate_depends_on_distance_alone() -> None:
    packed = draw("mobile", 40, shadowing_db=0.0, num_users=6)
    apart = np.linalg.norm(packed.user_positions[:, :, :, None] - packed.server_positions[:, None, None], axis=-1) * 600
    is_edge = np.isfinite(packed.memory_bytes) & (packed.memory_bytes > 0)
    distance = np.where(is_edge[:, None, None], apart, np.inf).min(axis=-1).ravel()
    rates = packed.up_bytes_per_s.max(axis=3).ravel()[np.argsort(distance)]
    assert np.all(np.diff(rates) <= 1e-6)
    assert rates[0] > 10 * rates[-1]


def test_shadowing_fades_slowly() -> None:
    still = {"speed_m_per_s": 1e-6, "num_users": 6}
    packed = draw("mobile", 100, shadowing_correlation=0.9, **still)
    rates = np.log(packed.up_bytes_per_s.max(axis=3))
    around = rates - rates.mean(axis=1, keepdims=True)
    near, far = (around[:, :-gap] * around[:, gap:] for gap in (1, 10))
    assert near.mean() > 0.6 * around.var() > 2 * abs(far.mean())


def test_users_come_and_go_and_somebody_is_there_at_first() -> None:
    packed = draw("mobile")
    present = packed.query_rate_hz > 0
    assert present[:, 0].any(axis=1).all()
    assert not present[:, 0][users(packed)].all()
    assert not present[:, -1][users(packed)].all()
    for b, u in zip(*np.nonzero(users(packed)), strict=True):
        stay = present[b, :, u]
        assert np.count_nonzero(np.diff(stay.astype(int)) == 1) + stay[0] == 1  # one stay without a gap
        assert len(set(packed.query_rate_hz[b, stay, u])) == 1
        assert stay.sum() >= 10 or stay[-1]
    assert not present[:, :, ~users(packed).any(axis=0)].any()


def test_slots_cover_the_horizon_the_last_one_perhaps_shorter() -> None:
    (scenario,) = scenarios("mobile", 1, seed=0, horizon_s=5.0, slot_s=2.0)
    assert list(scenario.slot_starts_s) == [0.0, 2.0, 4.0]
    assert scenario.horizon_s == 5.0
    (scenario,) = scenarios("mobile", 1, seed=0, horizon_s=0.3, slot_s=0.1)
    assert scenario.num_slots == 3


# --- recorded rates ---


@pytest.fixture
def steady(tmp_path: Path) -> str:
    path = tmp_path / "steady.csv"
    path.write_text("time_s,mbps\n0,24\n1,24\n")
    return str(path)


@pytest.fixture
def uneven(tmp_path: Path) -> str:
    path = tmp_path / "uneven.csv"
    path.write_text("time_s,mbps\n0,10\n50,30\n")
    return str(path)


def home_rates(scenario: Scenario) -> np.ndarray:
    return np.asarray(scenario.links.up_bytes_per_s).max(axis=2) / MBIT


@pytest.mark.parametrize("family", ["single", *STATIC, "mobile"])
def test_recorded_rates_take_the_place_of_drawn_ones(family: str, steady: str) -> None:
    for scenario in scenarios(family, 5, seed=6, traces=[steady]):
        assert scenario.num_slots == (30 if family == "mobile" else 16)
        np.testing.assert_allclose(home_rates(scenario), 24.0)


@pytest.mark.parametrize("family", ["single", "mobile"])
def test_each_user_enters_a_trace_at_a_time_of_its_own(family: str, uneven: str) -> None:
    horizon = {"horizon_s": 25.0}
    rates = np.concatenate([home_rates(s).T for s in scenarios(family, 40, seed=7, traces=(uneven,), **horizon)])
    assert rates.min() == pytest.approx(10.0)
    assert rates.max() == pytest.approx(30.0)
    # 25 s of a trace of 2 x 50 s see no change half of the time, and at most one otherwise.
    changes = np.count_nonzero(np.abs(np.diff(rates, axis=1)) > 15, axis=1)
    constant = np.ptp(rates, axis=1) < 1e-9
    assert 0.25 < constant.mean() < 0.75
    assert changes.max() <= 1
    assert len(np.unique(rates[~constant].sum(axis=1).round(6))) > 10


def test_uploads_at_recorded_rates_fill_the_horizon_asked_for(uneven: str) -> None:
    for scenario in scenarios("single", 5, seed=8, traces=uneven, horizon_uploads=1.0):
        total = scenario.users[0].graph.weight_bytes.sum()
        assert scenario.horizon_s == pytest.approx(total / (20 * MBIT))


def test_a_dead_line_trickles_and_a_trace_that_is_always_dead_is_refused(tmp_path: Path) -> None:
    gap, dead = tmp_path / "gap.csv", tmp_path / "dead.csv"
    gap.write_text("time_s,bytes_per_s\n0,0\n50,1000000\n")
    dead.write_text("time_s,bytes_per_s\n0,0\n50,0\n")
    rates = np.concatenate([home_rates(s).T for s in scenarios("mobile", 20, seed=9, traces=str(gap))]) * MBIT
    assert rates.min() == 1000.0
    assert rates.max() == pytest.approx(1e6)
    with pytest.raises(ValueError, match=r"dead\.csv', whose rate is always 0"):
        make_generator("mobile", traces=str(dead))
