"""The numbers of a file: what each kind takes, as which type it comes back, and what is written as JSON."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from dnnmig_env.files.quantities import Amount, Bytes, Capacity, Count, Index, Number, Positive, Quantity
from dnnmig_env.files.yaml_json import write_json

TAKES: list[tuple[Any, list[float], list[object]]] = [
    (Number, [-1.5, 0, 7], [True, "1", None, math.inf, -math.inf, math.nan]),
    (Amount, [0, 1.5], [-1e-9, False, math.inf]),
    (Positive, [1e-9, 3], [0, -1, math.inf]),
    (Capacity, [1e-9, math.inf], [0, -1, -math.inf, math.nan, True]),
    (Quantity, [0, 3, 1.5, 2**60 + 1], [-1, True, math.inf]),
    (Bytes, [0, 2**60 + 1, 1e6], [0.5, -1, True, "3", 2**63, 1e30]),
    (Index, [-1, 0, 5], [1.0, True, "0"]),
    (Count, [1, 5], [0, -1, 1.0, True]),
]


@pytest.mark.parametrize(("kind", "taken", "refused"), TAKES)
def test_a_kind_of_number_takes_what_it_should(kind: Any, taken: list[float], refused: list[object]) -> None:
    adapter: TypeAdapter[float] = TypeAdapter(kind)
    assert [adapter.validate_python(value) for value in taken] == taken
    for value in refused:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)


def test_a_whole_quantity_is_an_integer_however_it_is_written() -> None:
    found = [TypeAdapter(Quantity).validate_python(value) for value in (1e6, 3, 0.5)]
    assert [type(value) for value in found] == [int, int, float]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_json_that_others_could_not_read_is_never_written(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json({"seconds": value})
