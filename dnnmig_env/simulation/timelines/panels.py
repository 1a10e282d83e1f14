"""The panels of which pictures of timelines consist: uploads over time, and how long queries take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import has_lanes
from dnnmig_env.simulation.timelines.lane_bars import (
    LEAST_PIXELS,
    Lane,
    add_bar,
    draw_lanes,
    lane_bars,
    lane_names,
    lanes_in,
    shortened,
)
from dnnmig_env.simulation.timelines.timeline import Timeline
from dnnmig_env.simulation.timelines.user_marks import MARK_PIXELS, Span, mark_bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C6D31", "#595959")
"""Colours of the first users, which the colour-blind can tell apart (Okabe, Ito)."""

_SHADES = (1.0, 0.55, 0.3)
"""How bright the colours are for the first users, the next ones, and so on; then they repeat."""

_MOST_NAME = 16  # characters of a server's name
_MOST_SERVER_LABELS = 16
_MOST_SMALL_LABELS, _MOST_SLOT_LINES = 20, 60  # where there are several lanes


def draw_uploads(axes: Axes, timeline: Timeline, lanes: Sequence[Lane] | None = None) -> None:
    """Draw each upload in the colour and with the mark of its user, in a row per server.

    Where there are several lanes, each lane has a row. What never arrives is hatched. The axis of time must have its
    limits already.

    Args:
        axes: Where to draw.
        timeline: What happened.
        lanes: The lanes that have rows, where there are several; by default those that are used.
    """
    scenario = timeline.scenario
    if has_lanes(scenario):
        lanes = used_lanes([timeline]) if lanes is None else lanes
        draw_lanes(axes, timeline, user_colour, lanes)
    else:
        _draw_channel(axes, timeline)
    names = row_names(scenario, lanes)
    small = has_lanes(scenario) and len(names) > _MOST_SERVER_LABELS
    label_rows(axes, names, _MOST_SMALL_LABELS if small else _MOST_SERVER_LABELS, 6 if small else 9)


def used_lanes(timelines: Sequence[Timeline]) -> list[Lane]:
    """Return the lanes in which anything is sent in any of the timelines, in the order of their rows."""
    return lanes_in([bar for timeline in timelines for bar in lane_bars(timeline)])


def row_names(scenario: Scenario, lanes: Sequence[Lane] | None) -> list[str]:
    """Return the names of the rows of `draw_uploads`: of servers, or of lanes where there are several."""
    if has_lanes(scenario):
        return lane_names(scenario, lanes or [], _MOST_NAME)
    return [shortened(server.name, _MOST_NAME) for server in scenario.servers]


def label_rows(axes: Axes, names: Sequence[str], most: int, size: float) -> None:
    """Write the names of rows beside them, so many that at most `most` are written, in letters of `size` points."""
    labelled = range(0, len(names), -(-len(names) // most))
    axes.set_yticks(labelled, [names[row] for row in labelled], fontsize=size)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def mark_slots(axes: Axes, scenario: Scenario) -> None:
    """Mark the starts of slots by grey lines, unless they are so many that they would hide what is drawn."""
    starts_s = np.asarray(scenario.slot_starts_s)[1:]
    if len(starts_s) > 0 and not (has_lanes(scenario) and len(starts_s) > _MOST_SLOT_LINES):
        axes.plot(
            np.repeat(starts_s, 3),
            np.tile([0.0, 1.0, np.nan], len(starts_s)),
            transform=axes.get_xaxis_transform(),
            color="0.85",
            linewidth=0.8,
            zorder=0,
        )


def draw_delays(axes: Axes, timeline: Timeline) -> None:
    """Draw how long queries of each user take over time, and by dotted lines how long they take on its device."""
    scenario = timeline.scenario
    times_s = np.append(timeline.event_time_s, scenario.horizon_s)
    present = timeline.present
    shown = timeline.event_delay_s[present]
    for user_index in range(len(scenario.users)):
        delays_s = np.where(present[:, user_index], timeline.event_delay_s[:, user_index], np.nan)
        style: dict[str, Any] = {"color": user_colour(user_index), "linewidth": 1.8, "solid_capstyle": "butt"}
        label = user_label(scenario, user_index)
        axes.step(times_s, np.append(delays_s, delays_s[-1]), where="post", label=label, **style)
        on_device_s = timeline.device_delay_s[user_index]
        dotted: dict[str, Any] = {"color": user_colour(user_index), "linewidth": 0.9, "linestyle": ":", "zorder": 1}
        if has_lanes(scenario):  # often with many users, who come and go
            levels_s = np.where(np.append(present[:, user_index], False), on_device_s, np.nan)
            axes.step(times_s, levels_s, where="post", **dotted)
        else:
            axes.axhline(on_device_s, **dotted)
    scale_delays(axes, float(shown.min()), float(timeline.device_delay_s.max()))
    axes.tick_params(axis="y", labelsize=9)
    axes.grid(axis="y", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    title = "delay of a query raised at this time; dotted: on the device alone"
    axes.set_title(title, fontsize=9, loc="left", color="0.3", y=1.0)
    axes.set_ylabel("query delay (s)")


def scale_delays(axes: Axes, least_s: float, greatest_s: float) -> None:
    """Give an axis of delays its limits, and a logarithmic scale if the greatest delay is many times the least."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    if least_s > 0 and greatest_s > 20 * least_s:
        axes.set_yscale("log")
        decades = math.log10(greatest_s / least_s)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 3 else (1.0,)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.set_ylim(0, 1.08 * max(greatest_s, 1e-9))


def user_label(scenario: Scenario, user: int) -> str:
    """Return a user's name with that of its network."""
    return f"{scenario.users[user].name} ({scenario.users[user].graph.name})"


def user_colour(user: int) -> str:
    """Return the colour of a user as in "#0072B2"; from the ninth on they are darker ones of the same."""
    shade = _SHADES[user // len(COLOURS) % len(_SHADES)]
    base = COLOURS[user % len(COLOURS)]
    return "#" + "".join(f"{round(shade * int(base[k : k + 2], 16)):02X}" for k in (1, 3, 5))


def _draw_channel(axes: Axes, timeline: Timeline) -> None:
    scenario = timeline.scenario
    pixels_per_s, spans = axes.get_window_extent().width / scenario.horizon_s, []
    for upload in timeline.uploads:
        if not math.isfinite(upload.start_s):
            continue
        user, finished = scenario.users[upload.user], math.isfinite(upload.end_s)
        width_s = min(upload.end_s, scenario.horizon_s) - upload.start_s
        line = 0.4 if width_s * pixels_per_s > 2 * LEAST_PIXELS else 0.0
        shown_s = max(width_s, LEAST_PIXELS / pixels_per_s)
        colour = user_colour(upload.user)
        add_bar(axes, upload.server - 1, upload.start_s, shown_s, colour, arrives=finished, line=line)
        spans.append(Span(upload.server - 1, upload.start_s, upload.start_s + width_s, upload.user))
        name = " ".join(user.graph.layers[layer].name for layer in upload.layers)
        if len(name) * 8.0 + 2 * MARK_PIXELS < width_s * pixels_per_s:
            axes.text(
                upload.start_s + width_s / 2,
                upload.server - 1,
                name,
                color="white" if finished else "0.2",  # hatched bars are pale
                fontsize=7,
                horizontalalignment="center",
                verticalalignment="center",
            )
    mark_bars(axes, spans, pixels_per_s)
    axes.set_title("uploads on the channel", fontsize=9, loc="left", color="0.3", y=1.0)
