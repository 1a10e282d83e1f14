"""PSO-GA: a swarm whose particles mutate and cross over looks for the placement of least migration delay (EosDNN).

Xue et al., "EosDNN: An Efficient Offloading Scheme for DNN Inference Acceleration in Local-Edge-Cloud Collaborative
Environments", IEEE Transactions on Green Communications and Networking, 2022; the operators follow its predecessor, Lin
et al., arXiv:1907.13306. Particles and their fitness are those of `agents.planners.swarms.particles`.

    X <- c2 (+) Cg(c1 (+) Cp(w (+) Mu(X), pBest), gBest)

With probability w, Mu moves one random layer to another node; with probability c1 (c2), Cp (Cg) replaces the segment
between two random cuts by that of the particle's (the swarm's) best. Over the iterations c1 and c2 go linearly from
their first to their last value; the inertia adapts to the share d of positions that differ from gBest:

    w = w_max - (w_max - w_min) * exp(d / (d - 1.01))

Form and operators are the papers'; the constants and the stop when stagnant are a reconstruction. A first swarm that
puts neighbouring layers on the same node (`mean_run`) is ours: cuts cost transfers, and from a swarm that cuts
everywhere the search rarely gets rid of them all.

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
    below,
    best_placement,
    check_parameters,
    cross,
    fitnesses_s,
    move,
    random_particles,
    settings_of,
    settings_type,
)
from dnnmig_env.arrays import Int8s
from dnnmig_env.compiling.jit import jit
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import PackedScenarios


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
        mean_run: Mean number of neighbouring layers that the first swarm puts on one node: 1, as in the papers, places
            every layer by itself. With 16 the first swarm hardly cuts networks, and what is found is much better.

    Raises:
        ValueError: If a count or `mean_run` is less than 1, a probability not in 0 to 1, or the weight negative.
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
    mean_run: float = 1.0

    def __post_init__(self) -> None:
        check_parameters(self, counts=("swarm", "iterations", "patience", "mean_run"))

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Placement:
        """Return the best placement found."""
        settings = settings_of(self, Settings, 3)
        return best_placement(scenario, lambda packed, positions: search(packed, 0, 0, positions, settings, rng))


Settings = settings_type(PsoGa)
"""The parameters of `PsoGa`, for compiled code."""


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
        settings: The parameters of `PsoGa`.
        rng: Source of randomness.
    """
    swarm = settings.swarm
    particles, values_s = random_particles(swarm, positions, settings.mean_run, rng), np.empty(swarm)
    fitnesses_s(packed, b, slot, positions, particles, settings.upload_weight, values_s)
    own, own_s = particles.copy(), values_s.copy()
    leader = np.argmin(own_s)
    best: Int8s = own[leader].copy()
    best_s, since = own_s[leader], 0
    for t in range(settings.iterations):
        progress = t / max(settings.iterations - 1, 1)
        c1 = settings.c1_first + (settings.c1_last - settings.c1_first) * progress
        c2 = settings.c2_first + (settings.c2_last - settings.c2_first) * progress
        for i in range(swarm):
            x = particles[i]
            if rng.random() < adaptive_inertia(np.mean(x != best), settings.w_max, settings.w_min):
                move(x, below(rng, len(x)), positions, rng)
            if rng.random() < c1:
                cross(x, own[i], rng)
            if rng.random() < c2:
                cross(x, best, rng)
        fitnesses_s(packed, b, slot, positions, particles, settings.upload_weight, values_s)
        for i in range(swarm):
            if values_s[i] < own_s[i]:
                own[i], own_s[i] = particles[i], values_s[i]
        leader = np.argmin(own_s)
        since += 1
        if own_s[leader] < best_s:
            best[:], best_s, since = own[leader], own_s[leader], 0
        if since >= settings.patience:
            break
    if best_s >= INFEASIBLE_S:  # nothing that fits was found
        best[:] = 0
    return best


@jit
def adaptive_inertia(differing: float, w_max: float, w_min: float) -> float:
    """Return the inertia of a particle that differs from the swarm's best in a share of its positions."""
    return float(w_max - (w_max - w_min) * np.exp(differing / (differing - 1.01)))
