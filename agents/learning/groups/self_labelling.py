"""Self-labelling: the network learns to decide as it did in the best of several rollouts of the same scenario.

That rollout is the label: its decisions are made likelier (cross-entropy), and the other rollouts are forgotten. So no
values are estimated, no advantages computed, and nothing is clipped. It is for scenarios in which nothing happens by
chance. Where users come and go, the best of many rollouts is in part luck, and a network learns to hope for it.

Source: A. Corsini, A. Porrello, S. Calderara and M. Dell'Amico, "Self-Labeling the Job Shop Scheduling Problem",
NeurIPS 2024.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.learning.groups.moments import Moments
from agents.learning.groups.rollouts import GroupRollouts
from agents.learning.masked_policy import MaskedActorCriticPolicy
from agents.learning.sb3_vec_env import Sb3VecEnv
from dnnmig_env.arrays import Floats

TIE = 1e-9
"""Share of the cost by which rollouts differ at most where they cost the same."""


class SelfLabelling(GroupRollouts):
    """Algorithm of Stable-Baselines3 (SB3) that imitates the best of each group's rollouts, as the module describes.

    Args:
        policy: `MaskedActorCriticPolicy`.
        env: Environments; a round plays as many episodes as there are rows.
        batch_size: Decisions per gradient step. Of all decisions of a round only those of the best rollouts are learned
            from, so that batches are small.
        n_epochs: How often each of these is learned from.
        **options: Arguments of `GroupRollouts`.

    Raises:
        ValueError: If the rows cannot be divided into groups, or a group has less than two rollouts.
    """

    def __init__(
        self,
        policy: type[MaskedActorCriticPolicy],
        env: Sb3VecEnv,
        batch_size: int = 256,
        n_epochs: int = 4,
        **options: Any,
    ) -> None:
        super().__init__(policy, env, batch_size=batch_size, n_epochs=n_epochs, **options)

    def _judged(self, costs: Floats, horizons_s: Floats) -> Tensor:
        """Return 1 for the rollout of each group that costs least and 0 for the others, shape (B, 1, U + 1).

        A group whose rollouts all cost the same has no best one.
        """
        of_all = costs.sum(axis=(1, 2)).reshape(-1, self.group_size)
        differs = of_all.min(axis=1) < of_all.max(axis=1) * (1.0 - TIE)
        is_best = np.zeros(of_all.shape, np.float32)
        is_best[np.arange(len(of_all)), of_all.argmin(axis=1)] = differs
        shape = (len(costs), 1, costs.shape[2] + 1)
        return torch.as_tensor(is_best).reshape(-1, 1, 1).expand(shape).to(self.device)

    def _train(self, moments: Moments, of_row: Tensor) -> None:
        """Take the gradient steps of one round, given which rows are the best of their groups."""
        labels = torch.nonzero(of_row[moments.row, 0, 0]).squeeze(1)
        losses = []
        for _ in range(self.n_epochs):
            order = torch.randperm(len(labels)).to(self.device)
            losses += [self._step(moments, batch) for batch in labels[order].split(self.batch_size) if len(batch)]
        if losses:
            self.logger.record("train/loss", sum(losses) / len(losses))

    def _step(self, moments: Moments, batch: Tensor) -> float:
        """Take a gradient step on some moments; return the loss: how unlikely their decisions are, in nats."""

        def loss_of(at: Tensor) -> tuple[Tensor, float]:
            choices = self._choices(moments.observation[at], moments.mask[at])
            loss = -choices.log_prob(moments.action[at]).sum() / len(batch)
            return loss, float(loss.detach())

        return sum(self._gradient_step(batch, loss_of))
