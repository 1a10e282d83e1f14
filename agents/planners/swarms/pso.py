"""PSO: plain particle swarm optimisation, its coordinates rounded to nodes.

Kennedy and Eberhart, "Particle Swarm Optimization", ICNN 1995, with the inertia weight of Shi and Eberhart, "A Modified
Particle Swarm Optimizer", ICEC 1998: what EosDNN's PSO-GA improves on. Coordinate k of a particle lies between 0 and 1
and stands, in equal parts, for the nodes on which layer k may run. With r1 and r2 random between 0 and 1,

    V <- w V + c1 r1 (pBest - X) + c2 r2 (gBest - X), at most v_max either way
    X <- X + V, kept between 0 and 1

where w goes linearly from `w_first` to `w_last`. Nodes with neighbouring numbers have nothing in common, so the
geometry that these steps follow means little: that is why discrete swarms borrow genetic operators. Fitness is that of
`agents.planners.swarms.particles`. The way of rounding is a reconstruction.

O(swarm * iterations * U (L + E)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.planners.protocol import Placement
from agents.planners.swarms.particles import (
    INFEASIBLE_S,
    Positions,
    best_placement,
    check_parameters,
    fitnesses_s,
    settings_of,
    settings_type,
)
from dnnmig_env.arrays import Floats, Int8s
from dnnmig_env.compiling.jit import jit
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import PackedScenarios


@dataclass(frozen=True)
class Pso:
    """Places layers by particle swarm optimisation.

    Layers of absent users and layers already uploaded stay where they are; servers out of reach are not used.

    Attributes:
        swarm: Number of particles.
        iterations: Most iterations.
        patience: Iterations without a better placement after which to stop; `iterations` to never stop early.
        w_first: Inertia in the first iteration.
        w_last: Inertia in the last iteration.
        c1: Pull of the particle's best.
        c2: Pull of the swarm's best.
        v_max: Longest step of a coordinate, as a share of its range.
        upload_weight: Share of the total upload time, in seconds, to add to the fitness; 0 = delay only.

    Raises:
        ValueError: If a count is less than 1, an inertia or step not in 0 to 1, or another number negative.
    """

    swarm: int = 100
    iterations: int = 1000
    patience: int = 200
    w_first: float = 0.9
    w_last: float = 0.4
    c1: float = 2.0
    c2: float = 2.0
    v_max: float = 0.2
    upload_weight: float = 0.0

    def __post_init__(self) -> None:
        check_parameters(self, ("swarm", "iterations", "patience"), weights=("c1", "c2", "upload_weight"))

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Placement:
        """Return the best placement found."""
        settings = settings_of(self, Settings, 3)
        return best_placement(scenario, lambda packed, positions: search(packed, 0, 0, positions, settings, rng))


Settings = settings_type(Pso)
"""The parameters of `Pso`, for compiled code."""


@jit
def search(
    packed: PackedScenarios, b: int, slot: int, positions: Positions, settings: Any, rng: np.random.Generator
) -> Int8s:
    """Return the best particle found: the node of each of D layers.

    Args:
        packed: The packed scenarios.
        b: The scenario.
        slot: The time slot whose rates hold.
        positions: The layers and their choices.
        settings: The parameters of `Pso`.
        rng: Source of randomness.
    """
    swarm, size = settings.swarm, len(positions.user)
    x, velocity = rng.random((swarm, size)), np.zeros((swarm, size))
    particles, values_s = np.empty((swarm, size), np.int8), np.empty(swarm)
    own, own_s = x.copy(), np.full(swarm, np.inf)
    best: Int8s = particles[0].copy()
    best_s, since = np.inf, 0
    for t in range(settings.iterations + 1):
        nearest_nodes(x, positions, particles)
        fitnesses_s(packed, b, slot, positions, particles, settings.upload_weight, values_s)
        for i in range(swarm):
            if values_s[i] < own_s[i]:
                own[i], own_s[i] = x[i], values_s[i]
        leader = np.argmin(own_s)
        since += 1
        if own_s[leader] < best_s:
            best[:], best_s, since = particles[leader], own_s[leader], 0
        if since >= settings.patience:
            break
        progress = t / max(settings.iterations - 1, 1)
        w = settings.w_first + (settings.w_last - settings.w_first) * progress
        for i in range(swarm):
            for k in range(size):
                pull = settings.c1 * rng.random() * (own[i, k] - x[i, k])
                pull += settings.c2 * rng.random() * (own[leader, k] - x[i, k])
                velocity[i, k] = max(-settings.v_max, min(w * velocity[i, k] + pull, settings.v_max))
                x[i, k] = max(0.0, min(x[i, k] + velocity[i, k], 1.0))
    if best_s >= INFEASIBLE_S:  # nothing that fits was found
        best[:] = 0
    return best


@jit
def nearest_nodes(x: Floats, positions: Positions, particles: Int8s) -> None:
    """Write the nodes for which coordinates in 0 to 1 stand, shape (N, D)."""
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            count = positions.num_choices[k]
            particles[i, k] = positions.choices[k, min(int(x[i, k] * count), count - 1)]
