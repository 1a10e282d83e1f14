"""What can be asked of the command `publish`; its command line and help come from this dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from agents.policies.name import PRETRAINED
from evaluate.compare.config import separate_names


@dataclass(frozen=True)
class PublishConfig:
    """Make an agent that comes with the project from the best model of a training run, and a card with its results.

    The folder --out receives FAMILY.zip (the model's card and weights only) and FAMILY.json. From then on, pretrained
    in --policies means that agent.
    """

    run: tyro.conf.Positional[Path]
    """Folder of the training run; or FAMILY.zip of an agent with its card beside it, which is measured again."""
    out: Path = Path("agents/pretrained")
    """Folder to which the agent is written."""
    scenarios: int = 200
    """Number of scenarios in which the agent is measured. They are drawn as the family draws them by default."""
    seed: int = 1
    """Seed of the scenarios and of whatever is random in the policies."""
    policies: str = "untrained,device-only,pso-ga+lmu,joint-efficiency"
    """Names of policies that are measured beside the agent, with commas between them."""
    samples: int = 0
    """Measure the agent also as pretrained@SAMPLES: it plans once, by the best of that many samples. With 0 it is
    not."""
    workers: int = 1
    """Number of processes of this machine that work at the same time. Results do not depend on it."""
    overwrite: bool = False
    """Replace the family's agent, if there is one."""

    @property
    def checked_policies(self) -> tuple[str, ...]:
        """The planners' names, in the order given.

        Raises:
            ValueError: If a name is empty, is given twice or is the agent's own, or a number is too small.
        """
        for option, value, least in (
            ("scenarios", self.scenarios, 1),
            ("seed", self.seed, 0),
            ("samples", self.samples, 0),
            ("workers", self.workers, 1),
        ):
            if value < least:
                raise ValueError(f"--{option} is {value}; it must be at least {least}.")
        names = separate_names(self.policies)
        for name in names:
            if name.partition("@")[0] == PRETRAINED:
                raise ValueError(f"--policies has {name!r}, which the run's agent is to become; leave it out.")
        return names
