"""Bars of all that is sent, one row per server, or per radio cell and wire where there are several lanes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dnnmig_env.simulation.packed import has_lanes
from dnnmig_env.simulation.timelines.lane_bars import add_bar, draw_lanes, lane_names, shortened
from dnnmig_env.simulation.timelines.timeline import Timeline
from dnnmig_env.simulation.timelines.user_marks import MARK_PIXELS, Span, mark_bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_NAME = 16  # characters of a server's name


def row_names(timeline: Timeline) -> list[str]:
    """Return the names of the rows: servers, or lanes if there are several."""
    if has_lanes(timeline.scenario):
        return lane_names(timeline, _MOST_NAME)
    return [shortened(server.name, _MOST_NAME) for server in timeline.scenario.servers]


def label_rows(axes: Axes, names: Sequence[str], most: int, size: float) -> None:
    """Write the names of rows beside them, so many that at most `most` are written, in letters of `size` points."""
    labelled = range(0, len(names), -(-len(names) // most))
    axes.set_yticks(labelled, [names[row] for row in labelled], fontsize=size)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def draw_channel(axes: Axes, timeline: Timeline, colour: Callable[[int], str]) -> None:
    """Draw the bars, in the colour of their user.

    Args:
        axes: Where to draw; its limits in time are set.
        timeline: The timeline.
        colour: Returns the colour of a user.
    """
    if has_lanes(timeline.scenario):
        draw_lanes(axes, timeline, colour)
        return
    scenario = timeline.scenario
    pixels_per_s, spans = axes.get_window_extent().width / scenario.horizon_s, []
    for upload in timeline.uploads:
        if not math.isfinite(upload.start_s):
            continue
        user, finished = scenario.users[upload.user], math.isfinite(upload.end_s)
        width_s = min(upload.end_s, scenario.horizon_s) - upload.start_s
        add_bar(axes, upload.server - 1, upload.start_s, width_s, colour(upload.user), arrives=finished)
        spans.append(Span(upload.server - 1, upload.start_s, upload.start_s + width_s, upload.user))
        name = " ".join(user.graph.layers[layer].name for layer in upload.layers)
        if len(name) * 8.0 + 2 * MARK_PIXELS < width_s * pixels_per_s:
            axes.text(
                upload.start_s + width_s / 2,
                upload.server - 1,
                name,
                color="white",
                fontsize=7,
                horizontalalignment="center",
                verticalalignment="center",
            )
    mark_bars(axes, spans, pixels_per_s)
    axes.set_title("uploads on the channel", fontsize=9, loc="left", color="0.3", y=1.0)
