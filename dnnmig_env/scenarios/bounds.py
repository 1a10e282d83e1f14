"""Bounds of what a scenario may hold; what lies beyond them is taken for a mistake, such as a wrong unit.

They are far beyond what exists. Within them no sum, product or quotient of a simulation overflows or vanishes, so that
every delay is a number.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dnnmig_env.arrays import Floats


class Bounds(NamedTuple):
    """Least and greatest value of a quantity, and its unit; `or_zero` allows 0, `signed` the same below zero."""

    least: float
    most: float
    unit: str
    or_zero: bool = False
    signed: bool = False


HORIZON = Bounds(1e-9, 1e12, "s")
START = Bounds(0.0, 1e12, "s")
"""Of the starts of slots."""
OFFSET = Bounds(0.0, 1e12, "s", signed=True)
"""Of the time of a trace at which a scenario begins."""
NODE_RATE = Bounds(1e-3, 1e24, "per second")
"""Of FLOP/s and of memory bandwidth in bytes/s."""
LINK_RATE = Bounds(1e-12, 1e18, "bytes/s", or_zero=True)
"""Of links; 0 is no connection. The mean rate of a trace over a slot may be very small."""
LATENCY = Bounds(0.0, 1e9, "s")
"""Of latencies, and of the seconds of an operator or a layer."""
QUERY_RATE = Bounds(1e-9, 1e6, "Hz", or_zero=True)
"""Of the queries of a user; 0 is an absent user."""
PLACE = Bounds(0.0, 1e12, "m or m/s", signed=True)
"""Of coordinates and velocities."""
AREA = Bounds(1e-3, 1e12, "m")
WORK = Bounds(0.0, 1e24, "FLOP or bytes")
"""Of all layers of a network together, and of the memory traffic of one inference."""
NUMBER = Bounds(0.0, 1e12, "")
"""Of numbers of things, before they are compared with how many there are."""
MOST_SERVERS = 127
"""Most servers of a scenario: compiled code keeps the node of every layer as one byte."""


def check_bounds(argument: str, value: ArrayLike, bounds: Bounds) -> None:
    """Check that a number, or every number of an array, is finite and within bounds.

    Raises:
        ValueError: If one is not; the error names the argument, the value and the rule.
    """
    array = np.asarray(value, dtype=np.float64)
    size = np.abs(array) if bounds.signed else array
    right = (size >= bounds.least) & (size <= bounds.most)
    if bounds.or_zero:
        right |= array == 0
    if np.count_nonzero(right) == array.size:  # np.all takes ten times as long for arrays as small as a scenario's
        return
    wrong = float(array[~right].flat[0])
    said, which = ("contains", "every value") if array.ndim else ("is", "it")
    raise ValueError(f"{argument} {said} {wrong!r}; {_rule(wrong, which, bounds)}.")


def full(argument: str, value: Any, shape: tuple[int, ...], bounds: Bounds) -> Floats:
    """Return a value as a read-only array of a shape, to which it must broadcast, with every number within bounds.

    Raises:
        ValueError: If it holds something else than numbers, does not fit the shape, or a number is out of bounds.
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{argument} is {value!r}; give numbers, one or an array that fits {shape}.") from None
    try:
        array = (array if array.shape == shape else np.broadcast_to(array, shape)).copy()
    except ValueError:
        raise ValueError(f"{argument} has shape {array.shape}; it must fit {shape}.") from None
    check_bounds(argument, array, bounds)
    array.flags.writeable = False
    return array


def _rule(value: float, which: str, bounds: Bounds) -> str:
    if not bounds.signed and not value >= 0:
        return f"{which} must be finite and not negative"
    if not np.isfinite(value) or value == 0:
        rest = "" if bounds.signed else " and not negative" if bounds.or_zero or not bounds.least else ""
        return f"{which} must be {'positive and ' if bounds.least and not bounds.or_zero else ''}finite{rest}"
    if abs(value) > bounds.most:
        return f"more than {bounds.most:g} {bounds.unit} is taken for a mistake, such as a wrong unit"
    least = f"less than {bounds.least:g} {bounds.unit} is taken for a mistake, such as a wrong unit"
    return f"{least}; 0 is accepted" if bounds.or_zero else least
