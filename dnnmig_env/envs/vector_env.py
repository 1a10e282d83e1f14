"""The Gymnasium vector environment of many episodes at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.logger import warn
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from dnnmig_env.arrays import Bools, Float32s, Ints
from dnnmig_env.envs.arguments import (
    METADATA,
    check_render_mode,
    checked_options,
    checked_scenarios,
    row_actions,
    row_seeds,
    rows_to_reset,
)
from dnnmig_env.envs.batch import DecisionMode, EpisodeBatch, IllegalMode
from dnnmig_env.envs.observer import MakeObserver, MakeRewarder, ObservationKind
from dnnmig_env.envs.reward import RewardKind, RewardScale
from dnnmig_env.envs.row_view import RowView
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.scenario_batch import ScenarioBatch

if TYPE_CHECKING:
    from dnnmig_env.families.registry import Generator

Observations = dict[str, NDArray[Any]]


def spaces_of(episodes: EpisodeBatch) -> tuple[Dict, Discrete]:
    """Return the observation and action space of one row."""
    observation = Box(-1.0, 1.0, (episodes.layout.size,), np.float32)
    return Dict({"observation": observation, "action_mask": MultiBinary(episodes.actions.size)}), Discrete(
        episodes.actions.size
    )


class MigrationVectorEnv(RowView, VectorEnv[Observations, Ints, NDArray[Any]]):
    """A batch of `MigrationEnv`s that one compiled call steps together; see that class for the specification.

    Row i behaves bit for bit as a `MigrationEnv` seeded with `seed + i`, autoresets included.

    Args:
        num_envs: Number of rows, B.
        generator: Generator that draws the scenarios; None = every scenario is given when an episode begins.
        decisions: "joint" or "two-phase".
        reward: "delay", "shaped", or a function that makes a rewarder (`dnnmig_env.envs.observer`).
        scale: "seconds" or "device-only".
        autoreset_mode: NEXT_STEP (the default), SAME_STEP (with `final_obs` and `final_info`), or DISABLED: rows whose
            episode has ended stay as they are, at reward 0, until `reset(options={"reset_mask": ...})` begins new ones;
            once all have ended, a step warns that it does nothing.
        observation: "plain", or a function that makes an observer (`dnnmig_env.envs.observer`).
        limits: Sizes to which scenarios are padded; by default those of the generator.
        scenario: Scenario that every episode of every row plays; by default they are drawn.
        illegal: "end" or "repair": what an illegal action leads to.
        render_mode: "rgb_array" or "ansi": `render` then returns a picture or a text for each row.

    Raises:
        TypeError: If the scenario is no scenario.
        ValueError: If an argument is not valid, or neither a generator nor limits are given.
    """

    metadata: dict[str, Any] = {**METADATA, "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012  Gymnasium's way

    def __init__(
        self,
        num_envs: int,
        generator: Generator | None = None,
        decisions: DecisionMode = "joint",
        reward: RewardKind | MakeRewarder = "delay",
        scale: RewardScale = "seconds",
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        observation: ObservationKind | MakeObserver = "plain",
        limits: Limits | None = None,
        scenario: Scenario | None = None,
        illegal: IllegalMode = "end",
        render_mode: str | None = None,
    ) -> None:
        check_render_mode(render_mode)
        modes = [mode.value for mode in AutoresetMode]
        if not isinstance(autoreset_mode, AutoresetMode) and autoreset_mode not in modes:
            raise ValueError(f"autoreset_mode is {autoreset_mode!r}; choose one of {', '.join(modes)}.")
        self.episodes = EpisodeBatch(
            num_envs, generator, decisions, reward, scale, observation, limits, scenario, illegal
        )
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.num_envs, self.render_mode = int(num_envs), render_mode
        self.single_observation_space, self.single_action_space = spaces_of(self.episodes)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._finished = np.zeros(self.num_envs, np.bool_)
        self._all_rows = np.ones(self.num_envs, np.bool_)

    @property  # type: ignore[override]  # a tuple, as SyncVectorEnv has it
    def np_random(self) -> tuple[np.random.Generator, ...]:
        """The source of randomness of each row; setting them takes effect at the rows' next episodes."""
        return tuple(self.episodes.random)

    @np_random.setter  # type: ignore[override]
    def np_random(self, value: Sequence[np.random.Generator]) -> None:
        if isinstance(value, np.random.Generator) or len(value) != self.num_envs:
            raise ValueError(f"np_random must be {self.num_envs} generators, one per row.")
        for row, random in enumerate(value):
            self.episodes.draw_from(row, random, -1)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]  # a tuple, as SyncVectorEnv has it
        """The seed of each row, with which `reset` repeats what the row has played; -1 if it is unknown."""
        return tuple(self.episodes.seeds)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin an episode in every row.

        Args:
            seed: Seed of row 0 (row i takes seed + i), or one seed per row; None goes on with the present streams.
            options: `{"scenarios": [Scenario, ...]}` plays given scenarios first, one per row that begins;
                `{"reset_mask": mask}` begins episodes only in the rows where the mask, shape (B,), is true.

        Raises:
            TypeError: If a seed is no integer, a scenario no scenario, or the mask no array of truth values.
            ValueError: If the number of seeds or scenarios is not the number of rows, an option is unknown, the mask
                has another shape, is false everywhere, or leaves out a row that has never begun an episode.
        """
        checked = checked_options(options, "scenarios", "reset_mask")
        begins = rows_to_reset(checked, self.num_envs)
        never = np.flatnonzero(~begins & (self.episodes.begun == 0))
        if len(never):
            raise ValueError(
                f"`options['reset_mask']` leaves out row {never[0]}, which has no episode yet; reset all rows first."
            )
        chosen = np.flatnonzero(begins)
        scenarios = checked.get("scenarios")
        if scenarios is not None:
            scenarios = checked_scenarios(scenarios, len(chosen))
        for row, seed_of_row in enumerate(row_seeds(seed, self.num_envs)):
            if seed_of_row is not None and begins[row]:
                self.episodes.seed(row, seed_of_row)
        self.episodes.start(chosen, scenarios)
        self._finished[chosen] = False
        observations = self._observations()
        return observations, self._infos(observations["action_mask"])

    def begin(self, batches: Sequence[ScenarioBatch]) -> Observations:
        """Begin an episode in every row; rows are divided evenly among the first scenarios of some batches, in order.

        Args:
            batches: Scenarios drawn by the generator of this environment, or padded to its limits, G batches. The
                first B / G rows play the first scenario of the first batch, and so on.
        """
        for batch, rows in zip(batches, np.split(np.arange(self.num_envs), len(batches)), strict=True):
            self.episodes.play(rows, batch, np.zeros_like(rows))
        self._finished[:] = False
        return self._observations()

    def step(self, actions: Ints) -> tuple[Observations, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Take one decision per row; rows whose episode has ended begin a new one according to the autoreset mode.

        Args:
            actions: Integers, shape (B,). Those of rows that have ended are not looked at.

        Raises:
            ResetNeeded: If no episodes have begun.
            TypeError: If the actions are no array of integers.
            ValueError: If there is not one for each row, or one is none of the actions.
        """
        episodes, active = self.episodes, ~self._finished
        episodes.check_begun()
        observation = np.empty_like(episodes.observation)
        episodes.step(row_actions(actions, active, episodes.actions.size), active, observation)
        num_active = np.count_nonzero(active)
        if num_active == self.num_envs:
            rewards = episodes.outputs.reward.copy()
        else:
            rewards = np.where(active, episodes.outputs.reward, 0.0)
            if self.autoreset_mode is AutoresetMode.NEXT_STEP:
                self._start(np.flatnonzero(self._finished), observation)
            elif not num_active:
                warn("all episodes have ended, so that step() does nothing; call reset() to begin new ones.")
        terminated = episodes.decisions.done.copy()
        infos: dict[str, Any] = {}
        if self.autoreset_mode is not AutoresetMode.SAME_STEP:
            self._finished = terminated.copy()
        elif np.count_nonzero(terminated):
            infos = self._final(terminated)
            self._start(np.flatnonzero(terminated), observation)
        observations: Observations = {"observation": observation, "action_mask": episodes.outputs.mask.copy()}
        infos |= self._infos(observations["action_mask"])
        return observations, rewards, terminated, np.zeros(self.num_envs, np.bool_), infos

    def render(self) -> tuple[Any, ...] | None:
        """Return what `MigrationEnv.render` returns, for every row.

        Raises:
            ResetNeeded: If no episodes have begun.
        """
        self.episodes.check_begun()
        mode = self.render_mode
        return None if mode is None else tuple(self.frame(mode, row) for row in range(self.num_envs))

    def action_masks(self) -> Bools:
        """Return the legal actions of every row, shape (B, A)."""
        self.episodes.check_begun()
        return self.episodes.outputs.mask.astype(np.bool_)

    def _observations(self) -> Observations:
        return {"observation": self.episodes.observation.copy(), "action_mask": self.episodes.outputs.mask.copy()}

    def _start(self, rows: Ints, observation: Float32s) -> None:
        """Begin episodes in some rows, shape (N,), and put what is seen then in the rows of `observation`."""
        self.episodes.start(rows)
        observation[rows] = self.episodes.observation[rows]

    def _infos(self, mask: NDArray[Any]) -> dict[str, Any]:
        """Return what `MigrationEnv` tells in `info`, of all rows, each beside an array of the rows that tell it."""
        infos = self._values(mask)
        for name in tuple(infos):
            infos["_" + name] = self._all_rows.copy()
        return infos

    def _values(self, mask: NDArray[Any]) -> dict[str, Any]:
        """Return what `MigrationEnv` tells in `info`, of all rows."""
        episodes, state = self.episodes, self.episodes.state
        return {
            "action_mask": mask.copy(),
            "mean_delay_s": state.cost_s / state.expected_queries,
            "device_only_delay_s": episodes.outputs.device_only_s.copy(),
            "illegal_action": episodes.illegal.copy(),
            "action_taken": episodes.taken.copy(),
        }

    def _final(self, ended: Bools) -> dict[str, Any]:
        """Return the last observations and infos of the rows whose episodes have just ended, as Gymnasium has them."""
        episodes, rows = self.episodes, np.flatnonzero(ended)
        observations, masks = episodes.observation[rows], episodes.outputs.mask[rows]
        final_obs = np.full(self.num_envs, None, dtype=object)
        for row, observation, mask in zip(rows, observations, masks, strict=True):
            final_obs[row] = {"observation": observation, "action_mask": mask}
        infos, goes_on = self._values(episodes.outputs.mask), ~ended
        for name, values in tuple(infos.items()):
            values[goes_on] = 0
            infos["_" + name] = ended.copy()
        return {
            "final_obs": final_obs,
            "_final_obs": ended.copy(),
            "final_info": infos,
            "_final_info": ended.copy(),
        }
