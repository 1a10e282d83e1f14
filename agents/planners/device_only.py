"""Device only: upload nothing. The baseline that every other planner must beat."""

from __future__ import annotations

import numpy as np

from dnnmig_env.plan import Plan
from dnnmig_env.scenario import Scenario


def device_only(scenario: Scenario, rng: np.random.Generator) -> Plan:
    """Return the empty plan."""
    return Plan()
