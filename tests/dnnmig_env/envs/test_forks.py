"""Children that fork step as their parents do, after the parent has used its threads."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

PLAYED = """
import multiprocessing, sys
import gymnasium, numpy as np
import dnnmig_env
from gymnasium.vector import AsyncVectorEnv

NAME, OPTIONS = "dnnmig/MultiUser-v0", {"max_layers": 3}


def play(env):
    observations, _ = env.reset(seed=0)
    rewards = []
    for _ in range(3):
        observations, reward, *_ = env.step(observations["action_mask"].argmax(axis=1))
        rewards.append(reward)
    return np.array(rewards)


def main():
    batch = gymnasium.make_vec(NAME, num_envs=160, **OPTIONS)
    expected = play(batch)  # 160 rows take both threads
    if sys.argv[1] == "fork":
        context = multiprocessing.get_context("fork")
        with context.Pool(2) as pool:
            found = pool.map(play, [batch, batch])
        found += [play(batch)]  # and the parent goes on
    elif sys.argv[1] == "async":
        env = AsyncVectorEnv([lambda: gymnasium.make(NAME, **OPTIONS)] * 2, context="fork")
        found = [play(env)]
        expected = expected[:, :2]
        env.close()
    else:
        from stable_baselines3.common.env_util import make_vec_env
        from stable_baselines3.common.vec_env import SubprocVecEnv

        env = make_vec_env(NAME, 2, seed=0, env_kwargs=OPTIONS, vec_env_cls=SubprocVecEnv,
                           vec_env_kwargs={"start_method": "fork"})
        observations, rewards = env.reset(), []
        for _ in range(3):
            observations, reward, _, _ = env.step(observations["action_mask"].argmax(axis=1))
            rewards.append(reward)
        found, expected = [np.array(rewards)], expected[:, :2]
        env.close()
    for rewards in found:
        np.testing.assert_allclose(rewards, expected, rtol=1e-6)  # SB3 hands on float32
    print("played")


main()
"""


@pytest.mark.parametrize("way", ["fork", "async", "subproc"])
def test_children_that_fork_play_as_their_parent_does(way: str) -> None:
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    command = [sys.executable, "-W", "error", "-c", PLAYED, way]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "played\n", done.stderr
