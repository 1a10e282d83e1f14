"""Plans evaluated per second by the kernel and by plain Python, and the seconds that PSO-GA takes."""

from __future__ import annotations

import time
from typing import Any

import numba
import numpy as np

from agents.planners.pso_ga import PsoGa
from dnnmig_env.generators import scenarios
from dnnmig_env.playback import mean_delays_s, plan_arrays
from dnnmig_env.problem import pack
from evaluate.benchmark.environment import FOUR_USERS
from evaluate.benchmark.plain_python import mean_delay_s
from evaluate.benchmark.random_plans import random_plan
from evaluate.benchmark.timing import rate

SCENARIOS = 16
PLANS = 2048


def measure_kernel(seconds: float, repeats: int) -> dict[str, Any]:
    """Evaluate the same random plans both ways.

    Raises:
        RuntimeError: If the two disagree by more than 1e-9, relatively.
    """
    rng = np.random.default_rng(0)
    drawn = scenarios("multi-user", SCENARIOS, seed=1, **FOUR_USERS)
    which = np.arange(PLANS) % SCENARIOS
    plans = [random_plan(drawn[index], rng) for index in which]
    problem, arrays = pack(drawn), plan_arrays(plans)
    fast = mean_delays_s(problem, arrays, which)
    slow = np.array([mean_delay_s(drawn[k], plans[k]) for k in range(SCENARIOS)])
    difference = float(np.max(np.abs(fast[:SCENARIOS] / slow - 1.0)))
    if not difference <= 1e-9:
        raise RuntimeError(f"the kernel and plain Python differ by {difference:.1e}, relatively; one of them is wrong.")

    def kernel() -> int:
        mean_delays_s(problem, arrays, which)
        return PLANS

    turn = 0

    def plain() -> int:
        nonlocal turn
        turn = (turn + 1) % PLANS
        mean_delay_s(drawn[which[turn]], plans[turn])
        return 1

    threads = numba.get_num_threads()
    rates = {f"kernel, {threads} threads": rate(kernel, seconds, repeats)} if threads > 1 else {}
    numba.set_num_threads(1)
    rates |= {"kernel, 1 thread": rate(kernel, seconds, repeats), "plain Python": rate(plain, seconds, repeats)}
    numba.set_num_threads(threads)
    return {
        "plans_per_s": {name: vars(measured) for name, measured in rates.items()},
        "kernel_to_plain": rates["kernel, 1 thread"].per_s / rates["plain Python"].per_s,
        "relative_difference": difference,
        "uploads_per_plan": float(np.mean([plan.num_layers for plan in plans])),
    }


def measure_pso_ga(repeats: int) -> dict[str, Any]:
    """Run PSO-GA with 100 particles through 1000 iterations, never stopping early; seconds after compilation."""
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
