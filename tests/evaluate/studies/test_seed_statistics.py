from __future__ import annotations

import numpy as np
import pytest

import evaluate.studies.seed_statistics as statistics
from evaluate.studies.seed_statistics import interquartile_mean, seeded_figures

REFERENCE_S = np.random.default_rng(0).lognormal(size=(1, 40))


def figures(table_s: np.ndarray, seed: int = 0) -> statistics.SeededFigures:
    return seeded_figures({"planner": REFERENCE_S[:, : table_s.shape[1]], "agent": table_s}, "planner", seed)["agent"]


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


def test_figures_by_hand() -> None:
    # relative delays: 1, 2, 3, 8 of seed 0 and 2, 2, 4, 4 of seed 1; sorted 1, 2, 2, 2, 3, 4, 4, 8
    reference_s = np.array([[1.0, 2.0, 1.0, 0.5]])
    agent_s = np.array([[1.0, 4.0, 3.0, 4.0], [2.0, 4.0, 4.0, 2.0]])
    found = seeded_figures({"agent": agent_s, "planner": reference_s}, "planner", seed=0)
    assert found["agent"].seeds == 2
    assert found["agent"].mean_delay_s == pytest.approx(3.0)
    assert found["agent"].iqm == pytest.approx((2 + 2 + 3 + 4) / 4)
    assert found["agent"].ratio == pytest.approx(3.0 / 1.125)
    assert found["planner"].iqm_ci95 == found["planner"].ratio_ci95 == (1.0, 1.0)


def test_the_interval_of_constants_is_the_constant() -> None:
    found = figures(0.7 * np.repeat(REFERENCE_S, 3, axis=0))  # the same in every scenario and with every seed
    assert found.iqm_ci95 == pytest.approx((0.7, 0.7))
    assert found.ratio_ci95 == pytest.approx((0.7, 0.7))
    alone = figures(np.array([[3.0]]))  # one seed and one scenario: nothing to resample
    assert alone.iqm_ci95 == pytest.approx((alone.iqm, alone.iqm))


def test_fewer_seeds_that_differ_make_wider_intervals() -> None:
    quality = np.array([[0.8], [1.0], [1.2]])
    few, many = REFERENCE_S * quality, REFERENCE_S * np.repeat(quality, 6, axis=0)
    assert figures(few).iqm == pytest.approx(figures(many).iqm, rel=0.02)
    for name in ("iqm_ci95", "ratio_ci95"):
        assert width(getattr(figures(few), name)) > 1.5 * width(getattr(figures(many), name))
        assert width(getattr(figures(few), name)) > 0.2  # seeds are resampled, not only scenarios, which are all alike


def test_the_order_of_scenarios_and_of_seeds_means_nothing() -> None:
    rng = np.random.default_rng(1)
    table_s = REFERENCE_S * rng.uniform(0.5, 1.5, (5, 40))
    given = figures(table_s)
    order = rng.permutation(40)
    shuffled = {"planner": REFERENCE_S[:, order], "agent": table_s[::-1][:, order]}
    found = seeded_figures(shuffled, "planner", seed=0)["agent"]
    assert (found.iqm, found.ratio) == pytest.approx((given.iqm, given.ratio))
    assert found.iqm_ci95 == pytest.approx(given.iqm_ci95, abs=0.1 * width(given.iqm_ci95))
    assert found.ratio_ci95 == pytest.approx(given.ratio_ci95, abs=0.1 * width(given.ratio_ci95))


def test_one_outlier_moves_the_mean_but_not_the_interquartile_mean() -> None:
    values = np.arange(20.0)
    odd = np.where(values == 19.0, 1e6, values)
    assert interquartile_mean(odd) == interquartile_mean(values) == 9.5
    table_s = REFERENCE_S * np.random.default_rng(2).uniform(0.8, 1.2, (3, 40))
    table_s[0, 0] = table_s.max()
    odd_s = table_s.copy()
    odd_s[0, 0] *= 1e6
    assert figures(odd_s).iqm == pytest.approx(figures(table_s).iqm, rel=0.01)
    assert figures(odd_s).ratio > 100 * figures(table_s).ratio


def test_scenarios_are_drawn_alike_for_all_variants_whatever_their_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    one_s = REFERENCE_S * np.random.default_rng(3).uniform(0.5, 1.5, (1, 40))
    alone = figures(one_s)
    monkeypatch.setattr(statistics, "BATCH_VALUES", 123 * 4 * 40)  # of another size for another number of seeds
    assert figures(np.repeat(one_s, 4, axis=0)).ratio_ci95 == pytest.approx(alone.ratio_ci95)


def test_intervals_agree_with_a_crossed_bootstrap_written_out() -> None:
    rng = np.random.default_rng(4)
    table_s = REFERENCE_S * rng.uniform(0.5, 1.5, (4, 40)) * rng.uniform(0.9, 1.1, (4, 1))
    ratios = []
    for _ in range(5000):
        rows, columns = rng.integers(4, size=4), rng.integers(40, size=40)
        ratios.append(table_s[np.ix_(rows, columns)].mean() / REFERENCE_S[0, columns].mean())
    assert figures(table_s).ratio_ci95 == pytest.approx(tuple(np.quantile(ratios, (0.025, 0.975))), rel=0.02)


def test_the_same_seed_gives_the_same_interval() -> None:
    table_s = REFERENCE_S * np.random.default_rng(5).uniform(0.5, 1.5, (3, 40))
    assert figures(table_s, seed=1) == figures(table_s, seed=1) != figures(table_s, seed=2)


def test_training_seeds_and_scenarios_are_drawn_independently_of_each_other() -> None:
    for place in range(3):
        seeds, chosen = next(statistics._draws(40, 40, 0, place))
        assert abs(np.corrcoef(seeds.ravel(), chosen.ravel())[0, 1]) < 0.02
