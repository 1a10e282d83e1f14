"""The cold start of a plan as one number per scenario, to rank policies by."""

from __future__ import annotations

import numpy as np

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.simulator import simulate


def cold_starts_s(scenario: Scenario, plan: Plan) -> tuple[float, float]:
    """Return the mean cold-start delay of a plan and of uploading nothing, over the users who are ever present.

    A query waits for all that the plan uploads, so what makes later queries fast makes the first one slow. One that
    still waits at the horizon has waited in vain, as everywhere else in an evaluation nothing arrives after it: the
    query then runs on its device.

    Args:
        scenario: What was given.
        plan: What was carried out.
    """
    timeline = simulate(scenario, plan)
    present = np.array([np.asarray(user.query_rate_hz) > 0 for user in scenario.users])  # (U, T)
    here = present.any(axis=1)
    raised_s = np.asarray(scenario.slot_starts_s)[present.argmax(axis=1)]
    in_vain_s = scenario.horizon_s - raised_s + timeline.device_delay_s
    delay_s = np.minimum(timeline.cold_start_delay_s, in_vain_s)[here]
    return float(delay_s.mean()), float(timeline.device_delay_s[here].mean())
