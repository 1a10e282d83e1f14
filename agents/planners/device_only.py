"""Device only: uploads nothing. The baseline that every other planner must beat."""

from __future__ import annotations

import numpy as np

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan


def device_only(scenario: Scenario, rng: np.random.Generator) -> Plan:
    """Return the empty plan."""
    return Plan()
