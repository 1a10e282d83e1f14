"""Trains DQN of Tianshou, which takes masks from a dictionary with the keys `obs` and `mask`.

From the repository's root, after `pip install -e '.[tianshou]'`: python examples/tianshou_dqn.py --steps 20000
"""

import argparse
from typing import Any

import gymnasium
from gymnasium.wrappers import TransformObservation
from tianshou.algorithm.modelfree.dqn import DQN, DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net

import dnnmig_env  # noqa: F401  registers the environments

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=20_000)
steps = parser.parse_args().steps


def make_env() -> gymnasium.Env[Any, Any]:
    """Return an environment whose observations have the names that Tianshou looks for."""
    env = gymnasium.make("dnnmig/EdgeCloud-v0", reward="shaped", scale="device-only")
    seen, mask = env.observation_space["observation"], env.observation_space["action_mask"]
    space = gymnasium.spaces.Dict({"obs": seen, "mask": mask})
    return TransformObservation(env, lambda both: {"obs": both["observation"], "mask": both["action_mask"]}, space)


env, envs = make_env(), DummyVectorEnv([make_env] * 8)
inputs, actions = env.observation_space["obs"].shape, env.action_space.n
policy = DiscreteQLearningPolicy(
    model=Net(state_shape=inputs, action_shape=actions, hidden_sizes=(128, 128)),
    action_space=env.action_space,
    observation_space=env.observation_space,
    eps_training=0.1,
)
algorithm = DQN(policy=policy, optim=AdamOptimizerFactory(lr=5e-4), gamma=1.0, target_update_freq=500)
collector = Collector[Any](algorithm, envs, VectorReplayBuffer(50_000, len(envs)), exploration_noise=True)
collector.reset()
collector.collect(n_step=min(2000, steps), random=False)
result = algorithm.run_training(
    OffPolicyTrainerParams(
        training_collector=collector,
        max_epochs=1,
        epoch_num_steps=steps,
        collection_step_num_env_steps=64,
        update_step_num_gradient_steps_per_sample=0.1,
        batch_size=128,
        show_progress=False,
    )
)
played = Collector[Any](algorithm, DummyVectorEnv([make_env] * 8)).collect(n_episode=50, reset_before_collect=True)
print(f"mean return {played.returns.mean():.3f}: the share of the device-only delay that is saved (50 episodes)")
