"""Genetic algorithm: generations of placements, selected by tournaments, crossed over and mutated.

The classic algorithm (Holland, "Adaptation in Natural and Artificial Systems", 1975; Goldberg, 1989) as a baseline of
EosDNN's PSO-GA, on the same particles and fitness (see `agents.planners.swarms.particles`) and with as many
evaluations. Each child of the next generation is made in this way:

    mother, father = winners of two tournaments, the fittest of `tournament` random members each
    child = mother, with probability `crossover` the segment between two random cuts taken from father (two-point)
    every layer of child moves to another node with probability `mutations` / D

The fittest of members and children together are the next generation (elitism, in its strongest form). Operators are
textbook ones, the constants a reconstruction: publications that compare with a genetic algorithm rarely tell theirs.

O(population * generations * U (L + E)).
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
from dnnmig_env.arrays import Floats, Int8s
from dnnmig_env.compiling.jit import jit
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import PackedScenarios


@dataclass(frozen=True)
class Genetic:
    """Places layers by a genetic algorithm.

    Layers of absent users and layers already uploaded stay where they are; servers out of reach are not used.

    Attributes:
        population: Number of members.
        generations: Most generations after the first one, which is random.
        patience: Generations without a better placement after which to stop; `generations` to never stop early.
        tournament: Members that compete to become a parent.
        crossover: Probability that a child has two parents.
        mutations: Mean number of layers of a child that move.
        upload_weight: Share of the total upload time, in seconds, to add to the fitness; 0 = delay only.
        mean_run: As in `PsoGa`.

    Raises:
        ValueError: If a count or `mean_run` is less than 1, the probability not in 0 to 1, or a number negative.
    """

    population: int = 100
    generations: int = 1000
    patience: int = 200
    tournament: int = 2
    crossover: float = 0.9
    mutations: float = 1.0
    upload_weight: float = 0.0
    mean_run: float = 1.0

    def __post_init__(self) -> None:
        counts = ("population", "generations", "patience", "tournament", "mean_run")
        check_parameters(self, counts, weights=("mutations", "upload_weight"))

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Placement:
        """Return the best placement found."""
        settings = settings_of(self, Settings, 4)
        return best_placement(scenario, lambda packed, positions: search(packed, 0, 0, positions, settings, rng))


Settings = settings_type(Genetic)
"""The parameters of `Genetic`, for compiled code."""


@jit
def search(
    packed: PackedScenarios, b: int, slot: int, positions: Positions, settings: Any, rng: np.random.Generator
) -> Int8s:
    """Return the fittest member found: the node of each of D layers.

    Args:
        packed: The packed scenarios.
        b: The scenario.
        slot: The time slot whose rates hold.
        positions: The layers and their choices.
        settings: The parameters of `Genetic`.
        rng: Source of randomness.
    """
    size = settings.population
    members, values_s = (
        random_particles(2 * size, positions, settings.mean_run, rng),
        np.empty(2 * size),
    )  # children in the second half
    fitnesses_s(packed, b, slot, positions, members[:size], settings.upload_weight, values_s[:size])
    since, rate = 0, settings.mutations / members.shape[1]
    for _ in range(settings.generations):
        for i in range(size, 2 * size):
            child = members[i]
            child[:] = members[_winner(values_s[:size], settings.tournament, rng)]
            if rng.random() < settings.crossover:
                cross(child, members[_winner(values_s[:size], settings.tournament, rng)], rng)
            for k in range(len(child)):
                if rng.random() < rate:
                    move(child, k, positions, rng)
        fitnesses_s(packed, b, slot, positions, members[size:], settings.upload_weight, values_s[size:])
        since = 0 if values_s[size:].min() < values_s[:size].min() else since + 1
        fittest_first = np.argsort(values_s)
        members, values_s = members[fittest_first], values_s[fittest_first]
        if since >= settings.patience:
            break
    fittest = np.argmin(values_s[:size])
    best: Int8s = members[fittest]
    if values_s[fittest] >= INFEASIBLE_S:  # nothing that fits was found
        best[:] = 0
    return best


@jit
def _winner(values_s: Floats, tournament: int, rng: np.random.Generator) -> int:
    """Return the fittest of some random members."""
    best = below(rng, len(values_s))
    for _ in range(tournament - 1):
        other = below(rng, len(values_s))
        if values_s[other] < values_s[best]:
            best = other
    return best
