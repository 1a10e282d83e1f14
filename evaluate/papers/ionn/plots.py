"""Draws how the delay of a query falls while a network is uploaded, a curve per method and a panel per rate."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluate.compare.plots import COLOURS
from evaluate.papers.ionn.replay import Replay

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PANELS = 6
"""Most panels of a picture."""

STYLES = {
    "all-at-once": (COLOURS[6], ":", 1.6),
    "ionn-0.5": (COLOURS[4], "-", 4.5),
    "ionn-0.8": (COLOURS[1], "--", 1.5),
    "efficiency": (COLOURS[5], "-", 4.5),
    "lmu": (COLOURS[0], "--", 1.5),
}
"""Colour, line and width of each method, in the order in which they are drawn. Curves often coincide, so thin lines run
inside wide ones."""


def delay_curves_png(network: str, replays: Sequence[Replay]) -> bytes:
    """Return a PNG picture of one network's delay curves, at `MOST_PANELS` rates at most, evenly chosen.

    A curve shows how long a query takes by the time at which it is raised; the numbers of queries finished stand above
    each panel.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rates = sorted({one.mbps for one in replays})
    if len(rates) > MOST_PANELS:
        rates = [rates[k] for k in np.linspace(0, len(rates) - 1, MOST_PANELS).round().astype(int)]
    columns = min(3, len(rates))
    rows = math.ceil(len(rates) / columns)
    figure = Figure(figsize=(max(6.0, 4.4 * columns), 3.3 * rows + 0.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{network}: delay of a query while the network is uploaded")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, mbps in zip(panels, rates, strict=False):
        _draw(axes, mbps, [one for one in replays if one.mbps == mbps])
    for axes in panels[len(rates) :]:
        axes.set_axis_off()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(STYLES), frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw(axes: Axes, mbps: float, replays: Sequence[Replay]) -> None:
    for one in replays:
        colour, line, width = STYLES[one.method]
        delays_ms = 1e3 * one.timeline.event_delay_s[:, 0]
        axes.step(
            np.append(one.timeline.event_time_s, one.timeline.scenario.horizon_s),
            np.append(delays_ms, delays_ms[-1]),
            where="post",
            color=colour,
            linestyle=line,
            linewidth=width,
            label=one.method,
        )
    axes.set_xlim(0, replays[0].timeline.scenario.horizon_s)
    axes.set_ylim(0, 1.05 * 1e3 * replays[0].timeline.mean_device_delay_s)
    counts = [f"{one.queries_finished} {one.method}" for one in replays]
    split = (len(counts) + 1) // 2
    queries = f"queries: {', '.join(counts[:split])},\n{', '.join(counts[split:])}"
    axes.set_title(f"{mbps:g} Mbps", loc="left", fontsize="medium", fontweight="bold")
    axes.set_title(queries, loc="right", fontsize="x-small")
    axes.set_xlabel("time [s]")
    axes.set_ylabel("query delay [ms]")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
