"""The picture of a comparison is drawn whatever policies and scenario files are called."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from evaluate.compare.plots import delays_png
from evaluate.compare.statistics import policy_figures
from tests.evaluate.figures import assert_nothing_is_cut_off, drawn_figures


@pytest.mark.parametrize("name", ["a$b$", "$x^$", "runs/\\frac{", "\udcff.zip", "a_b%", "[bold]"])
def test_names_are_drawn_as_they_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = drawn_figures(monkeypatch)
    delays_s = {name: np.array([1.0, 2.0]), "device-only": np.array([2.0, 3.0])}
    device_s = np.array([2.0, 3.0])
    figures = policy_figures(delays_s, device_s, {key: np.zeros(2) for key in delays_s}, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that the font lacks
        assert delays_png(f"{name}: 2 scenarios", figures, delays_s, device_s).startswith(b"\x89PNG")
        assert_nothing_is_cut_off(drawn[0])
