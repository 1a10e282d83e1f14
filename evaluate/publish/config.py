"""What the command line says of how an agent is published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from agents.policies.name import PRETRAINED
from evaluate.compare.config import separate_names


@dataclass(frozen=True)
class PublishConfig:
    """Make an agent that comes with the project from a training run: its best model, and a card with its results.

    `--out` receives FAMILY.zip (card and weights alone) and FAMILY.json. --policies pretrained then means that agent.
    """

    run: tyro.conf.Positional[Path]
    """Folder of the training run."""
    out: Path = Path("agents/pretrained")
    """Folder to write to."""
    scenarios: int = 200
    """Number of scenarios to measure it in, drawn as its family draws them by default."""
    seed: int = 1
    """Seed of the scenarios and of whatever is random in the policies."""
    policies: str = "device-only,pso-ga+lmu,joint-efficiency"
    """Planners to measure beside it, with commas between."""
    samples: int = 0
    """Measure it as pretrained@SAMPLES, too: plan once by the best of so many samples. 0: do not."""
    overwrite: bool = False
    """Replace the family's agent, if there is one."""

    @property
    def checked_policies(self) -> tuple[str, ...]:
        """The planners' names, in the order given.

        Raises:
            ValueError: If a name is empty, stands there twice or is the agent's own, or a number is too small.
        """
        for option, value, least in (
            ("scenarios", self.scenarios, 1),
            ("seed", self.seed, 0),
            ("samples", self.samples, 0),
        ):
            if value < least:
                raise ValueError(f"--{option} is {value}; it must be at least {least}.")
        names = separate_names(self.policies)
        for name in names:
            if name.partition("@")[0] == PRETRAINED:
                raise ValueError(f"--policies has {name!r}, which the run's agent is to become; leave it out.")
        return names
