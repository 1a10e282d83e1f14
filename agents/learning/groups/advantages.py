"""Advantages of GRPO: by how much less a rollout costs than the others of its group, from some time on.

A decision is about a user, and "stop" about all of them. Where users have little to do with each other, what others
cost says little of the decision and is most of what makes its return noisy. So their costs may be given less weight.
"""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Floats

BINS = 256
"""Number of equal parts of an episode's time in which costs are added up, if decisions are judged by what follows."""

LEAST_SPREAD = 1e-3
"""Added to the standard deviation of a group's costs, as shares of the device-only cost: what differs by less than this
is hardly learned from."""


def group_advantages(costs: Floats, group_size: int, others: float = 1.0) -> Floats:
    """Return by how much less than its group's mean each episode costs, in standard deviations of the group.

    Args:
        costs: Cost of each user in each episode, or of what follows the beginning of each part of its time, groups side
            by side, as shares of the device-only cost of all users, shape (B, parts, U).
        group_size: Number of episodes in a group, K.
        others: Weight of the costs of other users than that about whom the decision is.

    Returns:
        The advantages of decisions about each user, and at last those of "stop", which are the mean over users who cost
        anything, shape (B, parts, U + 1). The standard deviation is the root of the variances' mean over all parts and
        users, so that parts in which rollouts hardly differ weigh little.
    """
    groups = costs.reshape(-1, group_size, *costs.shape[1:])
    less = groups.mean(axis=1, keepdims=True) - groups
    of_all = less.sum(axis=3, keepdims=True)
    of_users = less + others * (of_all - less)
    comes = (groups != 0).any(axis=(1, 2), keepdims=True)
    counts = np.maximum(comes.sum(axis=3, keepdims=True), 1)
    share = 1.0 / counts + others * (1.0 - 1.0 / counts)  # of the advantage of all in the mean over users
    variances = (comes * of_users**2).sum(axis=3, keepdims=True) / counts
    spread = np.sqrt(variances.mean(axis=(1, 2), keepdims=True))
    advantages: Floats = np.concatenate([of_users, share * of_all], axis=3) / (spread + share * LEAST_SPREAD)
    return advantages.reshape(*costs.shape[:2], -1)


def costs_to_go(costs: Floats, keeps: Floats) -> Floats:
    """Return what an episode costs from each part of its time on, where later parts weigh less.

    Args:
        costs: Costs in each part, shape (B, parts, U).
        keeps: Weight of a part by that of the part before it, 0 to 1, shape (B,); with 1, nothing is forgotten.

    Returns:
        Weighted sums of the costs of the parts that follow, of the same shape; after the end nothing costs. Seen from
        the first part, the weights of all parts add up to their number: if costs are the same in all parts, those from
        the first part on are those of the episode, however long costs are remembered.
    """
    parts = costs.shape[1]
    weights = keeps[:, None] ** np.arange(parts)
    to_go: Floats = costs * (parts / weights.sum(axis=1))[:, None, None]
    for part in range(parts - 2, -1, -1):
        to_go[:, part] += keeps[:, None] * to_go[:, part + 1]
    return to_go
