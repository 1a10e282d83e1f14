"""Draws how placements compare with PSO-GA and the optimum, and upload orders with IONN."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evaluate.compare.plots import COLOURS
from evaluate.papers.eosdnn.placements import PlacementStudy
from evaluate.papers.eosdnn.uploads import UploadStudy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = ("o", "s", "D")
"""Markers, one per family or setting."""


def studies_png(placements: Sequence[PlacementStudy], uploads: Sequence[UploadStudy]) -> bytes:
    """Return a PNG picture of three panels, every value with its paired 95 % interval.

    Left: by how much the migration delay of each placement exceeds the optimum, in small scenarios. Middle: the
    migration delay of each placement divided by PSO-GA's, in scenarios of full size. Right: the mean query delay of
    each upload order divided by IONN's.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15.0, 4.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    small = {study.family: study.figures() for study in placements if study.exact}
    full = {study.family: study.figures() for study in placements if not study.exact}
    _draw(left, small, "excess", "excess_ci95", hidden=("optimum", "device-only"), scale=100.0)
    left.set_xlabel("migration delay over the optimum [%], small scenarios")
    _draw(middle, full, "relative_to_pso_ga", "relative_ci95", hidden=("device-only",))
    middle.set_xlabel("migration delay / PSO-GA's, full size")
    middle.axvline(1.0, color="#7F7F7F", linestyle="--", linewidth=1.0)
    orders = {study.setting: study.figures() for study in uploads}
    _draw(right, orders, "relative_to_ionn", "relative_ci95", hidden=("device-only", "ionn"))
    right.set_xlabel("mean query delay / IONN's")
    right.axvline(1.0, color="#7F7F7F", linestyle="--", linewidth=1.0)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw(
    axes: Axes,
    studies: Mapping[str, Mapping[str, Mapping[str, Any]]],
    value: str,
    interval: str,
    hidden: Sequence[str],
    scale: float = 1.0,
) -> None:
    """Draw one figure of every method, the method with the least on top, the families side by side."""
    means: dict[str, float] = {}
    for methods in studies.values():
        for name, figures in methods.items():
            if name not in hidden:
                means[name] = means.get(name, 0.0) + figures[value]
    ranked = sorted(means, key=means.__getitem__)
    for index, (family, methods) in enumerate(studies.items()):
        shift = 0.3 * (index / max(len(studies) - 1, 1) - 0.5)
        for place, name in enumerate(ranked):
            low, high = (scale * bound for bound in methods[name][interval])
            axes.plot((low, high), (place + shift,) * 2, color=COLOURS[index], linewidth=2.0)
            label = family if place == 0 else None
            axes.plot(scale * methods[name][value], place + shift, MARKERS[index], color=COLOURS[index], label=label)
    axes.set_yticks(range(len(ranked)), ranked)
    axes.set_ylim(len(ranked) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(studies), fontsize="small", frameon=False)
