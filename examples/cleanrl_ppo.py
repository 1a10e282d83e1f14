"""Trains by PPO in one file, in the manner of CleanRL, on a batch: python examples/cleanrl_ppo.py --steps 200000."""

import argparse

import gymnasium
import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

import dnnmig_env  # noqa: F401  registers the environments

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=200_000)
steps, rows, length = parser.parse_args().steps, 64, 32
options = {"reward": "shaped", "scale": "device-only", "autoreset_mode": "SameStep"}
envs = gymnasium.make_vec("dnnmig/EdgeCloud-v0", num_envs=rows, **options)
inputs, actions = envs.single_observation_space["observation"].shape[0], envs.single_action_space.n
torch.manual_seed(0)
network = nn.Sequential(nn.Linear(inputs, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, actions + 1))
optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-5)
ratios: list[float] = []


def evaluate(seen: torch.Tensor, legal: torch.Tensor) -> tuple[Categorical, torch.Tensor]:
    """Return a distribution over legal actions only, and the value."""
    scores = network(seen)
    return Categorical(logits=scores[:, :-1].masked_fill(~legal, -1e8)), scores[:, -1]


observations, _ = envs.reset(seed=0)
for _ in range(max(1, steps // (rows * length))):
    kept, rewards, ends = [], *np.zeros((2, length, rows), np.float32)
    for t in range(length):
        seen, legal = torch.as_tensor(observations["observation"]), torch.as_tensor(observations["action_mask"]).bool()
        with torch.no_grad():
            dist, value = evaluate(seen, legal)
            kept.append((seen, legal, chosen := dist.sample(), dist.log_prob(chosen), value))
        observations, rewards[t], ends[t], _, infos = envs.step(chosen.numpy())
        for row in np.flatnonzero(ends[t]):
            ratios.append(infos["final_info"]["mean_delay_s"][row] / infos["final_info"]["device_only_delay_s"][row])
    seen, legal, chosen, before, values = (torch.stack(part) for part in zip(*kept, strict=True))
    following = network(torch.as_tensor(observations["observation"]))[:, -1].detach()
    advantages, ahead = torch.zeros(length, rows), torch.zeros(rows)
    for t in reversed(range(length)):
        goes_on = 1 - torch.as_tensor(ends[t])
        ahead = torch.as_tensor(rewards[t]) + goes_on * (following + 0.9 * ahead) - values[t]
        advantages[t], following = ahead, values[t]
    flat = [part.flatten(0, 1) for part in (seen, legal, chosen, before, values, advantages)]
    for at in (part for _ in range(3) for part in torch.randperm(rows * length).split(512)):
        seen, legal, chosen, before, values, advantage = (part[at] for part in flat)
        dist, value = evaluate(seen, legal)
        ratio = (dist.log_prob(chosen) - before).exp()
        gain = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        surrogate = torch.minimum(ratio * gain, ratio.clamp(0.8, 1.2) * gain).mean()
        error = (value - values - advantage).square().mean()
        optimizer.zero_grad()
        (0.5 * error - surrogate - 0.003 * dist.entropy().mean()).backward()
        optimizer.step()
print(f"mean query delay {np.mean(ratios[-500:]):.3f} of that on the devices alone (last 500 episodes)")
