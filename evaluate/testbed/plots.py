"""Draws the delay of queries over time, measured and predicted, a panel per planner."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dnnmig_env.simulation.timelines.timeline import Timeline
from evaluate.compare.plots import COLOURS
from evaluate.testbed.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def delays_png(title: str, comparisons: Sequence[Comparison]) -> bytes:
    """Return a PNG picture.

    Dots are queries that ran for real; lines are the delay that a query is predicted to take by the time at which it is
    raised, before the run and from the seconds that layers really took. Small marks at the bottom show when partitions
    arrived. Users have colours of their own if there are several.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(2, len(comparisons))
    rows = math.ceil(len(comparisons) / columns)
    figure = Figure(figsize=(5.4 * columns + 0.6, 3.4 * rows + 0.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title.replace("$", r"\$"))
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, one in zip(panels, comparisons, strict=False):
        _draw(axes, one)
    for axes in panels[len(comparisons) :]:
        axes.set_axis_off()
    top = max(float(np.quantile(one.delay_s, 0.98)) for one in comparisons)
    top = max(top, *(float(one.expected_s(one.predicted).max()) for one in comparisons))
    panels[0].set_ylim(0, 1.15e3 * top)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw(axes: Axes, one: Comparison) -> None:
    scenario = one.predicted.scenario
    several = len(scenario.users) > 1
    starts_s = np.array([query["start_s"] for query in one.queries])
    users = np.array([query["user"] for query in one.queries])
    for user, row in enumerate(scenario.users):
        colour, name = COLOURS[(2 * user) % len(COLOURS)], f", {row.name}" if several else ""
        mine = users == user
        axes.plot(
            starts_s[mine], 1e3 * one.delay_s[mine], ".", color=colour, markersize=4, alpha=0.7, label=f"measured{name}"
        )
        second = COLOURS[1] if not several else colour
        _step(axes, one.predicted, user, "black" if not several else colour, "-", f"predicted{name}")
        _step(axes, one.retold, user, second, "--", f"retold{name}")
    arrived_s = [record["end_s"] for record in one.uploads if math.isfinite(record["end_s"])]
    axes.plot(arrived_s, np.zeros(len(arrived_s)), "|", color="#7F7F7F", markersize=14, label="partition arrived")
    axes.set_title(one.policy, loc="left", fontsize="medium", fontweight="bold")
    excess = f"{100 * (one.measured_s / one.predicted_s - 1):+.1f} %"
    axes.set_title(
        f"mean {1e3 * one.measured_s:.1f} ms measured, {1e3 * one.predicted_s:.1f} ms predicted ({excess})",
        loc="right",
        fontsize="x-small",
    )
    axes.set_xlim(0, scenario.horizon_s)
    axes.set_xlabel("time at which the query is raised [s]")
    axes.set_ylabel("query delay [ms]")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _step(axes: Axes, timeline: Timeline, user: int, colour: str, line: str, label: str) -> None:
    delays_ms = 1e3 * timeline.event_delay_s[:, user]
    axes.step(
        np.append(timeline.event_time_s, timeline.scenario.horizon_s),
        np.append(delays_ms, delays_ms[-1]),
        where="post",
        color=colour,
        linestyle=line,
        linewidth=1.3,
        label=label,
    )
