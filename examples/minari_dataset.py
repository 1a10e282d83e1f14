"""Records episodes of a planner as a Minari dataset, from which offline methods learn.

From the repository's root, after `pip install -e '.[minari]'`: python examples/minari_dataset.py --episodes 100
"""

import argparse

import gymnasium
import minari

import dnnmig_env  # noqa: F401  registers the environments
from agents.planners import planner
from agents.policies.plan_policy import PlanPolicy

parser = argparse.ArgumentParser()
parser.add_argument("--episodes", type=int, default=100)
parser.add_argument("--name", default="dnnmig/joint-efficiency-v0")
arguments = parser.parse_args()

made = gymnasium.make("dnnmig/EdgeCloud-v0", reward="shaped", scale="device-only")
policy = PlanPolicy(planner("joint-efficiency"), made.unwrapped, seed=0)
env = minari.DataCollector(made, record_infos=True)  # every `info` has the same keys
for seed in range(arguments.episodes):
    (observation, _), terminated = env.reset(seed=seed), False
    while not terminated:
        observation, _, terminated, _, _ = env.step(policy.predict(observation)[0])
dataset = env.create_dataset(arguments.name, algorithm_name="joint-efficiency")
mean = sum(episode.rewards.sum() for episode in dataset) / len(dataset)
print(f"{arguments.name}: {dataset.total_steps} steps, mean return {mean:.3f}")
print("infos:", ", ".join(next(iter(dataset)).infos))
