"""Draws what parallel uploading saves of one user's cold start, and what ARA's shares save of several users'."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluate.compare.plots import COLOURS, LINES
from evaluate.papers.mjoa_mu.cases import BASELINES, Case
from evaluate.papers.mjoa_mu.users import ACCESS_MBPS, BASELINE, METHODS, UsersStudy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = ("o", "s", "D", "^", "v", "P")
"""Markers, one per method."""


def study_png(cases: Sequence[Case], studies: Sequence[UsersStudy], published: float) -> bytes:
    """Return a PNG picture.

    Above: the greatest reduction of one user's delay over all machines, by access rate and network, against serial
    uploading of its own best placement and of the same placement. Below: the mean delay of several users divided by
    that of the baseline, by method and number of users, with paired 95 % intervals, for each range of access rates.

    Args:
        cases: One user, in every setting.
        studies: Several users.
        published: The greatest reduction that the paper reports.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 9.0), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 2)
    for axes, baseline in zip(above, ("serial", "serial_same"), strict=True):
        _draw_reductions(axes, cases, baseline, published)
    for axes, mbps in zip(below, ACCESS_MBPS, strict=True):
        _draw_users(axes, [study for study in studies if study.mbps == mbps])
        axes.set_title(f"several users, {mbps[0]:g} to {mbps[1]:g} Mbps", fontsize="medium")
    above[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small", frameon=False)
    below[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small", frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw_reductions(axes: Axes, cases: Sequence[Case], baseline: str, published: float) -> None:
    rates = sorted({case.mbps for case in cases})
    for index, network in enumerate(dict.fromkeys(case.network for case in cases)):
        own = [case for case in cases if case.network == network]
        greatest = [max(case.reduction(baseline) for case in own if case.mbps == rate) for rate in rates]
        style = LINES[index // len(COLOURS) % len(LINES)]
        axes.plot(rates, [100 * share for share in greatest], style, color=COLOURS[index % len(COLOURS)], label=network)
    axes.axhline(100 * published, color="#7F7F7F", linestyle="--", linewidth=1.0)
    axes.annotate(
        f"published: up to {published:.1%}", (rates[0], 100 * published + 1), fontsize="small", color="#595959"
    )
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axes.set_ylim(0, 75)
    axes.set_xlabel("access rate [Mbps]")
    axes.set_ylabel("greatest reduction of the delay [%]")
    axes.set_title(f"one user, against {BASELINES[baseline][1]}", fontsize="medium")
    axes.grid(alpha=0.3)


def _draw_users(axes: Axes, studies: Sequence[UsersStudy]) -> None:
    shown = [name for name in METHODS if name not in (BASELINE, METHODS[0])]
    for index, name in enumerate(shown):
        shift = 0.5 * (index / max(len(shown) - 1, 1) - 0.5)
        for place, study in enumerate(studies):
            figures, colour = study.figures()[name], COLOURS[index]
            axes.plot((place + shift,) * 2, figures["relative_ci95"], color=colour, linewidth=2.0)
            label = name if place == 0 else None
            axes.plot(place + shift, figures["relative_to_baseline"], MARKERS[index], color=colour, label=label)
    axes.axhline(1.0, color="#7F7F7F", linestyle="--", linewidth=1.0)
    axes.set_xticks(range(len(studies)), [str(study.users) for study in studies])
    axes.set_ylim(0.0, 1.15)
    axes.set_xlabel("users")
    axes.set_ylabel(f"mean cold-start delay / {BASELINE}")
    axes.grid(axis="y", alpha=0.3)
