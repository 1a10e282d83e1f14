"""Warm start: a policy network learns to decide as a teacher does before it learns from its own decisions.

The teacher is any policy by name: a planner (`joint-efficiency`, `local-search`, `exact`, with `@replan`, `@forecast`
or `@clairvoyant`) or a trained model. It plays drawn scenarios side by side. The network maximises the probability
of the teacher's decisions (behaviour cloning: D. Pomerleau, "ALVINN", NIPS 1988) and learns the returns that followed
them as values. It learns while the teacher plays, from a pool of the latest decisions, so that there may be any number
of episodes.

A teacher that plans anew at every decision can be asked in any state. Then the network itself plays all but the first
`LED` of the episodes, and learns what the teacher would have done in its place (S. Ross, G. Gordon and D. Bagnell, "A
reduction of imitation learning and structured prediction to no-regret online learning", AISTATS 2011: DAgger). Small
differences add up in an episode of more than a thousand decisions, and lead to states that the teacher never sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.learning.first_weights import network_of
from agents.learning.masked_policy import SEEN, NotFiniteError
from agents.learning.muon_with_adam import MuonWithAdam
from agents.learning.pieces import learn_from
from agents.policies.plan_policy import PlanPolicy
from agents.policies.policy import resolve_policy
from agents.policies.trained import TrainedPolicy
from agents.policy_networks.likeliest import likeliest
from dnnmig_env.arrays import Bools, Float32s, Int8s, Ints
from dnnmig_env.envs.vector_env import MigrationVectorEnv, Observations

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

EPOCHS, BATCH_SIZE = 3, 512
"""How often each decision is learned from on average, and how many decisions a gradient step takes."""

POOL = 32_768
"""Number of decisions in the pool: many episodes, so that a gradient step sees decisions of many scenarios."""

LEARNING_RATE = 2e-3
"""Step size at first, as `MuonWithAdam` takes it; it falls to 0 linearly."""

LED = 0.05
"""Share of the episodes that a teacher plays by itself before the network does."""

ASKED = 1 / 3
"""Share of the moments of the network's episodes in which the teacher is asked. Planning takes most of the time, and
moments of the same episode are much alike."""

ASKED_EPOCHS = 8
"""How often each decision is learned from then, as it took long to get."""

Learner = Callable[[Observations], Ints]
"""What the network does by itself: the actions of all rows."""


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """What a teacher decided at N moments.

    Attributes:
        observation: Shape (N, D).
        mask: Legal actions, shape (N, A).
        action: Shape (N,).
        value: Return from this moment on, in the units of the environment's reward, shape (N,).
        epochs: How often each is to be learned from on average.
    """

    observation: Float32s
    mask: Int8s
    action: Ints
    value: Float32s
    epochs: int = EPOCHS


class _Pool:
    """Ring buffer of the latest demonstrations."""

    def __init__(self) -> None:
        self._parts: list[NDArray[Any]] = []
        self._next = self._count = 0

    def add(self, shown: Demonstrations) -> None:
        """Add demonstrations in place of the oldest ones."""
        parts = (shown.observation, shown.mask, shown.action, shown.value)
        if not self._parts:
            self._parts = [np.zeros((POOL, *part.shape[1:]), part.dtype) for part in parts]
        at = (self._next + np.arange(len(shown.action))) % POOL
        for own, new in zip(self._parts, parts, strict=True):
            own[at] = new
        self._next, self._count = (self._next + len(at)) % POOL, min(POOL, self._count + len(at))

    def drawn(self, rng: np.random.Generator, count: int) -> list[Tensor]:
        """Return observation, mask, action and value of `count` decisions at most."""
        at = rng.choice(self._count, min(count, self._count), replace=False)
        return [torch.as_tensor(part[at]) for part in self._parts]


def demonstrate(
    teacher: str,
    env: MigrationVectorEnv,
    episodes: int,
    seed: int,
    on_end: Callable[[], object] = lambda: None,
    learner: Learner | None = None,
) -> Iterator[Demonstrations]:
    """Let a teacher play episodes; yield what it decided in as many of them at a time as the environment has rows.

    If there is a learner, and the teacher can be asked in any state, the learner plays all but the first of them.

    Args:
        teacher: Name of the teacher, as of any policy.
        env: The environment, with `autoreset_mode="Disabled"`.
        episodes: Least number of episodes; it is rounded up to whole batches.
        seed: Seed of the scenarios and of whatever is random in the teacher.
        on_end: Called at the end of each episode.
        learner: What plays in the teacher's place.

    Raises:
        ValueError: If there is no such teacher, or it cannot act in the environment.
    """
    policy, rng = resolve_policy(teacher, env, seed, timed=False), np.random.default_rng(seed)
    can_be_asked = isinstance(policy, TrainedPolicy) or (isinstance(policy, PlanPolicy) and policy.replans)
    seeds = np.random.SeedSequence(seed).generate_state(-(-episodes // env.num_envs) * env.num_envs)
    for first in range(0, len(seeds), env.num_envs):
        observation, _ = env.reset(seed=[int(one) for one in seeds[first : first + env.num_envs]])
        plays = learner if can_be_asked and first >= LED * episodes else None
        running, asked = np.ones(env.num_envs, np.bool_), np.ones(env.num_envs, np.bool_)
        time_s, to_go = np.full(env.num_envs, np.nan), np.zeros(env.num_envs)
        moments, parts = [], []
        while running.any():
            if plays is not None:
                now_s = env.episodes.state.time_s.copy()
                asked = np.where(now_s == time_s, asked, rng.random(env.num_envs) < ASKED)
                time_s = now_s
            decided, _ = policy.predict(_shown(observation, asked & running), deterministic=True)
            following, rewards, ended, _, _ = env.step(decided if plays is None else plays(observation))
            rows = np.flatnonzero(running & asked)
            seen, masks = observation["observation"][rows], observation["action_mask"][rows]
            moments.append((rows, seen, masks, decided[rows], rewards))
            for _ in range(int((running & ended).sum())):
                on_end()
            observation, running = following, running & ~ended
        for rows, seen, masks, actions, rewards in reversed(moments):
            to_go += rewards
            parts.append((seen, masks, actions, to_go[rows].astype(np.float32)))
        epochs = ASKED_EPOCHS if learner is not None and can_be_asked else EPOCHS
        observations, masks, actions, values = (np.concatenate([part[k] for part in parts]) for k in range(4))
        yield Demonstrations(observations, masks, actions, values, epochs)


def _shown(observation: Observations, asked: Bools) -> Observations:
    """Return what the teacher is shown: in rows in which it is not asked, nothing but "stop" is legal."""
    if asked.all():
        return observation
    masks = observation["action_mask"].copy()
    masks[~asked, :-1] = 0
    return {**observation, "action_mask": masks}


def imitate(
    model: BaseAlgorithm,
    teacher: str,
    env: MigrationVectorEnv,
    episodes: int,
    seed: int,
    on_end: Callable[[], object] = lambda: None,
) -> float:
    """Train a model's policy network on a teacher's decisions; return the share of them that it took as well at last.

    That share is of the last tenth of the episodes, each decision as it was learned from.

    Args:
        model: The model, of any algorithm but DQN.
        teacher: Name of the teacher, as of any policy.
        env: The environment in which it plays, with `autoreset_mode="Disabled"`.
        episodes: Least number of episodes.
        seed: Seed of the scenarios, of what is random in the teacher, and of the order in which decisions are learned.
        on_end: Called at the end of each episode.

    Raises:
        ValueError: If there is no such teacher, it cannot act in the environment, or the model has no probabilities of
            actions to train (DQN).
        NotFiniteError: If the loss is NaN or infinite.
    """
    policy: Any = model.policy
    network, lanes = network_of(model), bool(env.episodes.limits.lanes)

    def decided(observation: Observations) -> Ints:
        with torch.no_grad():
            scores = network(*(torch.as_tensor(observation[name]).to(policy.device) for name in SEEN))[0]
        actions: Ints = likeliest(scores, lanes=lanes).cpu().numpy()
        return actions

    rng, pool, played, due = np.random.default_rng(seed), _Pool(), 0, 0
    optimizer = MuonWithAdam(network.parameters(), lr=LEARNING_RATE)
    alike, at_last = 0, 0
    for shown in demonstrate(teacher, env, episodes, seed, on_end, decided):
        pool.add(shown)
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * max(1.0 - played / episodes, 0.0)
        played, due = played + env.num_envs, due + shown.epochs * len(shown.action)
        while due >= BATCH_SIZE or (played >= episodes and due > 0):
            drawn = pool.drawn(rng, BATCH_SIZE)
            same = _learn(network, optimizer, drawn, policy.device, lanes)
            due -= BATCH_SIZE
            if played >= 0.9 * episodes:
                alike, at_last = alike + same, at_last + len(drawn[0])
    return alike / at_last


def _learn(
    network: nn.Module, optimizer: torch.optim.Optimizer, drawn: list[Tensor], device: torch.device, lanes: bool
) -> int:
    """Take a gradient step on some decisions; return in how many of them the network decides as the teacher."""

    def loss_of(at: Tensor) -> tuple[Tensor, int]:
        observation, mask, action, value = (part[at].to(device) for part in drawn)
        scores, values = network(observation, mask)
        error = values.squeeze(1) - value
        loss = nn.functional.cross_entropy(scores, action, reduction="sum") + 0.5 * error.square().sum()
        if not torch.isfinite(loss):
            raise NotFiniteError("the loss of imitation is")
        return loss / len(drawn[0]), int((likeliest(scores.detach(), lanes=lanes) == action).sum())

    same = sum(learn_from(network.parameters(), torch.arange(len(drawn[0])), device, loss_of))
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return same
