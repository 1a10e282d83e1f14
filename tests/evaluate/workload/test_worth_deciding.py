"""Scenarios are worth deciding: a rule that needs no thought is rarely near the best known plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluate.workload.config import WorkloadConfig
from evaluate.workload.workload import run


@pytest.mark.slow
@pytest.mark.parametrize("family", ["edge-cloud", "multi-user", "mobile"])
def test_no_constant_rule_is_near_the_best_known_in_more_than_half_of_the_scenarios(
    family: str, tmp_path: Path
) -> None:
    found = run(WorkloadConfig(out=tmp_path / "out", families=family))
    assert found["families"][family]["any_rule_near"] <= 0.5
