"""B episodes with their scenarios: draws what each row plays next and answers what a planner may ask about a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from agents.candidates.expected_plan import STARTED, UNCHANGED, look_ahead, search
from agents.candidates.hindsight_costs import hindsight_costs
from agents.candidates.layout import (
    CandidateLayout,
    compare_candidates,
    describe_candidates,
    find_candidates,
)
from agents.candidates.planning import new_workshop, plan_references
from agents.candidates.reference_plan import Reference, follow_references, new_reference
from agents.candidates.shortlist import new_prospects
from agents.planners.forecast import COURSE, expected_problem
from dnnmig_env.compiling.threads import ROWS_PER_CORE, share_rows
from dnnmig_env.envs.actions import ActionLayout, new_decisions, pending_layer
from dnnmig_env.envs.facts import ObservationLayout, offsets
from dnnmig_env.envs.reward import RewardKind, RewardScale, check_reward
from dnnmig_env.envs.stepping import Rules, new_outputs, start_rows, step_rows, step_rows_in_parallel
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.known_scenario import known_scenario
from dnnmig_env.simulation.packed import Problem, empty_problem
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.scenario_batch import ScenarioBatch, as_batch
from dnnmig_env.simulation.state import new_state

if TYPE_CHECKING:
    from dnnmig_env.families.registry import Generator

DecisionMode = Literal["joint", "two-phase"]

ObservationKind = Literal["plain", "candidates"]
"""`plain`: every fact about every user, layer, server and link. `candidates`: the most promising uploads only, each
with its prospects (see `agents.candidates.layout`)."""


class EpisodeBatch:
    """Rows of episodes, each with a random stream of scenarios of its own.

    Args:
        rows: Number of rows, B.
        generator: Where scenarios come from.
        decisions: "joint" (place and order at once) or "two-phase" (place all layers, then order the uploads).
        reward: "delay", "shaped" or "reference".
        scale: "seconds" or "device-only".
        observation: "plain" or "candidates".

    Raises:
        ValueError: If an argument is not among those named.

    Attributes:
        blind: Rows whose candidates refer to no plan, which takes a quarter of the time: what `REFERENCE_FEATURES` show
            means nothing there. For scenarios of one time slot; to be set between episodes, shape (B,).
    """

    def __init__(
        self,
        rows: int,
        generator: Generator,
        decisions: DecisionMode = "joint",
        reward: RewardKind = "delay",
        scale: RewardScale = "seconds",
        observation: ObservationKind = "plain",
    ) -> None:
        if rows < 1:
            raise ValueError(f"num_envs is {rows}; it must be at least 1.")
        if decisions not in get_args(DecisionMode):
            raise ValueError(f"decisions is {decisions!r}; choose one of {', '.join(get_args(DecisionMode))}.")
        check_reward(reward, scale)
        if observation not in get_args(ObservationKind):
            raise ValueError(f"observation is {observation!r}; choose one of {', '.join(get_args(ObservationKind))}.")
        if decisions != "joint" and (observation == "candidates" or reward == "reference"):
            raise ValueError(
                f"observation is {observation!r} and reward {reward!r}, but decisions is {decisions!r}: candidates and "
                'references are uploads. Choose decisions="joint", or observation="plain" and another reward.'
            )
        limits = generator.limits
        self.rows, self.generator, self.decision_mode = rows, generator, decisions
        self.actions = ActionLayout(limits.users, limits.layers, limits.servers)
        self.observation_kind = observation
        facts = ObservationLayout(limits.users, limits.layers, limits.servers)
        self.layout: ObservationLayout | CandidateLayout = facts
        self.problem = empty_problem(rows, limits)
        self._drawn = empty_problem(rows * generator.chunk, limits)
        self.state = new_state(self.problem, rows)
        self.decided = new_decisions(rows, self.actions, two_phase=decisions == "two-phase")
        self.outputs = new_outputs(rows, facts.size, self.actions.size)
        self.observation = self.outputs.observation
        self._offsets, self._rules = offsets(facts), Rules(reward == "shaped", scale == "device-only")
        shows_candidates, changes = observation == "candidates", limits.slots > 1
        self._refers, self._saved_s = reward == "reference", np.zeros(rows)
        # Rewards are measured against the plan that candidates show, but where rates change: that plan is for what is
        # expected of them, and rewards take what really comes into account.
        self._refers_apart = self._refers and (changes or not shows_candidates)
        if shows_candidates or self._refers:
            self._workshop = new_workshop(self.problem, rows)
        if self._refers_apart:
            self._reference = new_reference(self.problem, rows)
        if shows_candidates:
            self._outlook, self._foreseen_s = new_reference(self.problem, rows), np.zeros(rows)
            self._soon, self._later = expected_problem(self.problem), expected_problem(self.problem)
            self._course = expected_problem(self.problem, COURSE) if changes else self.problem
            self.layout = CandidateLayout(limits.users, limits.layers, limits.servers)
            self.observation = np.zeros((rows, self.layout.size), np.float32)
            self._prospects = new_prospects(self.problem, rows, self.layout.candidates)
        self.blind = np.zeros(rows, np.bool_)
        self._random = [np.random.default_rng() for _ in range(rows)]
        self._stream: list[tuple[ScenarioBatch, int] | None] = [None] * rows
        self.begun = np.zeros(rows, np.int64)
        self._playing: list[tuple[ScenarioBatch, int] | None] = [None] * rows

    def seed(self, row: int, seed: int | None) -> None:
        """Give a row a new random stream of scenarios."""
        self._random[row] = np.random.default_rng(seed)
        self._stream[row] = None

    def start(self, rows: Sequence[int] | NDArray[np.int64], scenarios: Sequence[Scenario] | None = None) -> None:
        """Begin new episodes in some rows, of the given scenarios (one per row) or else of drawn ones.

        Raises:
            ValueError: If a scenario does not fit the generator's limits.
        """
        given = None if scenarios is None else as_batch(scenarios, self.generator.limits)
        chosen = np.arange(len(rows))
        for place, row in enumerate(rows):
            batch, index = self._next_drawn(row) if given is None else (given, place)
            if given is None:
                chosen[place] = row * self.generator.chunk + index
            self._playing[row] = (batch, index)
            self.begun[row] += 1
        drawn = self._drawn if given is None else given.problem
        episodes = self.problem, self.state, self.decided, self.outputs, self._offsets
        begun = np.asarray(rows, np.int64)
        start_rows(*episodes, begun, drawn, chosen)
        if self._refers_apart:
            arrays = self.problem, self.state, self._reference, self._workshop
            share_rows(plan_references, len(begun), *arrays, begun)
        if self.observation_kind == "candidates":
            self._outlook.length[begun] = 0
            self._observe_candidates(begun, np.full(len(begun), STARTED))

    def step(self, actions: NDArray[np.int64], active: NDArray[np.bool_]) -> None:
        """Take one decision in every active row; the results are in `outputs`, `decided` and `state`."""
        step = step_rows_in_parallel if self.rows >= 2 * ROWS_PER_CORE else step_rows
        step(self.problem, self.state, self.decided, self.outputs, self._offsets, self._rules, actions, active)
        if self._refers_apart:
            arrays = self.problem, self.state, self.decided, self._reference
            workshop = self._workshop.state, self._workshop.legal
            share_rows(follow_references, self.rows, *arrays, *workshop, actions, active, self._saved_s)
        if self.observation_kind == "candidates":
            stepped = np.flatnonzero(active)
            self._observe_candidates(stepped, actions[stepped])
        if self._refers:
            self.outputs.reward[:] = self._saved_s if self._refers_apart else self._foreseen_s
            if self._rules.in_device_only_units:
                self.outputs.reward[:] /= self.outputs.device_only_s

    def take_plans(self, plans: Reference, dice: NDArray[np.int64], tries: int) -> None:
        """Take other plans as those that candidates refer to, in all rows, each improved by a search; none stays blind.

        Args:
            plans: One for each row.
            dice: Where the random numbers of each row's search begin, none 0, shape (B,).
            tries: Changes that are tried.
        """
        self.blind[:] = False
        share_rows(search, self.rows, self._course, self.state, self._outlook, self._workshop, plans, dice, tries)
        self._observe_candidates(np.arange(self.rows), np.full(self.rows, UNCHANGED))

    def hindsight_costs(self, rows: NDArray[np.int64], plans: Reference, candidates: int) -> NDArray[np.float64]:
        """Return the cost of taking each candidate now and going on with a plan, shape (N, candidates + 2).

        The last two columns are of waiting for the next slot and of going on at once; see `agents.candidates.hindsight_costs`.

        Args:
            rows: Rows that have not ended, shape (N,).
            plans: What each row goes on with, as `decided_plans` returns it.
            candidates: How many candidates to look at.
        """
        costs = np.empty((len(rows), candidates + 2))
        scratch, mask = self._workshop.state, self.outputs.mask
        share_rows(
            hindsight_costs, len(rows), rows, costs, self.problem, self.state, scratch, mask, plans, self._prospects[1]
        )
        return costs

    def decided_plans(self) -> Reference:
        """Return a copy of what has been decided in all rows."""
        d = self.decided
        return new_reference(self.problem, self.rows)._replace(
            length=d.num_uploads.copy(),
            user=d.upload_user.copy(),
            layer=d.upload_layer.copy(),
            server=d.upload_server.copy(),
        )

    def mean_delay_s(self, row: int) -> float:
        """Return J so far: at an episode's end the mean query delay of its plan."""
        return float(self.state.cost_s[row] / self.state.queries[row])

    def scenario(self, row: int) -> Scenario:
        """Return the scenario a row plays, its future included."""
        playing = self._playing[row]
        if playing is None:
            raise RuntimeError("reset() has not been called; call it before asking for the scenario.")
        batch, index = playing
        return batch.scenario(index)

    def known_scenario(self, row: int) -> Scenario | None:
        """Return what a planner may know of a row now, or None if no user is present; see `known_scenario`."""
        return known_scenario(self.scenario(row), self.state, row)

    def plan(self, row: int) -> Plan:
        """Return the uploads decided so far, each layer a partition of its own."""
        d = self.decided
        return Plan(
            tuple(
                Upload(
                    int(d.upload_user[row, k]),
                    int(d.upload_server[row, k]),
                    (int(d.upload_layer[row, k]),),
                    float(d.upload_from_s[row, k]),
                )
                for k in range(d.num_uploads[row])
            )
        )

    def pending_layer(self, row: int) -> tuple[int, int] | None:
        """Return the (user, layer) whose node is to be decided next; None when the next decision is an upload."""
        pending = int(pending_layer(self.problem, row, self.state, self.decided, row))
        return None if pending < 0 else divmod(pending, self.actions.layers)

    def _observe_candidates(self, rows: NDArray[np.int64], actions: NDArray[np.int64]) -> None:
        p, s, mask, course, r = self.problem, self.state, self.outputs.mask, self._course, self._outlook
        e, c = self._prospects
        sees = ~self.blind[rows]
        seeing = rows[sees]
        plans = course, c, r, self._workshop, self._foreseen_s
        share_rows(look_ahead, len(seeing), seeing, actions[sees], p, s, self.decided, *plans)
        share_rows(find_candidates, len(rows), rows, actions, p, self._soon, self._later, s, mask, r, e, c)
        share_rows(
            describe_candidates, len(rows), rows, self.observation, p, self._soon, self._later, course, s, mask, r, e, c
        )
        comparison = self.observation, course, s, self._workshop.state, mask, r, c
        share_rows(compare_candidates, len(seeing), seeing, *comparison)

    def _next_drawn(self, row: int) -> tuple[ScenarioBatch, int]:
        stream = self._stream[row]
        if stream is None or stream[1] == len(stream[0]):
            stream = (self.generator.draw(self._random[row], self.generator.chunk), 0)
            first = row * self.generator.chunk
            for name in Problem._fields:
                getattr(self._drawn, name)[first : first + self.generator.chunk] = getattr(stream[0].problem, name)
        batch, index = stream
        self._stream[row] = (batch, index + 1)
        return batch, index
