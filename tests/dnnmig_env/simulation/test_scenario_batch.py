"""A batch's packed rows and its scenarios as objects are the same scenarios."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dnnmig_env.families.registry import FAMILIES, make_generator
from dnnmig_env.families.toy import toy_scenario
from dnnmig_env.simulation.packed import Limits, pack
from dnnmig_env.simulation.scenario_batch import as_batch

OTHER_OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("single", {"max_layers": 5, "horizon_s": 7.0}),
    ("edge-cloud", {"num_users": 1, "num_edges": 1, "networks": ["alexnet"]}),
    ("multi-user", {"num_users": 4, "max_layers": 24, "networks": "test"}),
    ("mobile", {"horizon_s": 5.0, "slot_s": 2.0}),
]


@pytest.mark.parametrize(("family", "options"), [(family, {}) for family in FAMILIES] + OTHER_OPTIONS)
def test_packing_the_scenarios_gives_the_rows(family: str, options: dict[str, Any]) -> None:
    generator = make_generator(family, **options)
    batch = generator.draw(np.random.default_rng(5), 40)
    packed = pack([batch.scenario(row) for row in range(len(batch))], generator.limits)
    for name, expected, rows in zip(packed._fields, packed, batch.packed, strict=True):
        assert rows.dtype == expected.dtype, name
        np.testing.assert_allclose(rows, expected, rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_are_arrays_that_compiled_code_may_fill(family: str) -> None:
    packed = make_generator(family).draw(np.random.default_rng(5), 3).packed
    for name, rows in zip(packed._fields, packed, strict=True):
        assert rows.flags.c_contiguous and rows.flags.writeable, name
    assert not np.shares_memory(packed.up_bytes_per_s, packed.down_bytes_per_s)


def test_a_batch_of_given_scenarios_gives_them_back() -> None:
    given = [toy_scenario(), make_generator("single").draw(np.random.default_rng(0), 1).scenario(0)]
    limits = Limits(users=4, layers=20, servers=3, slots=2, edges=40)
    batch = as_batch(given, limits)
    assert len(batch) == 2
    assert [batch.scenario(0), batch.scenario(1)] == given
    for rows, expected in zip(batch.packed, pack(given, limits), strict=True):
        np.testing.assert_array_equal(rows, expected)


def test_a_row_that_is_not_there_is_named() -> None:
    batch = as_batch([toy_scenario()])
    for row in (-1, 1):
        with pytest.raises(ValueError, match=rf"row is {row}; this batch has the rows 0 to 0"):
            batch.scenario(row)


def test_no_scenarios_make_no_batch() -> None:
    with pytest.raises(ValueError, match="scenarios is empty; give at least one"):
        as_batch([])
