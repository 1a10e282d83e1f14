"""Shows a timeline as a picture or as text: whose weights are on the channel when, and how long queries take."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dnnmig_env.simulation.timeline import Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C6D31", "#595959")
"""Colours of users, which the colour-blind can tell apart (Okabe, Ito); they repeat from the ninth user on."""


def draw(timeline: Timeline) -> Figure:
    """Return a figure of the uploads over time, one row per server, above the query delays of every user.

    Solid lines are the delays and dotted lines the delays on the device alone; grey lines mark the starts of slots.
    The figure is a plain `matplotlib.figure.Figure`: save it with `figure.savefig(path)`.
    """
    from matplotlib.figure import Figure

    scenario = timeline.scenario
    heights = (0.5 + 0.32 * len(scenario.servers), 3.2)
    figure = Figure(figsize=(9.0, sum(heights) + 1.1), dpi=110, layout="constrained")
    channel, delays = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    for axes in (channel, delays):
        axes.spines[["top", "right"]].set_visible(False)
        for start_s in np.asarray(scenario.slot_starts_s)[1:]:
            axes.axvline(start_s, color="0.85", linewidth=0.8, zorder=0)
    _draw_channel(channel, timeline)
    _draw_delays(delays, timeline)
    delays.set_xlim(0, scenario.horizon_s)
    delays.set_xlabel("time (s)")
    figure.suptitle(_headline(timeline), fontsize=11, x=0.01, horizontalalignment="left")
    columns = min(4, len(scenario.users))
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return figure


def frame(timeline: Timeline) -> NDArray[np.uint8]:
    """Return a picture."""
    return to_rgb(draw(timeline))


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
    uploads = [["upload", "user", "server", "sent", "start", "end", "layers"]]
    for index, upload in enumerate(timeline.uploads):
        user = scenario.users[upload.user]
        uploads.append(
            [
                str(index),
                user.name,
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


def _draw_channel(axes: Axes, timeline: Timeline) -> None:
    scenario = timeline.scenario
    pixels_per_s = axes.get_window_extent().width / scenario.horizon_s
    for upload in timeline.uploads:
        if not math.isfinite(upload.start_s):
            continue
        user, finished = scenario.users[upload.user], math.isfinite(upload.end_s)
        width_s = min(upload.end_s, scenario.horizon_s) - upload.start_s
        axes.barh(
            upload.server - 1,
            width_s,
            left=upload.start_s,
            height=0.74,
            color=_colour(upload.user),
            alpha=1.0 if finished else 0.45,
            hatch=None if finished else "////",
            edgecolor="white",
            linewidth=0.4,
        )
        name = " ".join(user.graph.layers[layer].name for layer in upload.layers)
        if len(name) * 8.0 < width_s * pixels_per_s:
            axes.text(
                upload.start_s + width_s / 2,
                upload.server - 1,
                name,
                color="white",
                fontsize=7,
                horizontalalignment="center",
                verticalalignment="center",
            )
    axes.set_yticks(range(len(scenario.servers)), [server.name for server in scenario.servers])
    axes.set_ylim(len(scenario.servers) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_title("uploads on the channel", fontsize=9, loc="left", color="0.3")


def _draw_delays(axes: Axes, timeline: Timeline) -> None:
    scenario = timeline.scenario
    times_s = np.append(timeline.event_time_s, scenario.horizon_s)
    present = timeline.present
    shown = timeline.event_delay_s[present]
    for user_index, user in enumerate(scenario.users):
        delays_s = np.where(present[:, user_index], timeline.event_delay_s[:, user_index], np.nan)
        label = f"{user.name} ({user.graph.name})"
        style: dict[str, Any] = {"color": _colour(user_index), "linewidth": 1.8, "solid_capstyle": "butt"}
        axes.step(times_s, np.append(delays_s, delays_s[-1]), where="post", label=label, **style)
        axes.axhline(
            timeline.device_delay_s[user_index], color=_colour(user_index), linewidth=0.9, linestyle=":", zorder=1
        )
    if shown.min() > 0 and timeline.device_delay_s.max() > 20 * shown.min():
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.08 * max(timeline.device_delay_s.max(), 1e-9))
    axes.grid(axis="y", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_title(
        "delay of a query raised at this time; dotted: on the device alone", fontsize=9, loc="left", color="0.3"
    )
    axes.set_ylabel("query delay (s)")


def _headline(timeline: Timeline) -> str:
    sent = f"{_bytes(timeline.weight_bytes_sent)} uploaded"
    if not timeline.uploads:
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
