"""Calls everything compiled that planners and agents need, for `dnnmig_env.compile_ahead`."""

from __future__ import annotations

import numpy as np

from agents.planners import ORDER_PLANNERS, PLACEMENT_PLANNERS, PLANNERS, planner
from agents.policies.policy import resolve_policy
from dnnmig_env.compile_ahead import SMALL
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.simulation.simulator import simulate

QUICK = {
    "genetic": "genetic:population=4:generations=2",
    "pso": "pso:swarm=4:iterations=2",
    "pso-ga": "pso-ga:swarm=4:iterations=2",
}
"""Placements that take long, with settings that do not."""


def planners() -> None:
    """Call every planner, and every placement with every order."""
    (scenario,) = scenarios("edge-cloud", 1, seed=1, num_users=2, **SMALL)
    first = next(iter(ORDER_PLANNERS))
    names = [*PLANNERS, "exact", *(f"{QUICK.get(name, name)}+{first}" for name in PLACEMENT_PLANNERS)]
    names += [f"best-server+{name}" for name in ORDER_PLANNERS]
    for name in names:
        if name not in ("local-search", "pso-ga+lmu"):
            timeline = simulate(scenario, planner(name)(scenario, np.random.default_rng(0)))
            timeline.figures()
            timeline.query(0, 0.0)


def searches() -> None:
    """Call local search, plans by the batch and by forecast."""
    (scenario,) = scenarios("edge-cloud", 1, seed=1, num_users=2, **SMALL)
    planner("local-search:evaluations=200")(scenario, np.random.default_rng(0))
    for moves in (False, True):
        env = MigrationVectorEnv(1, make_generator("mobile", moves=moves, **SMALL))
        for name in ("joint-efficiency@forecast", "exact:first_slot=true", "local-search:evaluations=200@clairvoyant"):
            observations, _ = env.reset(seed=0)
            try:
                resolve_policy(name, env, 0).predict(observations)
            except ValueError:  # a scenario too large for exact search has been compiled for, too
                continue
