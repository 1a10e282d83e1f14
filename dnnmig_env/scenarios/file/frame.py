"""What all parts of a scenario's file refer to, and values of the kinds of which there are many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dnnmig_env.arrays import Floats
from dnnmig_env.files.suggestion import suggestion
from dnnmig_env.scenarios.bounds import Bounds, check_bounds
from dnnmig_env.scenarios.file.profiles import Measure


class Frame(NamedTuple):
    """What all parts of a file refer to, among it the slots' starts, the servers' names and what measures layers."""

    folder: Path
    horizon_s: float
    starts_s: Floats
    servers: list[str]
    measure: Measure | None


@contextmanager
def at(place: str) -> Iterator[None]:
    """Put a place before the message of an error."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def per_slot(place: str, value: float | list[float], frame: Frame, bounds: Bounds, factor: float = 1.0) -> Floats:
    """Return one number or one per slot as an array, shape (T,)."""
    slots = len(frame.starts_s)
    if isinstance(value, list) and len(value) != slots:
        raise ValueError(f"{place}: {len(value)} values for {slots} time slots; give one number or one per slot.")
    values = np.asarray(value, dtype=np.float64) * factor
    check_bounds(place, values, bounds)
    return np.broadcast_to(values, (slots,))


def table_of(place: str, rows: Sequence[ArrayLike], shape: tuple[int, int], meaning: str) -> Floats:
    """Return a table as an array of the given shape; `meaning` says in errors what its rows and columns are."""
    widths = {np.size(row) for row in rows}
    if len(rows) != shape[0] or widths != {shape[1]}:
        size = f"{len(rows)} rows of {' or '.join(map(str, sorted(widths)))} numbers"
        raise ValueError(f"{place}: {size}; give {shape[0]} rows of {shape[1]}: {meaning}.")
    return np.array(rows, dtype=np.float64)


def index_of(place: str, kind: str, name: str, names: Sequence[str]) -> int:
    """Return the index of a name among those that there are."""
    if name not in names:
        raise ValueError(f"{place}: there is no {kind} {name!r}; {suggestion(name, names)}")
    return names.index(name)
