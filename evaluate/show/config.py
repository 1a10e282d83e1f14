"""What can be asked of `python -m evaluate show`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from evaluate.compare.config import Config

MOST_POLICIES = 3
"""Most policies for which the pictures have room."""

MOST_FRAMES = 300
"""Most frames of an animation, which is then about 10 MB."""


@dataclass(frozen=True)
class ShowConfig:
    """Show what policies do in one and the same scenario: when they send what, how long queries take, where all lies.

    The folder --out receives uploads.png (the uploads of each policy over time, one above the other), delays.png (how
    long queries of each user take over time), the plans as files, and config.json. Where users move, map.gif shows them
    on the map, with what each server holds and the weights that are on their way.
    """

    policies: str
    """Names of one to three policies, with commas between them, as for python -m evaluate."""
    out: Path
    """Folder to which the results are written."""
    family: str | None = None
    """Family from which the scenario is drawn: single, edge-cloud, multi-user, mobile, city, toy or a family
    file. The default is multi-user."""
    seed: int | None = None
    """Seed of the drawn scenario, the first one that python -m evaluate draws with this seed. The default is 1."""
    policy_seed: int | None = None
    """Seed of whatever is random in the policies. The default is that of the scenario, and 1 with a scenario file."""
    scenario_file: Path | None = None
    """Scenario file (YAML or JSON) to play instead of a drawn scenario."""
    option: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")] = ()
    """Further options of the family's generator, such as num_users=4 or num_users=2,4."""
    frames: int = 100
    """Number of frames of map.gif, each of which shows an equal part of the horizon. With 0 there is no map.gif."""
    overwrite: bool = False
    """Write into a folder that is not empty. Files of an earlier run are replaced."""

    def comparison(self) -> Config:
        """Return what is asked of a comparison of the same policies in the same scenario.

        Raises:
            ValueError: If there are too many policies, or too few or too many frames.
        """
        config = Config(
            policies=self.policies,
            out=self.out,
            family=self.family,
            scenarios=1 if self.scenario_file is None else None,
            seed=self.seed,
            policy_seed=self.policy_seed,
            scenario_file=() if self.scenario_file is None else (self.scenario_file,),
            option=self.option,
            save_plans=True,
            overwrite=self.overwrite,
        )
        if len(config.policy_names) > MOST_POLICIES:
            raise ValueError(
                f"--policies has {len(config.policy_names)} names; the pictures have room for {MOST_POLICIES}: leave "
                "some out."
            )
        if not 0 <= self.frames <= MOST_FRAMES:
            raise ValueError(f"--frames is {self.frames}; give 0 to {MOST_FRAMES}.")
        return config
