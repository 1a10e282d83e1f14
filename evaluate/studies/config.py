"""What the command line says of a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

StudyName = Literal["decisions", "algorithms", "generalisation", "ablation"]


@dataclass(frozen=True)
class StudyConfig:
    """Train agents that differ in one thing, several seeds of each, and compare their delays in the same scenarios.

    decisions: joint decisions and two-phase ones. algorithms: what is
    learned in equally many decisions. ablation: what the agent sees, whether it first imitates, how it decides.
    generalisation trains nothing: it plays one agent in scenarios unlike those it was trained on. Agents are compared
    as they are after their last step; where links change, planners plan anew at each decision.

    Tables are printed; `--out` receives table.md, study.json (figures, and a record per variant, seed and scenario),
    and runs/VARIANT-SEED of every training run. Finished runs are used again: a study that was stopped goes on.
    """

    name: tyro.conf.Positional[StudyName]
    """Which study."""
    out: Path
    """Folder to write to."""
    family: str = "multi-user"
    """Family of the scenarios: single, edge-cloud, multi-user, mobile or toy."""
    seeds: int = 3
    """Training runs of each agent, with the seeds 0, 1, ..."""
    steps: int = 100_000
    """Decisions each agent trains on; some algorithms finish the batch they have begun."""
    scenarios: int = 200
    """Number of scenarios to compare in; of generalisation, in each setting."""
    seed: int = 1
    """Seed of these scenarios, of whatever is random in policies, and of the intervals."""
    agent: str = "pretrained"
    """For generalisation: the agent, by its path or as pretrained, the one that comes with the project."""
    overwrite: bool = False
    """Replace the results of an earlier study in the folder; its training runs are kept, and used if they are alike."""

    @property
    def runs(self) -> Path:
        """Folder of the training runs."""
        return self.out / "runs"

    def check(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: If one is too small.
        """
        for name, least in (("seeds", 1), ("steps", 1), ("scenarios", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} is {getattr(self, name)}; it must be at least {least}.")
