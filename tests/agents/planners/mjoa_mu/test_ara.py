"""ARA: shares by symmetry and by hand, against a grid of all shares, and what it promises against what happens."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from agents.planners.mjoa_mu import ara
from agents.planners.mjoa_mu.ara import allocate
from agents.planners.mjoa_mu.mjoa_mu import fair_queue
from agents.planners.mjoa_mu.pbt_dp import PbtDp, best_placement
from agents.planners.slot_zero import movable_layers, slot_zero_packed
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import check_plan
from dnnmig_env.simulation.reserved.shares import Shares, own_scenario
from dnnmig_env.simulation.simulator import simulate
from tests.agents.planners.hand_made import chain
from tests.agents.planners.random_scenarios import realistic, tiny

PROPORTIONAL = 1.0


def one_server(seed: int, users: int = 3) -> Scenario:
    """Users with small networks before one server, close enough for all of them to upload something."""
    scenario = tiny(np.random.default_rng(seed), users=users, layers=6, servers=1)
    links = scenario.links
    return replace(scenario, links=replace(links, up_bytes_per_s=8 * np.asarray(links.up_bytes_per_s)))


def test_equal_users_have_equal_shares() -> None:
    scenario = chain([0.1, 0.1, 0.1], [0, 0, 0], query_rate_hz=[1.0, 1.0], rate_mb_per_s=[1.0])
    shares = allocate(scenario).shares
    assert np.asarray(shares.bandwidth) == pytest.approx(0.5)
    assert np.asarray(shares.compute) == pytest.approx(0.5)


def test_shares_begin_in_proportion_to_demand() -> None:
    # Two users of the same network, one of whom has half as fast a link: twice the seconds of the channel, 2 to 1. The
    # server has the same work for both.
    scenario = chain([0.1, 0.1], [0, 0], query_rate_hz=[1.0, 1.0])
    links = replace(scenario.links, up_bytes_per_s=np.reshape([0.5e6, 1e6], (1, 2, 1)))
    shares = allocate(replace(scenario, links=links), finest=PROPORTIONAL).shares
    assert np.asarray(shares.bandwidth) == pytest.approx([2 / 3, 1 / 3])
    assert np.asarray(shares.compute)[:, 0] == pytest.approx([0.5, 0.5])


def test_who_gains_nothing_gives() -> None:
    # The second user's device is as fast as the server: it uploads nothing and gives all but the finest steps.
    scenario = chain([0.1, 0.1], [0, 0], query_rate_hz=[1.0, 1.0])
    content = replace(scenario.users[1], profile_s=[[0.1, 0.1], [0.1, 0.1]])
    allocation = allocate(replace(scenario, users=(scenario.users[0], content)))
    assert np.asarray(allocation.shares.bandwidth)[0] > 0.98
    assert np.asarray(allocation.shares.compute)[0, 0] > 0.98
    assert allocation.placement[1].tolist() == [0, 0]


def test_a_single_user_has_everything() -> None:
    for seed in range(5):
        scenario = realistic(np.random.default_rng(seed), users=1, max_layers=10)
        allocation, placement = allocate(scenario, beam=256), PbtDp()(scenario, np.random.default_rng(0))
        assert np.asarray(allocation.shares.bandwidth).tolist() == [1.0]
        assert [placed.tolist() for placed in allocation.placement] == [placed.tolist() for placed in placement]


@pytest.mark.parametrize("serial", [False, True])
def test_what_is_promised_happens(serial: bool) -> None:
    for seed in range(8):
        scenario = realistic(np.random.default_rng(seed), max_layers=10)
        allocation = allocate(scenario, serial=serial)
        plan = fair_queue(scenario, allocation)
        check_plan(scenario, plan)
        timeline = simulate(scenario, plan, allocation.shares)
        happened_s = timeline.serial_cold_start_delay_s if serial else timeline.cold_start_delay_s
        assert happened_s == pytest.approx(allocation.delay_s, rel=1e-9)


def test_moving_shares_never_loses_and_mostly_gains() -> None:
    gains = []
    for seed in range(20):
        scenario = one_server(seed)
        before_s = allocate(scenario, finest=PROPORTIONAL).delay_s.sum()
        after_s = allocate(scenario).delay_s.sum()
        assert after_s <= before_s * (1 + 1e-9)
        gains.append(1 - after_s / before_s)
    assert np.mean(gains) > 0.03


def test_nearly_as_good_as_a_grid_of_all_shares() -> None:
    grid = np.arange(1, 20) / 20
    for seed in (0, 2, 5):  # those of the first six in which shares that move too coarsely lose most
        scenario = one_server(seed, users=2)
        movable = movable_layers(scenario)
        least_s = np.empty((2, len(grid), len(grid)))
        for (i, band), (j, part) in itertools.product(enumerate(grid), repeat=2):
            shares = Shares([band, 1 - band], [[part], [1 - part]])
            for u in range(2):
                p = slot_zero_packed(own_scenario(scenario, shares, u))
                least_s[u, i, j] = best_placement(p, 1, movable[u], np.inf, beam=32)[1]
        assert allocate(scenario).delay_s.sum() <= least_s.sum(axis=0).min() * 1.02


def test_absent_users_have_no_share_and_wait_for_nobody() -> None:
    scenario = one_server(0)
    absent = replace(
        scenario, users=(scenario.users[0], replace(scenario.users[1], query_rate_hz=0.0), scenario.users[2])
    )
    allocation = allocate(absent)
    bandwidth = np.asarray(allocation.shares.bandwidth)
    assert bandwidth[1] == 0.0
    assert bandwidth.sum() == pytest.approx(1.0)
    assert np.isnan(allocation.delay_s[1])
    without = replace(
        scenario,
        users=(scenario.users[0], scenario.users[2]),
        links=replace(
            scenario.links,
            **{
                name: np.asarray(getattr(scenario.links, name))[:, [0, 2]]
                for name in ("up_bytes_per_s", "up_latency_s")
            },
            down_bytes_per_s=np.asarray(scenario.links.down_bytes_per_s)[:, [0, 2]],
            down_latency_s=np.asarray(scenario.links.down_latency_s)[:, [0, 2]],
        ),
    )
    assert allocate(without).delay_s == pytest.approx(allocation.delay_s[[0, 2]])


def test_users_whose_layers_lie_on_several_servers_have_a_share_of_each() -> None:
    scenario = realistic(np.random.default_rng(3), users=3, max_layers=8)
    held = np.zeros(len(scenario.users[0].graph))
    held[:2] = 1, 3
    scenario = replace(scenario, users=(replace(scenario.users[0], uploaded=held), *scenario.users[1:]))
    allocation = allocate(scenario)
    weights = scenario.users[0].graph.weight_bytes
    for layer in range(2):
        if weights[layer] > 0:
            assert np.asarray(allocation.shares.compute)[0, int(held[layer]) - 1] > 0
    timeline = simulate(scenario, fair_queue(scenario, allocation), allocation.shares)
    assert timeline.cold_start_delay_s == pytest.approx(allocation.delay_s, rel=1e-9)


def test_memory_is_divided_by_weights() -> None:
    bound = 0
    for seed in range(10):
        scenario = one_server(seed)
        total_bytes = sum(user.graph.weight_bytes.sum() for user in scenario.users)
        largest = max(user.graph.weight_bytes.max() for user in scenario.users)
        small = replace(scenario, servers=(replace(scenario.servers[0], memory_bytes=max(0.4 * total_bytes, largest)),))
        allocation = allocate(small)
        check_plan(small, fair_queue(small, allocation))
        bound += allocation.delay_s.sum() > allocate(scenario).delay_s.sum()
    assert bound > 3


def test_shares_move_in_steps_from_a_quarter_on_that_halve_when_nothing_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[float] = []

    def move(market: object, share: np.ndarray, resource: int, step: float) -> bool:
        tried.append(step)
        return len(tried) == 1  # the channel's first step gains, so that the same step is tried again

    monkeypatch.setattr(ara, "_move", move)
    allocate(chain([0.1], [0], query_rate_hz=[1.0, 1.0]), finest=1 / 32)
    assert tried == [1 / 4] * 2 + [1 / 4, 1 / 4, 1 / 8, 1 / 8, 1 / 16, 1 / 16, 1 / 32, 1 / 32]


class Slopes:
    """A market of two users whose delays of about 1 s fall in proportion to their share of the channel."""

    def __init__(self, *slopes: float) -> None:
        self.slopes = slopes

    def delay_s(self, place: int, share: np.ndarray) -> float:
        return 1.0 - self.slopes[place] * float(share[0])


def test_a_move_has_to_gain_a_millionth_of_all_delay() -> None:
    # A step of 1/8 gains an eighth of the difference of the slopes: 1.5 or 2.5 millionths of a second, of 2 s in all.
    for slope, after in ((12e-6, [0.5, 0.5]), (20e-6, [0.375, 0.625])):
        share = np.array([[0.5], [0.5]])
        assert ara._move(Slopes(0.0, slope), share, 0, 1 / 8) == (after != [0.5, 0.5])  # type: ignore[arg-type]
        assert share[:, 0].tolist() == after


def test_the_networks_input_counts_as_demand_for_the_channel() -> None:
    # 0.2 MB of weights each at 1 MB/s, and 0.3 MB of input for the first user: 0.5 s against 0.2 s.
    scenario = chain([0.1, 0.1], [0, 0], query_rate_hz=[1.0, 1.0])
    first = replace(scenario.users[0], graph=replace(scenario.users[0].graph, input_bytes=300_000))
    shares = allocate(replace(scenario, users=(first, scenario.users[1])), finest=PROPORTIONAL).shares
    assert np.asarray(shares.bandwidth) == pytest.approx([5 / 7, 2 / 7])
