"""Draws a timeline's uploads alone, in a picture so small that it can be read in a card of TensorBoard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnnmig_env.simulation.timelines.lane_bars import shortened
from dnnmig_env.simulation.timelines.panels import draw_uploads, label_rows, row_names, used_lanes, user_colour
from dnnmig_env.simulation.timelines.timeline import Timeline
from dnnmig_env.simulation.timelines.user_marks import only_marks
from dnnmig_env.simulation.viewer import DOTS_PER_INCH, to_rgb

INCHES = (5.2, 2.6)
"""Width and height of the picture. TensorBoard's cards show it about 200 pixels high, and as it is at a click."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 0.25, 0.15, 0.55, 0.55
_CHARACTER, _LEGEND_ROW, _LABEL_ROW = 0.078, 0.19, 0.16  # inches
_MOST_LEGEND_ROWS, _LONGEST_NAME = 2, 20


def gantt(timeline: Timeline) -> NDArray[np.uint8]:
    """Return the Gantt chart of the uploads as pixels, (height, width, 3), whose size depends on nothing.

    There is one row per server, or per radio cell and wire where weights are sent in several lanes. Bars have the
    colour of their user, and its mark where there is room.
    """
    from matplotlib.figure import Figure

    scenario, (width, height) = timeline.scenario, INCHES
    colours = [user_colour(user) for user in range(len(scenario.users))]
    users = [shortened(user.name, _LONGEST_NAME) for user in scenario.users]
    columns = max(1, int((width - 0.2) / (0.45 + _CHARACTER * max(map(len, users)))))
    legend_rows = min(-(-len(users) // columns), _MOST_LEGEND_ROWS)
    marks, shown = only_marks(colours), legend_rows * columns
    if shown < len(users):
        marks, users = marks[:shown], [*users[: shown - 1], f"{len(users) - shown + 1} more"]
    names = row_names(scenario, used_lanes([timeline]))
    left = _LEFT + _CHARACTER * max(map(len, names))
    bottom = _BOTTOM + _LEGEND_ROW * legend_rows
    room = height - _TOP - bottom
    figure = Figure(figsize=INCHES, dpi=DOTS_PER_INCH)
    axes = figure.add_axes((left / width, bottom / height, (width - left - _RIGHT) / width, room / height))
    axes.set_xlim(0, scenario.horizon_s)
    axes.spines[["top", "right"]].set_visible(False)
    draw_uploads(axes, timeline)
    label_rows(axes, names, int(room / _LABEL_ROW), 9)
    axes.tick_params(axis="x", labelsize=9)
    axes.set_xlabel("time (s)", fontsize=9, labelpad=1)
    delays = f"mean query delay {timeline.mean_delay_s:.3g} s, on devices alone {timeline.mean_device_delay_s:.3g} s"
    figure.text(0.02, 1 - 0.06 / height, delays, fontsize=10, verticalalignment="top")
    figure.legend(
        marks,
        users,
        loc="lower center",
        ncols=columns,
        frameon=False,
        fontsize=9,
        borderaxespad=0.1,
        handlelength=1.0,
        handletextpad=0.3,
        columnspacing=1.2,
        labelspacing=0.2,
    )
    return to_rgb(figure)
