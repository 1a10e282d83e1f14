"""The command `python -m dnnmig_env simulate`: carries out the plan of a file in the scenario of a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

SAME = 1e-9
"""By which part a replayed delay may differ from the one in the file, which another machine may have computed."""


@dataclass(frozen=True)
class Simulate:
    """Carry out the plan of a file in the scenario that it was made for, and say what happens.

    The users' delays and the uploads are printed as tables. The exit status is 1 if the mean delay is not the one in
    the plan's file. What such a file holds is said in dnnmig_env/simulation/plan_file/__init__.py.
    """

    scenario: Path
    """File of the scenario (YAML or JSON)."""
    plan: Path
    """File of the plan (JSON), as python -m evaluate --save-plans writes it."""

    def run(self) -> None:
        """Print what happens.

        Raises:
            ValueError: If a file cannot be read, or the plan is one of another scenario.
            UnmetError: If the delay is not what the file says.
        """
        from dnnmig_env.files.command_line import UnmetError
        from dnnmig_env.scenarios.file import load_scenario
        from dnnmig_env.simulation.plan_file import load_plan
        from dnnmig_env.simulation.simulator import simulate
        from dnnmig_env.simulation.viewer import describe

        scenario = load_scenario(self.scenario)
        saved = load_plan(self.plan, scenario)
        timeline = simulate(scenario, saved.plan)
        print(describe(timeline), end="\n\n")
        planned_s, found_s = saved.mean_delay_s, timeline.mean_delay_s
        if planned_s is None:
            print(f"mean_delay_s {found_s!r}")
        elif math.isclose(planned_s, found_s, rel_tol=SAME):
            print(f"mean_delay_s {found_s!r}, as planned")
        else:
            raise UnmetError(
                f"mean_delay_s is {found_s!r}, but {self.plan} says {planned_s!r}: the plan was changed, or made with "
                "another version of the model; remove mean_delay_s from it."
            )
