"""The radio's rate over distance."""

from __future__ import annotations

import numpy as np
import pytest

from dnnmig_env.simulation.radio import radio_bytes_per_s


def rate_mbps(distance_m: float, shadowing_db: float = 0.0) -> float:
    return float(radio_bytes_per_s(np.array([distance_m]), np.array([shadowing_db]))[0]) * 8 / 1e6


def test_the_rate_is_shannons() -> None:
    # Path loss 35 dB per decade: at 500 m, a decade beyond 50 m, 25 - 35 = -10 dB of SNR are left, which is 0.1.
    assert rate_mbps(500.0) == pytest.approx(20 * np.log2(1.1))
    # 15 dB of shadowing at 50 m leave 10 dB, which is 10.
    assert rate_mbps(50.0, 15.0) == pytest.approx(20 * np.log2(11.0))


def test_the_rate_falls_with_distance_and_with_shadowing_between_its_bounds() -> None:
    by_distance = radio_bytes_per_s(np.linspace(0, 2000, 300), np.zeros(300)) * 8 / 1e6
    by_shadowing = radio_bytes_per_s(np.full(300, 120.0), np.linspace(-30, 60, 300)) * 8 / 1e6
    for rates in (by_distance, by_shadowing):
        assert np.all(np.diff(rates) <= 0)
        assert rates[-1] == pytest.approx(2.0)
    assert by_shadowing[0] == pytest.approx(160.0)
    assert np.all(np.diff(by_distance[20:80]) < 0)
