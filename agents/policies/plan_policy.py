"""A planner as a policy: it plans once per episode, or anew at every decision."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from agents.planners.forecast import expected_scenario
from agents.planners.protocol import Planner
from agents.policies.name import View
from dnnmig_env.arrays import Bools, Int8s, Ints
from dnnmig_env.envs.row_view import RowView
from dnnmig_env.envs.vector_env import Observations
from dnnmig_env.simulation.plan import Plan

Step = tuple[int, int, int, float]
"""One upload: (user, layer, server, earliest start in seconds)."""


class PlanPolicy:
    """Acts as a planner says.

    Plans are made from `known_scenario` (or from what is expected to follow it), so that nothing of the slots to come
    is seen. Each layer of a partition is uploaded on its own, in the partition's order. An upload that is not legal at
    present (its user is absent) is put off, and the next one is made. A clairvoyant plan is followed to the letter
    instead: the policy waits for whatever comes next.

    Args:
        planner: The planner.
        env: The environment (single or vector) in which the policy acts.
        seed: Seed; episode k of row i plans with a random stream of its own.
        view: What the planner knows, and when it plans.

    Attributes:
        planning_s: Seconds spent planning in the present episode of each row, shape (B,).

    Raises:
        ValueError: If the planner is to plan anew in the two-phase mode, where placements cannot be taken back.
    """

    def __init__(
        self,
        planner: Planner,
        env: RowView,
        seed: int,
        *,
        view: View = "start",
    ) -> None:
        self._planner, self._env, self._seed, self._view = planner, env, seed, view
        self._replans = view in ("replan", "forecast")
        self._episode = np.full(env.num_rows, -1)
        self._steps: list[list[Step]] = [[] for _ in range(env.num_rows)]
        self.planning_s = np.zeros(env.num_rows)
        if self._replans and env.decision_mode != "joint":
            raise ValueError(f'@{view} needs decisions="joint": in two phases a placement is not taken back.')

    def predict(
        self,
        observation: Observations,
        state: Any = None,
        episode_start: Bools | None = None,
        deterministic: bool = True,
    ) -> tuple[Ints, Any]:
        """Return the planned action of every row; a single observation is row 0."""
        mask = observation["action_mask"]
        rows = np.atleast_2d(mask)
        actions = np.array([self._act(row, rows[row]) for row in range(len(rows))], np.int64)
        return (actions if mask.ndim == 2 else actions[0]), state

    def _act(self, row: int, mask: Int8s) -> int:
        env = self._env
        begins = self._episode[row] != env.episode(row)
        if begins:
            self._episode[row], self.planning_s[row] = env.episode(row), 0.0
        if begins or self._replans:
            self._steps[row] = self._plan(row)
        pending = env.pending_layer(row)
        for k, (user, layer, server, not_before_s) in enumerate(self._steps[row]):
            action = env.encode(user, layer, server)
            if pending is None and mask[action] and not_before_s <= env.time_s(row):
                del self._steps[row][k]
                return action
            if pending == (user, layer):
                return action if mask[action] else env.stop_action
            if pending is None and self._view == "clairvoyant":
                break
        return env.stop_action

    def _plan(self, row: int) -> list[Step]:
        clairvoyant = self._view == "clairvoyant"
        scenario = self._env.scenario(row) if clairvoyant else self._env.known_scenario(row)
        if scenario is None:
            return []
        begin = time.perf_counter()
        if self._view == "forecast":
            scenario = expected_scenario(scenario)
        plan: Plan = self._planner(scenario, np.random.default_rng([self._seed, row, self._episode[row]]))
        self.planning_s[row] += time.perf_counter() - begin
        return [
            (upload.user, layer, upload.server, upload.not_before_s)
            for upload in plan.uploads
            for layer in upload.layers
        ]
