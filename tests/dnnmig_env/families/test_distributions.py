"""What is drawn follows the distributions of the docstrings, with the default options, from end to end."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.networks.zoo import TRAIN_NETWORKS
from dnnmig_env.scenarios.node import Tier
from dnnmig_env.simulation.packed import PackedScenarios

MBIT = 125_000.0


def draw(family: str, count: int = 400, **options: object) -> PackedScenarios:
    return make_generator(family, **options).draw(np.random.default_rng(23), count).packed


def is_edge(packed: PackedScenarios) -> Bools:
    return np.arange(packed.memory_bytes.shape[1]) < packed.num_servers[:, None] - 1


def homes(packed: PackedScenarios) -> Ints:
    """Return the home edge of each user in slot 0, the one with the least latency, shape (B, U)."""
    return np.where(is_edge(packed)[:, None], packed.up_latency_s[:, 0], np.inf).argmin(axis=2)


def at_home(packed: PackedScenarios, values: Floats) -> Floats:
    """Return the values, shape (B, U, S), of existing users at their home edges."""
    return np.take_along_axis(values, homes(packed)[..., None], axis=2)[..., 0][packed.num_layers > 0]


def between(packed: PackedScenarios, values: Floats, *, cloud: bool) -> Floats:
    """Return values between two edges, or between an edge and the cloud."""
    edge, last = is_edge(packed), np.arange(values.shape[1]) == packed.num_servers[:, None] - 1
    chosen = edge[:, :, None] & (last if cloud else edge)[:, None] & ~np.eye(values.shape[1], dtype=bool)
    return values[chosen]


def fills(values: Floats, low: float, high: float, *, slack: float = 0.1) -> None:
    """Check that values lie in a range and come near to both of its ends."""
    assert low * (1 - 1e-9) <= values.min() <= low + slack * (high - low)
    assert high - slack * (high - low) <= values.max() <= high * (1 + 1e-9)


@pytest.mark.parametrize(
    ("family", "access_mbps", "edge_mbps", "edge_latency_s"),
    [
        ("edge-cloud", (10, 160), (20, 200), (0.0005, 0.0025)),
        ("multi-user", (10, 160), (20, 200), (0.0005, 0.0025)),
        ("mobile", (2, 160), (5, 50), (0.001, 0.005)),
    ],
)
def test_links_fill_their_ranges(
    family: str, access_mbps: tuple[float, float], edge_mbps: tuple[float, float], edge_latency_s: tuple[float, float]
) -> None:
    packed = draw(family)
    fills(at_home(packed, packed.up_bytes_per_s[:, 0]) / MBIT, *access_mbps)
    fills(at_home(packed, packed.up_latency_s[:, 0]), 0.002, 0.01)
    np.testing.assert_array_equal(packed.down_latency_s, packed.up_latency_s)
    # Between two edges the slower of two lines and both latencies; between an edge and the cloud, a slow line.
    fills(between(packed, packed.between_bytes_per_s, cloud=False) / MBIT, *edge_mbps, slack=0.3)
    fills(between(packed, packed.between_latency_s, cloud=False), 2 * edge_latency_s[0], 2 * edge_latency_s[1])
    fills(between(packed, packed.between_bytes_per_s, cloud=True) / MBIT, 5, 50, slack=0.3)
    fills(between(packed, packed.between_latency_s, cloud=True), 0.02 + edge_latency_s[0], 0.06 + edge_latency_s[1])


def test_a_single_users_link_and_horizon_fill_their_ranges() -> None:
    packed = draw("single")
    rate = packed.up_bytes_per_s[:, 0, 0, 0]
    fills(rate / MBIT, 4, 160)
    fills(packed.up_latency_s[:, 0, 0, 0], 0.002, 0.01)
    fills(packed.slot_edges_s[:, 1] / (packed.weight_bytes.sum(axis=(1, 2)) / rate), 0.5, 2.0)


@pytest.mark.parametrize("family", ["single", "edge-cloud", "multi-user", "mobile"])
def test_query_rates_are_log_uniform_in_their_range_and_independent_of_each_other(family: str) -> None:
    packed = draw(family, **({} if family == "single" else {"num_users": 2}))
    rates = np.sort(np.log(packed.query_rate_hz.max(axis=1).ravel()))
    np.testing.assert_allclose(rates, np.linspace(math.log(1.0), math.log(30.0), len(rates)), atol=0.4)
    if family != "single":
        first, second = np.log(packed.query_rate_hz.max(axis=1)).T
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.2


def test_memory_is_a_uniform_share_of_all_weights_and_holds_the_largest_layer_of_one_user() -> None:
    # One layer of AlexNet has more than half of its weights, but of six users' weights less than a fifth.
    packed = draw("multi-user", 400, networks=("alexnet",), num_users=6)
    total, largest = packed.weight_bytes.sum(axis=(1, 2)), packed.weight_bytes.max(axis=(1, 2))
    assert np.all((largest / total < 0.2) & (6 * largest / total > 0.5))
    shares = np.sort((packed.memory_bytes / total[:, None])[is_edge(packed)])
    np.testing.assert_allclose(shares, np.linspace(0.2, 0.8, len(shares)), atol=0.03)


@pytest.mark.parametrize("family", ["edge-cloud", "multi-user"])
def test_horizons_fill_their_range(family: str) -> None:
    packed = draw(family)
    access, users = np.ones(packed.num_layers.shape), packed.num_layers > 0
    access[users] = at_home(packed, packed.up_bytes_per_s[:, 0])
    fills(packed.slot_edges_s[:, 1] / (packed.weight_bytes.sum(axis=2) / access).sum(axis=1), 0.5, 2.0)


def test_every_edge_is_home_and_every_network_is_used_equally_often() -> None:
    packed = draw("edge-cloud", 1000, num_edges=3, num_users=3)
    np.testing.assert_allclose(np.bincount(homes(packed).ravel()) / 3000, 1 / 3, atol=0.04)
    names = Counter(user.graph.name for scenario in scenarios("multi-user", 400, seed=3) for user in scenario.users)
    assert set(names) == set(TRAIN_NETWORKS)
    share = np.array(list(names.values())) * len(TRAIN_NETWORKS) / names.total()
    assert 0.6 < share.min() < share.max() < 1.4  # 83 expected of each: four standard deviations


def test_memory_and_overhead_of_a_machine_follow_its_speed_with_a_weight_of_seven_tenths() -> None:
    devices = [user.device for scenario in scenarios("multi-user", 100, seed=4) for user in scenario.users]
    assert {device.tier for device in devices} == {Tier.DEVICE}

    def place(values: list[float], slow: float, fast: float) -> Floats:
        """Return where values lie in a range, 0 at the slow end and 1 at the fast end, on a log scale."""
        return np.log(np.array(values) / slow) / np.log(fast / slow)

    speed = place([device.flops_per_s for device in devices], 1e9, 20e9)
    memory = place([device.memory_bytes_per_s for device in devices], 5e9, 30e9)
    overhead = place([device.layer_overhead_s for device in devices], 100e-6, 20e-6)
    for follower in (memory, overhead):
        rest = (follower - 0.7 * speed) / 0.3
        assert -1e-9 <= rest.min() < 0.05
        assert 0.95 < rest.max() <= 1 + 1e-9
        assert abs(np.corrcoef(rest, speed)[0, 1]) < 0.15


# --- mobile ---


def shadowing_db(**options: object) -> Floats:
    """Return the shadowing of users 100 to 130 m from their home edges, by inverting Shannon's rate; else NaN.

    There the path loss is 10.5 to 14.5 dB, and the shadowing reaches neither bound of the rate but in rare cases.
    """
    packed = draw("mobile", 150, num_users=6, **options)
    apart = 600 * np.linalg.norm(packed.user_positions[:, :, :, None] - packed.server_positions[:, None, None], axis=-1)
    distance_m = np.where(is_edge(packed)[:, None, None], apart, np.inf).min(axis=-1)
    snr_db = 10 * np.log10(2 ** (packed.up_bytes_per_s.max(axis=3) * 8 / 20e6) - 1)
    return np.where((distance_m > 100) & (distance_m < 130), 25 - 35 * np.log10(distance_m / 50) - snr_db, np.nan)


def test_shadowing_is_as_strong_and_as_lasting_as_documented() -> None:
    shadowing = shadowing_db()
    assert np.nanstd(shadowing) == pytest.approx(4.0, rel=0.05)
    assert abs(np.nanmean(shadowing)) < 0.3
    # Users who stand still: from slot to slot, 0.7 of it lasts.
    still = shadowing_db(speed_m_per_s=1e-6).swapaxes(0, 1)
    before, after = still[:-1].ravel(), still[1:].ravel()
    both = np.isfinite(before) & np.isfinite(after)
    assert np.corrcoef(before[both], after[both])[0, 1] == pytest.approx(0.7, abs=0.06)


def test_users_walk_and_drive_on_paths_as_steady_as_documented() -> None:
    wide = {"num_users": 6, "area_m": 1e7}  # no border is met
    metres_per_s = 1e7 / 2.0  # velocities are in sides per slot of 2 s
    straight = draw("mobile", 100, velocity_deviation=0.0, **wide).user_velocities * metres_per_s
    speed = np.linalg.norm(straight, axis=-1)
    fills(speed, 1.0, 15.0)
    assert np.median(speed) == pytest.approx(np.sqrt(15.0), rel=0.2)  # log-uniform
    wander = (draw("mobile", 100, **wide).user_velocities * metres_per_s - straight) / speed[..., None]
    assert wander.std() == pytest.approx(0.3, rel=0.05)
    assert np.diff(wander, axis=1).var() == pytest.approx(2 * (1 - 0.9) * 0.3**2, rel=0.05)


def test_edges_stand_around_the_centre() -> None:
    packed = draw("mobile")
    fills(np.linalg.norm(packed.server_positions[is_edge(packed)], axis=-1), 0.2, 0.4)
    assert not packed.server_positions[~is_edge(packed)].any()  # the cloud is at the centre


def test_half_of_the_users_come_late_but_in_the_first_half() -> None:
    present = draw("mobile", num_users=6).query_rate_hz > 0
    arrival = present.argmax(axis=1)
    assert (arrival > 0).mean() == pytest.approx(0.5 * 15 / 16, abs=0.04)  # a few scenarios are begun by the first
    assert arrival.max() == 15
    stay = present.sum(axis=1)[arrival == 0]
    assert (stay < 30).mean() == pytest.approx(0.5 * 20 / 21, abs=0.04)  # the longest stay is the whole horizon
    assert stay.min() == 10


def test_slots_that_fit_the_horizon_but_for_rounding_get_no_slot_more() -> None:
    assert 2.1 / 0.7 > 3
    (scenario,) = scenarios("mobile", 1, seed=0, horizon_s=2.1, slot_s=0.7)
    assert scenario.num_slots == 3
