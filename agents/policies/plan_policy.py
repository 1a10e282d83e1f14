"""A planner as a policy: it plans once per episode, or anew at every decision."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.planners.forecast import expected_scenario
from agents.planners.foresight.ahead import plan_ahead
from agents.planners.foresight.habits import markov_cells, position_regression
from agents.planners.foresight.known_future import worth_sending
from agents.planners.foresight.next_cell import NextCell, as_it_will_be, by_velocity, home_of
from agents.planners.foresight.uploads_view import plan_moves
from agents.planners.protocol import Planner
from agents.planners.slot_zero import present_users
from agents.policies.name import View
from dnnmig_env.arrays import Bools, Int8s, Ints
from dnnmig_env.compiling.threads import at_most_threads, num_threads, results_of
from dnnmig_env.envs.row_view import RowView
from dnnmig_env.envs.vector_env import Observations
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, Upload

PERDNN_SHARE = 0.5
"""Most bytes that PerDNN sends ahead for a user, as a share of its weights. RECONSTRUCTION: the paper's abstract speaks
of a small fraction of the layers."""


def next_cell_of(view: View, generator: object) -> NextCell | None:
    """Return how a view predicts the cell to which a user goes next; None if it does not.

    Args:
        view: The view.
        generator: The generator of the scenarios, from whose town some views learn.

    Raises:
        ValueError: If the view has to learn from a town, and there is none.
    """
    if view in ("start", "replan"):
        return None
    if view in ("forecast", "clairvoyant"):
        return by_velocity if view == "forecast" else as_it_will_be
    return markov_cells(generator) if view == "markov" else position_regression(generator)


class PlanPolicy:
    """Acts as a planner says.

    Where weights move between servers, the planner plans in views of the scenario in which every layer is uploaded at
    most once (`agents.planners.foresight.uploads_view`). With foresight, what users need in the cells to which they go
    next is sent after what is needed now (`agents.planners.foresight.ahead`). Wherever a lane is idle, the first of all
    that is legal.

    Plans are made from `known_scenario` (or from what is expected to follow it), so that nothing of the slots to come
    is seen. Each layer of a partition is uploaded on its own, in the partition's order. An upload that is not legal at
    present (its user is absent) is put off, and the next one is made. A clairvoyant plan is followed to the letter
    instead: the policy waits for whatever comes next.

    Args:
        planner: The planner.
        env: The environment (single or vector) in which the policy acts.
        seed: Seed; the k-th episode that the policy plays in row i plans with a random stream of its own.
        view: What the planner knows, and when it plans.
        timed: Plan one row at a time, so that `planning_s` is what a plan takes. If false, all cores share the rows
            that plan at the same moment; the planner must allow being called by several threads.

    Attributes:
        replans: Whether it plans anew at every decision, so that it says what to do in states to which it did not lead.
        planning_s: Seconds spent planning in the present episode of each row, shape (B,).

    Raises:
        ValueError: If the planner is to plan anew in the two-phase mode, where placements cannot be taken back, or the
            view is not for these scenarios.
    """

    def __init__(self, planner: Planner, env: RowView, seed: int, *, view: View = "start", timed: bool = True) -> None:
        self._planner, self._env, self._seed, self._view, self._timed = planner, env, seed, view, timed
        self._lanes = env.episodes.limits.lanes
        self._next_cell = next_cell_of(view, env.episodes.generator) if self._lanes else None
        self._share = PERDNN_SHARE if view == "perdnn" else 1.0
        self.replans = view in ("replan", "forecast") or self._next_cell is not None
        self._episode, self._begun = np.full(env.num_rows, -1), np.zeros(env.num_rows, np.int64)
        self._uploads: list[list[Upload]] = [[] for _ in range(env.num_rows)]
        self._planned_s = np.full(env.num_rows, np.nan)
        self._streams: dict[int, tuple[int, int]] = {}
        self.planning_s = np.zeros(env.num_rows)
        if not self._lanes and view in ("markov", "perdnn"):
            raise ValueError(f"@{view} sends layers ahead, but weights do not move between servers in these scenarios.")
        if self.replans and env.decision_mode != "joint":
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
        self._plan_again([row for row in range(len(rows)) if self._is_due(row, rows[row])])
        actions = np.array([self._act(row, rows[row]) for row in range(len(rows))], np.int64)
        return (actions if mask.ndim == 2 else actions[0]), state

    def check(self, scenario: Scenario) -> None:
        """Check that the planner may plan once, at the start of a whole scenario.

        Raises:
            ValueError: If it refuses to, as `exact` does where something changes, or where there are many layers.
        """
        if not self.replans and hasattr(self._planner, "check_whole"):
            self._planner.check_whole(scenario)

    def use_stream(self, row: int, stream: tuple[int, int]) -> None:
        """Let a row plan from now on with the random numbers of another row and episode, given as (row, episode)."""
        self._streams[row] = stream

    def _is_due(self, row: int, mask: Int8s) -> bool:
        """Return whether a row needs a new plan; count its seconds from 0 if an episode begins."""
        if self._episode[row] != self._env.episode(row):
            self._episode[row], self.planning_s[row] = self._env.episode(row), 0.0
            self._begun[row] += 1
            return True
        # What begins side by side, in several lanes, begins by one plan: between these decisions no time passes.
        is_new = not (self._lanes and self._env.time_s(row) == self._planned_s[row])
        return self.replans and is_new and bool(mask[:-1].any())

    def _plan_again(self, rows: Sequence[int]) -> None:
        """Make new plans for some rows."""
        if self._timed or len(rows) < num_threads():
            plans = [self._plan(row) for row in rows]
        else:
            plans = results_of(self._plan_on_one_core, rows)
        for row, uploads in zip(rows, plans, strict=True):
            self._uploads[row], self._planned_s[row] = uploads, self._env.time_s(row)

    def _plan_on_one_core(self, row: int) -> list[Upload]:
        with at_most_threads(1):
            return self._plan(row)

    def _act(self, row: int, mask: Int8s) -> int:
        env = self._env
        if not mask[:-1].any():
            return env.stop_action
        pending = env.pending_layer(row)
        for k, upload in enumerate(self._uploads[row]):
            action = env.encode(upload.user, upload.layers[0], upload.server)
            if pending is None and mask[action] and upload.not_before_s <= env.time_s(row):
                del self._uploads[row][k]
                return action
            if pending == (upload.user, upload.layers[0]):
                return action if mask[action] else env.stop_action
            if pending is None and self._view == "clairvoyant" and not self.replans:
                break
        return env.stop_action

    def _plan(self, row: int) -> list[Upload]:
        """Return the uploads of a new plan, each of a single layer."""
        clairvoyant = self._view == "clairvoyant" and not self._lanes
        scenario = self._env.scenario(row) if clairvoyant else self._env.known_scenario(row)
        if scenario is None:
            return []
        stream = self._streams.get(row, (row, int(self._begun[row])))
        begin, rng = time.perf_counter(), np.random.default_rng([self._seed, *stream])
        plans = self._plan_moves(row, scenario, rng) if scenario.moves else [self._plan_uploads(row, scenario, rng)]
        self.planning_s[row] += time.perf_counter() - begin
        return [upload for plan in plans for upload in plan.singletons().uploads]

    def _plan_uploads(self, row: int, scenario: Scenario, rng: np.random.Generator) -> Plan:
        """Return what to upload where weights do not move between servers."""
        if self._view == "forecast":
            scenario = expected_scenario(scenario)
        elif self._next_cell is not None:
            raise ValueError(
                f"@{self._view} sends layers ahead, but weights do not move between servers in this scenario; write "
                "@replan or @forecast, or moves: true in its file."
            )
        else:
            self.check(self._env.scenario(row))  # what is known may hide that it changes
        return self._planner(scenario, rng)

    def _plan_moves(self, row: int, known: Scenario, rng: np.random.Generator) -> list[Plan]:
        """Return what to send for the present cells of users, and then what to send ahead of them."""
        plans = [plan_moves(self._planner, known, rng)]
        if self._next_cell is not None:
            whole, slot = self._env.scenario(row), int(self._env.episodes.state.slot[row])
            cells = {user: self._next_cell(whole, slot, user) for user in present_users(known)}
            cells = {user: cell for user, cell in cells.items() if cell not in (0, home_of(whole, slot, user))}
            if cells and (kept := self._env.known_scenario(row, cells)) is not None:
                ahead = plan_ahead(self._planner, kept, cells, rng, self._share)
                if self._view == "clairvoyant":
                    ahead = worth_sending(ahead, plans[0], kept, whole, slot, self._env.time_s(row))
                plans.append(ahead)
        return plans
