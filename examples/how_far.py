"""How far are plans from the best one? A bound below every plan of one user whose network is a chain.

Run it from the repository's root: `python examples/how_far.py`. It prints the mean query delay of some planners' plans
for the scenario in examples/one_phone.yaml, each beside the lower bound. The bound does not know that weights give way
to the data of queries, so no plan reaches it here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agents.planners import planner
from agents.planners.exact.lower_bound import lower_bound
from dnnmig_env.networks.preprocessing import blocks
from dnnmig_env.scenarios.file import load_scenario
from dnnmig_env.simulation.simulator import simulate

PLANNERS = ("device-only", "front-to-back", "ionn", "efficiency", "joint-efficiency", "local-search:evaluations=20000")


def main() -> None:
    """Print a row per planner."""
    scenario = load_scenario("examples/one_phone.yaml")
    (user,) = scenario.users
    scenario = replace(
        scenario, users=(replace(user, graph=blocks(user.graph), uploaded=None),)
    )  # the bound needs a chain
    least_s = lower_bound(scenario)
    print(f"no plan is below {least_s:.4f} s per query")
    for name in PLANNERS:
        plan = planner(name)(scenario, np.random.default_rng(0))
        delay_s = simulate(scenario, plan).mean_delay_s
        print(f"{name:32} {delay_s:.4f} s, {100 * (delay_s / least_s - 1):6.2f} % above the bound")


if __name__ == "__main__":
    main()
