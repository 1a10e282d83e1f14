"""Plans evaluated per second by the kernel, by plain Python and in local search, and the seconds that planners take."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from agents.planners.joint_efficiency.joint_efficiency import joint_efficiency
from agents.planners.local_search.chains import movable_in
from agents.planners.local_search.local_search import LocalSearch
from agents.planners.slot_zero import slot_zero_packed
from agents.planners.swarms.pso_ga import PsoGa
from dnnmig_env.compiling.threads import at_most_threads, num_threads
from dnnmig_env.families.registry import scenarios
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from evaluate.speed.environment import FOUR_USERS
from evaluate.speed.plain_python import mean_delay_s
from evaluate.speed.random_plans import random_plan
from evaluate.speed.timing import rate

SCENARIOS = 16
"""Number of scenarios in which plans are evaluated."""
PLANS = 2048
"""Number of random plans."""
EVALUATIONS = 5000
"""Number of plans that local search evaluates in a scenario."""


def measure_kernel(seconds: float, repeats: int) -> dict[str, Any]:
    """Evaluate the same random plans with the kernel and in plain Python.

    Raises:
        RuntimeError: If the relative difference of the two is more than 1e-9.
    """
    rng = np.random.default_rng(0)
    drawn = scenarios("multi-user", SCENARIOS, seed=1, **FOUR_USERS)
    which = np.arange(PLANS) % SCENARIOS
    plans = [random_plan(drawn[index], rng) for index in which]
    packed, arrays = pack(drawn), plan_arrays(plans)
    fast = mean_delays_s(packed, arrays, which)
    slow = np.array([mean_delay_s(drawn[k], plans[k]) for k in range(SCENARIOS)])
    difference = float(np.max(np.abs(fast[:SCENARIOS] / slow - 1.0)))
    if not difference <= 1e-9:
        raise RuntimeError(f"the kernel and plain Python differ by {difference:.1e}, relatively; one of them is wrong.")

    def kernel() -> int:
        mean_delays_s(packed, arrays, which)
        return PLANS

    turn = 0

    def plain() -> int:
        nonlocal turn
        turn = (turn + 1) % PLANS
        mean_delay_s(drawn[which[turn]], plans[turn])
        return 1

    threads = num_threads()
    rates = {f"kernel, {threads} threads": rate(kernel, seconds, repeats)} if threads > 1 else {}
    with at_most_threads(1):
        rates |= {"kernel, 1 thread": rate(kernel, seconds, repeats), "plain Python": rate(plain, seconds, repeats)}
    return {
        "plans_per_s": {name: vars(measured) for name, measured in rates.items()},
        "kernel_to_plain": rates["kernel, 1 thread"].per_s / rates["plain Python"].per_s,
        "relative_difference": difference,
        "uploads_per_plan": float(np.mean([plan.num_layers for plan in plans])),
    }


def measure_pso_ga(repeats: int) -> dict[str, Any]:
    """Run PSO-GA with 100 particles for 1000 iterations, without an early stop; compilation does not count."""
    search = PsoGa(swarm=100, iterations=1000, patience=1000)
    drawn = scenarios("multi-user", repeats + 1, seed=1, **FOUR_USERS)
    seconds, cpu_seconds = [], []
    for k, scenario in enumerate(drawn):
        began_s, cpu_began_s = time.perf_counter(), time.process_time()
        search(scenario, np.random.default_rng(k))
        if k > 0:  # the first compiles
            seconds.append(time.perf_counter() - began_s)
            cpu_seconds.append(time.process_time() - cpu_began_s)
    return {
        "particles": 100,
        "iterations": 1000,
        "seconds": float(np.median(seconds)),
        "longest_s": max(seconds),
        "cpu_seconds": float(np.median(cpu_seconds)),
    }


def measure_local_search(seconds: float, repeats: int) -> dict[str, Any]:
    """Anneal plans of joint efficiency, with one chain on one core, and time joint efficiency, too.

    Compilation does not count.
    """
    drawn = scenarios("multi-user", SCENARIOS, seed=1, **FOUR_USERS)
    rng = np.random.default_rng(0)
    joint_efficiency(drawn[0], rng)  # compiles
    planning_s, cpu_planning_s, starts = [], [], []
    for scenario in drawn:
        began_s, cpu_began_s = time.perf_counter(), time.process_time()
        starts.append(joint_efficiency(scenario, rng))
        planning_s.append(time.perf_counter() - began_s)
        cpu_planning_s.append(time.process_time() - cpu_began_s)
    packed_scenarios = [slot_zero_packed(scenario) for scenario in drawn]
    search, turn = LocalSearch(evaluations=EVALUATIONS, chains=1), 0

    def anneal() -> int:
        nonlocal turn
        turn = (turn + 1) % SCENARIOS
        packed = packed_scenarios[turn]
        return int(search.search(packed, movable_in(packed), [starts[turn]], rng).evaluations.sum())

    anneal()  # compiles
    return {
        "evaluations_per_s": vars(rate(anneal, seconds, repeats)),
        "joint_efficiency": {
            "seconds": float(np.median(planning_s)),
            "longest_s": max(planning_s),
            "cpu_seconds": float(np.median(cpu_planning_s)),
        },
    }
