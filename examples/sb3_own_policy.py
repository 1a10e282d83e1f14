"""Trains SB3's PPO with this project's policy network on the native batch, from Python instead of `python -m train`.

From the repository's root: python examples/sb3_own_policy.py --steps 200000
"""

import argparse

import numpy as np

from agents.learning.algorithms import TRAINING_REWARD, make_model
from agents.learning.sb3_vec_env import Sb3VecEnv
from dnnmig_env.envs.registration import make_vector_env

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=200_000)
steps = parser.parse_args().steps

env = Sb3VecEnv(make_vector_env("edge-cloud", num_envs=128, autoreset_mode="SameStep", **TRAINING_REWARD))
# The network reads the mask in the observation, and its weights do not depend on the numbers of users and servers.
model = make_model("ppo", env, seed=0)
env.seed(0)
model.learn(steps)
ended = list(model.ep_info_buffer or [])
ratio = np.mean([episode["mean_delay_s"] / episode["device_only_delay_s"] for episode in ended])
print(f"mean query delay {ratio:.3f} of that on the devices alone (last {len(ended)} episodes)")
