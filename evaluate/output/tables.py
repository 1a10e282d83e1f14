"""Tables, for the terminal and in Markdown."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

_ANY_WIDTH = 10_000


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
            min_width=None if index == 0 else width,  # in a narrow terminal only names may be broken
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout. In a file or a pipe its rows are as long as they have to be."""
    from rich.console import Console

    is_fitted = sys.stdout.isatty() or "COLUMNS" in os.environ
    Console(width=None if is_fitted else _ANY_WIDTH).print(terminal_table(title, headings, rows))


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (headings, rule, *rows))
