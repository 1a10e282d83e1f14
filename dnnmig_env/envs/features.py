"""Features: a declaration of what each number of an observation means, from which positions and tables are derived."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Feature:
    """One number of an observation.

    Attributes:
        name: Its name in code and tables.
        meaning: The quantity of which it tells.
        unit: Unit of that quantity; "1" for shares, ratios and truth values.
        scale: Formula by which the quantity `x`, in its unit, becomes a number within [-1, 1].
    """

    name: str
    meaning: str
    unit: str
    scale: str


def names(features: Sequence[Feature]) -> tuple[str, ...]:
    """Return the features' names, in order."""
    return tuple(feature.name for feature in features)


def positions(features: Sequence[Feature]) -> Any:
    """Return the position of every feature among them, as a named tuple of integers that compiled code can read.

    Args:
        features: The features, in the order in which they stand in the vector.
    """
    ordered = names(features)
    return namedtuple("Positions", ordered)(*range(len(ordered)))


def markdown_table(features: Sequence[Feature]) -> str:
    """Return the features as a Markdown table."""
    rows = [f"| `{each.name}` | {each.meaning} | {each.unit} | {each.scale} |" for each in features]
    return "\n".join(["| feature | quantity x | unit | value |", "|---|---|---|---|", *rows])
