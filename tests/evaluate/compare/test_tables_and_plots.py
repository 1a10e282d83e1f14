from __future__ import annotations

import io
from typing import Any

import matplotlib.figure
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from rich.console import Console

from evaluate.compare.plots import _draw_profile, delays_png
from evaluate.compare.statistics import PolicyFigures, policy_figures
from evaluate.compare.summary_table import HEADINGS, summary_rows
from evaluate.output.tables import markdown_table, terminal_table


def figures_of(count: int) -> tuple[dict[str, PolicyFigures], dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    device_s = rng.lognormal(size=count)
    delays_s = {f"policy-{k}": device_s * rng.uniform(0.2 + 0.1 * k, 1.0, count) for k in range(4)}
    return policy_figures(delays_s, device_s, dict.fromkeys(delays_s, np.full(count, 1e-4)), 0), delays_s, device_s


def test_the_fastest_queries_stand_first() -> None:
    rows = summary_rows(figures_of(20)[0])
    delays = [float(row[1]) for row in rows]
    assert delays == sorted(delays)
    assert all(len(row) == len(HEADINGS) for row in rows)
    assert rows[0][-1] == "0.000100"


def test_one_scenario_claims_no_interval() -> None:
    assert {row[2] for row in summary_rows(figures_of(1)[0])} == {""}
    assert all(" - " in row[2] for row in summary_rows(figures_of(2)[0]))


def test_the_terminals_table_keeps_every_figure_on_narrow_terminals() -> None:
    figures = {"runs/a-model-with-a-long-name-" + "x" * 60: next(iter(figures_of(20)[0].values()))}
    rows = summary_rows(figures)
    console = Console(file=io.StringIO(), width=80)
    console.print(terminal_table("title [with brackets]", HEADINGS, rows))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "title [with brackets]" in printed
    for cell in rows[0][1:]:
        assert cell in printed


def test_markdown_has_a_cell_for_every_heading() -> None:
    lines = markdown_table(HEADINGS, summary_rows(figures_of(20)[0])).splitlines()
    assert {line.count("|") for line in lines} == {len(HEADINGS) + 1}
    assert len(lines) == 2 + 4


@pytest.mark.parametrize("count", [1, 2, 50])
def test_the_picture_shows_something(count: int) -> None:
    picture = Image.open(io.BytesIO(delays_png("title", *figures_of(count))))
    assert picture.height > 300
    assert len(picture.getcolors(picture.width * picture.height)) > 20


def test_the_axis_of_relative_delays_begins_at_the_best_known_one() -> None:
    best_s, delay_s = np.ones(4), np.array([1.0, 1.5, 2.0, 4.0])
    axes = matplotlib.figure.Figure().subplots()
    _draw_profile(axes, ["a"], {"a": delay_s}, best_s)
    ticks = axes.get_xticks().tolist()
    assert ticks[0] == 1.0
    assert ticks == sorted(ticks)
    assert 3.0 <= ticks[-1] <= 4.0 * 1.03


def test_the_legend_covers_no_curve_and_names_of_policies_are_whole() -> None:
    names = [f"joint-efficiency@clairvoyant-{place}" for place in range(8)]
    figure = matplotlib.figure.Figure(figsize=(13.0, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    _draw_profile(axes, names, {name: np.linspace(1.0, 3.0, 5) for name in names}, np.ones(5))
    figure.canvas.draw()
    legend: Any = axes.get_legend()
    box = legend.get_window_extent()
    assert box.x0 >= axes.get_window_extent().x1
    assert box.x1 <= figure.bbox.width
    assert [text.get_text() for text in legend.get_texts()] == names
