"""The contract between a batch and single environments."""

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import Generator


def assert_rows_are_single_environments(generator: Generator, mode: AutoresetMode, **options: Any) -> None:
    """Check that row i of a batch is the single environment seeded with seed + i, bit for bit, autoresets included."""
    batch = MigrationVectorEnv(40, generator, autoreset_mode=mode, **options)
    singles = [MigrationEnv(generator, **options) for _ in range(3)]
    rows, rng = (0, 1, 39), np.random.default_rng(0)
    observations, _ = batch.reset(seed=100)
    alone: list[Any] = [env.reset(seed=100 + row)[0] for env, row in zip(singles, rows, strict=True)]
    for k, row in enumerate(rows):
        np.testing.assert_array_equal(observations["observation"][row], alone[k]["observation"])
    finished, ends = [False] * 3, 0
    for _ in range(60):
        scores = rng.random(observations["action_mask"].shape) * observations["action_mask"]
        scores[:, -1] *= 0.5
        actions = scores.argmax(axis=1)
        observations, rewards, terminated, _, infos = batch.step(actions)
        for k, (env, row) in enumerate(zip(singles, rows, strict=True)):
            if finished[k]:
                alone[k], reward, done = env.reset()[0], 0.0, False
            else:
                alone[k], reward, done, _, info = env.step(actions[row])
            if done and mode is AutoresetMode.SAME_STEP:
                np.testing.assert_array_equal(infos["final_obs"][row]["observation"], alone[k]["observation"])
                assert infos["final_info"]["mean_delay_s"][row] == info["mean_delay_s"]
                alone[k] = env.reset()[0]
            ends += done
            finished[k] = done and mode is AutoresetMode.NEXT_STEP
            assert (reward, done) == (rewards[row], terminated[row])
            np.testing.assert_array_equal(observations["observation"][row], alone[k]["observation"])
            np.testing.assert_array_equal(observations["action_mask"][row], alone[k]["action_mask"])
    assert ends >= 2
