"""Learns from drawn scenarios where users go next, before a policy learns to decide (`policy_networks.next_cells`).

Nothing has to be planned or played for that: scenarios are drawn from the family, and each moment of each user in them
is an example. What came later is the label. Scenarios in which policies are compared are never among them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agents.policy_networks.next_cells import NextCells
from agents.policy_networks.whole import geometry
from dnnmig_env.arrays import Bools, Float32s, Floats, Ints
from dnnmig_env.families.registry import Generator
from dnnmig_env.simulation.packed import PackedScenarios

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

LATER_S = 20.0
"""How many seconds later the second label looks; at least one slot."""

BATCH_SIZE, LEARNING_RATE = 512, 3e-3
"""Examples in each gradient step, and the step size of Adam at first, which falls to 0."""

SCENARIOS, TESTED = 400, 50
"""Number of scenarios from which is learned, and of those in which it is tested."""

UNKNOWN = -100
"""Label of what nobody will know, as the scenario ends before; it counts for nothing."""


class Moments(NamedTuple):
    """N moments of users who are present.

    Attributes:
        courses: Positions and velocities as observations have them, shape (N, 4).
        places: Positions of the servers, shape (N, S, 2).
        home: The server in whose cell the user is, 1 to S, or 0 if all users share one cell, shape (N,).
        exists: Whether there is such a server, shape (N, S).
        labels: The next cell and the later one, 0 to S - 1, S for none, or `UNKNOWN`, shape (N, 2).
    """

    courses: Float32s
    places: Float32s
    home: Ints
    exists: Bools
    labels: Ints


def learn_next_cells(
    model: BaseAlgorithm, generator: Generator, seed: int, steps: int, on_step: Callable[[], object] = lambda: None
) -> float | None:
    """Let the policy of a model learn where users go next; return the share of next cells that it then names.

    The share is of moments of other scenarios, in which somebody does go to another cell.

    Args:
        model: The model. Nothing is done if its policy predicts no cells.
        generator: Generator of the scenarios.
        seed: Seed of the scenarios and of the order in which they are learned from.
        steps: Number of gradient steps.
        on_step: Called after each of them.

    Returns:
        The share, or None if nothing was done, or nobody goes to another cell.
    """
    policy: Any = model.policy
    networks = [module for module in policy.modules() if isinstance(module, NextCells)]
    if not networks or steps == 0:
        return None
    first, rng = networks[0], np.random.default_rng(seed)
    learned_from, tested = (drawn_moments(generator, rng, count) for count in (SCENARIOS, TESTED))
    optimizer = torch.optim.Adam(first.parameters(), lr=LEARNING_RATE)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1.0 - step / steps)
        at = rng.integers(len(learned_from.home), size=BATCH_SIZE)
        optimizer.zero_grad()
        predicted, labels = _predicted(first, learned_from, at, policy.device)
        functional.cross_entropy(predicted, labels, ignore_index=UNKNOWN).backward()
        optimizer.step()
        on_step()
    for other in networks[1:]:
        other.load_state_dict(first.state_dict())
    return _share_right(first, tested, policy.device)


def drawn_moments(generator: Generator, rng: np.random.Generator, count: int) -> Moments:
    """Return all moments of users in `count` drawn scenarios (a few more, if the generator's chunks ask for it)."""
    parts: list[Moments] = []
    for _ in range(-(-count // generator.chunk)):
        packed = generator.draw(rng, generator.chunk).packed
        parts += [_moments(packed, row) for row in range(generator.chunk)]
    return Moments(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _moments(packed: PackedScenarios, row: int) -> Moments:
    """Return the moments of a scenario."""
    slots, users, servers = (int(each[row]) for each in (packed.num_slots, packed.num_users, packed.num_servers))
    home = packed.home[row, :slots, :users].astype(np.int64)
    present = packed.query_rate_hz[row, :slots, :users] > 0
    edges_s = packed.slot_edges_s[row, : slots + 1]
    most = packed.server_positions.shape[1]
    following, later = next_cells(home, present), later_cells(home, present, edges_s)
    labels = np.stack([following, later], axis=-1)
    labels = np.where(labels == 0, most, np.where(labels > 0, labels - 1, UNKNOWN))
    slot, user = np.nonzero(present)
    courses = [packed.user_positions[row, slot, user], 10.0 * packed.user_velocities[row, slot, user]]
    places = np.broadcast_to(packed.server_positions[row], (len(slot), most, 2))
    exists = np.broadcast_to(np.arange(most) < servers, (len(slot), most))
    return Moments(
        np.clip(np.concatenate(courses, axis=1), -1.0, 1.0).astype(np.float32),
        places.astype(np.float32),
        home[slot, user],
        exists,
        labels[slot, user],
    )


def next_cells(home: Ints, present: Bools) -> Ints:
    """Return the cell that each user enters next.

    Args:
        home: Cell (1..S) of each user in each slot, shape (T, U).
        present: Whether the user is present then, shape (T, U).

    Returns:
        Cells, 0 if the user leaves before it enters another one, and -1 if the scenario ends before, shape (T, U).
    """
    found = np.full(home.shape, -1)
    for slot in range(len(home) - 2, -1, -1):
        changes = present[slot + 1] & (home[slot + 1] != home[slot])
        found[slot] = np.where(changes, home[slot + 1], np.where(present[slot + 1], found[slot + 1], 0))
    return found


def later_cells(home: Ints, present: Bools, edges_s: Floats) -> Ints:
    """Return the cell in which each user is `LATER_S` later, or in the next slot if that begins later.

    Args:
        home: Cell (1..S) of each user in each slot, shape (T, U).
        present: Whether the user is present then, shape (T, U).
        edges_s: Starts of the slots and the horizon, shape (T + 1,).

    Returns:
        Cells, 0 if the user is absent then, and -1 if the scenario ends before, shape (T, U).
    """
    slots = len(home)
    then = np.searchsorted(edges_s[:-1], edges_s[:-1] + LATER_S, side="right") - 1
    then = np.maximum(then, np.arange(slots) + 1)
    within = (edges_s[:-1] + LATER_S < edges_s[-1]) & (then < slots)
    seen = np.minimum(then, slots - 1)
    return np.where(within[:, None], np.where(present[seen], home[seen], 0), -1)


def _predicted(network: NextCells, moments: Moments, at: Ints, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return logarithmic probabilities, shape (N, S + 1, 2), and labels, shape (N, 2), of some moments."""
    parts = (moments.courses, moments.places, moments.exists, moments.labels)
    courses, places, exists, labels = (torch.as_tensor(np.array(part[at])).to(device) for part in parts)
    number = torch.as_tensor(moments.home[at]).to(device)  # 0 where all share one cell, as in observations
    home = functional.one_hot(number, places.shape[1] + 1)[:, 1:].to(courses.dtype)
    going = torch.stack(geometry(courses, places, home), dim=-1)
    return network(courses, places, home, going, exists).transpose(1, 2), labels


def _share_right(network: NextCells, moments: Moments, device: torch.device) -> float | None:
    """Return the share of next cells that are named rightly, where there is one; None if there is none at all."""
    (moving,) = np.nonzero((moments.labels[:, 0] >= 0) & (moments.labels[:, 0] < moments.places.shape[1]))
    if not len(moving):
        return None
    right = 0
    with torch.no_grad():
        for at in np.array_split(moving, max(1, len(moving) // 4096)):
            predicted, labels = _predicted(network, moments, at, device)
            right += int((predicted[:, :-1, 0].argmax(1) == labels[:, 0]).sum())
    return right / len(moving)
