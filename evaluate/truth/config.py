"""What the command line says of the comparison of the model with a simulation of every query."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agents.policies.name import parse_policy_name
from evaluate.compare.config import separate_names
from evaluate.parallel import Workers


@dataclass(frozen=True)
class TruthConfig(Workers):
    """Check the model against a simulation of every single query: are its delays those that queries meet?

    The plans of policies are played in both. In each scenario, the delays that the model gives to queries at their
    starts are compared with those that the queries met. A table is printed. The folder --out receives truth.json,
    records.csv (a row per policy and scenario), table.md and truth.png. The exit status is 1 if the model is further
    off than its description allows. If the command is stopped, the same command goes on where it was.
    """

    out: Path
    """Folder to which the results are written."""
    family: str = "multi-user"
    """Family from which scenarios are drawn: single, edge-cloud, multi-user, mobile, city or toy."""
    scenarios: int = 20
    """Number of scenarios to draw."""
    policies: str = "device-only,random,pso-ga+lmu,joint-efficiency"
    """Names of the policies whose plans are played, with commas between them, as of `python -m evaluate --policies`."""
    seed: int = 1
    """Seed of the scenarios, of the policies and of the moments at which users start."""
    repetitions: int = 3
    """Number of times that each plan is simulated, with users out of step in another way each time."""
    uplink: Literal["as-drawn", "priority", "shared", "independent"] = "as-drawn"
    """How weights and query data share the uplink. With as-drawn, this is as the family says."""
    tensors_share: bool = False
    """Let tensors of one query that are on the same channel at the same time slow each other, as they do on a real one.
    In the model they do not."""
    overwrite: bool = False
    """Write into a folder that is not empty. Files of an earlier run are replaced, and a run of other settings, if it
    was stopped, is given up."""

    @property
    def policy_names(self) -> tuple[str, ...]:
        """The names of the policies, in the order given.

        Raises:
            ValueError: If a name is empty, is given twice or is no name of a policy.
        """
        names = separate_names(self.policies)
        for name in names:
            parse_policy_name(name)
        return names

    def check(self) -> None:
        """Check the numbers, and who does the work.

        Raises:
            ValueError: If a number is too small, or there are no such workers.
        """
        self.check_workers()
        for name, least in (("scenarios", 1), ("seed", 0), ("repetitions", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} is {getattr(self, name)}; it must be at least {least}.")
