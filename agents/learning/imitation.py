"""Warm start: a policy network learns to decide as a teacher does before it learns from its own decisions.

The teacher is any policy by name: a planner (`joint-efficiency`, `local-search`, `exact`, with `@replan`, `@forecast`
or `@clairvoyant`) or a trained model. It plays drawn scenarios. The network then maximises the probability of the
teacher's decisions (behaviour cloning: D. Pomerleau, "ALVINN", NIPS 1988) and learns the returns that followed them as
values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.learning.masked_policy import NotFiniteError
from agents.policies.policy import resolve_policy
from agents.policy_networks.facts import ILLEGAL
from dnnmig_env.arrays import Float32s, Int8s, Ints
from dnnmig_env.envs.vector_env import MigrationVectorEnv

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

EPOCHS, BATCH_SIZE = 8, 512
"""How often each decision is learned from, and how many decisions a gradient step takes."""


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """What a teacher decided at N moments.

    Attributes:
        observation: Shape (N, D).
        mask: Legal actions, shape (N, A).
        action: Shape (N,).
        value: Return from this moment on, in the units of the environment's reward, shape (N,).
    """

    observation: Float32s
    mask: Int8s
    action: Ints
    value: Float32s


def demonstrate(
    teacher: str,
    env: MigrationVectorEnv,
    episodes: int,
    seed: int,
    on_end: Callable[[], object] = lambda: None,
) -> Demonstrations:
    """Let a teacher play episodes and return what it decided.

    Args:
        teacher: Name of the teacher, as of any policy.
        env: The environment, with `autoreset_mode="Disabled"`; it plays as many episodes at a time as it has rows.
        episodes: Least number of episodes; it is rounded up to whole batches.
        seed: Seed of the scenarios and of whatever is random in the teacher.
        on_end: Called at the end of each episode.

    Raises:
        ValueError: If there is no such teacher, or it cannot act in the environment.
    """
    policy = resolve_policy(teacher, env, seed)
    parts: list[tuple[NDArray[Any], ...]] = []
    seeds = np.random.SeedSequence(seed).generate_state(-(-episodes // env.num_envs) * env.num_envs)
    for first in range(0, len(seeds), env.num_envs):
        observation, _ = env.reset(seed=[int(one) for one in seeds[first : first + env.num_envs]])
        running, moments = np.ones(env.num_envs, np.bool_), []
        while running.any():
            actions, _ = policy.predict(observation, deterministic=True)
            following, rewards, ended, _, _ = env.step(actions)
            moments.append((np.flatnonzero(running), observation, actions, rewards))
            for _ in range(int((running & ended).sum())):
                on_end()
            observation, running = following, running & ~ended
        to_go = np.zeros(env.num_envs)
        for rows, seen, actions, rewards in reversed(moments):
            to_go[rows] += rewards[rows]
            masks = seen["action_mask"][rows]
            parts.append((seen["observation"][rows], masks, actions[rows], to_go[rows].astype(np.float32)))
    return Demonstrations(*(np.concatenate([part[k] for part in parts]) for k in range(4)))


def imitate(
    model: BaseAlgorithm, shown: Demonstrations, seed: int, on_epoch: Callable[[], object] = lambda: None
) -> float:
    """Train a model's policy network on demonstrations; return the share of its decisions that are then the teacher's.

    Decisions that the network cannot take, because they are none of the candidates that it sees, are left out.

    Args:
        model: The model, of any algorithm but DQN.
        shown: The demonstrations.
        seed: Seed of the order in which they are learned.
        on_epoch: Called after each epoch.

    Raises:
        ValueError: If the model has no probabilities of actions to train (DQN), or the network can take none of the
            teacher's decisions.
        NotFiniteError: If the loss is NaN or infinite.
    """
    policy: Any = model.policy
    network = getattr(getattr(policy, "mlp_extractor", None), "network", None)
    if network is None:
        raise ValueError("a warm start needs an algorithm with probabilities of actions, such as ppo; DQN has none.")
    observation, mask, action, value = (torch.as_tensor(part) for part in _possible(network, shown, policy.device))
    random = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    steps = max(1, len(action) // BATCH_SIZE)
    alike = 0.0
    for _ in range(EPOCHS):
        same = 0
        for at in torch.randperm(len(action), generator=random).tensor_split(steps):
            scores, values = network(observation[at].to(policy.device), mask[at].to(policy.device))
            target = action[at].to(policy.device)
            error = values.squeeze(1) - value[at].to(policy.device)
            loss = nn.functional.cross_entropy(scores, target) + 0.5 * error.square().mean()
            if not torch.isfinite(loss):
                raise NotFiniteError("the loss of imitation is")
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            same += int((scores.argmax(1) == target).sum())
        alike = same / len(action)
        on_epoch()
    return alike


def _possible(network: Any, shown: Demonstrations, device: torch.device) -> tuple[NDArray[Any], ...]:
    """Return the demonstrations whose decisions the network can take."""
    keep = []
    for at in np.array_split(np.arange(len(shown.action)), max(1, len(shown.action) // BATCH_SIZE)):
        with torch.no_grad():
            observation, mask = torch.as_tensor(shown.observation[at]), torch.as_tensor(shown.mask[at])
            scores: Tensor = network(observation.to(device), mask.to(device))[0].cpu()
        of_action = scores.gather(1, torch.as_tensor(shown.action[at])[:, None]).squeeze(1)
        keep.append((of_action > 0.1 * ILLEGAL).numpy())
    possible = np.concatenate(keep)
    if not possible.any():
        raise ValueError("none of the teacher's decisions is among those that the agent can take; choose another.")
    return tuple(part[possible] for part in (shown.observation, shown.mask, shown.action, shown.value))
