"""PSO-GA: a swarm whose particles mutate and cross over looks for the placement of least migration delay (EosDNN).

Xue et al., "EosDNN: An Efficient Offloading Scheme for DNN Inference Acceleration in Local-Edge-Cloud
Collaborative Environments", IEEE Transactions on Green Communications and Networking, 2022; the operators follow its
predecessor, Lin et al., arXiv:1907.13306. A particle X is the server of every layer with weights, all users'
networks concatenated:

    X <- c2 (+) Cg(c1 (+) Cp(w (+) Mu(X), pBest), gBest)

With probability w, Mu moves one random layer to another node; with probability c1 (c2), Cp (Cg) replaces the segment
between two random cuts by that of the particle's (the swarm's) best. Over the iterations c1 and c2 go linearly from
their first to their last value; the inertia adapts to the share d of positions that differ from gBest:

    w = w_max - (w_max - w_min) * exp(d / (d - 1.01))

Fitness is the migration delay: the mean query delay, weighted by query rates, with everything uploaded, contention
included; `upload_weight` adds that share of the seconds that all uploads take. Particles that exceed a server's memory
rank below all others, by how much they exceed it. Form and operators are the papers'; the constants, the ranking of
infeasible particles and the stop when stagnant are a reconstruction.

O(swarm * iterations * U (L + E)).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import NamedTuple

import numpy as np

from agents.planners.planner import Placement
from agents.planners.present import movable_layers, present_problem, reachable_servers
from dnnmig_env.compiled import borrowed, compiled
from dnnmig_env.playback import migration_delay_s
from dnnmig_env.problem import Floats, Ints, Problem, Small
from dnnmig_env.scenario import Scenario

INFEASIBLE_S = 1e12
"""Fitness from which on a placement exceeds memory; no delay comes near it."""


class Settings(NamedTuple):
    """The parameters of `PsoGa`, for compiled code."""

    swarm: int
    iterations: int
    patience: int
    w_max: float
    w_min: float
    c1_first: float
    c1_last: float
    c2_first: float
    c2_last: float
    upload_weight: float


@dataclass(frozen=True)
class PsoGa:
    """Places layers by particle swarm optimisation with genetic operators.

    Layers of absent users and layers already uploaded stay where they are; servers out of reach are not used.

    Attributes:
        swarm: Number of particles.
        iterations: Most iterations.
        patience: Iterations without a better placement after which to stop; `iterations` to never stop early.
        w_max: Inertia (probability of mutation) far from the swarm's best.
        w_min: Inertia at the swarm's best.
        c1_first: Probability of crossing with the particle's best in the first iteration.
        c1_last: The same in the last iteration.
        c2_first: Probability of crossing with the swarm's best in the first iteration.
        c2_last: The same in the last iteration.
        upload_weight: Share of the total upload time, in seconds, to add to the fitness; 0 = delay only.

    Raises:
        ValueError: If a count is less than 1, a probability not in 0 to 1, or the weight negative.
    """

    swarm: int = 100
    iterations: int = 1000
    patience: int = 200
    w_max: float = 0.9
    w_min: float = 0.4
    c1_first: float = 0.9
    c1_last: float = 0.2
    c2_first: float = 0.4
    c2_last: float = 0.9
    upload_weight: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("swarm", "iterations", "patience"):
                if value < 1:
                    raise ValueError(f"{field.name} is {value!r}; it must be at least 1.")
            elif field.name == "upload_weight":
                if not 0 <= value < np.inf:
                    raise ValueError(f"upload_weight is {value!r}; it must be finite and not negative.")
            elif not 0 <= value <= 1:
                raise ValueError(f"{field.name} is {value!r}; a probability lies between 0 and 1.")

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Placement:
        """Return the best placement found."""
        p, positions = present_problem(scenario), positions_of(scenario)
        node = p.uploaded[0].copy()
        if len(positions.user):
            numbers = [float(value) for value in astuple(self)[3:]]
            settings = Settings(int(self.swarm), int(self.iterations), int(self.patience), *numbers)
            node[positions.user, positions.layer] = search(p, 0, 0, positions, settings, rng)
        return tuple(node[u, : len(user.graph)].copy() for u, user in enumerate(scenario.users))


class Positions(NamedTuple):
    """The D layers whose node a particle decides."""

    user: Ints  # (D,)
    layer: Ints  # (D,)
    choices: Small  # (D, S + 1): the nodes that it may run on
    num_choices: Ints  # (D,): how many of them


def positions_of(scenario: Scenario) -> Positions:
    """Return the layers that may be moved: with weights, not uploaded yet, of users who are present."""
    reachable = reachable_servers(scenario)
    users, layers = np.nonzero(movable_layers(scenario))
    choices = np.zeros((len(users), 1 + len(scenario.servers)), np.int8)
    num_choices = np.ones(len(users), np.int64)
    for position, user in enumerate(users):
        servers = np.flatnonzero(reachable[user]) + 1
        choices[position, 1 : 1 + len(servers)] = servers
        num_choices[position] += len(servers)
    return Positions(users, layers, choices, num_choices)


@compiled
def search(p: Problem, b: int, slot: int, positions: Positions, settings: Settings, rng: np.random.Generator) -> Small:
    """Return the best particle found, the node of each of D layers.

    Args:
        p: The problem.
        b: The scenario.
        slot: The time slot whose rates hold.
        positions: The layers and their choices.
        settings: The parameters of `PsoGa`.
        rng: Source of randomness.
    """
    p, swarm = borrowed(p), settings.swarm
    node, delay_s, left_bytes = p.uploaded[b].copy(), np.empty(p.num_users[b]), np.empty(p.num_servers[b])
    particles, values = np.zeros((swarm, len(positions.user)), np.int8), np.empty(swarm)
    for i in range(swarm):
        for k in range(len(positions.user)):
            particles[i, k] = positions.choices[k, _below(rng, positions.num_choices[k])]
        values[i] = _fitness_s(p, b, slot, positions, particles[i], settings.upload_weight, node, delay_s, left_bytes)
    own, own_values = particles.copy(), values.copy()
    leader = np.argmin(own_values)
    best: Small = own[leader].copy()
    best_value, since = own_values[leader], 0
    for t in range(settings.iterations):
        progress = t / max(settings.iterations - 1, 1)
        c1 = settings.c1_first + (settings.c1_last - settings.c1_first) * progress
        c2 = settings.c2_first + (settings.c2_last - settings.c2_first) * progress
        for i in range(swarm):
            x = particles[i]
            if rng.random() < adaptive_inertia(np.mean(x != best), settings.w_max, settings.w_min):
                mutate(x, positions, rng)
            if rng.random() < c1:
                cross(x, own[i], rng)
            if rng.random() < c2:
                cross(x, best, rng)
            value = _fitness_s(p, b, slot, positions, x, settings.upload_weight, node, delay_s, left_bytes)
            if value < own_values[i]:
                own[i], own_values[i] = x, value
        leader = np.argmin(own_values)
        since += 1
        if own_values[leader] < best_value:
            best[:], best_value, since = own[leader], own_values[leader], 0
        if since >= settings.patience:
            break
    if best_value >= INFEASIBLE_S:  # nothing that fits was found
        best[:] = 0
    return best


@compiled
def adaptive_inertia(differing: float, w_max: float, w_min: float) -> float:
    """Return the inertia of a particle that differs from the swarm's best in a share of its positions."""
    return float(w_max - (w_max - w_min) * np.exp(differing / (differing - 1.01)))


@compiled
def mutate(x: Small, positions: Positions, rng: np.random.Generator) -> None:
    """Move one random layer to another of its nodes (Mu)."""
    k = _below(rng, len(x))
    others = positions.num_choices[k] - 1
    if others > 0:
        drawn = positions.choices[k, _below(rng, others)]
        x[k] = positions.choices[k, others] if drawn == x[k] else drawn


@compiled
def cross(x: Small, other: Small, rng: np.random.Generator) -> None:
    """Replace the segment between two random cuts by another particle's (Cp and Cg)."""
    one, two = _below(rng, len(x)), _below(rng, len(x))
    for k in range(min(one, two), max(one, two) + 1):
        x[k] = other[k]


@compiled
def _below(rng: np.random.Generator, limit: int) -> int:
    """Return a random number from 0 to `limit` - 1."""
    return int(rng.random() * limit)


@compiled
def _fitness_s(
    p: Problem,
    b: int,
    slot: int,
    positions: Positions,
    x: Small,
    upload_weight: float,
    node: Small,
    delay_s: Floats,
    left_bytes: Floats,
) -> float:
    """Return a particle's fitness, smaller is better; the last three arrays are scratch."""
    upload_s, excess = 0.0, 0.0
    left_bytes[:] = p.memory_bytes[b]
    for u in range(p.num_users[b]):
        for v in range(p.num_layers[b, u]):
            if p.uploaded[b, u, v] != 0:
                left_bytes[p.uploaded[b, u, v] - 1] -= p.weight_bytes[b, u, v]
    for k in range(len(x)):
        u, v, server = positions.user[k], positions.layer[k], x[k] - 1
        node[u, v] = x[k]
        if server >= 0:
            left_bytes[server] -= p.weight_bytes[b, u, v]
            upload_s += p.weight_bytes[b, u, v] / p.up_bytes_per_s[b, slot, u, server]
    for server in range(len(left_bytes)):
        if left_bytes[server] < 0.0:
            excess -= left_bytes[server]
    if excess > 0.0:
        return INFEASIBLE_S + excess
    return min(migration_delay_s(p, b, slot, node, delay_s) + upload_weight * upload_s, INFEASIBLE_S)
