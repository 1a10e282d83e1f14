"""Looks at figures that commands draw."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.figure import Figure


def drawn_figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Return a list to which every figure is added that is written from now on."""
    figures: list[Figure] = []
    write = Figure.savefig

    def write_and_keep(figure: Figure, *arguments: Any, **options: Any) -> None:
        figures.append(figure)
        write(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", write_and_keep)
    return figures


def assert_nothing_is_cut_off(figure: Figure) -> None:
    """Check that axes, their labels and all legends lie within the picture."""
    width, height = figure.bbox.size
    axes = [each for each in figure.axes if each.get_visible() and each.axison]
    legends = [*figure.legends, *(each.get_legend() for each in axes)]
    boxes: list[Any] = [each.get_tightbbox() for each in axes]
    boxes += [each.get_window_extent() for each in legends if each is not None]
    assert boxes
    for box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
