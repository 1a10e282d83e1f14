"""Draws what several policies do in one scenario: uploads one above the other, and the delays of each user."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.simulation.packed import has_lanes
from dnnmig_env.simulation.timelines.panels import (
    draw_uploads,
    mark_slots,
    row_names,
    scale_delays,
    used_lanes,
    user_colour,
    user_label,
)
from dnnmig_env.simulation.timelines.timeline import Timeline
from evaluate.compare.plots import COLOURS, drawable, short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES, DOTS_PER_INCH = 11.0, 110
LEGEND_COLUMNS, PANEL_COLUMNS = 4, 3

STYLES: tuple[dict[str, Any], ...] = (
    {"color": COLOURS[0], "linestyle": "-", "linewidth": 1.8},
    {"color": COLOURS[1], "linestyle": (0, (4, 1.5)), "linewidth": 1.5},
    {"color": COLOURS[2], "linestyle": (0, (1, 1)), "linewidth": 1.8},
)
"""How the delays under each policy are drawn."""
ON_DEVICE: dict[str, Any] = {"color": "0.45", "linestyle": ":", "linewidth": 1.0}


def uploads_png(title: str, timelines: Mapping[str, Timeline]) -> bytes:
    """Return a PNG picture of the uploads of each policy over time, one above the other, in the colours of users.

    There is a row for each server or, where there are several lanes, for each lane that any of the policies uses.

    Args:
        title: What to write above.
        timelines: What happened in the same scenario under each policy.
    """
    scenario = next(iter(timelines.values())).scenario
    lanes = used_lanes(list(timelines.values())) if has_lanes(scenario) else None
    names, users = row_names(scenario, lanes), len(scenario.users)
    legend_inches = 0.35 + 0.2 * -(-users // LEGEND_COLUMNS)
    panel_inches = 0.45 + (0.22 if len(names) > 6 else 0.34) * len(names)
    figure = _figure(title, 0.7 + legend_inches + (panel_inches + 0.4) * len(timelines))
    panels = figure.subplots(len(timelines), 1, sharex=True, squeeze=False)[:, 0]
    panels[0].set_xlim(0, scenario.horizon_s)
    panels[-1].set_xlabel("time (s)")
    for axes in panels:
        axes.set_ylabel("lane" if lanes is not None else "server", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        mark_slots(axes, scenario)
    _draw_legend(figure, timelines)
    figure.canvas.draw()  # places the panels, so that texts know how much room there is in a bar
    for axes, (name, timeline) in zip(panels, timelines.items(), strict=True):
        draw_uploads(axes, timeline, lanes)
        percent = 100 * timeline.mean_delay_s / timeline.mean_device_delay_s
        mean = f"mean query delay {timeline.mean_delay_s:.3g} s, {percent:.0f} % of that on the devices"
        axes.set_title(f"{short_name(name)}: {mean}", fontsize=10, loc="left")
    return _png(figure)


def delays_png(title: str, timelines: Mapping[str, Timeline]) -> bytes:
    """Return a PNG picture of how long queries take over time: of all users together, then of each, if there are more.

    Args:
        title: What to write above.
        timelines: What happened in the same scenario under each policy.
    """
    from matplotlib.lines import Line2D

    some = next(iter(timelines.values()))
    users = len(some.scenario.users)
    shown = 1 if users == 1 else users + 1
    columns = min(shown, PANEL_COLUMNS)
    rows = -(-shown // columns)
    figure = _figure(title, 1.1 + (1.75 if columns > 1 else 2.6) * rows)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).reshape(-1)
    panels[0].set_xlim(0, some.scenario.horizon_s)
    for place, axes in enumerate(panels):
        if place >= shown:
            axes.set_visible(False)
            continue
        _draw_delays(axes, timelines, None if place == 0 and users > 1 else max(place - 1, 0))
        if place % columns == 0:
            axes.set_ylabel("query delay (s)", fontsize=9)
        if place + columns >= shown:
            axes.set_xlabel("time (s)", fontsize=9)
            axes.tick_params(labelbottom=True)
    lines = [Line2D([], [], **style) for style in (*STYLES[: len(timelines)], ON_DEVICE)]
    figure.legend(
        lines,
        [*map(short_name, timelines), "on the device alone"],
        loc="outside lower center",
        ncols=len(lines),
        frameon=False,
        fontsize=9,
    )
    return _png(figure)


def mean_delays_s(timeline: Timeline) -> tuple[Floats, Floats]:
    """Return the mean delay of the queries of all present users from each event on, and on devices alone, both (E,).

    Both are NaN while nobody is present.
    """
    rates = np.array([np.asarray(user.query_rate_hz)[timeline.event_slot] for user in timeline.scenario.users]).T
    total = rates.sum(axis=1)
    weights = np.divide(rates, total[:, None], out=np.full_like(rates, np.nan), where=total[:, None] > 0)
    return (weights * timeline.event_delay_s).sum(axis=1), weights @ timeline.device_delay_s


def _draw_delays(axes: Axes, timelines: Mapping[str, Timeline], user: int | None) -> None:
    """Draw the delays of a user, or the means over all users, under each policy."""
    least_s, greatest_s = np.inf, 0.0
    for style, timeline in zip(STYLES, timelines.values(), strict=False):
        if user is None:
            delays_s, device_s = mean_delays_s(timeline)
        else:
            here = timeline.present[:, user]
            delays_s = np.where(here, timeline.event_delay_s[:, user], np.nan)
            device_s = np.where(here, timeline.device_delay_s[user], np.nan)
        times_s = np.append(timeline.event_time_s, timeline.scenario.horizon_s)
        for values, how in ((device_s, ON_DEVICE), (delays_s, style)):
            axes.step(times_s, np.append(values, values[-1]), where="post", **how)
            shown = values[np.isfinite(values)]
            least_s, greatest_s = min([least_s, *shown]), max([greatest_s, *shown])
    scenario = next(iter(timelines.values())).scenario
    label = "all users, mean" if user is None else f"{user}: {user_label(scenario, user)}"
    axes.set_title(drawable(label if len(label) <= 40 else f"{label[:37]}..."), fontsize=9, loc="left")
    if greatest_s > 0:
        scale_delays(axes, float(least_s), float(greatest_s))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)


def _draw_legend(figure: Figure, timelines: Mapping[str, Timeline]) -> None:
    from matplotlib.patches import Patch

    scenario = next(iter(timelines.values())).scenario
    labels = [user_label(scenario, user) for user in range(len(scenario.users))]
    figure.legend(
        [Patch(color=user_colour(user)) for user in range(len(labels))],
        [drawable(label if len(label) <= 32 else f"{label[:29]}...") for label in labels],
        loc="outside lower center",
        ncols=min(LEGEND_COLUMNS, len(labels)),
        frameon=False,
        fontsize=8,
        title=("rows: radio of a cell, or wire of a server; " if has_lanes(scenario) else "")
        + "colours: whose weights are sent; hatched: never arrives",
        title_fontsize=8,
    )


def _figure(title: str, height_inches: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, height_inches), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(drawable(title), fontsize=11)
    return figure


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
