"""Checks the ranges that generators take as options, and draws random numbers from them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import numpy as np

from dnnmig_env.arrays import Floats, Ints

Range = tuple[float, float]
"""Least and greatest value."""

Ranges = Range | tuple[Range, ...]
"""A range, or several ranges, of which each draw takes one, all with the same probability."""

CountRange = tuple[int, int]
"""Least and greatest number of things."""


def normalize_ranges(
    options: Any, *, counts: Iterable[str] = (), positive: Iterable[str] = (), several: Iterable[str] = ()
) -> None:
    """Check the named attributes of a frozen dataclass and replace each by a tuple of two numbers, or several of these.

    A single number stands for a range of that one value.

    Args:
        options: The dataclass.
        counts: Names of attributes that are ranges of whole numbers, 1 or more.
        positive: Names of attributes that are ranges of positive numbers.
        several: Names of attributes that are such ranges, too, or several of them, such as ((1, 2), (5, 8)).

    Raises:
        ValueError: If one is no such range; the error names the attribute, its value and the remedy.
    """
    for name in counts:
        object.__setattr__(options, name, _count_range(name, getattr(options, name)))
    for name in positive:
        object.__setattr__(options, name, positive_range(name, getattr(options, name)))
    for name in several:
        object.__setattr__(options, name, _positive_ranges(name, getattr(options, name)))


def check_replaced(options: Any, given: str, replaced: str) -> None:
    """Check that an option is as it is by default where another is given that takes its place.

    Args:
        options: A dataclass, whose ranges are normalized.
        given: Name of the option that takes the place of the other one if it is given.
        replaced: Name of the other one.

    Raises:
        ValueError: If both are given; the error names them, their values and the remedy.
    """
    usual = {each.name: each.default for each in fields(options)}
    if getattr(options, given) and replaced in usual and getattr(options, replaced) != usual[replaced]:
        raise ValueError(
            f"{replaced} is {getattr(options, replaced)!r}, but {given}, which takes its place, is given as well; "
            "leave one of them out."
        )


def check_count(options: Any, *names: str) -> None:
    """Check that the named attributes of `options` are whole numbers from 1 on.

    Raises:
        ValueError: If one is not; the error names the attribute, its value and the remedy.
    """
    for name in names:
        value = getattr(options, name)
        if isinstance(value, bool) or not (isinstance(value, int) and value >= 1):
            raise ValueError(f"{name} is {value!r}; give a whole number from 1 on.")


def check_number(options: Any, *names: str, low: float = 0.0, high: float = math.inf) -> None:
    """Check that the named attributes of `options` are finite numbers from `low` to `high`.

    Raises:
        ValueError: If one is not; the error names the attribute, its value and the remedy.
    """
    for name in names:
        value = getattr(options, name)
        if isinstance(value, bool) or not (
            isinstance(value, int | float) and low <= value <= high and math.isfinite(value)
        ):
            limits = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
            raise ValueError(f"{name} is {value!r}; give a finite number {limits}.")


def uniform(rng: np.random.Generator, bounds: Ranges, shape: tuple[int, ...]) -> Floats:
    """Return numbers drawn uniformly from a range, or each from one of several."""
    low, high = _ends(rng, bounds, shape)
    return low + (high - low) * rng.random(shape)


def log_uniform(rng: np.random.Generator, bounds: Ranges, shape: tuple[int, ...]) -> Floats:
    """Return positive numbers whose logarithms are drawn uniformly from the range of logarithms, or one of several."""
    low, high = _ends(rng, bounds, shape)
    found: Floats = low * np.power(high / low, rng.random(shape))
    return found


def choices(rng: np.random.Generator, count: int, shape: tuple[int, ...]) -> Ints:
    """Return indices below `count`, all with the same probability; where there is but one, nothing is drawn."""
    return np.zeros(shape, np.int64) if count == 1 else counts(rng, (0, count - 1), shape)


def counts(rng: np.random.Generator, bounds: CountRange, shape: tuple[int, ...]) -> Ints:
    """Return whole numbers drawn uniformly from a range, both ends included."""
    spread = bounds[1] - bounds[0] + 1
    drawn: Ints = bounds[0] + (spread * rng.random(shape)).astype(np.int64)  # several times faster than rng.integers
    return drawn


def _count_range(name: str, value: Any) -> CountRange:
    bounds = _pair(value)
    if bounds is None or not 1 <= bounds[0] <= bounds[1] or not all(bound.is_integer() for bound in bounds):
        raise ValueError(f"{name} is {value!r}; give a whole number from 1 on, or two, smaller first, as in (2, 4).")
    return int(bounds[0]), int(bounds[1])


def positive_range(name: str, value: Any) -> Range:
    """Return a range of positive numbers as a tuple; a single number stands for a range of that one value.

    Raises:
        ValueError: If the value is no such range; the error has the name.
    """
    bounds = _pair(value)
    if bounds is None or not 0 < bounds[0] <= bounds[1] < math.inf:
        raise ValueError(f"{name} is {value!r}; give a positive number, or two, smaller first, as in (1.0, 2.0).")
    return bounds


def _positive_ranges(name: str, value: Any) -> Ranges:
    if not isinstance(value, tuple | list) or not value or not all(isinstance(each, tuple | list) for each in value):
        return positive_range(name, value)
    found = tuple(positive_range(f"{name}[{index}]", each) for index, each in enumerate(value))
    return found if len(found) > 1 else found[0]


def _ends(rng: np.random.Generator, bounds: Ranges, shape: tuple[int, ...]) -> tuple[float | Floats, float | Floats]:
    """Return the least and the greatest value, for each draw those of one of several ranges."""
    ranges = np.array(bounds, np.float64)
    if ranges.ndim == 1:
        return float(ranges[0]), float(ranges[1])
    chosen = ranges[choices(rng, len(ranges), shape)]
    return chosen[..., 0], chosen[..., 1]


def _pair(value: Any) -> Range | None:
    try:
        low, high = (value, value) if isinstance(value, int | float | np.number) else value
        if isinstance(low, bool | str) or isinstance(high, bool | str):
            return None
        return float(low), float(high)
    except (TypeError, ValueError, OverflowError):
        return None
