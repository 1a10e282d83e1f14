"""The numbers that a scenario file may hold: types whose errors say in plain words what a number must be."""

from __future__ import annotations

import math
import sys
from typing import Annotated, Any

from pydantic import Discriminator, PlainValidator, Tag

ONE, MANY = "<one>", "<many>"
"""Tags of one value and of a list of values. Pydantic puts them into an error's path; `strict_model` drops them."""


def _finite(value: Any) -> float:
    if isinstance(value, str):
        raise ValueError("must be a number in decimal digits, such as 20, 0.5 or 1e6, without quotes")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    if not abs(value) <= sys.float_info.max:
        raise ValueError("must be finite")
    return float(value)


def _not_negative(value: Any) -> float:
    if _finite(value) < 0:
        raise ValueError("must not be negative")
    return float(value)


def _positive(value: Any) -> float:
    if _finite(value) <= 0:
        raise ValueError("must be positive")
    return float(value)


def _capacity(value: Any) -> float:
    return math.inf if value == math.inf else _positive(value)


def _quantity(value: Any) -> float:
    """Return whole numbers, even those written like 1e6, as integers, since a float may not hold them exactly.

    Numpy knows no integers from 2^63 on; those come as floats.
    """
    number = _not_negative(value)
    if not number.is_integer() or number >= 2**63:
        return number
    return value if isinstance(value, int) else int(value)


def _bytes(value: Any) -> int:
    number = _quantity(value)
    if not isinstance(number, int):
        raise ValueError("must be a whole number of bytes, less than 2^63")
    return number


def _index(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")
    return value


def _count(value: Any) -> int:
    if _index(value) < 1:
        raise ValueError("must be at least 1")
    return int(value)


def _sizes(value: Any) -> list[int]:
    if not isinstance(value, list) or not all(_is_size(size) for size in value):
        raise ValueError("must be a list of whole numbers that are not negative, such as [1, 3, 224, 224]")
    return value


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _input_shape(value: Any) -> list[list[int]] | dict[str, int | list[int]]:
    """Return the shape of each input, or sizes of dimensions and shapes of inputs by their names."""
    if isinstance(value, dict):
        return {str(name): size if _is_size(size) else _sizes(size) for name, size in value.items()}
    if isinstance(value, list) and any(isinstance(shape, list) for shape in value):
        return [_sizes(shape) for shape in value]
    return [_sizes(value)]


def _one_or_many(value: object) -> str:
    return MANY if isinstance(value, list) else ONE


def _point_or_points(value: object) -> str:
    return MANY if isinstance(value, list) and any(isinstance(item, list) for item in value) else ONE


# Number: any finite number. Amount: at least 0. Positive: above 0. Capacity: above 0 or infinite. Quantity: at least 0,
# and an integer if it is whole. Bytes: a whole number of at least 0, which may be written like 1e6. Index: any whole
# number. Count: a whole number of at least 1.
Number = Annotated[float, PlainValidator(_finite)]
Amount = Annotated[float, PlainValidator(_not_negative)]
Positive = Annotated[float, PlainValidator(_positive)]
Capacity = Annotated[float, PlainValidator(_capacity)]
Quantity = Annotated[int, PlainValidator(_quantity)]
Bytes = Annotated[int, PlainValidator(_bytes)]
Index = Annotated[int, PlainValidator(_index)]
Count = Annotated[int, PlainValidator(_count)]
InputShape = Annotated[list[list[int]] | dict[str, int | list[int]], PlainValidator(_input_shape)]
"""Sizes of one input, or a list of them for each input, or sizes by the names of dimensions and inputs."""
BytesPerInput = Annotated[
    Annotated[Quantity, Tag(ONE)] | Annotated[list[Quantity], Tag(MANY)],
    Discriminator(_one_or_many),
]
"""Bytes of the only input, or of each input."""
PerSlot = Annotated[
    Annotated[Amount, Tag(ONE)] | Annotated[list[Amount], Tag(MANY)],
    Discriminator(_one_or_many),
]
"""One number, or one per time slot."""
NamePerSlot = Annotated[
    Annotated[str, Tag(ONE)] | Annotated[list[str], Tag(MANY)],
    Discriminator(_one_or_many),
]
"""One name, or one per time slot."""
BetweenServers = Annotated[
    Annotated[Amount, Tag(ONE)] | Annotated[list[list[Amount]], Tag(MANY)],
    Discriminator(_one_or_many),
]
"""One number, or a table with a row per sending and a column per receiving server."""
Track = Annotated[
    Annotated[list[Number], Tag(ONE)] | Annotated[list[list[Number]], Tag(MANY)],
    Discriminator(_point_or_points),
]
"""One place (x, y), or one per time slot."""
