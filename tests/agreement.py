"""The compiled simulation against the slow and obvious one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.simulator import simulate
from tests import oracle

CLOSE = {"rtol": 1e-9, "atol": 1e-12}


def agree(scenario: Scenario, plan: Plan) -> None:
    """Compare all that happens: delays, where queries run after every event, and what was sent when and from where."""
    timeline, slow = simulate(scenario, plan), oracle.simulate(scenario, plan)
    assert timeline.mean_delay_s == pytest.approx(slow.mean_delay_s, rel=1e-9)
    np.testing.assert_allclose(timeline.event_time_s, [time_s for time_s, _ in slow.curve], **CLOSE)
    np.testing.assert_allclose(timeline.event_delay_s, [delays for _, delays in slow.curve], **CLOSE)
    uploads = [(upload.start_s, upload.end_s) for upload in timeline.uploads]
    np.testing.assert_allclose(uploads, slow.uploads, **CLOSE)
    for event, assignments in enumerate(slow.assignments):
        for user, assignment in enumerate(assignments):
            if timeline.present[event, user]:  # where the absent would run their queries tells nothing
                found = timeline.event_assignment[event, user, : len(assignment)]
                assert found.tolist() == [assignment[layer] for layer in range(len(assignment))]
    found = [each for upload in timeline.uploads for each in upload.transfers]
    for mine, theirs in zip(found, slow.transfers, strict=True):
        assert mine.layer == theirs.layer
        assert mine.source == (-1 if theirs.source is None else theirs.source)
        assert mine.arrives == (theirs.end_s < math.inf)
        stop_s = min(theirs.end_s, theirs.broken_off_s, scenario.horizon_s)
        times_s = (theirs.start_s, stop_s if theirs.start_s < math.inf else math.inf)
        np.testing.assert_allclose((mine.start_s, mine.stop_s), times_s, **CLOSE)
        assert mine.sent_bytes == pytest.approx(theirs.sent_bytes, rel=1e-9, abs=1e-3)
