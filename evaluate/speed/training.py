"""Training steps per second with the real environment and with one that costs nothing, side by side."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agents.learning.algorithms import TRAINING_REWARD, algorithm, make_model
from agents.learning.sb3_vec_env import Sb3VecEnv
from dnnmig_env.arrays import Bools, Float32s
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator
from evaluate.speed.environment import FOUR_USERS

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

Step = tuple[dict[str, NDArray[Any]], Float32s, Bools, list[dict[str, Any]]]

RECORDED_STEPS = 64
"""Number of steps that are recorded."""


class ReplayedVecEnv(Sb3VecEnv):
    """Returns steps that were recorded before, whatever the actions: the same spaces and episodes at no cost.

    Args:
        env: The batch from which steps are recorded, under random legal actions.
    """

    def __init__(self, env: MigrationVectorEnv) -> None:
        super().__init__(env)
        self._next = 0
        random = np.random.default_rng(0)
        self._begin = super().reset()
        mask = self._begin["action_mask"]
        self._recorded: list[Step] = []
        for _ in range(RECORDED_STEPS):
            self.step_async(np.argmax(random.random(mask.shape) * mask, axis=1))
            self._recorded.append(super().step_wait())
            mask = self._recorded[-1][0]["action_mask"]

    def reset(self) -> dict[str, NDArray[Any]]:
        """Return the first observations that were recorded."""
        return self._begin

    def step_wait(self) -> Step:
        """Return the next recorded step."""
        self._next = (self._next + 1) % RECORDED_STEPS
        return self._recorded[self._next]


def measure_training(seconds: float, repeats: int, name: str = "ppo") -> dict[str, Any]:
    """Train the same agent in both environments, by turns.

    Args:
        seconds: Least seconds of each measurement, all repeats together.
        repeats: Number of turns.
        name: The algorithm, with its default settings.

    Returns:
        Steps per second with the real environment and with the free one, as medians of the turns, and the median of the
        ratios within a turn.
    """
    import torch

    torch.set_num_threads(1)  # as `python -m train` does
    num_envs = algorithm(name).num_envs
    models = {kind: _model(name, num_envs, kind) for kind in ("real", "free")}
    steps_per_s: dict[str, list[float]] = {kind: [] for kind in models}
    chunk = num_envs * int(getattr(models["real"], "n_steps", 64))
    for model in models.values():
        _learn(model, chunk)  # compiles, allocates
    for _ in range(repeats):
        for kind, model in models.items():
            steps, spent_s = 0, 0.0
            while spent_s < seconds / repeats:
                spent_s += _learn(model, chunk)
                steps += chunk
            steps_per_s[kind].append(steps / spent_s)
    ratios = np.array(steps_per_s["real"]) / np.array(steps_per_s["free"])
    return {
        "algorithm": name,
        "num_envs": num_envs,
        "steps_per_s": float(np.median(steps_per_s["real"])),
        "steps_per_s_free_environment": float(np.median(steps_per_s["free"])),
        "ratio": float(np.median(ratios)),
        "ratios": [float(ratio) for ratio in ratios],
    }


def _model(name: str, num_envs: int, kind: str) -> BaseAlgorithm:
    generator = make_generator("multi-user", **FOUR_USERS)
    reward: Any = TRAINING_REWARD
    batch = MigrationVectorEnv(num_envs, generator, autoreset_mode=AutoresetMode.SAME_STEP, **reward)
    env = Sb3VecEnv(batch) if kind == "real" else ReplayedVecEnv(batch)
    env.seed(0)
    return make_model(name, env, seed=0, device="cpu")


def _learn(model: BaseAlgorithm, steps: int) -> float:
    began_s = time.perf_counter()
    model.learn(steps, reset_num_timesteps=False)
    return time.perf_counter() - began_s
