"""Figures of policies as a table: on the terminal and in Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from evaluate.compare.statistics import PolicyFigures

HEADINGS = ("policy", "delay [s]", "95 %", "/ device", "gap", "won", "plan [s]")


def summary_rows(figures: Mapping[str, PolicyFigures]) -> list[tuple[str, ...]]:
    """Return one row of text per policy, the fastest queries first; a single scenario has no interval to show."""
    ranked = sorted(figures.items(), key=lambda item: item[1].mean_delay_s)
    return [
        (
            name,
            _digits(f.mean_delay_s),
            _interval(f.ci95),
            f"{f.relative_to_device_only:.3f}",
            f"{f.gap_to_best_known:+.1%}",
            f"{f.wins:.0%}",
            _digits(f.planning_s),
        )
        for name, f in ranked
    ]


def terminal_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table for the terminal: the first column to the left, numbers to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for index, heading in enumerate(headings):
        width = max(len(heading), *(len(row[index]) for row in rows))
        table.add_column(
            Text(heading),
            justify="left" if index == 0 else "right",
            overflow="fold",
            min_width=None if index == 0 else width,  # only names may be broken where the terminal is narrow
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (headings, rule, *rows))


def _interval(bounds: tuple[float, float]) -> str:
    low, high = bounds
    return "" if low == high else f"{_digits(low)} - {_digits(high)}"


def _digits(value: float) -> str:
    """Return a number with three significant digits, never in powers of ten."""
    if value <= 0.0:
        return f"{value:.3g}"
    decimals = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{decimals}f}"
