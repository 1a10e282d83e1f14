"""Shows a timeline as a picture or as text: whose weights are on the channel when, and how long queries take."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dnnmig_env.simulation.packed import has_lanes
from dnnmig_env.simulation.timelines.channel import draw_channel, label_rows, row_names
from dnnmig_env.simulation.timelines.lane_bars import shortened, sources_of
from dnnmig_env.simulation.timelines.timeline import Timeline
from dnnmig_env.simulation.timelines.user_marks import mark_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C6D31", "#595959")
"""Colours of users, which the colour-blind can tell apart (Okabe, Ito); they repeat from the ninth user on."""

FRAME_INCHES = (9.0, 6.4)
"""Width and height of a frame, of `DOTS_PER_INCH` pixels each, whatever the scenario."""
DOTS_PER_INCH = 110

_CHARACTER_INCHES = 0.078  # a character of the legend and of servers' names, on average
_LEGEND_ROW_INCHES = 0.2
_MOST_LEGEND_ROWS = 4  # in a frame; a figure has as many as it needs
_MOST_SERVER_LABELS = 16
_MOST_SMALL_LABELS, _MOST_SLOT_LINES = 20, 60  # where there are several lanes


def draw(timeline: Timeline) -> Figure:
    """Return a figure of the uploads over time, one row per server, above the query delays of every user.

    Where weights are sent in several lanes, there is one row for each radio cell and each wire that is used.

    Solid lines are the delays and dotted lines the delays on the device alone; grey lines mark the starts of slots.
    The figure is a plain `matplotlib.figure.Figure`: save it with `figure.savefig(path)`.
    """
    legend, _ = _legend(timeline, len(timeline.scenario.users))
    height = 4.8 + 0.32 * len(row_names(timeline)) + _LEGEND_ROW_INCHES * legend
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
    (rows, columns), names = _legend(timeline, most_rows), row_names(timeline)
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
    starts_s = np.asarray(scenario.slot_starts_s)[1:]
    for axes in (channel, delays):
        axes.spines[["top", "right"]].set_visible(False)
        if len(starts_s) > 0 and not (has_lanes(scenario) and len(starts_s) > _MOST_SLOT_LINES):
            axes.plot(
                np.repeat(starts_s, 3),
                np.tile([0.0, 1.0, np.nan], len(starts_s)),
                transform=axes.get_xaxis_transform(),
                color="0.85",
                linewidth=0.8,
                zorder=0,
            )
    draw_channel(channel, timeline, _colour)
    small = has_lanes(scenario) and len(names) > _MOST_SERVER_LABELS
    label_rows(channel, names, _MOST_SMALL_LABELS if small else _MOST_SERVER_LABELS, 6 if small else 9)
    _draw_delays(delays, timeline)
    marks = mark_lines(delays, timeline, [_colour(user) for user in range(len(scenario.users))])
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
    labels = [_label(timeline, user) for user in range(len(timeline.scenario.users))]
    column = 0.6 + _CHARACTER_INCHES * max(map(len, labels))
    columns = max(1, min(len(labels), int((FRAME_INCHES[0] - 0.2) / column)))
    return min(-(-len(labels) // columns), most_rows), columns


def _label(timeline: Timeline, user: int) -> str:
    return f"{timeline.scenario.users[user].name} ({timeline.scenario.users[user].graph.name})"


def to_rgb(figure: Figure) -> NDArray[np.uint8]:
    """Return a figure's pixels, shape (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    return np.asarray(pixels)[..., :3].copy()


def describe(timeline: Timeline) -> str:
    """Return a timeline as text: a headline, a table of the users and a table of the uploads."""
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
                f"{timeline.closed_loop_queries[user_index]:.0f}",
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


def _draw_delays(axes: Axes, timeline: Timeline) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    scenario = timeline.scenario
    times_s = np.append(timeline.event_time_s, scenario.horizon_s)
    present = timeline.present
    shown = timeline.event_delay_s[present]
    for user_index in range(len(scenario.users)):
        delays_s = np.where(present[:, user_index], timeline.event_delay_s[:, user_index], np.nan)
        style: dict[str, Any] = {"color": _colour(user_index), "linewidth": 1.8, "solid_capstyle": "butt"}
        label = _label(timeline, user_index)
        axes.step(times_s, np.append(delays_s, delays_s[-1]), where="post", label=label, **style)
        on_device_s = timeline.device_delay_s[user_index]
        dotted: dict[str, Any] = {"color": _colour(user_index), "linewidth": 0.9, "linestyle": ":", "zorder": 1}
        if has_lanes(scenario):  # often with many users, who come and go
            levels_s = np.where(np.append(present[:, user_index], False), on_device_s, np.nan)
            axes.step(times_s, levels_s, where="post", **dotted)
        else:
            axes.axhline(on_device_s, **dotted)
    if shown.min() > 0 and timeline.device_delay_s.max() > 20 * shown.min():
        axes.set_yscale("log")
        decades = math.log10(timeline.device_delay_s.max() / shown.min())
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 3 else (1.0,)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.set_ylim(0, 1.08 * max(timeline.device_delay_s.max(), 1e-9))
    axes.tick_params(axis="y", labelsize=9)
    axes.grid(axis="y", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    title = "delay of a query raised at this time; dotted: on the device alone"
    axes.set_title(title, fontsize=9, loc="left", color="0.3", y=1.0)
    axes.set_ylabel("query delay (s)")


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


def _colour(user: int) -> str:
    return COLOURS[user % len(COLOURS)]


def _seconds(seconds: float) -> str:
    if math.isnan(seconds):
        return "-"
    if math.isinf(seconds):
        return "never"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _bytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e3:.1f} kB" if size_bytes < 1e6 else f"{size_bytes / 1e6:.1f} MB"
