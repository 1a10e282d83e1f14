"""Bandwidth traces, recorded or synthetic: read from files and averaged over a scenario's time slots.

A trace file has one of three formats, which its first line tells apart. Empty lines and lines that start with `#` are
ignored, as are a byte-order mark and the kind of line ends.

- CSV with a header: `time_s` and either `bytes_per_s` or `mbps` (10^6 bits/s) are among the columns; others are not
  read. Commas, semicolons, tabs or blanks stand between the columns, and cells may be in double quotes.
- Pensieve: two columns without a header, seconds and Mbit/s, with blanks, tabs, commas or semicolons between them.
- Mahimahi: one whole number of milliseconds per line, each the time of one chance to deliver a packet of 1500 bytes.

In the first two, a rate holds until the time of the next row; the last rate holds as long as the one before it. Times
count from the first row.

A trace that has come to its end starts again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from dnnmig_env.arrays import Floats
from dnnmig_env.files.table import cells_of, counted, is_number, separator_of
from dnnmig_env.files.text_file import read_text

PACKET_BYTES = 1500
"""Bytes that are delivered at each line of a Mahimahi trace."""

BYTES_PER_S = {"bytes_per_s": 1.0, "mbps": 125_000.0}
"""Names of the rate columns of a CSV trace, with the bytes/s that one unit of each stands for."""

MOST = 1e12
"""Greatest number in a file; more is taken for a mistake, such as a wrong unit."""


@dataclass(frozen=True, eq=False)
class Trace:
    """A rate over time, constant between given times and periodic.

    Attributes:
        times_s: Times at which the rates begin, shape (K,); the first is 0.
        bytes_per_s: The rates, shape (K,).
        period_s: Time at which the trace starts again; by default the last rate holds as long as the one before it
            (a single rate holds forever).

    Raises:
        ValueError: If the times do not increase from 0, or a number is negative, NaN or infinite.
    """

    times_s: ArrayLike
    bytes_per_s: ArrayLike
    period_s: float | None = None

    def __post_init__(self) -> None:
        times = np.array(self.times_s, dtype=np.float64)
        rates = np.array(self.bytes_per_s, dtype=np.float64)
        if times.ndim != 1 or times.shape != rates.shape or not len(times):
            raise ValueError(f"times_s has shape {times.shape}, bytes_per_s {rates.shape}; give one rate per time.")
        steps = np.diff(times, prepend=-1.0)
        if not (times[0] == 0 and np.all(np.isfinite(times)) and np.all(steps > 0)):
            bad = 0 if times[0] != 0 else int(np.argmin(np.isfinite(times) & (steps > 0)))
            raise ValueError(f"times_s[{bad}] is {times[bad]}; times must be finite and increase from 0.")
        if not (np.all(np.isfinite(rates)) and np.all(rates >= 0)):
            bad = rates[~(np.isfinite(rates) & (rates >= 0))][0]
            raise ValueError(f"bytes_per_s contains {bad}; every rate must be finite and not negative.")
        period = self.period_s
        if period is None:
            period = float(times[-1] + (times[-1] - times[-2] if len(times) > 1 else 1.0))
        if not (math.isfinite(period) and period > times[-1]):
            raise ValueError(f"period_s is {period}; it must be finite and beyond the last time ({times[-1]} s).")
        times.flags.writeable = rates.flags.writeable = False
        object.__setattr__(self, "times_s", times)
        object.__setattr__(self, "bytes_per_s", rates)
        object.__setattr__(self, "period_s", period)

    @property
    def is_constant(self) -> bool:
        """Whether the rate never changes."""
        rates = np.asarray(self.bytes_per_s)
        return bool(np.all(rates == rates[0]))

    def mean_rates(self, slot_starts_s: ArrayLike, horizon_s: float, offset_s: ArrayLike = 0.0) -> Floats:
        """Return the exact time average of the rate in each slot, shape (T,), in bytes/s.

        Args:
            slot_starts_s: Start of each slot, increasing, shape (T,).
            horizon_s: End of the last slot.
            offset_s: Time of the trace at which the scenario begins; for an array of offsets of any shape, the result
                has the shape (*offset_s.shape, T).
        """
        edges = np.append(np.asarray(slot_starts_s, dtype=np.float64), horizon_s)
        lengths = np.diff(edges)
        if not np.all(lengths > 0):
            raise ValueError(f"slots begin at {edges[:-1].tolist()} and end at {horizon_s} s; times must increase.")
        changes_s, sent_bytes = self._sent_bytes
        times_s: Floats = np.asarray(offset_s, dtype=np.float64)[..., np.newaxis] + edges
        rounds, phases_s = np.divmod(times_s, float(changes_s[-1]))
        phase_bytes = np.asarray(np.interp(phases_s, changes_s, sent_bytes))
        # Added in this order, the bytes of a slot in which nothing is sent are exactly 0, even across the trace's end.
        slot_bytes = (np.diff(rounds) * sent_bytes[-1] - phase_bytes[..., :-1]) + phase_bytes[..., 1:]
        means: Floats = np.maximum(slot_bytes, 0.0) / lengths
        return means

    @cached_property
    def _sent_bytes(self) -> tuple[Floats, Floats]:
        """Times at which the rate changes, the period's end included, and the bytes sent up to each, both (K + 1,)."""
        changes_s = np.append(np.asarray(self.times_s, dtype=np.float64), float(self.period_s or 0.0))
        return changes_s, np.append(0.0, np.cumsum(np.diff(changes_s) * np.asarray(self.bytes_per_s)))


def load_trace(path: str | Path) -> Trace:
    """Read a trace in one of the three formats.

    Raises:
        ValueError: If the file cannot be read or is not a trace; the error names the file, the line, the value and the
            remedy.
    """
    try:
        text = read_text(Path(path), "give an existing CSV, Pensieve or Mahimahi trace")
    except ValueError as error:
        raise ValueError(f"trace {path}: {error}") from None
    numbered = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    lines = [(number, line) for number, line in numbered if line and not line.startswith("#")]
    if not lines:
        raise ValueError(f"trace {path}: it is empty; give a CSV, Pensieve or Mahimahi trace.")
    first, separator = lines[0][1], separator_of(lines[0][1])
    cells = cells_of(first, separator)
    try:
        if not all(is_number(cell) for cell in cells):
            return _read_columns(lines[1:], separator, cells, lines[0])
        if len(cells) == 1:
            return _read_mahimahi(lines)
        if len(cells) == 2:
            return _read_columns(lines, separator, ["time_s", "mbps"], lines[0])
        raise ValueError(
            f"line {lines[0][0]}: {first!r} has {len(cells)} numbers and no header says what they are; begin with a "
            "line of column names, time_s and mbps or bytes_per_s among them."
        )
    except ValueError as error:
        raise ValueError(f"trace {path}, {error}") from None


def _read_columns(
    rows: list[tuple[int, str]], separator: str | None, columns: list[str], first: tuple[int, str]
) -> Trace:
    names = [column.lower() for column in columns]
    found = [name for name in names if name in ("time_s", *BYTES_PER_S)]
    if len(found) != 2 or found.count("time_s") != 1:
        raise ValueError(
            f"line {first[0]}: the columns are {first[1]!r}; a header names time_s and one of "
            f"{' and '.join(BYTES_PER_S)}, once each."
        )
    rate_column = next(name for name in found if name != "time_s")
    time_at, rate_at = names.index("time_s"), names.index(rate_column)
    if not rows:
        raise ValueError(f"line {first[0]}: no row follows the header; give at least one time and rate.")
    times: list[float] = []
    rates: list[float] = []
    for number, line in rows:
        cells = cells_of(line, separator)
        if len(cells) != len(columns):
            raise ValueError(
                f"line {number}: {line!r} has {counted(len(cells), 'cell')}, not {len(columns)} as the first line."
            )
        time_s = _number(number, "time_s", cells[time_at])
        if times and time_s <= times[-1]:
            raise ValueError(
                f"line {number}: time_s {cells[time_at]} does not exceed {times[-1]}; sort the rows by time."
            )
        times.append(time_s)
        rates.append(_number(number, rate_column, cells[rate_at]) * BYTES_PER_S[rate_column])
    return Trace(np.array(times) - times[0], rates)


def _read_mahimahi(lines: list[tuple[int, str]]) -> Trace:
    stamps: list[int] = []
    for number, line in lines:
        if not (line.isascii() and line.isdigit() and len(line) <= 15):
            raise ValueError(
                f"line {number}: {line!r}; a Mahimahi trace holds one whole number of milliseconds per line."
            )
        stamp_ms = int(line)
        if stamps and stamp_ms < stamps[-1]:
            raise ValueError(f"line {number}: {line} ms is before {stamps[-1]} ms; sort the lines.")
        stamps.append(stamp_ms)
    period_ms = stamps[-1]
    if period_ms == 0:
        raise ValueError(f"line {lines[-1][0]}: the last time is 0 ms, which is the length of the trace; end it later.")
    # What is delivered at the end of a millisecond counts as sent during that millisecond. What is delivered at time 0
    # counts as sent during the last millisecond of the period before, and so of every period.
    arrived_ms, packets = np.unique(np.where(np.array(stamps) == 0, period_ms, stamps), return_counts=True)
    edges_ms = np.unique(np.concatenate([[0], arrived_ms - 1, arrived_ms]))
    rates = np.zeros(len(edges_ms) - 1)
    rates[np.searchsorted(edges_ms, arrived_ms) - 1] = packets * PACKET_BYTES * 1000.0
    return Trace(edges_ms[:-1] / 1000.0, rates, period_ms / 1000.0)


def _number(line: int, column: str, cell: str) -> float:
    value = float(cell) if is_number(cell) else math.nan
    if not 0 <= value <= MOST:
        raise ValueError(
            f"line {line}: {column} is {cell!r}; it must be a finite number, not negative and at most {MOST:g}."
        )
    return value
