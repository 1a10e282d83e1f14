"""A planner as a policy: it plans once per episode, or anew at every decision."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.planners.forecast import expected_scenario
from agents.planners.protocol import Planner
from dnnmig_env.envs.vector_env import Observations
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan

Step = tuple[int, int, int, float]
"""One upload: (user, layer, server, earliest start in seconds)."""


class Questions(Protocol):
    """What a planner asks of the environment it acts in; both environments of this project answer."""

    @property
    def num_rows(self) -> int:
        """Number of episodes side by side."""
        ...

    @property
    def stop_action(self) -> int:
        """The action "stop"."""
        ...

    def episode(self, row: int) -> int:
        """Return how many episodes the row has begun."""
        ...

    def known_scenario(self, row: int) -> Scenario | None:
        """Return what may be known of a row now."""
        ...

    def scenario(self, row: int) -> Scenario:
        """Return what a row plays, its future included."""
        ...

    def time_s(self, row: int) -> float:
        """Return the time of a row's next decision."""
        ...

    def pending_layer(self, row: int) -> tuple[int, int] | None:
        """Return the (user, layer) to be placed next, or None."""
        ...

    def encode(self, user: int, layer: int, server: int) -> int:
        """Return the action that chooses a server for a layer."""
        ...


class PlanPolicy:
    """Acts as a planner says.

    Plans are made from `known_scenario` (or what may be expected from it), so nothing of the slots to come is seen.
    Each layer of a partition is uploaded on its own, in the partition's order. An upload that is not legal at present
    (its user is away) is put off; a clairvoyant plan is followed to the letter instead: whatever comes next is waited
    for.

    Args:
        planner: The planner.
        env: The environment (single or vector) that it acts in.
        seed: Seed; episode k of row i plans with a random stream of its own.
        replan: Plan anew at every decision instead of once per episode.
        clairvoyant: Show the planner the whole scenario, its future included: no policy, but a bound for policies.
        forecast: Show the planner, instead of the present links, those expected of users who keep their course
            (`expected_scenario`).

    Attributes:
        planning_s: Seconds spent planning in the present episode of each row, shape (B,).

    Raises:
        ValueError: If `replan` is asked for in the two-phase mode, where placements cannot be taken back.
    """

    def __init__(
        self,
        planner: Planner,
        env: Questions,
        seed: int,
        *,
        replan: bool = False,
        clairvoyant: bool = False,
        forecast: bool = False,
    ) -> None:
        self._planner, self._env, self._seed, self._replan = planner, env, seed, replan
        self._clairvoyant, self._forecast = clairvoyant, forecast
        self._episode = np.full(env.num_rows, -1)
        self._steps: list[list[Step]] = [[] for _ in range(env.num_rows)]
        self.planning_s = np.zeros(env.num_rows)
        if replan and getattr(env, "decision_mode", "joint") != "joint":
            suffix = "@forecast" if forecast else "@replan"
            raise ValueError(f'{suffix} needs decisions="joint": in two phases a placement is not taken back.')

    def predict(
        self,
        observation: Observations,
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.int64], Any]:
        """Return the planned action of every row; a single observation is row 0."""
        mask = observation["action_mask"]
        rows = np.atleast_2d(mask)
        actions = np.array([self._act(row, rows[row]) for row in range(len(rows))], np.int64)
        return (actions if mask.ndim == 2 else actions[0]), state

    def _act(self, row: int, mask: NDArray[np.int8]) -> int:
        env = self._env
        begins = self._episode[row] != env.episode(row)
        if begins:
            self._episode[row], self.planning_s[row] = env.episode(row), 0.0
        if begins or self._replan:
            self._steps[row] = self._plan(row)
        pending = env.pending_layer(row)
        for k, (user, layer, server, not_before_s) in enumerate(self._steps[row]):
            action = env.encode(user, layer, server)
            if pending is None and mask[action] and not_before_s <= env.time_s(row):
                del self._steps[row][k]
                return action
            if pending == (user, layer):
                return action if mask[action] else env.stop_action
            if pending is None and self._clairvoyant:
                break
        return env.stop_action

    def _plan(self, row: int) -> list[Step]:
        scenario = self._env.scenario(row) if self._clairvoyant else self._env.known_scenario(row)
        if scenario is None:
            return []
        begin = time.perf_counter()
        if self._forecast:
            scenario = expected_scenario(scenario)
        plan: Plan = self._planner(scenario, np.random.default_rng([self._seed, row, self._episode[row]]))
        self.planning_s[row] += time.perf_counter() - begin
        return [
            (upload.user, layer, upload.server, upload.not_before_s)
            for upload in plan.uploads
            for layer in upload.layers
        ]
