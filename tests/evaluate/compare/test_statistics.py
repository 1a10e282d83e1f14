from __future__ import annotations

import numpy as np
import pytest

from evaluate.compare.statistics import best_known_s, delay_ratios, is_best, policy_figures

DELAYS_S = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([2.0, 2.0, 1.0])}
DEVICE_S = np.array([4.0, 2.0, 6.0])
PLANNING_S = {"a": np.array([0.1, 0.2, 0.3]), "b": np.zeros(3)}


def test_figures_by_hand() -> None:
    # best known 1, 2, 1: a is 1, 1 and 3 times that, b is 2, 1 and 1 times; both tie in the second scenario
    figures = policy_figures(DELAYS_S, DEVICE_S, PLANNING_S, seed=0)
    a, b = figures["a"], figures["b"]
    assert (a.mean_delay_s, b.mean_delay_s) == pytest.approx((2.0, 5 / 3))
    assert (a.relative_to_device_only, b.relative_to_device_only) == pytest.approx((6 / 12, 5 / 12))
    assert (a.gap_to_best_known, b.gap_to_best_known) == pytest.approx((2 / 3, 1 / 3))
    assert (a.wins, b.wins) == pytest.approx((2 / 3, 2 / 3))
    assert a.planning_s == pytest.approx(0.2)


def test_device_only_counts_among_the_best_known_though_no_policy_played_it() -> None:
    delays_s = {"worse": np.array([5.0, 1.0])}
    best_s = best_known_s(delays_s, np.array([4.0, 3.0]))
    assert best_s.tolist() == [4.0, 1.0]
    assert is_best(delays_s["worse"], best_s).tolist() == [False, True]


def test_ties_within_rounding_are_won_by_all_who_share_them() -> None:
    assert is_best(np.array([1.0 + 1e-12, 1.0 + 1e-6]), np.ones(2)).tolist() == [True, False]


def test_intervals_agree_with_a_bootstrap_written_out() -> None:
    rng = np.random.default_rng(3)
    device_s = rng.lognormal(size=40)
    delays_s = {"a": device_s * rng.uniform(0.3, 0.9, 40), "b": device_s * rng.uniform(0.5, 1.0, 40)}
    found = policy_figures(delays_s, device_s, {name: np.zeros(40) for name in delays_s}, seed=5)["b"]
    drawn = np.random.default_rng(7).integers(0, 40, (20_000, 40))
    mean_s = delays_s["b"][drawn].mean(axis=1)
    assert found.ci95 == pytest.approx(tuple(np.quantile(mean_s, (0.025, 0.975))), rel=0.02)
    relative = mean_s / device_s[drawn].mean(axis=1)
    assert found.relative_ci95 == pytest.approx(tuple(np.quantile(relative, (0.025, 0.975))), rel=0.02)
    ratio, low, high = delay_ratios(delays_s, seed=5)["a"]["b"]
    ratios = delays_s["a"][drawn].mean(axis=1) / mean_s
    assert ratio == pytest.approx(delays_s["a"].mean() / delays_s["b"].mean())
    assert (low, high) == pytest.approx(tuple(np.quantile(ratios, (0.025, 0.975))), rel=0.02)


def test_resampling_is_paired() -> None:
    # one policy takes exactly half of device-only's delay in every scenario: no resample may say otherwise
    device_s = np.random.default_rng(0).lognormal(size=30)
    figures = policy_figures({"half": device_s / 2}, device_s, {"half": np.zeros(30)}, seed=0)["half"]
    assert figures.relative_ci95 == pytest.approx((0.5, 0.5))
    assert figures.ci95[1] / figures.ci95[0] > 1.2


def test_the_same_seed_gives_the_same_interval() -> None:
    delay_s = np.random.default_rng(0).lognormal(size=30)
    again = [policy_figures({"a": delay_s}, delay_s * 2, {"a": delay_s}, seed) for seed in (1, 1, 2)]
    assert again[0] == again[1]
    assert again[0] != again[2]


def test_one_scenario_has_its_value_for_an_interval() -> None:
    one = policy_figures({"a": np.array([2.0])}, np.array([4.0]), {"a": np.zeros(1)}, seed=0)["a"]
    assert (one.mean_delay_s, one.ci95, one.relative_ci95) == (2.0, (2.0, 2.0), (0.5, 0.5))
