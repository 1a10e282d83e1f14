"""Draws the delays of the model against those of the simulation, a point a scenario."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluate.compare.plots import COLOURS
from evaluate.truth.comparison import TruthRecord
from evaluate.truth.verdict import MEDIAN, MOST

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
"""Markers, one per policy."""


def truth_png(title: str, records: Mapping[str, Sequence[TruthRecord]]) -> bytes:
    """Return a PNG picture of two panels.

    Left: for each policy and scenario, the mean delay that the model gives to the simulated queries (vertical) against
    the mean that they met (horizontal); the grey band is 10 % wide to either side. Right: the share of scenarios
    (vertical) in which the ratio of the two is at most so large (horizontal); the dark band is the 3 % within which the
    median has to be, the light one the 10 %.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 4.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    points, shares = figure.subplots(1, 2)
    _draw_points(points, records)
    _draw_shares(shares, records)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw_points(axes: Axes, records: Mapping[str, Sequence[TruthRecord]]) -> None:
    met: list[float] = []
    for place, (name, each) in enumerate(records.items()):
        pairs = [(row.experienced_s, row.predicted_s) for row in each if row.experienced_s and row.predicted_s]
        met += [pair[0] for pair in pairs]
        x, y = zip(*pairs, strict=True) if pairs else ((), ())
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        axes.scatter(x, y, s=18, alpha=0.7, linewidths=0, label=name, color=colour, marker=marker)
    if met:
        ends = np.array([min(met) / 1.5, max(met) * 1.5])
        axes.plot(ends, ends, color="#7F7F7F", linewidth=1.0)
        axes.fill_between(ends, ends * (1.0 - MOST), ends * (1.0 + MOST), color="#7F7F7F", alpha=0.2, linewidth=0)
        axes.set_xlim(*ends)
        axes.set_ylim(*ends)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("mean delay that queries met in the simulation [s]")
    axes.set_ylabel("mean delay of the model for them [s]")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize="small")


def _draw_shares(axes: Axes, records: Mapping[str, Sequence[TruthRecord]]) -> None:
    axes.axvspan(1.0 - MOST, 1.0 + MOST, color="#7F7F7F", alpha=0.15, linewidth=0)
    axes.axvspan(1.0 - MEDIAN, 1.0 + MEDIAN, color="#7F7F7F", alpha=0.25, linewidth=0)
    furthest = 0.15
    for place, (name, each) in enumerate(records.items()):
        ratios = np.array([record.ratio for record in each if np.isfinite(record.ratio)])
        if len(ratios):
            furthest = max(furthest, float(np.abs(ratios - 1.0).max()))
            axes.ecdf(ratios, color=COLOURS[place % len(COLOURS)], label=name)
    axes.set_xlim(1.0 - min(furthest, 0.6) * 1.05, 1.0 + min(furthest, 0.6) * 1.05)
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel("model / simulation")
    axes.set_ylabel("share of scenarios")
    axes.grid(alpha=0.3)
