"""The cold start of a plan as one number per scenario, by which policies are ranked."""

from __future__ import annotations

import numpy as np

from dnnmig_env.simulation.timelines.timeline import Timeline


def cold_starts_s(timeline: Timeline) -> tuple[float, float]:
    """Return the mean cold-start delay of a plan, and that of uploading nothing, over the users who are ever present.

    A query waits for all that the plan uploads for its user, so that an upload that makes later queries fast may make
    the first one slow. A query that still waits at the horizon has waited in vain, as nothing arrives after the horizon
    in an evaluation: it then runs on its device.

    Args:
        timeline: What happened when the plan was carried out.
    """
    scenario = timeline.scenario
    present = np.array([np.asarray(user.query_rate_hz) > 0 for user in scenario.users])  # (U, T)
    here = present.any(axis=1)
    raised_s = np.asarray(scenario.slot_starts_s)[present.argmax(axis=1)]
    in_vain_s = scenario.horizon_s - raised_s + timeline.device_delay_s
    delay_s = np.minimum(timeline.cold_start_delay_s, in_vain_s)[here]
    return float(delay_s.mean()), float(timeline.device_delay_s[here].mean())
