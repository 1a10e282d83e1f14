"""Trains PPO of RLlib with the masking module from RLlib's own examples, which wants the key `observations`.

From the repository's root, after `pip install -e '.[rllib]'`: python examples/rllib_ppo.py --steps 20000
"""

import argparse
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import TransformObservation
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.examples.rl_modules.classes.action_masking_rlm import ActionMaskingTorchRLModule
from ray.tune.registry import register_env

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=20_000)
steps, batch = parser.parse_args().steps, 4000


def make_env(options: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    """Return an environment whose observations have the names and types that RLlib's module looks for."""
    import dnnmig_env  # noqa: F401  registers the environments, in every worker

    env = gymnasium.make("dnnmig/EdgeCloud-v0", **options)
    mask = gymnasium.spaces.Box(0.0, 1.0, (env.action_space.n,), np.float32)
    space = gymnasium.spaces.Dict({"action_mask": mask, "observations": env.observation_space["observation"]})
    return TransformObservation(
        env,
        lambda both: {"action_mask": both["action_mask"].astype(np.float32), "observations": both["observation"]},
        space,
    )


register_env("dnnmig", make_env)
config = (
    PPOConfig()
    .environment("dnnmig", env_config={"reward": "shaped", "scale": "device-only"})
    .env_runners(num_env_runners=0, num_envs_per_env_runner=8)
    .training(gamma=1.0, lr=1e-3, train_batch_size_per_learner=min(batch, steps), minibatch_size=256, num_epochs=3)
    .rl_module(
        rl_module_spec=RLModuleSpec(
            module_class=ActionMaskingTorchRLModule, model_config={"head_fcnet_hiddens": [128, 128]}
        )
    )
)
algorithm = config.build_algo()
for _ in range(max(1, steps // batch)):
    told = algorithm.train()["env_runners"]
    print(f"steps {told['num_env_steps_sampled_lifetime']}, mean return {told['episode_return_mean']:.3f}")
algorithm.stop()
