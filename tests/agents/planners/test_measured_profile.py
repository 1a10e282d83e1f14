"""Planners on a measured profile: the partitions and counts of queries of a small one, which are derived by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agents.planners import planner
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.simulator import simulate
from tests.agents.planners.measured_alexnet import BY_HAND, scenario_of

FINE = [(0,), (1,), (2,)]


@pytest.mark.parametrize(
    ("name", "partitions", "queries"),
    [
        ("ionn", [(0,), (1, 2)], 6),
        ("ionn:penalty=0.8", FINE, 7),
        ("efficiency", FINE, 7),
        ("all-to-1+lmu", FINE, 7),
        ("joint-efficiency", FINE, 7),
    ],
)
def test_partitions_and_queries_while_uploading_are_those_derived_by_hand(
    name: str, partitions: list[tuple[int, ...]], queries: int
) -> None:
    scenario = scenario_of(BY_HAND)
    plan = planner(name)(scenario, np.random.default_rng(0))
    assert [upload.layers for upload in plan.uploads] == partitions
    timeline = simulate(scenario, plan)
    assert timeline.closed_loop_queries.tolist() == [queries]
    assert timeline.upload_s == pytest.approx(6.0)


def test_uploading_everything_at_once_finishes_the_fewest_queries() -> None:
    timeline = simulate(scenario_of(BY_HAND), Plan((Upload(0, 1, (0, 1, 2)),)))
    assert timeline.closed_loop_queries.tolist() == [5]
    assert timeline.event_delay_s[:, 0] == pytest.approx([1.42, 0.16])
