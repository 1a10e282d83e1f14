"""The native batch environment as a `VecEnv` of Stable-Baselines3 (SB3), so that every SB3 algorithm trains on it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from dnnmig_env.arrays import Bools, Float32s, Ints
from dnnmig_env.envs.vector_env import MigrationVectorEnv, Observations

Indices = int | Iterable[int] | None

OF_ROWS = ("scenario", "known_scenario", "plan", "pending_layer", "time_s")
"""Methods of the batch environment that take a row and answer for it."""


class Sb3VecEnv(VecEnv):
    """Steps a `MigrationVectorEnv` by SB3's conventions.

    A row begins a new episode in the same step in which one ends; the last observation of the old one is then in
    `info["terminal_observation"]`. `info["episode"]` holds the return "r", length "l" and time "t" as SB3's Monitor
    does, so no wrapper is needed; `info["mean_delay_s"]` and `info["device_only_delay_s"]` stand beside it. Every step
    returns new arrays.

    Args:
        env: The batch, with `autoreset_mode=SAME_STEP`.

    Raises:
        ValueError: If the batch has another autoreset mode.
    """

    def __init__(self, env: MigrationVectorEnv) -> None:
        if env.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ValueError(
                f"autoreset_mode is {env.autoreset_mode.value}, but SB3 resets in the same step; "
                "make the environment with autoreset_mode=AutoresetMode.SAME_STEP."
            )
        self.env = env
        self._actions = np.zeros(env.num_envs, np.int64)
        self._returns, self._lengths = np.zeros(env.num_envs), np.zeros(env.num_envs, np.int64)
        self._began_s, self._rests = time.perf_counter(), False
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Observations:
        """Begin an episode in every row, with the seeds and scenarios given by `seed` and `set_options`."""
        if self._rests:
            return {}
        options = {}
        scenarios = [row["scenario"] for row in self._options if "scenario" in row]
        if scenarios:
            options["scenarios"] = scenarios
        observations, _ = self.env.reset(seed=self._seeds, options=options)
        self._returns[:], self._lengths[:] = 0.0, 0
        self._reset_seeds()
        self._reset_options()
        return observations

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Begin no episodes in this block, whoever resets: for an algorithm that plays in environments of its own.

        In `city`, a row that has begun an episode holds 25 MB.
        """
        self._rests = True
        try:
            yield
        finally:
            self._rests = False

    def step_async(self, actions: Ints) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[Observations, Float32s, Bools, list[dict[str, Any]]]:
        """Take one decision in every row, with the actions of `step_async`."""
        observations, rewards, dones, _, batch_info = self.env.step(self._actions)
        self._returns += rewards
        self._lengths += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for row in np.flatnonzero(dones):
            infos[row] = self._end_info(int(row), batch_info)
        self._returns[dones], self._lengths[dones] = 0.0, 0
        return observations, rewards.astype(np.float32), dones, infos

    def close(self) -> None:
        """Close the batch."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """Return an attribute of the batch, repeated for each row."""
        value = None if attr_name == "render_mode" else getattr(self.env, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Refuse: the rows of a batch have no attributes of their own.

        Raises:
            AttributeError: Always.
        """
        raise AttributeError(f"cannot set {attr_name!r}: the rows of a batch have no attributes of their own.")

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Return what a method answers for each row; "action_masks" gives one mask per row.

        Raises:
            AttributeError: If the batch has no such method.
        """
        rows = list(self._get_indices(indices))
        if method_name == "action_masks":
            return list(self.env.action_masks()[rows])
        method = getattr(self.env, method_name)
        of_row = method_name in OF_ROWS
        return [
            method(row, *method_args, **method_kwargs) if of_row else method(*method_args, **method_kwargs)
            for row in rows
        ]

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: Indices = None
    ) -> list[bool]:
        """Return whether rows are wrapped: by SB3's Monitor only, whose place `info["episode"]` takes."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]

    def _end_info(self, row: int, batch_info: dict[str, Any]) -> dict[str, Any]:
        final = batch_info["final_info"]
        delays = {name: float(final[name][row]) for name in ("mean_delay_s", "device_only_delay_s")}
        return {
            "terminal_observation": batch_info["final_obs"][row],
            "episode": {
                "r": float(self._returns[row]),
                "l": int(self._lengths[row]),
                "t": round(time.perf_counter() - self._began_s, 6),
                **delays,
            },
            **delays,
            "illegal_action": bool(final["illegal_action"][row]),
            "TimeLimit.truncated": False,
        }
