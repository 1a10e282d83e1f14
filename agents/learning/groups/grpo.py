"""GRPO: several rollouts of every scenario side by side, each judged against the others of its group.

What an episode costs depends far more on the scenario than on the decisions, so the mean cost of the group is the
baseline: an episode's advantage is by how much less than that it costs, in standard deviations of the group. Every
decision of the episode takes its advantage and is learned from with PPO's clipped objective. No values are estimated.

Sources: Z. Shao et al., "DeepSeekMath", 2024 (group-relative policy optimization, GRPO); Y.-D. Kwon et al., "POMO:
Policy Optimization with Multiple Optima for Reinforcement Learning", NeurIPS 2020 (the shared baseline); J. Schulman et
al., "Proximal Policy Optimization Algorithms", 2017 (the clipped objective).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.learning.groups.advantages import BINS, costs_to_go, group_advantages
from agents.learning.groups.moments import Moments
from agents.learning.groups.rollouts import GroupRollouts
from agents.learning.masked_policy import MaskedActorCriticPolicy
from agents.learning.sb3_vec_env import Sb3VecEnv
from dnnmig_env.arrays import Floats


class GRPO(GroupRollouts):
    """Algorithm of Stable-Baselines3 (SB3) that learns from groups of rollouts, as the module describes.

    Args:
        policy: `MaskedActorCriticPolicy`.
        env: Environments; a round plays as many episodes as there are rows.
        clip_range: How far the probability of a decision may move from what it was when the decision was drawn, as a
            share of it, before the decision no longer counts.
        ent_coef: Weight of the entropy of the decisions, in nats, in the objective. Without it rollouts soon differ too
            little to learn from.
        others_weight: Weight of the costs of other users in what a decision about a user is judged by. With less than
            1, rollouts tell sooner which decisions were good for the user, and less of what they did to others.
        memory_s: Seconds after a decision in which the weight of costs falls to 1/e. None: every decision is judged by
            the cost of the whole episode.
        **options: Arguments of `GroupRollouts`.

    Raises:
        ValueError: If the rows cannot be divided into groups, or a group has less than two rollouts.
    """

    def __init__(
        self,
        policy: type[MaskedActorCriticPolicy],
        env: Sb3VecEnv,
        clip_range: float = 0.2,
        ent_coef: float = 0.01,
        others_weight: float = 1.0,
        memory_s: float | None = None,
        **options: Any,
    ) -> None:
        if not 0.0 <= others_weight <= 1.0:
            raise ValueError(f"others_weight is {others_weight}; give 0 to 1.")
        self.clip_range, self.ent_coef = clip_range, ent_coef
        self.others_weight, self.memory_s = others_weight, memory_s
        self.parts = 1 if memory_s is None else BINS
        super().__init__(policy, env, **options)

    def _judged(self, costs: Floats, horizons_s: Floats) -> Tensor:
        """Return the advantages of decisions in each row, shape (B, parts, U + 1)."""
        if self.memory_s is not None:
            costs = costs_to_go(costs, np.exp(-horizons_s / (BINS * self.memory_s)))
        advantages = group_advantages(costs, self.group_size, self.others_weight)
        return torch.as_tensor(advantages, dtype=torch.float32, device=self.device)

    def _train(self, moments: Moments, of_row: Tensor) -> None:
        """Take the gradient steps of one round, given the advantages of each row in each part of its time."""
        advantage = of_row[moments.row, moments.part, moments.about]
        if len(advantage) < 2:
            return
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        steps: list[Floats] = []
        for _ in range(self.n_epochs):
            batches = torch.randperm(len(advantage)).to(self.device).split(self.batch_size)
            steps += [self._step(moments, batch, advantage) for batch in batches]
        losses, outside, entropies = np.transpose(steps)
        count = self.n_epochs * len(advantage)
        self.logger.record("train/loss", float(losses.mean()))
        self.logger.record("train/clip_fraction", float(outside.sum()) / count)
        self.logger.record("train/entropy", float(entropies.sum()) / count)

    def _step(self, moments: Moments, batch: Tensor, advantage: Tensor) -> Floats:
        """Take a gradient step on some moments; return the loss, how many are clipped, and their summed entropy."""

        def loss_of(at: Tensor) -> tuple[Tensor, tuple[float, float, float]]:
            objective, outside, entropy = self._objective(moments, at, advantage[at])
            loss = -objective.sum() / len(batch)
            return loss, (float(loss.detach()), float(outside), float(entropy))

        total: Floats = np.sum(self._gradient_step(batch, loss_of), axis=0)
        return total

    def _objective(self, moments: Moments, at: Tensor, advantage: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return PPO's clipped objective of some moments, how many of them are clipped, and their summed entropy."""
        choices = self._choices(moments.observation[at], moments.mask[at])
        ratio = (choices.log_prob(moments.action[at]) - moments.log_prob[at]).exp()
        bounded = ratio.clamp(1.0 - self.clip_range, 1.0 + self.clip_range)
        objective, entropy = torch.minimum(ratio * advantage, bounded * advantage), choices.entropy()
        outside = (ratio.detach() - bounded.detach()).abs() > 0
        return objective + self.ent_coef * entropy, outside.sum(), entropy.detach().sum()
