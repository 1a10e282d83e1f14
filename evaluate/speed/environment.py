"""Decisions per second of the environment under random legal actions, observations and masks included."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np

from dnnmig_env.arrays import Floats, Int8s, Ints
from dnnmig_env.compiling.jit import jit
from dnnmig_env.envs.registration import ENVIRONMENT_IDS
from dnnmig_env.families.registry import FAMILIES
from evaluate.speed.timing import rate

FOUR_USERS: dict[str, Any] = {"num_users": 4, "max_layers": 16}
"""The setting in which speeds are quoted: `multi-user` with 4 users of up to 16 layers."""

BATCH = 256
"""Number of rows where it is not varied."""
BATCHES = (1, 16, BATCH, 1024)
USERS = (2, 4, 8)
LAYERS = (8, 16, 32)


def measure_environment(seconds: float, repeats: int) -> Iterator[dict[str, Any]]:
    """Yield a row per case: what was measured, decisions per second, and the share of time spent choosing actions."""
    yield {"case": "gymnasium.make, alone", "num_envs": 1, **_alone(seconds, repeats)}
    for num_envs in BATCHES:
        yield _batched("multi-user, 4 users, 16 layers", "multi-user", num_envs, FOUR_USERS, seconds, repeats)
    for family in FAMILIES:
        yield _batched(f"{family}, as drawn by default", family, BATCH, {}, seconds, repeats)
    for users in USERS:
        yield _batched(
            f"multi-user, {users} users", "multi-user", BATCH, {**FOUR_USERS, "num_users": users}, seconds, repeats
        )
    for layers in LAYERS:
        yield _batched(
            f"multi-user, {layers} layers", "multi-user", BATCH, {**FOUR_USERS, "max_layers": layers}, seconds, repeats
        )


@jit
def choose(mask: Int8s, uniform: Floats, actions: Ints) -> None:
    """Choose among the legal actions of every row, each with the same probability.

    Args:
        mask: Legal actions, shape (B, A).
        uniform: A random number in [0, 1) per row, shape (B,).
        actions: Receives the actions, shape (B,).
    """
    for i in range(mask.shape[0]):
        legal = 0
        for a in range(mask.shape[1]):
            legal += mask[i, a]
        wanted = int(uniform[i] * legal)
        for a in range(mask.shape[1]):
            if mask[i, a] == 1:
                if wanted == 0:
                    actions[i] = a
                    break
                wanted -= 1


class Player:
    """Plays a batch of environments at random and measures the time that choosing takes.

    Args:
        env: The batch, in Gymnasium's next-step autoreset mode: the step that begins an episode decides nothing.
    """

    def __init__(self, env: gymnasium.vector.VectorEnv[Any, Any, Any]) -> None:
        self._env, self._random = env, np.random.default_rng(0)
        self._actions = np.zeros(env.num_envs, np.int64)
        self._deciding = env.num_envs
        self._mask: Int8s = env.reset(seed=0)[0]["action_mask"]
        self.choosing_s = 0.0

    def play(self) -> int:
        """Step eight times; return the number of decisions taken."""
        decisions = 0
        for _ in range(8):
            began_s = time.perf_counter()
            choose(self._mask, self._random.random(len(self._actions)), self._actions)
            self.choosing_s += time.perf_counter() - began_s
            observations, _, terminated, _, _ = self._env.step(self._actions)
            self._mask = observations["action_mask"]
            decisions += self._deciding
            self._deciding = len(terminated) - int(np.count_nonzero(terminated))
        return decisions


def _batched(
    case: str, family: str, num_envs: int, options: dict[str, Any], seconds: float, repeats: int
) -> dict[str, Any]:
    env = gymnasium.make_vec(ENVIRONMENT_IDS[family], num_envs=num_envs, **options)
    player = Player(env)
    player.play()  # compiles
    player.choosing_s, began_s = 0.0, time.perf_counter()
    measured = rate(player.play, seconds, repeats)
    share = player.choosing_s / (time.perf_counter() - began_s)
    spaces: Any = env.single_observation_space
    sizes = {"observation_floats": int(spaces["observation"].shape[0]), "actions": int(spaces["action_mask"].shape[0])}
    env.close()
    return {"case": case, "num_envs": num_envs, **vars(measured), "choosing_share": share, **sizes}


def _alone(seconds: float, repeats: int) -> dict[str, Any]:
    env = gymnasium.make(ENVIRONMENT_IDS["multi-user"], **FOUR_USERS)
    random, action = np.random.default_rng(0), np.zeros(1, np.int64)
    mask, choosing_s = env.reset(seed=0)[0]["action_mask"], 0.0

    def play() -> int:
        nonlocal mask, choosing_s
        for _ in range(64):
            began_s = time.perf_counter()
            choose(mask[None], random.random(1), action)
            choosing_s += time.perf_counter() - began_s
            observation, _, terminated, _, _ = env.step(action[0])
            mask = env.reset()[0]["action_mask"] if terminated else observation["action_mask"]
        return 64

    play()  # compiles
    choosing_s, began_s = 0.0, time.perf_counter()
    measured = rate(play, seconds, repeats)
    share = choosing_s / (time.perf_counter() - began_s)
    env.close()
    return {**vars(measured), "choosing_share": share}
