"""Draws how policies compare: mean delays with their intervals, and how near to the best each policy comes."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dnnmig_env.arrays import Floats
from evaluate.compare.statistics import PolicyFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000")
"""Colours of Okabe and Ito, which colour-blind readers can tell apart, too."""

LINES = ("-", "--", ":", "-.")

TICKS = (1.0, 1.02, 1.05, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""Ticks of the axis of relative delays."""
ROOM = 0.07
"""Share of the axis that the number below a tick needs."""

LONGEST_NAME = 40
"""Number of characters up to which the name of a policy is drawn as a whole."""


def delays_png(
    title: str, figures: Mapping[str, PolicyFigures], delays_s: Mapping[str, Floats], best_s: Floats
) -> bytes:
    """Return a PNG picture.

    Left: the mean delay of each policy divided by that of device-only, with its paired 95 % interval. Right: for each
    policy, the share of scenarios (vertical) in which its delay is at most so many times the best known one
    (horizontal).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ranked = sorted(figures, key=lambda name: figures[name].mean_delay_s)
    figure = Figure(figsize=(13.0, max(3.6, 1.8 + 0.35 * len(ranked))), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(drawable(title))
    means, profile = figure.subplots(1, 2)
    _draw_means(means, ranked, figures)
    _draw_profile(profile, ranked, delays_s, best_s)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw_means(axes: Axes, ranked: list[str], figures: Mapping[str, PolicyFigures]) -> None:
    for place, name in enumerate(ranked):
        each = figures[name]
        axes.plot(each.relative_ci95, (place, place), color=_colour(place), linewidth=2.0)
        axes.plot(each.relative_to_device_only, place, "o", color=_colour(place))
    axes.axvline(1.0, color="#7F7F7F", linestyle="--", linewidth=1.0)
    axes.set_yticks(range(len(ranked)), [f"{short_name(name)}\n{figures[name].mean_delay_s:.3g} s" for name in ranked])
    axes.set_ylim(len(ranked) - 0.5, -0.5)
    axes.set_xlim(left=0.0)
    axes.set_xlabel("mean delay / mean delay of device-only, with 95 % interval")
    axes.grid(axis="x", alpha=0.3)


def _draw_profile(axes: Axes, ranked: list[str], delays_s: Mapping[str, Floats], best_s: Floats) -> None:
    share = np.arange(1, len(best_s) + 1) / len(best_s)
    widest = max(1.1, *(float((delays_s[name] / best_s).max()) for name in ranked)) * 1.03
    for place, name in enumerate(ranked):
        ratio = np.maximum(np.sort(delays_s[name] / best_s), 1.0)
        axes.step(
            np.concatenate([ratio[:1], ratio, [widest]]),
            np.concatenate([[0.0], share, [1.0]]),
            where="post",
            color=_colour(place),
            linestyle=LINES[place % len(LINES)],
            label=short_name(name),
        )
    axes.set_xscale("log")
    axes.set_xlim(0.98, widest)
    axes.set_ylim(0.0, 1.02)
    axes.minorticks_off()
    ticks = ticks_up_to(widest)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlabel("delay / best known delay of the scenario")
    axes.set_ylabel("share of scenarios")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small", frameon=False)  # beside the curves


def ticks_up_to(widest: float) -> list[float]:
    """Return the ticks of a logarithmic axis of relative delays from 1 on, with room for their numbers between them."""
    ticks: list[float] = []
    for tick in TICKS:
        if tick <= widest and (not ticks or math.log(tick / ticks[-1]) > ROOM * math.log(widest)):
            ticks.append(tick)
    return ticks


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def short_name(name: str) -> str:
    """Return the name of a policy for a picture; of a long one, its end."""
    return drawable(name if len(name) <= LONGEST_NAME else f"...{name[3 - LONGEST_NAME :]}")


def drawable(text: str) -> str:
    """Return a text that Matplotlib draws as it is: no mathematics between dollars, no bytes that are no text."""
    return text.encode(errors="backslashreplace").decode().replace("$", r"\$")
