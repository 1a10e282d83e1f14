"""What can be asked of `python -m evaluate dataset`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from evaluate.compare.config import Config
from evaluate.parallel import Workers


@dataclass(frozen=True)
class DatasetConfig(Workers):
    """Record episodes of policies as Minari datasets, from which offline methods learn.

    Every policy plays the same scenarios, each once, and each policy makes a dataset of its own. With
    MINARI_DATASETS_PATH set to the folder --out, minari.load_dataset reads dnnmig/FAMILY/POLICY-v0. If the command is
    stopped, the same command goes on where it was.
    """

    policies: str
    """Names of the policies, with commas between them, as for python -m evaluate."""
    out: Path
    """Folder to which the datasets are written."""
    episodes: int | None = None
    """Number of episodes of each policy, one per scenario. The default is 50 drawn scenarios, or all that are given."""
    family: str | None = None
    """Family from which scenarios are drawn: single, edge-cloud, multi-user, mobile, city or toy, or one of your own: a
    file such as my_family.yaml, or package.module:attribute. The default is multi-user."""
    seed: int | None = None
    """Seed of the drawn scenarios. The default is 1."""
    set: str | None = None
    """A frozen set of scenarios to play instead of drawn ones, such as multi-user-v1. --episodes 10 plays only its
    first 10 scenarios."""
    policy_seed: int | None = None
    """Seed of whatever is random in the policies. The default is that of the scenarios, and 1 with scenario files."""
    decisions: Literal["joint", "two-phase"] = "joint"
    """With joint, each decision places a layer and uploads it next. With two-phase, all layers are placed before the
    first upload."""
    scenario_file: tuple[Path, ...] = ()
    """Scenario files (YAML or JSON) to play instead of drawn scenarios."""
    networks: Literal["default", "train", "test", "all"] = "default"
    """Networks of the zoo that users of drawn scenarios have. With default, these are the networks of the family."""
    option: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")] = ()
    """Further options of the family's generator, such as num_users=4 or num_users=2,4."""
    reward: Literal["shaped", "delay"] = "shaped"
    """What is recorded as reward. With shaped, an upload is credited at once with all that it saves, as in training;
    with delay, each decision costs the delay until the next one."""
    scale: Literal["device-only", "seconds"] = "device-only"
    """Record rewards as shares of the device-only delay, as in training, or in seconds."""
    overwrite: bool = False
    """Write into a folder that is not empty. Datasets of the same names are replaced, and a command of other settings,
    if it was stopped, is given up."""

    def comparison(self) -> Config:
        """Return what is asked of a comparison of the same policies in the same scenarios.

        Raises:
            ValueError: If a number of episodes is given beside scenario files, or it is less than 1.
        """
        if self.episodes is not None and self.scenario_file:
            raise ValueError(
                f"--episodes is {self.episodes}, but --scenario-file gives the scenarios, each of which is an episode; "
                "leave one of the two out."
            )
        if self.episodes is not None and self.episodes < 1:
            raise ValueError(f"--episodes is {self.episodes}; record at least 1.")
        return Config(
            policies=self.policies,
            out=self.out,
            family=self.family,
            scenarios=self.episodes,
            seed=self.seed,
            set=self.set,
            policy_seed=self.policy_seed,
            decisions=self.decisions,
            scenario_file=self.scenario_file,
            networks=self.networks,
            option=self.option,
        )
