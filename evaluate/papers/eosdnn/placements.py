"""The first claim of EosDNN: PSO-GA finds placements of less migration delay than other searches and rules do.

Xue et al., IEEE TGCN 2022. All searches (PSO-GA, a genetic algorithm, PSO) get equally many evaluations; the stop when
stagnant is off. Small scenarios are also solved exactly. In scenarios of full size the best placement that any method
found stands in for the optimum.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from agents.planners import PLACEMENT_PLANNERS
from agents.planners.exact.placement import exact_placement
from agents.planners.protocol import Placement, PlacementPlanner
from agents.planners.swarms.genetic import Genetic
from agents.planners.swarms.particles import placement_delay_s
from agents.planners.swarms.pso import Pso
from agents.planners.swarms.pso_ga import PsoGa
from dnnmig_env.arrays import Floats
from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.scenario import Scenario
from evaluate.compare.statistics import delay_ratios, policy_figures
from evaluate.output.keeping import Keeper

SWARM = 100
"""Number of particles, or of members of a population."""

MEAN_RUN = 16.0
"""Mean number of neighbouring layers that the first swarm of "pso-ga from runs" puts on one node. That swarm is not
EosDNN's."""

BASELINE, OPTIMUM = "pso-ga", "optimum"
"""Names of the method to which others are compared, and of the exact solution."""

RULES = ("best-server", "dads", "greedy", "heft", "neurosurgeon")
"""Placements that search nothing."""

SMALL: dict[str, dict[str, Any]] = {
    "edge-cloud": {"num_edges": (1, 2), "max_layers": 6},
    "multi-user": {"num_users": 3, "num_edges": 2, "max_layers": 4},
}
"""Options of a family whose scenarios, of at most 18 layers and 4 nodes, can be solved exactly."""

FULL: dict[str, dict[str, Any]] = {"edge-cloud": {}, "multi-user": {}}
"""Options of a family for scenarios of full size."""


_compiled: set[str] = set()  # titles of the methods that have placed once in this process


@dataclass(frozen=True)
class Placed:
    """What one method reached in one scenario.

    Attributes:
        delay_s: Migration delay of its placement.
        planning_s: Seconds that deciding took.
    """

    delay_s: float
    planning_s: float


@dataclass(frozen=True, eq=False)
class PlacementStudy:
    """What every method reached in the same N scenarios.

    Attributes:
        family: Family of the scenarios.
        exact: Whether the optimum is among the methods.
        delays_s: Migration delays by method, shape (N,) each.
        planning_s: Seconds that deciding took, by method, shape (N,) each.
        seed: Seed of the resampling.
    """

    family: str
    exact: bool
    delays_s: Mapping[str, Floats]
    planning_s: Mapping[str, Floats]
    seed: int

    @property
    def title(self) -> str:
        """Title of the study's table."""
        count = len(self.delays_s[BASELINE])
        size = "small enough to solve exactly" if self.exact else "full size"
        return f"migration delay, {self.family}, {count} scenarios, {size}"

    def figures(self) -> dict[str, dict[str, Any]]:
        """Return the figures of every method, the method of least delay first.

        `relative_to_pso_ga` is a ratio of means. `excess` is the mean over scenarios of the delay divided by the
        optimum (or by the best delay of all methods), minus 1, and `best` the share of scenarios in which a method
        reached that. Intervals are paired bootstraps over scenarios.
        """
        by_method = policy_figures(self.delays_s, self.delays_s["device-only"], self.planning_s, self.seed)
        ratios = delay_ratios(self.delays_s, self.seed)
        return {
            name: {
                "mean_delay_s": figures.mean_delay_s,
                "ci95": figures.ci95,
                "relative_to_pso_ga": ratios[name].get(BASELINE, (1.0, 1.0, 1.0))[0],
                "relative_ci95": ratios[name].get(BASELINE, (1.0, 1.0, 1.0))[1:],
                "excess": figures.gap_to_best_known,
                "excess_ci95": figures.gap_ci95,
                "best": figures.wins,
                "planning_s": figures.planning_s,
            }
            for name, figures in sorted(by_method.items(), key=lambda item: item[1].mean_delay_s)
        }


def place_and_compare(
    count: int,
    seed: int,
    iterations: int,
    keep: Keeper = Keeper(),  # noqa: B008  immutable
) -> Iterator[PlacementStudy]:
    """Yield one study after another, first of small scenarios, then of scenarios of full size.

    Args:
        count: Scenarios per study.
        seed: Seed of the scenarios and of the searches.
        iterations: Iterations of each search.
        keep: Computes and keeps what each method reached in each scenario.
    """
    for sizes, exact in ((SMALL, True), (FULL, False)):
        for family, options in sizes.items():
            drawn = scenarios(family, count, seed, **options)
            yield _study(family, drawn, seed, methods(iterations, exact), exact, keep)


def methods(iterations: int, exact: bool) -> dict[str, PlacementPlanner]:
    """Return the methods to compare, by name; with `exact`, the optimum is one of them."""
    found: dict[str, PlacementPlanner] = {
        "device-only": _device_only,
        **{name: PLACEMENT_PLANNERS[name] for name in RULES},
        "genetic": Genetic(population=SWARM, generations=iterations, patience=iterations),
        "pso": Pso(swarm=SWARM, iterations=iterations, patience=iterations),
        BASELINE: PsoGa(swarm=SWARM, iterations=iterations, patience=iterations),
        "pso-ga from runs": PsoGa(swarm=SWARM, iterations=iterations, patience=iterations, mean_run=MEAN_RUN),
    }
    return {**found, OPTIMUM: exact_placement} if exact else found


def _study(
    family: str,
    drawn: list[Scenario],
    seed: int,
    planners: Mapping[str, PlacementPlanner],
    exact: bool,
    keep: Keeper = Keeper(),  # noqa: B008  immutable
) -> PlacementStudy:
    titles = {name: f"{family}, exact: {exact}, {name}" for name in planners}
    if keep.workers.workers > 1:  # what is compiled by this process is found on disk by all workers
        for name, planner in planners.items():
            if not all(keep.is_known(titles[name], k) for k in range(len(drawn))):
                _compile(titles[name], planner, drawn[0], seed)
    tasks = [
        (titles[name], k, partial(_placed, titles[name], planner, drawn[0], scenario, seed, k))
        for name, planner in planners.items()
        for k, scenario in enumerate(drawn)
    ]
    records = list(keep.records(tasks))
    found = {name: records[at * len(drawn) : (at + 1) * len(drawn)] for at, name in enumerate(planners)}
    delays_s = {name: np.array([each.delay_s for each in placed]) for name, placed in found.items()}
    planning_s = {name: np.array([each.planning_s for each in placed]) for name, placed in found.items()}
    return PlacementStudy(family, exact, delays_s, planning_s, seed)


def _placed(title: str, planner: PlacementPlanner, first: Scenario, scenario: Scenario, seed: int, k: int) -> Placed:
    """Return what a method reaches in scenario k; before it does so for the first time in a process, it is compiled."""
    _compile(title, planner, first, seed)
    began_s = time.perf_counter()
    placement = planner(scenario, np.random.default_rng([seed, k]))
    planning_s = time.perf_counter() - began_s
    return Placed(float(placement_delay_s(scenario, placement)), planning_s)


def _compile(title: str, planner: PlacementPlanner, scenario: Scenario, seed: int) -> None:
    """Let a method place once in this process, unless it has."""
    if title not in _compiled:
        planner(scenario, np.random.default_rng(seed))
        _compiled.add(title)


def _device_only(scenario: Scenario, rng: np.random.Generator) -> Placement:
    return tuple(np.array(user.uploaded, np.int8) for user in scenario.users)
