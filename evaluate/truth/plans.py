"""Plans of policies: each plays every scenario, and what it has uploaded is its plan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium.vector import AutoresetMode

from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.plan import Plan


class Replay:
    """Takes the actions of earlier episodes again, to learn what was uploaded.

    Args:
        limits: Sizes of an environment in which all scenarios can be played.
    """

    def __init__(self, limits: Limits) -> None:
        self._env = MigrationVectorEnv(1, limits=limits, autoreset_mode=AutoresetMode.DISABLED)

    def plan(self, scenario: Scenario, actions: Sequence[int]) -> Plan:
        """Return the plan that joint decisions in a scenario amount to."""
        self._env.reset(options={"scenarios": [scenario]})
        for action in actions:
            self._env.step(np.array([action]))
        return self._env.plan(0)
