"""Reads recorded positions from files, in one of two formats.

- Floating-car data of SUMO (`sumo --fcd-output`), XML: the vehicles and persons of each time step, with `id`, `x` and
  `y` in metres. Other elements and attributes are not read.
- CSV with a header: `time` in seconds, `user` (any name), `x` and `y` in metres are among the columns; others are not
  read. Commas, semicolons, tabs or blanks stand between the columns, and cells may be in double quotes. Empty lines and
  lines that start with `#` are ignored, as is a byte-order mark.

The times of a user must increase. A file whose first character is `<` is XML.
"""

from __future__ import annotations

from pathlib import Path
from xml.parsers import expat

import numpy as np

from dnnmig_env.files.table import cells_of, counted, is_number, separator_of
from dnnmig_env.files.text_file import read_text
from dnnmig_env.scenarios.positions import RecordedPositions

COLUMNS = ("time", "user", "x", "y")
"""The columns of a CSV file that are read."""

MOVING = ("vehicle", "person")
"""The elements of floating-car data that are users."""

MOST_S, MOST_M = 1e12, 1e7
"""Greatest time and coordinate; more is taken for a mistake, such as a wrong unit."""

LEAST_M = 10.0
"""Least extent of all positions; less is taken for degrees instead of metres."""


def load_positions(path: str | Path) -> RecordedPositions:
    """Read recorded positions in one of the two formats.

    Raises:
        ValueError: If the file cannot be read or holds no positions; the error names the file, the line, the value and
            the remedy.
    """
    try:
        text = read_text(Path(path), "give an existing CSV file or floating-car data of SUMO")
    except ValueError as error:
        raise ValueError(f"positions {path}: {error}") from None
    if not text.strip():
        raise ValueError(f"positions {path}: it is empty; give a CSV file or floating-car data of SUMO.")
    try:
        records = _read_xml(text) if text.lstrip().startswith("<") else _read_csv(text)
    except ValueError as error:
        raise ValueError(f"positions {path}, {error}") from None
    found = records.positions()
    extent_m = np.ptp(found.all_m, axis=0)
    if extent_m.max() < LEAST_M:
        raise ValueError(
            f"positions {path}: all lie within {extent_m[0]:g} x {extent_m[1]:g}; give metres, at least {LEAST_M:g} of "
            "them, not degrees (SUMO: without --fcd-output.geo)."
        )
    return found


class _Records:
    """The records of each user that have been read so far."""

    def __init__(self) -> None:
        self.of_user: dict[str, list[tuple[float, float, float]]] = {}

    def add(self, line: int, user: str, time_s: float, x_m: float, y_m: float) -> None:
        rows = self.of_user.setdefault(user, [])
        if rows and time_s <= rows[-1][0]:
            raise ValueError(
                f"line {line}: time {time_s:g} of user {user!r} does not exceed {rows[-1][0]:g}; sort each user's "
                "records by time, one for each time."
            )
        rows.append((time_s, x_m, y_m))

    def positions(self) -> RecordedPositions:
        ordered = sorted(self.of_user.items(), key=lambda item: item[1][0][0])  # stable: ties as in the file
        arrays = [np.array(rows) for _, rows in ordered]
        return RecordedPositions(
            tuple(user for user, _ in ordered), [rows[:, 0] for rows in arrays], [rows[:, 1:] for rows in arrays]
        )


def _read_csv(text: str) -> _Records:
    numbered = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    lines = [(number, line) for number, line in numbered if line and not line.startswith("#")]
    if not lines:
        raise ValueError("line 1: there are only comments; begin with a header that names time, user, x and y.")
    number, header = lines[0]
    separator = separator_of(header)
    names = [name.lower() for name in cells_of(header, separator)]
    if any(names.count(column) != 1 for column in COLUMNS):
        raise ValueError(f"line {number}: the columns are {header!r}; a header names time, user, x and y, once each.")
    time_at, user_at, x_at, y_at = map(names.index, COLUMNS)
    records = _Records()
    for number, line in lines[1:]:
        cells = cells_of(line, separator)
        if len(cells) != len(names):
            raise ValueError(
                f"line {number}: {line!r} has {counted(len(cells), 'cell')}, not {len(names)} as the header."
            )
        if not cells[user_at]:
            raise ValueError(f"line {number}: {line!r} names no user; give each user a name.")
        numbers = [_number(number, names[at], cells[at]) for at in (time_at, x_at, y_at)]
        records.add(number, cells[user_at], *numbers)
    if not records.of_user:
        raise ValueError(f"line {lines[0][0]}: no row follows the header; give at least one position.")
    return records


def _read_xml(text: str) -> _Records:
    parser, records = expat.ParserCreate(), _Records()
    open_elements: list[str] = []
    time_s = 0.0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal time_s
        line = parser.CurrentLineNumber
        if not open_elements and name != "fcd-export":
            raise ValueError(f"line {line}: the file begins with <{name}>; give what sumo --fcd-output wrote.")
        if name == "timestep":
            time_s = _attribute(line, name, attributes, "time")
        elif name in MOVING:
            if "timestep" not in open_elements:
                raise ValueError(f"line {line}: <{name}> stands in no <timestep>, which would say its time.")
            if not attributes.get("id"):
                raise ValueError(f"line {line}: <{name}> has no id; every vehicle and person needs one.")
            place_m = (_attribute(line, name, attributes, axis) for axis in ("x", "y"))
            records.add(line, f"{name} {attributes['id']}", time_s, *place_m)
        open_elements.append(name)

    def end(_: str) -> None:
        open_elements.pop()

    def refuse(name: str, *_: object) -> None:
        raise ValueError(f"line {parser.CurrentLineNumber}: <!DOCTYPE {name}> is not read; leave it out.")

    parser.StartElementHandler, parser.EndElementHandler, parser.StartDoctypeDeclHandler = begin, end, refuse
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise ValueError(
            f"line {error.lineno}: it is not well-formed XML ({expat.ErrorString(error.code)}); let SUMO end before "
            "its output is read."
        ) from None
    if not records.of_user:
        raise ValueError(f"line {parser.CurrentLineNumber}: no vehicle or person in the whole file; give at least one.")
    return records


def _attribute(line: int, element: str, attributes: dict[str, str], name: str) -> float:
    if name not in attributes:
        raise ValueError(f"line {line}: <{element}> has no {name}; let SUMO write it (--fcd-output.attributes).")
    return _number(line, name, attributes[name])


def _number(line: int, name: str, text: str) -> float:
    value = float(text) if is_number(text) else np.nan
    if name == "time" and not 0 <= value <= MOST_S:
        raise ValueError(f"line {line}: time is {text!r}; give seconds, not negative and at most {MOST_S:g}.")
    if not -MOST_M <= value <= MOST_M and name != "time":
        raise ValueError(f"line {line}: {name} is {text!r}; give finite metres, at most {MOST_M:g} from 0.")
    return float(value)
