"""What can be asked of the command `study`; its command line and help come from this dataclass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from evaluate.parallel import Workers

StudyName = Literal["decisions", "algorithms", "generalisation", "ablation"]


@dataclass(frozen=True)
class StudyConfig(Workers):
    """Train agents that differ in one thing, several seeds of each, and compare their delays in the same scenarios.

    There are four studies. "decisions" compares joint and two-phase decisions. "algorithms" compares what is learned in
    equally many decisions, or in equally many seconds. "ablation" leaves out parts of the policy network, the planner
    that it first imitates, or GRPO. "generalisation" trains nothing: it plays one agent in scenarios unlike those on
    which it was trained. Agents are compared as they are after their last step. Where links change, planners plan anew
    at each decision.

    Tables are printed. The folder --out receives table.md, study.json (figures, and a record per variant, seed and
    scenario), and the folder runs/VARIANT-SEED of every training run. If the study is stopped, the same command goes on
    where it was: finished runs are used again, and so are the scenarios that have been played.
    """

    name: tyro.conf.Positional[StudyName]
    """Name of the study."""
    out: Path
    """Folder to which the results are written."""
    family: str = "multi-user"
    """Family of the scenarios: single, edge-cloud, multi-user, mobile, city or toy."""
    seeds: int = 3
    """Number of training runs of each agent, with the seeds 0, 1, ..."""
    steps: int = 100_000
    """Number of decisions on which each agent is trained. Some algorithms finish the batch that they have begun."""
    seconds: float | None = None
    """Give every agent so many seconds to learn by itself, in place of --steps. It is trained on as many decisions as
    it learns from in that time on this machine, which is measured beforehand."""
    scenarios: int = 200
    """Number of scenarios in which agents are compared; in generalisation, for each setting."""
    seed: int = 1
    """Seed of these scenarios, of whatever is random in policies, and of the intervals."""
    agent: str = "pretrained"
    """For generalisation: the agent, given by its path, or pretrained, which is the agent that comes with the
    project."""
    overwrite: bool = False
    """Replace the results of an earlier study in the folder. Its training runs are kept, and used if they fit this
    study. One of other settings that was stopped is given up."""

    @property
    def runs(self) -> Path:
        """Folder of the training runs."""
        return self.out / "runs"

    def check(self) -> None:
        """Check the numbers, and who does the work.

        Raises:
            ValueError: If a number is too small, or there are no such workers.
        """
        self.check_workers()
        for name, least in (("seeds", 1), ("steps", 1), ("scenarios", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} is {getattr(self, name)}; it must be at least {least}.")
        if self.seconds is not None and not 0.0 < self.seconds < math.inf:
            raise ValueError(f"--seconds is {self.seconds}; it must be more than 0.")
        if self.seconds is not None and self.name == "generalisation":
            raise ValueError(f"--seconds is {self.seconds}, but generalisation trains nothing; leave it out.")
