"""The Gymnasium vector environment of many episodes at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from dnnmig_env.arrays import Bools, Ints
from dnnmig_env.envs.batch import DecisionMode, EpisodeBatch
from dnnmig_env.envs.observer import MakeObserver, MakeRewarder, ObservationKind
from dnnmig_env.envs.reward import RewardKind, RewardScale
from dnnmig_env.envs.row_view import RowView
from dnnmig_env.simulation.packed import Limits

if TYPE_CHECKING:
    from dnnmig_env.families.registry import Generator

Observations = dict[str, NDArray[Any]]


def spaces_of(episodes: EpisodeBatch) -> tuple[Dict, Discrete]:
    """Return the observation and action space of one row."""
    observation = Box(-1.0, 1.0, (episodes.layout.size,), np.float32)
    return Dict({"observation": observation, "action_mask": MultiBinary(episodes.actions.size)}), Discrete(
        episodes.actions.size
    )


def check_options(options: dict[str, Any], known: str) -> None:
    """Raise a ValueError if the options of a reset have a key other than the known one."""
    for key in options:
        if key != known:
            raise ValueError(f"options has the unknown key {key!r}; the only one known is {known!r}.")


class MigrationVectorEnv(RowView, VectorEnv[Observations, Ints, NDArray[Any]]):
    """A batch of `MigrationEnv`s that one compiled call steps together; see that class for the specification.

    Row i behaves bit for bit as a `MigrationEnv` seeded with `seed + i`, autoresets included.

    Args:
        num_envs: Number of rows, B.
        generator: Generator that draws the scenarios; None = every scenario is given when an episode begins.
        decisions: "joint" or "two-phase".
        reward: "delay", "shaped", "reference", or a function that makes a rewarder (`dnnmig_env.envs.observer`).
        scale: "seconds" or "device-only".
        autoreset_mode: NEXT_STEP (the default), SAME_STEP (with `final_obs` and `final_info`), or DISABLED: rows whose
            episode has ended stay as they are, at reward 0, until `reset(options={"reset_mask": ...})` begins new ones.
        observation: "plain", "candidates", or a function that makes an observer (`dnnmig_env.envs.observer`).
        limits: Sizes to which scenarios are padded; by default those of the generator.

    Raises:
        ValueError: If an argument is not valid, or neither a generator nor limits are given.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  declared so by Gymnasium
        "render_modes": [],
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

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
    ) -> None:
        self.episodes = EpisodeBatch(num_envs, generator, decisions, reward, scale, observation, limits)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = spaces_of(self.episodes)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._finished = np.zeros(num_envs, np.bool_)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin an episode in every row.

        Args:
            seed: Seed of row 0 (row i takes seed + i), or one seed per row; None goes on with the present streams.
            options: `{"scenarios": [Scenario, ...]}` plays given scenarios first, one per row that begins;
                `{"reset_mask": mask}` begins episodes only in the rows where the mask, shape (B,), is true.

        Raises:
            ValueError: If the number of seeds or scenarios is not the number of rows, or an option is unknown.
        """
        options = options or {}
        unknown = sorted(set(options) - {"scenarios", "reset_mask"})
        if unknown:
            raise ValueError(f"options has the unknown key {unknown[0]!r}; known are 'scenarios' and 'reset_mask'.")
        chosen = np.flatnonzero(options.get("reset_mask", np.ones(self.num_envs, np.bool_)))
        scenarios = options.get("scenarios")
        if scenarios is not None and len(scenarios) != len(chosen):
            raise ValueError(
                f"options['scenarios'] has {len(scenarios)} scenarios for {len(chosen)} rows; give one each."
            )
        for row, row_seed in enumerate(self._row_seeds(seed)):
            if row_seed is not None and row in chosen:
                self.episodes.seed(row, row_seed)
        self.episodes.start(chosen, scenarios)
        self._finished[chosen] = False
        observations = self._observations()
        return observations, {"action_mask": observations["action_mask"]}

    def step(self, actions: Ints) -> tuple[Observations, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Take one decision per row; rows whose episode has ended begin a new one according to the autoreset mode."""
        episodes, finished = self.episodes, self._finished
        episodes.step(np.asarray(actions, np.int64), ~finished)
        rewards = episodes.outputs.reward.copy()
        rewards[finished] = 0.0
        if self.autoreset_mode is AutoresetMode.NEXT_STEP and finished.any():
            episodes.start(np.flatnonzero(finished))
        terminated = episodes.decisions.done.copy()
        ended = np.flatnonzero(terminated & ~finished)
        infos: dict[str, Any] = {}
        if len(ended):
            infos = self._end_infos(ended)
        if self.autoreset_mode is not AutoresetMode.SAME_STEP:
            self._finished = terminated
        elif len(ended):
            final = self._observations()
            infos = {"final_obs": final, "_final_obs": terminated, "final_info": infos, "_final_info": terminated}
            episodes.start(ended)
        observations = self._observations()
        infos["action_mask"] = observations["action_mask"]
        return observations, rewards, terminated.copy(), np.zeros(self.num_envs, np.bool_), infos

    def action_masks(self) -> Bools:
        """Return the legal actions of every row, shape (B, A)."""
        return self.episodes.outputs.mask.astype(np.bool_)

    def _observations(self) -> Observations:
        episodes = self.episodes
        return {"observation": episodes.observation.copy(), "action_mask": episodes.outputs.mask.copy()}

    def _end_infos(self, ended: Ints) -> dict[str, Any]:
        episodes = self.episodes
        delays, device = np.zeros(self.num_envs), np.zeros(self.num_envs)
        delays[ended] = episodes.state.cost_s[ended] / episodes.state.expected_queries[ended]
        device[ended] = episodes.outputs.device_only_s[ended]
        has_ended = np.zeros(self.num_envs, np.bool_)
        has_ended[ended] = True
        illegal = episodes.decisions.illegal & has_ended
        values = {"mean_delay_s": delays, "device_only_delay_s": device, "illegal_action": illegal}
        return {**values, **{f"_{name}": has_ended.copy() for name in values}}

    def _row_seeds(self, seed: int | Sequence[int | None] | None) -> Sequence[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + row for row in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"seed has {len(seed)} values for {self.num_envs} rows; give one number or one per row.")
        return seed
