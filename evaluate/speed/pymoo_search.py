"""The searches of this project beside those of pymoo, with the same objective and the same number of evaluations.

pymoo (Blank and Deb, "pymoo: Multi-Objective Optimization in Python", IEEE Access 2020) gets the compiled fitness, a
whole population per call, and the operators that its documentation recommends: for integers, its genetic algorithm with
simulated binary crossover and polynomial mutation, rounded; its particle swarm as it comes, with coordinates that stand
for nodes as in `agents.planners.swarms.pso`. What remains to compare is the search itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from agents.planners.protocol import Placement, PlacementPlanner
from agents.planners.swarms.genetic import Genetic
from agents.planners.swarms.particles import Positions, best_placement, fitnesses_s, placement_delay_s
from agents.planners.swarms.pso import Pso, nearest_nodes
from agents.planners.swarms.pso_ga import PsoGa
from dnnmig_env.arrays import Int8s
from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import PackedScenarios
from evaluate.speed.environment import FOUR_USERS

POPULATION = 100
"""Number of particles, or of members of a population."""
ITERATIONS = 200
"""Iterations after the first population, which makes 20 100 evaluations in all."""

MEAN_RUN = 16.0
"""Mean number of neighbouring layers that the first swarm of "PSO-GA from runs" puts on one node."""

COUNTERPARTS = {
    "pymoo GA": ("PSO-GA", "PSO-GA from runs", "genetic"),
    "pymoo PSO": ("PSO-GA", "PSO-GA from runs", "PSO"),
}
"""Searches of ours whose speed is compared with that of one of pymoo's."""


def measure_pymoo(repeats: int) -> dict[str, Any]:
    """Let every search place the same scenarios, one scenario per repeat.

    Returns:
        The evaluations per search and scenario. For each search, the median of evaluations per second (of wall-clock
        and of CPU time), and the migration delay of the placements that it found, on average and in each scenario. For
        each search of pymoo, how many times its evaluations per second its counterparts reach.
    """
    drawn = scenarios("multi-user", repeats, seed=1, **FOUR_USERS)
    evaluations = POPULATION * (ITERATIONS + 1)
    searches = {name: _measured(search, drawn, evaluations) for name, search in _searches().items()}
    pairs = [(ours, theirs) for theirs, counterparts in COUNTERPARTS.items() for ours in counterparts]
    return {
        "evaluations": evaluations,
        "searches": searches,
        "speed_ratios": {
            f"{ours} / {theirs}": searches[ours]["per_s"] / searches[theirs]["per_s"] for ours, theirs in pairs
        },
    }


def _searches() -> dict[str, PlacementPlanner]:
    return {
        "PSO-GA": PsoGa(swarm=POPULATION, iterations=ITERATIONS, patience=ITERATIONS),
        "PSO-GA from runs": PsoGa(swarm=POPULATION, iterations=ITERATIONS, patience=ITERATIONS, mean_run=MEAN_RUN),
        "genetic": Genetic(population=POPULATION, generations=ITERATIONS, patience=ITERATIONS),
        "PSO": Pso(swarm=POPULATION, iterations=ITERATIONS, patience=ITERATIONS),
        "pymoo GA": _pymoo_ga,
        "pymoo PSO": _pymoo_pso,
    }


def _measured(search: PlacementPlanner, drawn: list[Scenario], evaluations: int) -> dict[str, Any]:
    search(drawn[0], np.random.default_rng(0))  # compiles
    seconds, cpu_seconds, delays_s = [], [], []
    for k, scenario in enumerate(drawn):
        began_s, cpu_began_s = time.perf_counter(), time.process_time()
        placement = search(scenario, np.random.default_rng(k))
        seconds.append(time.perf_counter() - began_s)
        cpu_seconds.append(time.process_time() - cpu_began_s)
        delays_s.append(placement_delay_s(scenario, placement))
    return {
        "per_s": evaluations / float(np.median(seconds)),
        "per_cpu_s": evaluations / float(np.median(cpu_seconds)),
        "mean_delay_s": float(np.mean(delays_s)),
        "delays_s": delays_s,
    }


def _pymoo_ga(scenario: Scenario, rng: np.random.Generator) -> Placement:
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling

    rounded: dict[str, Any] = {"prob": 1.0, "eta": 3.0, "vtype": float, "repair": RoundingRepair()}
    algorithm = GA(POPULATION, sampling=IntegerRandomSampling(), crossover=SBX(**rounded), mutation=PM(**rounded))

    def search(packed: PackedScenarios, positions: Positions) -> Int8s:
        bounds: dict[str, Any] = {"xl": 0, "xu": positions.num_choices - 1, "vtype": int}
        layers = np.arange(len(positions.user))
        return _minimised(algorithm, packed, positions, lambda x: positions.choices[layers, x], bounds, rng)

    return best_placement(scenario, search)


def _pymoo_pso(scenario: Scenario, rng: np.random.Generator) -> Placement:
    from pymoo.algorithms.soo.nonconvex.pso import PSO
    from pymoo.operators.sampling.rnd import FloatRandomSampling

    algorithm = PSO(POPULATION, sampling=FloatRandomSampling())

    def search(packed: PackedScenarios, positions: Positions) -> Int8s:
        def nodes(x: Any) -> Int8s:
            particles = np.empty(x.shape, np.int8)
            nearest_nodes(np.ascontiguousarray(x), positions, particles)
            return particles

        return _minimised(algorithm, packed, positions, nodes, {"xl": 0.0, "xu": 1.0}, rng)

    return best_placement(scenario, search)


def _minimised(
    algorithm: Any,
    packed: PackedScenarios,
    positions: Positions,
    nodes: Callable[[Any], Int8s],
    bounds: dict[str, Any],
    rng: np.random.Generator,
) -> Int8s:
    """Return the best particle that an algorithm of pymoo finds; `nodes` turns its vectors (N, D) into particles."""
    from pymoo.core.problem import Problem
    from pymoo.optimize import minimize

    class MigrationDelay(Problem):  # type: ignore[misc]  # pymoo has no types
        def _evaluate(self, x: Any, out: dict[str, Any], *_: Any, **__: Any) -> None:
            values_s = np.empty(len(x))
            fitnesses_s(packed, 0, 0, positions, np.ascontiguousarray(nodes(x)), 0.0, values_s)
            out["F"] = values_s[:, None]

    problem = MigrationDelay(n_var=len(positions.user), n_obj=1, **bounds)
    evaluations = ("n_eval", POPULATION * (ITERATIONS + 1))
    result = minimize(problem, algorithm, evaluations, seed=int(rng.integers(2**31)), verbose=False)
    best: Int8s = nodes(result.X[None])[0]
    return best
