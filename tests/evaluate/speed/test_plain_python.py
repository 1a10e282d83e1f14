from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.uplink import UPLINKS, Uplink
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from evaluate.speed.plain_python import mean_delay_s
from evaluate.speed.random_plans import random_plan


def idling(plan: Plan, horizon_s: float, rng: np.random.Generator) -> Plan:
    """Return the plan with an idle channel before every fourth upload."""
    uploads = list(plan.uploads)
    for index in range(0, len(uploads), 4):
        uploads[index] = replace(uploads[index], not_before_s=float(rng.uniform(0, horizon_s)))
    return Plan(tuple(uploads))


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("family", ["single", "edge-cloud", "multi-user"])
def test_plain_python_agrees_with_the_kernel(family: str, uplink: Uplink) -> None:
    rng = np.random.default_rng(0)
    drawn = scenarios(family, 8, seed=8, uplink=uplink)
    plans = [idling(random_plan(scenario, rng), scenario.horizon_s, rng) for scenario in drawn]
    fast = mean_delays_s(pack(drawn), plan_arrays(plans), np.arange(len(drawn)))
    slow = [mean_delay_s(scenario, plan) for scenario, plan in zip(drawn, plans, strict=True)]
    np.testing.assert_allclose(fast, slow, rtol=1e-9)


def test_several_slots_are_refused() -> None:
    scenario = scenarios("mobile", 1, seed=0, moves=False)[0]
    with pytest.raises(ValueError, match="time slots"):
        mean_delay_s(scenario, random_plan(scenario, np.random.default_rng(0)))
