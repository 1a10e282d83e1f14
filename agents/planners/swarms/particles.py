"""What swarms and populations search: placements as particles, and how good each is.

A particle X is the node of every layer with weights, all users' networks concatenated (Xue et al., "EosDNN", IEEE TGCN
2022, after Lin et al., arXiv:1907.13306). Its fitness is the migration delay: the mean query delay, weighted by query
rates, with everything uploaded, contention included; `upload_weight` adds that share of the seconds that all uploads
take. Smaller is better. Particles that exceed a server's memory rank below all others, by how much they exceed it (a
reconstruction). One fitness takes O(U (L + E)).
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import astuple, fields
from typing import Any, NamedTuple

import numpy as np

from agents.planners.protocol import Placement
from agents.planners.slot_zero import movable_layers, reachable_servers, slot_zero_packed
from dnnmig_env.arrays import Floats, Int8s, Ints
from dnnmig_env.compiling.jit import jit
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.play import migration_delay_s

INFEASIBLE_S = 1e12
"""Least fitness of placements that exceed memory; no delay comes near it."""


class Positions(NamedTuple):
    """The D layers whose node a particle decides."""

    user: Ints  # (D,)
    layer: Ints  # (D,)
    choices: Int8s  # (D, S + 1): the nodes on which it may run
    num_choices: Ints  # (D,): how many of them


def positions_of(scenario: Scenario) -> Positions:
    """Return the layers that may be moved: with weights, not uploaded yet, of users who are present."""
    reachable = reachable_servers(scenario)
    users, layers = map(np.ascontiguousarray, np.nonzero(movable_layers(scenario)))  # one layout: compiled once
    choices = np.zeros((len(users), 1 + len(scenario.servers)), np.int8)
    num_choices = np.ones(len(users), np.int64)
    for position, user in enumerate(users):
        servers = np.flatnonzero(reachable[user]) + 1
        choices[position, 1 : 1 + len(servers)] = servers
        num_choices[position] += len(servers)
    return Positions(users, layers, choices, num_choices)


def best_placement(scenario: Scenario, search: Callable[[PackedScenarios, Positions], Int8s]) -> Placement:
    """Return the placement that a search finds. Layers of absent users and uploaded layers stay where they are.

    Args:
        scenario: The scenario.
        search: Returns the best particle, shape (D,), from the packed scenario, with one slot, and its positions.
    """
    packed, positions = slot_zero_packed(scenario), positions_of(scenario)
    node = packed.uploaded[0].copy()
    if len(positions.user):
        node[positions.user, positions.layer] = search(packed, positions)
    return tuple(node[user_index, : len(user.graph)].copy() for user_index, user in enumerate(scenario.users))


def placement_delay_s(scenario: Scenario, placement: Placement) -> float:
    """Return the migration delay of a placement in seconds, whether or not it fits the memory."""
    packed = slot_zero_packed(scenario)
    node = np.zeros(packed.weight_bytes.shape[1:], np.int8)
    for user, row in enumerate(placement):
        node[user, : len(row)] = row
    return float(migration_delay_s(packed, 0, 0, node, np.empty(len(node))))


def check_parameters(planner: Any, counts: tuple[str, ...], weights: tuple[str, ...] = ("upload_weight",)) -> None:
    """Check the parameters of a search.

    Args:
        planner: The planner, a dataclass.
        counts: Names of the parameters that must be at least 1.
        weights: Names of those that must not be negative; all others are probabilities.

    Raises:
        ValueError: If a parameter is out of its range; the message names it.
    """
    for field in fields(planner):
        value = getattr(planner, field.name)
        if field.name in counts:
            if value < 1:
                raise ValueError(f"{field.name} is {value!r}; it must be at least 1.")
        elif field.name in weights:
            if not 0 <= value < np.inf:
                raise ValueError(f"{field.name} is {value!r}; it must be finite and not negative.")
        elif not 0 <= value <= 1:
            raise ValueError(f"{field.name} is {value!r}; a probability lies between 0 and 1.")


def settings_type(kind: type[Any]) -> Any:
    """Return the named tuple in which compiled code takes the parameters of a search, given its dataclass.

    It has to be a global named `Settings` of the module of the dataclass, so that compiled code can be kept.
    """
    return namedtuple("Settings", [field.name for field in fields(kind)], module=kind.__module__)


def settings_of(planner: Any, settings: Any, counts: int) -> Any:
    """Return the parameters of a search as a named tuple: so many whole numbers first, then numbers."""
    values = astuple(planner)
    return settings(*map(int, values[:counts]), *map(float, values[counts:]))


@jit
def random_particles(count: int, positions: Positions, mean_run: float, rng: np.random.Generator) -> Int8s:
    """Return random particles, shape (N, D).

    Args:
        count: Number of particles, N.
        positions: The layers and their choices.
        mean_run: Mean number of neighbouring layers of a user that go to one node; 1 = every layer by itself.
        rng: Source of randomness.
    """
    particles = np.zeros((count, len(positions.user)), np.int8)
    for i in range(count):
        for k in range(len(positions.user)):
            follows = mean_run > 1.0 and k > 0 and positions.user[k] == positions.user[k - 1]
            if follows and rng.random() * mean_run >= 1.0:
                particles[i, k] = particles[i, k - 1]
            else:
                particles[i, k] = positions.choices[k, below(rng, positions.num_choices[k])]
    return particles


@jit
def fitnesses_s(
    packed: PackedScenarios,
    b: int,
    slot: int,
    positions: Positions,
    particles: Int8s,
    upload_weight: float,
    values_s: Floats,
) -> None:
    """Write the fitness of N particles; smaller is better.

    Args:
        packed: The packed scenarios.
        b: The scenario.
        slot: The time slot whose rates hold.
        positions: The layers and their choices.
        particles: Nodes, shape (N, D).
        upload_weight: Share of the total upload time to add.
        values_s: Receives the fitness, shape (N,).
    """
    node, delay_s, left_bytes = (
        packed.uploaded[b].copy(),
        np.empty(packed.num_users[b]),
        np.empty(packed.num_servers[b]),
    )
    for i in range(len(particles)):
        x = particles[i]
        values_s[i] = _fitness_s(packed, b, slot, positions, x, upload_weight, node, delay_s, left_bytes)


@jit
def _fitness_s(
    packed: PackedScenarios,
    b: int,
    slot: int,
    positions: Positions,
    x: Int8s,
    upload_weight: float,
    node: Int8s,
    delay_s: Floats,
    left_bytes: Floats,
) -> float:
    """Return a particle's fitness; the last three arrays are scratch."""
    upload_s, excess = 0.0, 0.0
    left_bytes[:] = packed.memory_bytes[b]
    for u in range(packed.num_users[b]):
        for v in range(packed.num_layers[b, u]):
            if packed.uploaded[b, u, v] != 0:
                left_bytes[packed.uploaded[b, u, v] - 1] -= packed.weight_bytes[b, u, v]
    for k in range(len(x)):
        u, v, server = positions.user[k], positions.layer[k], x[k] - 1
        node[u, v] = x[k]
        if server >= 0:
            left_bytes[server] -= packed.weight_bytes[b, u, v]
            upload_s += packed.weight_bytes[b, u, v] / packed.up_bytes_per_s[b, slot, u, server]
    for server in range(len(left_bytes)):
        if left_bytes[server] < 0.0:
            excess -= left_bytes[server]
    if excess > 0.0:
        return INFEASIBLE_S + excess
    return min(migration_delay_s(packed, b, slot, node, delay_s) + upload_weight * upload_s, INFEASIBLE_S)


@jit
def move(x: Int8s, k: int, positions: Positions, rng: np.random.Generator) -> None:
    """Move one layer of a particle to another of the nodes on which it may run."""
    others = positions.num_choices[k] - 1
    if others > 0:
        drawn = positions.choices[k, below(rng, others)]
        x[k] = positions.choices[k, others] if drawn == x[k] else drawn


@jit
def cross(x: Int8s, other: Int8s, rng: np.random.Generator) -> None:
    """Replace the segment of a particle between two random cuts by another particle's."""
    one, two = below(rng, len(x)), below(rng, len(x))
    for k in range(min(one, two), max(one, two) + 1):
        x[k] = other[k]


@jit
def below(rng: np.random.Generator, limit: int) -> int:
    """Return a random number from 0 to `limit` - 1."""
    return int(rng.random() * limit)
