"""Features are declared once: positions follow the declarations, and the documentation is made from them."""

from pathlib import Path

import numpy as np
import pytest

from dnnmig_env.envs.facts.lanes import LANE_PARTS
from dnnmig_env.envs.facts.layout import PARTS, FactsLayout
from dnnmig_env.envs.features import Feature, markdown_table, names, positions

DOCS = Path(__file__).resolve().parents[3] / "docs" / "reference" / "observations.md"


def test_positions_are_those_of_the_declarations() -> None:
    table = tuple(Feature(name, f"what {name} is", "s", "x") for name in ("first", "second", "third"))
    assert names(table) == ("first", "second", "third")
    assert positions(table)._asdict() == {"first": 0, "second": 1, "third": 2}


@pytest.mark.parametrize("part", PARTS)
def test_every_feature_says_what_it_is(part: str) -> None:
    table = PARTS[part]
    assert len(set(names(table))) == len(table)
    for feature in table:
        assert feature.meaning and feature.unit and "x" in feature.scale


def test_parts_stand_one_after_the_other() -> None:
    layout = FactsLayout(users=3, layers=5, servers=2, edges=7, lanes=True)
    counts = {"time": 1, "servers": 2, "users": 3, "links": 6, "layers": 15, "lines": 4, "executions": 30, "edges": 21}
    counts |= {"cells": 6, "copies": 30, "transfers": 5, "absences": 3, "rooms": 2}
    ends = np.cumsum([counts[part] * len(table) for part, table in PARTS.items()])
    assert [part.stop for part in layout.slices.values()] == ends.tolist()
    assert layout.size == ends[-1]
    assert list(layout.slices) == list(PARTS) == list(layout.shapes)
    without = FactsLayout(users=3, layers=5, servers=2, edges=7)
    assert list(without.slices) == [part for part in PARTS if part not in LANE_PARTS]
    assert without.size == layout.slices["cells"].start


@pytest.mark.parametrize("part", PARTS)
def test_the_documentation_is_made_from_the_tables(part: str) -> None:
    assert markdown_table(PARTS[part]) in DOCS.read_text(encoding="utf-8")
