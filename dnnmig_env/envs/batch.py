"""B episodes side by side: draws the scenario that each plays next, steps them, and answers questions about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding

from dnnmig_env.arrays import Bools, Float32s, Ints
from dnnmig_env.compiling.lent import lent
from dnnmig_env.compiling.row_bytes import Bytes, byte_views, joined_bytes, put_rows
from dnnmig_env.compiling.same_types import SameTypes
from dnnmig_env.compiling.threads import share_rows
from dnnmig_env.envs.actions import ActionLayout, new_decisions, pending_layer
from dnnmig_env.envs.arguments import check_scenario, limits_for
from dnnmig_env.envs.facts.layout import FactsLayout
from dnnmig_env.envs.observer import FactsObserver, MakeObserver, MakeRewarder, Observer, find_observer
from dnnmig_env.envs.outputs import new_outputs
from dnnmig_env.envs.repair import repair_rows
from dnnmig_env.envs.reward import RewardScale, reward_rules
from dnnmig_env.envs.stepping import start_rows, step_rows
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.known_scenario import known_scenario
from dnnmig_env.simulation.packed import Limits, empty_packed, pack
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_arrays import empty_plans, longer_plans, plan_in_row
from dnnmig_env.simulation.scenario_batch import ScenarioBatch, as_batch
from dnnmig_env.simulation.state import new_state

if TYPE_CHECKING:
    from dnnmig_env.families.registry import Generator

DecisionMode = Literal["joint", "two-phase"]

IllegalMode = Literal["end", "repair"]
"""`end`: an illegal action ends the episode. `repair`: the nearest legal action is taken in its place (see
`dnnmig_env.envs.repair.nearest_legal`)."""

RESET_FIRST = "no episode has begun; call reset() first."

NOTHING_TAKEN = -1
"""Stands for the latest action of a row that has taken none in its episode."""

NOT_SHOWN = np.zeros((0, 0), np.float32)
"""Stands for a copy of the observations that nobody wants."""

ROWS_PER_CORE = 64
"""Fewest rows for which a second core makes steps faster: 32 rows on two cores take 1.5 times as long as on one."""


class EpisodeBatch:
    """Rows of episodes, each of which draws its scenarios from a random stream of its own.

    Args:
        rows: Number of rows, B.
        generator: Generator that draws the scenarios; None = every scenario is given when an episode begins.
        decisions: "joint" (a decision says which layer is uploaded next and where) or "two-phase" (all layers are
            placed first, then their uploads are ordered).
        reward: "delay", "shaped", or a function that makes a rewarder.
        scale: "seconds" or "device-only".
        observation: "plain", or a function that makes an observer.
        limits: Sizes to which scenarios are padded; by default those of the generator, greater where `scenario` is.
        scenario: Scenario that every episode plays; by default they are drawn, or given when an episode begins.
        illegal: "end" or "repair": what an illegal action leads to.

    Raises:
        TypeError: If the number of rows is no integer or the scenario no scenario.
        ValueError: If an argument is not among those named or does not go with another, neither a generator nor limits
            nor a scenario are given, or the scenario does not fit the limits.

    Attributes:
        begun: Number of episodes that each row has begun, shape (B,).
        random: Source of randomness of each row, from which its scenarios are drawn.
        seeds: Seed of each of them; -1 if it is unknown.
        taken: Latest action that each row has taken, shape (B,); `NOTHING_TAKEN` if its episode has just begun.
        illegal: Whether the latest action given to each row was illegal, shape (B,).
        packed: The scenarios being played, one per row.
        state: Where the episodes stand.
        decisions: What has been decided in them, apart from the uploads.
        uploads: The uploads that have been decided, each a partition of its own that does not start before the time of
            the decision.
        outputs: Mask, reward and plain facts of each row.
        observer: Writes what a policy sees.
        observation: What policies see of each row, shape (B, D).
        layout: How an observation is laid out.
    """

    def __init__(
        self,
        rows: int,
        generator: Generator | None = None,
        decisions: DecisionMode = "joint",
        reward: str | MakeRewarder = "delay",
        scale: RewardScale = "seconds",
        observation: str | MakeObserver = "plain",
        limits: Limits | None = None,
        scenario: Scenario | None = None,
        illegal: IllegalMode = "end",
    ) -> None:
        if isinstance(rows, bool) or not isinstance(rows, int | np.integer):
            raise TypeError(f"num_envs is {rows!r}; give a whole number.")
        if rows < 1:
            raise ValueError(f"num_envs is {rows}; it must be at least 1.")
        for name, value, known in (("decisions", decisions, DecisionMode), ("illegal", illegal, IllegalMode)):
            if value not in get_args(known):
                raise ValueError(f"{name} is {value!r}; choose one of {', '.join(get_args(known))}.")
        self._rules, make_rewarder = reward_rules(reward, scale)
        make_observer = find_observer(observation)
        self.rows, self.generator, self.decision_mode = rows, generator, decisions
        if scenario is not None:
            check_scenario("scenario", scenario)
        self.limits = limits_for(generator, limits, scenario)
        sizes = self.limits.users, self.limits.layers, self.limits.servers
        self.actions = ActionLayout(*sizes)
        self.facts = FactsLayout(*sizes, self.limits.edges, self.limits.lanes)
        self.packed = empty_packed(rows, self.limits)
        self._chunk = 0 if generator is None or scenario is not None else generator.chunk
        width = sum(view.shape[1] for view in self._packed_bytes)
        self._drawn = np.zeros((rows * self._chunk, width), np.uint8)
        self.state = new_state(self.packed, rows)
        self.decisions = new_decisions(rows, self.actions, two_phase=decisions == "two-phase")
        self.uploads = empty_plans(rows, self.actions.users * self.actions.layers)
        shows_facts = observation == "plain"
        self.outputs = new_outputs(rows, self.facts.size if shows_facts else 0, self.actions.size)
        self._lend()
        self._compiled = SameTypes()
        self.observer: Observer = make_observer(self)
        self.observation, self.layout = self.observer.observation, self.observer.layout
        self._rewarder = None if make_rewarder is None else make_rewarder(self)
        self.random, self.seeds = map(list, zip(*(seeding.np_random() for _ in range(rows)), strict=True))
        self._stream: list[tuple[ScenarioBatch, int] | None] = [None] * rows
        self.begun = np.zeros(rows, np.int64)
        self._all_begun = False
        self._playing: list[tuple[ScenarioBatch, int] | None] = [None] * rows
        self._built: list[tuple[tuple[ScenarioBatch, int], Scenario] | None] = [None] * rows
        self._repairs, self.taken = illegal == "repair", np.full(rows, NOTHING_TAKEN)
        self.illegal = np.zeros(rows, np.bool_) if self._repairs else self.decisions.illegal
        self._given: ScenarioBatch | None = None if scenario is None else as_batch([scenario], self.limits)

    def seed(self, row: int, seed: int | None) -> None:
        """Give a row a new random stream of scenarios."""
        self.draw_from(row, *seeding.np_random(seed))

    def draw_from(self, row: int, random: np.random.Generator, seed: int) -> None:
        """Draw a row's scenarios from a source of randomness; if that is the present one, go on.

        Args:
            row: The row.
            random: The source.
            seed: Its seed, -1 if it is unknown.
        """
        if random is not self.random[row]:
            self.random[row], self.seeds[row], self._stream[row] = random, seed, None

    def start(self, rows: Sequence[int] | Ints, scenarios: Sequence[Scenario] | None = None) -> None:
        """Begin new episodes in some rows.

        Args:
            rows: The rows, N of them.
            scenarios: The scenarios to play, one per row; by default the one given to the batch, or drawn ones.

        Raises:
            ValueError: If a scenario does not fit the limits, or none is given and there is no generator.
        """
        if scenarios is not None:
            self.play(rows, as_batch(scenarios, self.limits), range(len(scenarios)))
            return
        if self._given is not None:
            self.play(rows, self._given, np.zeros(len(rows), np.int64))
            return
        chosen = np.arange(len(rows))
        for place, row in enumerate(rows):
            batch, index = self._next_drawn(row)
            self._playing[row] = (batch, index)
            chosen[place] = row * self._chunk + index
        self._begin(rows, self._drawn, chosen)

    def play(self, rows: Sequence[int] | Ints, batch: ScenarioBatch, chosen: Sequence[int] | Ints) -> None:
        """Begin new episodes in some rows, with scenarios of a batch.

        Args:
            rows: The rows, N of them.
            batch: The scenarios, padded to the limits.
            chosen: Index in the batch of the scenario that each row plays, shape (N,).
        """
        for row, index in zip(rows, chosen, strict=True):
            self._playing[row] = (batch, int(index))
        self._begin(rows, joined_bytes(batch.packed), np.asarray(chosen, np.int64))

    def step(self, actions: Ints, active: Bools, shown: Float32s | None = None) -> None:
        """Take one decision in every active row; the results are in `outputs`, `decisions` and `state`.

        Args:
            actions: The actions, shape (B,), those of active rows within 0 to A - 1.
            active: Which rows take them, shape (B,).
            shown: Receives a copy of what policies see of each row then, shape (B, D).
        """
        actions, active = np.ascontiguousarray(actions, np.int64), np.ascontiguousarray(active, np.bool_)
        sizes = self.actions.layers, self.actions.servers
        if self._repairs:
            given = self.outputs.mask, *sizes, actions, active
            share_rows(repair_rows, self.rows, *given, self.taken, self.illegal, per_core=ROWS_PER_CORE)
            actions = self.taken.copy()
        else:
            np.copyto(self.taken, actions, where=active)
        plain = isinstance(self.observer, FactsObserver)
        arguments = *self._episodes, self._rules, actions, active, shown if plain and shown is not None else NOT_SHOWN
        self._compiled.share_rows(step_rows, self.rows, *arguments, per_core=ROWS_PER_CORE)
        if self.limits.lanes and self.uploads.length.max() == self.uploads.user.shape[1]:
            # Where weights move, layers may be sent again and again, so that no number of uploads is enough.
            self.uploads = longer_plans(self.uploads)
            self._lend()
        if not plain:
            stepped = np.flatnonzero(active)
            self.observer.step(stepped, actions[stepped])
            if shown is not None:
                shown[:] = self.observation
        if self._rewarder is not None:
            self.outputs.reward[:] = self._rewarder.step(actions, active)
            if self._rules.in_device_only_units:
                self.outputs.reward[:] /= self.outputs.device_only_s

    def mean_delay_s(self, row: int) -> float:
        """Return the part of J that has accrued so far; at an episode's end, the mean query delay of its plan."""
        return float(self.state.cost_s[row] / self.state.expected_queries[row])

    def scenario(self, row: int) -> Scenario:
        """Return the scenario that a row plays, its future included."""
        playing = self._playing[row]
        if playing is None:
            raise ResetNeeded(RESET_FIRST)
        built = self._built[row]
        if built is None or built[0] is not playing:  # planners that plan anew ask at every decision
            batch, index = playing
            built = self._built[row] = playing, batch.scenario(index)
        return built[1]

    def check_begun(self) -> None:
        """Raise a `ResetNeeded` unless every row has begun an episode."""
        if not self._all_begun:
            raise ResetNeeded(RESET_FIRST)

    def known_scenario(self, row: int, next_cells: Mapping[int, int] | None = None) -> Scenario | None:
        """Return what a planner may know of a row's scenario now (see `known_scenario`); None if no user is present."""
        return known_scenario(self.scenario(row), self.state, row, next_cells)

    def plan(self, row: int) -> Plan:
        """Return the uploads that a row has decided so far, each layer a partition of its own."""
        return plan_in_row(self.uploads, row)

    def pending_layer(self, row: int) -> tuple[int, int] | None:
        """Return the (user, layer) whose node is to be decided next; None if the next decision is an upload."""
        if self.decision_mode == "joint":
            return None
        pending = int(pending_layer(self.packed, row, self.state, self.decisions, row))
        return None if pending < 0 else divmod(pending, self.actions.layers)

    @cached_property
    def _packed_bytes(self) -> tuple[Bytes, ...]:
        """The memory of `packed`."""
        return byte_views(self.packed)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy consists of; it makes its own view of its own memory."""
        return {name: value for name, value in self.__dict__.items() if name != "_packed_bytes"}

    def _lend(self) -> None:
        self._episodes = tuple(map(lent, (self.packed, self.state, self.decisions, self.uploads, self.outputs)))

    def _begin(self, rows: Sequence[int] | Ints, source: Bytes, chosen: Ints) -> None:
        begun, chosen = np.ascontiguousarray(rows, np.int64), np.ascontiguousarray(chosen, np.int64)
        self.begun[begun] += 1
        self._all_begun = self._all_begun or bool(self.begun.all())
        self.taken[begun], self.illegal[begun] = NOTHING_TAKEN, False
        # Steps are a third faster if the scenarios being played lie side by side in memory.
        self._compiled.call(put_rows, self._packed_bytes, begun, source, chosen)
        self._compiled.call(start_rows, *self._episodes, begun)
        if self._rewarder is not None:
            self._rewarder.start(begun)
        self.observer.start(begun)

    def _next_drawn(self, row: int) -> tuple[ScenarioBatch, int]:
        stream = self._stream[row]
        if stream is None or stream[1] == len(stream[0]):
            if self.generator is None:
                raise ValueError("there is no generator to draw a scenario from; give one in the options of reset().")
            stream = (self.generator.draw(self.random[row], self._chunk), 0)
            packed = stream[0].packed
            if self.limits != self.generator.limits:
                packed = pack([stream[0].scenario(index) for index in range(self._chunk)], self.limits)
            first = row * self._chunk
            self._drawn[first : first + self._chunk] = joined_bytes(packed)
        batch, index = stream
        self._stream[row] = (batch, index + 1)
        return batch, index
