"""The figures of policies as the rows of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping

from evaluate.compare.statistics import PolicyFigures

HEADINGS = ("policy", "delay [s]", "95 %", "/ device", "gap", "won", "plan [s]")


def summary_rows(figures: Mapping[str, PolicyFigures]) -> list[tuple[str, ...]]:
    """Return one row of text per policy, the fastest queries first; a single scenario has no interval to show."""
    ranked = sorted(figures.items(), key=lambda item: item[1].mean_delay_s)
    return [
        (
            name,
            _digits(each.mean_delay_s),
            _interval(each.ci95),
            f"{each.relative_to_device_only:.3f}",
            f"{each.gap_to_best_known:+.1%}",
            f"{each.wins:.0%}",
            _digits(each.planning_s),
        )
        for name, each in ranked
    ]


def _interval(bounds: tuple[float, float]) -> str:
    low, high = bounds
    return "" if low == high else f"{_digits(low)} - {_digits(high)}"


def _digits(value: float) -> str:
    """Return a number with three significant digits, never in powers of ten."""
    if value <= 0.0:
        return f"{value:.3g}"
    decimals = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{decimals}f}"
