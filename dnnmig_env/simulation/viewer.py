"""Shows a timeline as a picture or as text: whose weights are on the channel when, and how long queries take."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dnnmig_env.simulation.packed import has_lanes
from dnnmig_env.simulation.timelines.lane_bars import shortened, sources_of
from dnnmig_env.simulation.timelines.panels import (
    draw_delays,
    draw_uploads,
    mark_slots,
    row_names,
    used_lanes,
    user_colour,
    user_label,
)
from dnnmig_env.simulation.timelines.timeline import Timeline
from dnnmig_env.simulation.timelines.user_marks import mark_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRAME_INCHES = (9.0, 6.4)
"""Width and height of a frame, of `DOTS_PER_INCH` pixels each, whatever the scenario."""
DOTS_PER_INCH = 110

_CHARACTER_INCHES = 0.078  # a character of the legend and of servers' names, on average
_LEGEND_ROW_INCHES = 0.2
_MOST_LEGEND_ROWS = 4  # in a frame; a figure has as many as it needs


def draw(timeline: Timeline) -> Figure:
    """Return a figure of the uploads over time, one row per server, above the query delays of every user.

    Where weights are sent in several lanes, there is one row for each radio cell and each wire that is used.

    Solid lines are the delays and dotted lines the delays on the device alone; grey lines mark the starts of slots.
    The figure is a plain `matplotlib.figure.Figure`: save it with `figure.savefig(path)`.
    """
    legend, _ = _legend(timeline, len(timeline.scenario.users))
    height = 4.8 + 0.32 * len(row_names(timeline.scenario, used_lanes([timeline]))) + _LEGEND_ROW_INCHES * legend
    return _figure(timeline, (FRAME_INCHES[0], height), len(timeline.scenario.users))


def frame(timeline: Timeline) -> NDArray[np.uint8]:
    """Return the same picture as pixels, (height, width, 3), whose size does not depend on the scenario."""
    return to_rgb(_figure(timeline, FRAME_INCHES, _MOST_LEGEND_ROWS))


def _figure(timeline: Timeline, inches: tuple[float, float], most_rows: int) -> Figure:
    """Return the figure in a given size, with at most `most_rows` rows of users in its legend.

    Where everything is placed is worked out here, in inches: matplotlib's layout engines take longer than the drawing.
    """
    from matplotlib.figure import Figure

    scenario, (width, height) = timeline.scenario, inches
    (rows, columns), names = _legend(timeline, most_rows), row_names(scenario, used_lanes([timeline]))
    figure = Figure(figsize=inches, dpi=DOTS_PER_INCH)
    left = max(0.85, 0.25 + _CHARACTER_INCHES * max(map(len, names)))
    top, gap, bottom = 0.65, 0.45, 0.6 + _LEGEND_ROW_INCHES * rows
    room = height - top - gap - bottom
    channel_height = min(0.2 + 0.32 * len(names), 0.5 * room)

    def axes_at(low: float, high: float, **shared: Any) -> Axes:
        box = (left / width, low / height, (width - left - 0.15) / width, (high - low) / height)
        return figure.add_axes(box, **shared)

    channel = axes_at(height - top - channel_height, height - top)
    delays = axes_at(bottom, height - top - channel_height - gap, sharex=channel)
    delays.set_xlim(0, scenario.horizon_s)
    channel.tick_params(axis="x", labelbottom=False)
    for axes in (channel, delays):
        axes.spines[["top", "right"]].set_visible(False)
        mark_slots(axes, scenario)
    draw_uploads(channel, timeline)
    draw_delays(delays, timeline)
    marks = mark_lines(delays, timeline, [user_colour(user) for user in range(len(scenario.users))])
    delays.set_xlabel("time (s)")
    figure.text(0.01, 1 - 0.1 / height, _headline(timeline), fontsize=10, verticalalignment="top")
    (lines, labels), shown = delays.get_legend_handles_labels(), rows * columns
    if shown < len(labels):
        lines, labels = lines[:shown], [*labels[: shown - 1], f"and {len(labels) - shown + 1} more users"]
    handles: Any = list(zip(lines, marks[: len(lines)], strict=True))  # a mark upon each line
    longest = int((width - 1.0) / _CHARACTER_INCHES)
    figure.legend(
        handles,
        [shortened(label, longest) for label in labels],
        loc="lower center",
        ncols=columns,
        frameon=False,
        fontsize=9,
        borderaxespad=0.1,
    )
    return figure


def _legend(timeline: Timeline, most_rows: int) -> tuple[int, int]:
    """Return the number of rows and columns of the legend, so many that the longest label fits."""
    labels = [user_label(timeline.scenario, user) for user in range(len(timeline.scenario.users))]
    column = 0.6 + _CHARACTER_INCHES * max(map(len, labels))
    columns = max(1, min(len(labels), int((FRAME_INCHES[0] - 0.2) / column)))
    return min(-(-len(labels) // columns), most_rows), columns


def to_rgb(figure: Figure) -> NDArray[np.uint8]:
    """Return a figure's pixels, shape (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    return np.asarray(pixels)[..., :3].copy()


def describe(timeline: Timeline) -> str:
    """Return a timeline as text: a headline, a table of the users and a table of the uploads.

    *settled after* is the time from which on a user's queries take at most 5 % longer than at the end, *cold start* the
    delay of a first query that waits for all weights it needs (`Timeline.cold_start_delay_s`), and *queries* the mean
    number of queries that the user starts until the horizon.
    """
    scenario = timeline.scenario
    users = [["user", "network", "device only", "mean delay", "final delay", "settled after", "cold start", "queries"]]
    for user_index, user in enumerate(scenario.users):
        users.append(
            [
                user.name,
                user.graph.name,
                _seconds(timeline.device_delay_s[user_index]),
                _seconds(timeline.user_mean_delay_s[user_index]),
                _seconds(timeline.event_delay_s[-1, user_index]),
                _seconds(timeline.settled_s[user_index]),
                _seconds(timeline.cold_start_delay_s[user_index]),
                f"{timeline.usage.started[:, user_index].sum():.1f}",
            ]
        )
    lanes = has_lanes(scenario)
    uploads = [["upload", "user", *["from"] * lanes, "server", "sent", "start", "end", "layers"]]
    for index, upload in enumerate(timeline.uploads):
        user = scenario.users[upload.user]
        uploads.append(
            [
                str(index),
                user.name,
                *[sources_of(scenario, upload)] * lanes,
                scenario.servers[upload.server - 1].name,
                _bytes(upload.sent_bytes),
                _seconds(upload.start_s),
                _seconds(upload.end_s),
                textwrap.shorten(
                    ", ".join(user.graph.layers[layer].name for layer in upload.layers), 80, placeholder=" ..."
                ),
            ]
        )
    parts = [_headline(timeline), _table(users)]
    if timeline.uploads:
        parts.append(_table(uploads))
    return "\n\n".join(parts)


def _headline(timeline: Timeline) -> str:
    sent = f"{_bytes(timeline.weight_bytes_sent)} uploaded"
    if has_lanes(timeline.scenario):
        moves = timeline.moves
        sent = f"{_bytes(moves.radio_bytes)} by radio and {_bytes(moves.wire_bytes)} by wire"
    elif not timeline.uploads:
        sent = "nothing uploaded"
    elif math.isfinite(timeline.upload_s):
        sent += f" in {_seconds(timeline.upload_s)}"
    else:
        sent += f", not all by the horizon of {_seconds(timeline.scenario.horizon_s)}"
    device_only_s = timeline.mean_device_delay_s
    return f"mean query delay {_seconds(timeline.mean_delay_s)} (device only {_seconds(device_only_s)}), {sent}"


def _table(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def _seconds(seconds: float) -> str:
    if math.isnan(seconds):
        return "-"
    if math.isinf(seconds):
        return "never"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _bytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e3:.1f} kB" if size_bytes < 1e6 else f"{size_bytes / 1e6:.1f} MB"
