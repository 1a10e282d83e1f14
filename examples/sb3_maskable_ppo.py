"""Trains MaskablePPO of sb3-contrib, with SB3's own policy for dictionaries, on single environments.

From the repository's root: python examples/sb3_maskable_ppo.py --steps 100000
"""

import argparse

import numpy as np
from sb3_contrib import MaskablePPO
from stable_baselines3.common.env_util import make_vec_env

import dnnmig_env  # noqa: F401  registers the environments

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=100_000)
steps = parser.parse_args().steps

env = make_vec_env(
    "dnnmig/EdgeCloud-v0",
    n_envs=8,
    seed=0,
    env_kwargs={"reward": "shaped", "scale": "device-only"},
    monitor_kwargs={"info_keywords": ("mean_delay_s", "device_only_delay_s", "illegal_action")},
)
# MaskablePPO asks the environments for `action_masks()` by itself. Nothing is discounted, as episodes end in time.
model = MaskablePPO("MultiInputPolicy", env, gamma=1.0, n_steps=128, batch_size=256, learning_rate=1e-3, seed=0)
model.learn(steps)
ended = list(model.ep_info_buffer or [])
ratio = np.mean([episode["mean_delay_s"] / episode["device_only_delay_s"] for episode in ended])
illegal = sum(episode["illegal_action"] for episode in ended)
print(f"mean query delay {ratio:.3f} of that on the devices alone (last {len(ended)} episodes, {illegal} illegal)")
