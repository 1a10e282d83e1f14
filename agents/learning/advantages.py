"""Advantages of GRPO: by how much less a rollout costs than the others of its group, from some time on."""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Floats

BINS = 256
"""Number of equal parts of an episode's time in which costs are added up, if decisions are judged by what follows."""

LEAST_SPREAD = 1e-3
"""Added to the standard deviation of a group's costs, as shares of the device-only cost: what differs by less than this
is hardly learned from."""


def group_advantages(costs: Floats, group_size: int) -> Floats:
    """Return by how much less than its group's mean each episode costs, in standard deviations of the group.

    Args:
        costs: Cost of each episode, or of what follows the beginning of each part of its time, groups side by side, as
            shares of the device-only cost, shape (B, parts).
        group_size: Number of episodes in a group, K.

    Returns:
        The advantages, shape (B, parts). The standard deviation is the root of the variances' mean over all parts, so
        that parts in which rollouts hardly differ weigh little.
    """
    groups = costs.reshape(-1, group_size, costs.shape[1])
    spread = np.sqrt(groups.var(axis=1, keepdims=True).mean(axis=2, keepdims=True))
    advantages: Floats = (groups.mean(axis=1, keepdims=True) - groups) / (spread + LEAST_SPREAD)
    return advantages.reshape(costs.shape)


def costs_to_go(costs: Floats, keeps: Floats) -> Floats:
    """Return what an episode costs from each part of its time on, where later parts weigh less.

    Args:
        costs: Costs in each part, shape (B, parts).
        keeps: Weight of a part by that of the part before it, above 0 and below 1, shape (B,).

    Returns:
        Weighted means of the costs of the parts that follow, times the number of parts, shape (B, parts). If costs are
        the same in all parts, those from the first part on are about those of the episode; after the end nothing costs.
    """
    to_go: Floats = costs * ((1.0 - keeps) * costs.shape[1])[:, None]
    for part in range(costs.shape[1] - 2, -1, -1):
        to_go[:, part] += keeps * to_go[:, part + 1]
    return to_go
