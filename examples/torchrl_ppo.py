"""Trains PPO of TorchRL. Its `MaskedCategorical` takes the mask from the observation, as truth values.

From the repository's root, after `pip install -e '.[torchrl]'`: python examples/torchrl_ppo.py --steps 50000
"""

import argparse

import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import Compose, DTypeCastTransform, GymEnv, RewardSum, TransformedEnv
from torchrl.modules import MaskedCategorical, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import dnnmig_env  # noqa: F401  registers the environments

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=50_000)
steps = parser.parse_args().steps

env = TransformedEnv(
    GymEnv("dnnmig/EdgeCloud-v0", categorical_action_encoding=True, reward="shaped", scale="device-only"),
    Compose(DTypeCastTransform(torch.int8, torch.bool, in_keys=["action_mask"]), RewardSum()),
)
inputs, actions = env.observation_spec["observation"].shape[-1], env.action_spec.space.n


def network(outputs: int) -> nn.Module:
    """Return a small network."""
    return nn.Sequential(nn.Linear(inputs, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, outputs))


actor = ProbabilisticActor(
    TensorDictModule(network(actions), in_keys=["observation"], out_keys=["logits"]),
    in_keys={"logits": "logits", "mask": "action_mask"},
    distribution_class=MaskedCategorical,
    return_log_prob=True,
)
critic = ValueOperator(network(1), in_keys=["observation"])
loss = ClipPPOLoss(actor, critic, entropy_coeff=0.003)
advantage = GAE(gamma=1.0, lmbda=0.9, value_network=critic)
optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
collector = Collector(
    env, actor, frames_per_batch=min(2048, steps), total_frames=steps, auto_register_policy_transforms=True
)
for data in collector:
    ended = data["next", "done"].squeeze(-1)
    print(f"episodes {int(ended.sum())}, mean return {data['next', 'episode_reward'][ended].mean().item():.3f}")
    for _ in range(3):
        advantage(data)
        for at in torch.randperm(len(data)).split(256):
            losses = loss(data[at])
            optimizer.zero_grad()
            sum(losses[name] for name in ("loss_objective", "loss_critic", "loss_entropy")).backward()
            optimizer.step()
collector.shutdown()
