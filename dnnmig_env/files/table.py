"""Splits the lines of text files that hold tables: columns between commas, semicolons, tabs or blanks."""

from __future__ import annotations

import csv
import re

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


def separator_of(line: str) -> str | None:
    """Return what stands between the cells of a line; None is any number of blanks and tabs."""
    return next((mark for mark in (",", ";", "\t") if mark in line), None)


def cells_of(line: str, separator: str | None) -> list[str]:
    """Return the cells of a line, without blanks and double quotes around them."""
    if separator in (None, "\t"):
        cells = line.split(separator)
    else:
        cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    return [cell.strip().strip('"').strip() for cell in cells]


def is_number(text: str) -> bool:
    """Return whether a text is a decimal number; the words inf and nan are none."""
    return _NUMBER.fullmatch(text) is not None


def counted(number: int, thing: str) -> str:
    """Return a number with the thing that it counts, in the plural unless it is 1."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
