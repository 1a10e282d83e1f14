"""Charts that can be hovered and zoomed: how policies compare on average, in each scenario, and in planning time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluate.compare.plots import COLOURS, ticks_up_to
from evaluate.compare.reading import Evaluation

WIDTH, ROW_HEIGHT = 1000, 34
DASHES = ("solid", "dashed", "dotted", "dotdash", "dashdot")
MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "star", "hex", "plus")
"""Policies differ by marks and dashes, too, for readers who see no colours."""
_MOST_NAME = 40
_TOOLS = "pan,wheel_zoom,box_zoom,reset,save"


def charts(evaluation: Evaluation, loads: Mapping[str, Mapping[str, float]] | None) -> dict[str, Any]:
    """Return Bokeh figures by name: `means`, `profile`, `spread`, `planning` and, if loads are known, `loads`.

    Args:
        evaluation: The evaluation.
        loads: Mean load of each station under each policy, by the names that are shown.
    """
    found = {
        "means": _means(evaluation),
        "profile": _profile(evaluation),
        "spread": _spread(evaluation),
        "planning": _planning(evaluation),
    }
    return found if loads is None else found | {"loads": _loads(loads)}


def delay_name(evaluation: Evaluation) -> str:
    """Return how the delay is called by which policies are compared."""
    return "cold-start delay" if evaluation.is_cold_start else "mean query delay"


def _means(evaluation: Evaluation) -> Any:
    """Draw each policy's mean delay and its interval, the fastest at the top."""
    from bokeh.models import ColumnDataSource

    names = list(evaluation.figures)
    each = [evaluation.figures[name] for name in names]
    source = ColumnDataSource(
        {
            "policy": _labels(names),
            "name": names,
            "mean": [one.mean_delay_s for one in each],
            "low": [one.ci95[0] for one in each],
            "high": [one.ci95[1] for one in each],
            "relative": [one.relative_to_device_only for one in each],
            "gap": [one.gap_to_best_known for one in each],
            "colour": _colours(names),
        }
    )
    tips = [
        ("policy", "@name"),
        ("mean", "@mean{0.0000} s"),
        ("95 %", "@low{0.0000} - @high{0.0000} s"),
        ("/ device", "@relative{0.000}"),
        ("gap to best known", "@gap{0.0 %}"),
    ]
    plot = _figure(_height(len(names)), y_range=_labels(names)[::-1])
    device_s = float(evaluation.summary["device_only_delay_s"])
    plot.vspan(x=device_s, color="#7F7F7F", line_dash="dashed", legend_label="everything on the devices")
    plot.segment("low", "policy", "high", "policy", color="colour", line_width=3, source=source)
    dots = plot.scatter("mean", "policy", size=12, color="colour", line_color="black", source=source)
    _hover(plot, dots, tips)
    plot.x_range.start, plot.x_range.end = 0.0, 1.05 * max(device_s, *(one.ci95[1] for one in each))
    plot.xaxis.axis_label = f"{delay_name(evaluation)} (s), with 95 % interval"
    plot.add_layout(plot.legend[0], "above")
    return plot


def _profile(evaluation: Evaluation) -> Any:
    """Draw the share of scenarios (vertical) in which a policy's delay is at most so many times the best known one."""
    from bokeh.models import FixedTicker

    ratios = {name: np.maximum(np.sort([row.gap for row in rows]), 0.0) + 1.0 for name, rows in evaluation.rows.items()}
    widest = 1.05 * max(1.1, *(float(ratio[-1]) for ratio in ratios.values()))
    plot = _figure(x_axis_type="log", x_range=(0.995, widest), y_range=(0.0, 1.03))
    for place, (name, ratio) in enumerate(ratios.items()):
        xs = np.concatenate([ratio[:1], ratio, [widest]])
        ys = np.concatenate([[0.0], np.arange(1, len(ratio) + 1) / len(ratio), [1.0]])
        look = {"color": _colour(place), "line_dash": DASHES[place % len(DASHES)], "line_width": 2.5}
        line = plot.step(xs, ys, mode="after", legend_label=_labels(evaluation.rows)[place], **look)
        _hover(plot, line, [("policy", _plain(name)), ("delay / best known", "@x{0.000}"), ("scenarios", "@y{0 %}")])
    ticks = ticks_up_to(widest)
    plot.xaxis.ticker = FixedTicker(ticks=ticks)
    plot.xaxis.major_label_overrides = {tick: f"{tick:g}" for tick in ticks}
    plot.xaxis.axis_label = "delay / best known delay of the scenario"
    plot.yaxis.axis_label = "share of scenarios"
    _percent(plot.yaxis)
    plot.legend.location, plot.legend.click_policy = "bottom_right", "hide"
    return plot


def _spread(evaluation: Evaluation) -> Any:
    """Draw every scenario as a dot in the row of each policy, with the median and the middle half of all."""
    from bokeh.models import ColumnDataSource
    from bokeh.transform import jitter

    names = list(evaluation.rows)
    labels = _labels(names)
    plot = _figure(_height(len(names), ROW_HEIGHT + 16), y_range=labels[::-1])
    values = {name: np.array([row.relative for row in rows]) for name, rows in evaluation.rows.items()}
    quartiles = np.array([np.percentile(values[name], (25, 50, 75)) for name in names])
    plot.hbar(labels, 0.72, quartiles[:, 2], quartiles[:, 0], fill_color="#D9D9D9", line_color="#7F7F7F")
    plot.scatter(quartiles[:, 1], labels, marker="dash", angle=np.pi / 2, size=26, color="black", line_width=3)
    for place, name in enumerate(names):
        rows = evaluation.rows[name]
        source = ColumnDataSource(
            {
                "policy": [labels[place]] * len(rows),
                "name": [name] * len(rows),
                "scenario": [row.scenario for row in rows],
                "relative": values[name],
                "delay": [row.delay_s for row in rows],
                "device": [row.device_only_s for row in rows],
                "gap": [row.gap for row in rows],
                "planning": [row.planning_s for row in rows],
            }
        )
        dots = plot.scatter(
            "relative",
            jitter("policy", 0.5, range=plot.y_range),
            marker=MARKERS[place % len(MARKERS)],
            size=7,
            color=_colour(place),
            alpha=0.75,
            source=source,
        )
        tips = [
            ("policy", "@name"),
            ("scenario", "@scenario"),
            ("delay", "@delay{0.0000} s"),
            ("on the devices", "@device{0.0000} s"),
            ("/ device", "@relative{0.000}"),
            ("gap to best known", "@gap{0.0 %}"),
            ("planning", "@planning{0.0000} s"),
        ]
        _hover(plot, dots, tips)
    plot.xaxis.axis_label = f"{delay_name(evaluation)} / that on the devices alone, a mark per scenario"
    return plot


def _planning(evaluation: Evaluation) -> Any:
    """Draw each policy's planning time and its gap."""
    from bokeh.models import ColumnDataSource

    names = list(evaluation.figures)
    plot = _figure(x_axis_type="log")
    for place, name in enumerate(names):
        each = evaluation.figures[name]
        low, high = each.gap_ci95
        planning_s, colour = max(each.planning_s, 1e-6), _colour(place)
        plot.segment([planning_s], [low], [planning_s], [high], color=colour, line_width=3)
        source = ColumnDataSource({"x": [planning_s], "y": [each.gap_to_best_known], "low": [low], "high": [high]})
        dot = plot.scatter(
            "x",
            "y",
            marker=MARKERS[place % len(MARKERS)],
            size=13,
            color=colour,
            line_color="black",
            legend_label=_labels(names)[place],
            source=source,
        )
        tips = [("policy", _plain(name)), ("planning", "@x{0.00000} s"), ("gap", "@y{0.0 %}")]
        _hover(plot, dot, [*tips, ("95 %", "@low{0.0 %} - @high{0.0 %}")])
    plot.xaxis.axis_label = "planning time per scenario (s)"
    plot.yaxis.axis_label = "gap to the best known delay, with 95 % interval"
    _percent(plot.yaxis)
    plot.add_layout(plot.legend[0], "right")
    return plot


def _loads(loads: Mapping[str, Mapping[str, float]]) -> Any:
    """Draw a row per station, and a mark in it per policy."""
    from bokeh.models import ColumnDataSource

    stations = list(next(iter(loads.values())))
    plot = _figure(_height(len(stations)), y_range=stations[::-1])
    for place, (name, of_policy) in enumerate(loads.items()):
        source = ColumnDataSource({"station": stations, "load": [of_policy[station] for station in stations]})
        dots = plot.scatter(
            "load",
            "station",
            marker=MARKERS[place % len(MARKERS)],
            size=13,
            color=_colour(place),
            line_color="black",
            alpha=0.8,
            legend_label=_labels(loads)[place],
            source=source,
        )
        _hover(plot, dots, [("policy", _plain(name)), ("station", "@station"), ("load", "@load{0.0 %}")])
    plot.x_range.start = 0.0
    plot.xaxis.axis_label = "share of the horizon for which it is busy, mean over scenarios"
    _percent(plot.xaxis)
    plot.add_layout(plot.legend[0], "right")
    return plot


def _height(rows: int, row_height: int = ROW_HEIGHT) -> int:
    """Return the height of a figure with a row for each name on its vertical axis."""
    return 90 + row_height * rows


def _figure(height: int = 400, **options: Any) -> Any:
    """Return an empty figure whose texts can be read."""
    from bokeh.plotting import figure

    plot = figure(width=WIDTH, height=height, tools=_TOOLS, sizing_mode="scale_width", **options)
    plot.toolbar.logo = None
    plot.axis.axis_label_text_font_size = plot.axis.major_label_text_font_size = "14px"
    plot.axis.axis_label_text_font_style = "normal"
    plot.axis.axis_label_text_color = plot.axis.major_label_text_color = "#1a1a1a"
    return plot


def _plain(name: str) -> str:
    """Return a name as a tip of Bokeh shows it: it would take what follows an @ for a column."""
    return name.replace("@", "@\u200b")


def _hover(plot: Any, renderer: Any, tips: Sequence[tuple[str, str]]) -> None:
    from bokeh.models import HoverTool

    plot.add_tools(HoverTool(renderers=[renderer], tooltips=list(tips), visible=False))


def _percent(*axes: Any) -> None:
    from bokeh.models import NumeralTickFormatter

    for axis in axes:
        axis.formatter = NumeralTickFormatter(format="0 %")


def _labels(names: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """Return how policies are called beside an axis: by their full names, of very long ones the end; all differ."""
    labels: list[str] = []
    for name in names:
        label = name if len(name) <= _MOST_NAME else f"...{name[3 - _MOST_NAME :]}"
        labels.append(label if label not in labels else f"{label} ({len(labels) + 1})")
    return labels


def _colours(names: Sequence[str]) -> list[str]:
    return [_colour(place) for place in range(len(names))]


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]
