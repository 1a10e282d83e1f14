"""Marks of users, of a shape for each, so that bars and lines can be told apart without colours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dnnmig_env.simulation.timelines.timeline import Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

SHAPES = "osD^vP*X"
"""Shapes in matplotlib's letters, in the order of users; they repeat from the ninth user on."""

MARK_PIXELS = 12
"""Width that a mark takes at the beginning of a bar."""

_BAR_POINTS, _LINE_POINTS = 4.5, 5.0


class Span(NamedTuple):
    """Bars of one user side by side in a row."""

    row: int
    start_s: float
    stop_s: float
    user: int


def mark_bars(axes: Axes, bars: Iterable[Span], pixels_per_s: float) -> None:
    """Mark whose bars they are, once where several of a user follow each other, if there is room.

    Args:
        axes: Where the bars are drawn.
        bars: The bars.
        pixels_per_s: Width of a second.
    """
    for group in _groups(bars, 0.5 * MARK_PIXELS / pixels_per_s):
        if (group[-1].stop_s - group[0].start_s) * pixels_per_s >= MARK_PIXELS:
            widest = max(group, key=lambda bar: bar.stop_s - bar.start_s)
            at_s = widest.start_s + 0.5 * min(MARK_PIXELS / pixels_per_s, widest.stop_s - widest.start_s)
            looks = {"markersize": _BAR_POINTS, "color": "white", "markeredgecolor": "black", **_shape(widest.user)}
            axes.plot([at_s], [widest.row], **looks)


def _groups(bars: Iterable[Span], most_gap_s: float) -> list[list[Span]]:
    """Return the bars of each row in turn, those together that are of one user and hardly apart."""
    groups: list[list[Span]] = []
    for bar in sorted(bars):
        last = groups[-1][-1] if groups else None
        if last is not None and (last.row, last.user) == (bar.row, bar.user) and bar.start_s - last.stop_s < most_gap_s:
            groups[-1].append(bar)
        else:
            groups.append([bar])
    return groups


def mark_lines(axes: Axes, timeline: Timeline, colours: Iterable[str]) -> list[Line2D]:
    """Mark the delays of every user, each at another time so that marks seldom meet; return the marks."""
    num_users, horizon_s = len(timeline.scenario.users), timeline.scenario.horizon_s
    ends_s, marks = np.append(timeline.event_time_s[1:], horizon_s), []
    for user, colour in enumerate(colours):
        here, wanted_s = np.flatnonzero(timeline.present[:, user]), horizon_s * (user + 0.5) / num_users
        place: list[tuple[float, float]] = []  # none if the user is never there
        if len(here) > 0:
            event = here[max(0, int(np.searchsorted(timeline.event_time_s[here], wanted_s, side="right")) - 1)]
            at_s = min(max(wanted_s, timeline.event_time_s[event]), ends_s[event])
            place.append((at_s, timeline.event_delay_s[event, user]))
        looks = {"markersize": _LINE_POINTS, "color": colour, "markeredgecolor": "black", **_shape(user)}
        marks += axes.plot([at_s for at_s, _ in place], [delay_s for _, delay_s in place], **looks)
    return marks


def only_marks(colours: Iterable[str]) -> list[Line2D]:
    """Return the marks of users for a legend, given their colours."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], markersize=_LINE_POINTS, color=colour, markeredgecolor="black", **_shape(user))
        for user, colour in enumerate(colours)
    ]


def _shape(user: int) -> dict[str, Any]:
    return {"marker": SHAPES[user % len(SHAPES)], "markeredgewidth": 0.6, "linestyle": "none", "zorder": 4}
