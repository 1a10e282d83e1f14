"""What can be asked of `python -m evaluate`: its command lines and their help are derived from these dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from agents.policies.name import ModelName, parse_policy_name

Objective = Literal["mean-delay", "cold-start"]
"""What policies are compared by: the mean query delay over the horizon, or the delay of a first query."""


@dataclass(frozen=True)
class Config:
    """Compare policies in the same scenarios: how long do queries take, on average over each scenario's horizon?

    A table is printed. The folder --out receives summary.json, records.csv (a row per policy and scenario), table.md,
    delays.png and config.json. There are further commands: `python -m evaluate NAME --help` describes each, with NAME
    one of study, paper, eosdnn, mjoa-mu, speed and publish.
    """

    policies: str
    """Names of the policies, with commas between them: planners, random, or paths of trained models, which contain "/"
    or end in .zip. NAME@replan plans anew at each decision; NAME@forecast does so from the links that are expected if
    users keep their course. The name pretrained stands for the trained agent that comes with the project for the
    family. NAME@64 plans with a trained model by the best of 64 samples."""
    out: Path
    """Folder to which the results are written."""
    family: str = "multi-user"
    """Family from which scenarios are drawn: single, edge-cloud, multi-user, mobile or toy. With scenario files, it is
    the family that models were trained on, or custom."""
    scenarios: int = 50
    """Number of scenarios to draw."""
    seed: int = 1
    """Seed of the scenarios and of whatever is random in the policies."""
    decisions: Literal["joint", "two-phase"] = "joint"
    """With joint, each decision places a layer and uploads it next. With two-phase, all layers are placed before the
    first upload."""
    objective: Objective = "mean-delay"
    """Compare the mean delay of queries over the horizon, or the delay of a first query that waits for its layers."""
    scenario_file: tuple[Path, ...] = ()
    """Scenario files (YAML or JSON) to play instead of drawn scenarios."""
    networks: Literal["default", "train", "test", "all"] = "default"
    """Networks of the zoo that users have. With default, these are the networks of the family."""
    option: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")] = ()
    """Further options of the family's generator, such as num_users=4 or num_users=2,4."""
    samples: int = 0
    """Play each trained model a second time, as NAME@SAMPLES: it plans once, by the best of that many samples. With 0
    it is played only once."""
    overwrite: bool = False
    """Write into a folder that is not empty. Files of an earlier evaluation are replaced."""

    @property
    def policy_names(self) -> tuple[str, ...]:
        """The names of the policies, in the order given; after each trained model the same with samples, if asked for.

        Raises:
            ValueError: If a name is empty or is given twice, or samples are asked for where none can be drawn.
        """
        names = separate_names(self.policies)
        return names if self.samples == 0 else _with_samples(names, self.samples)

    @property
    def generator_options(self) -> dict[str, Any]:
        """The options of the generator; values that are numbers are read as numbers.

        Raises:
            ValueError: If an option is not written NAME=VALUE.
        """
        from dnnmig_env.files.named_values import named_values

        options: dict[str, Any] = {} if self.networks == "default" else {"networks": self.networks}
        return {**options, **named_values("--option", self.option)}


def separate_names(policies: str) -> tuple[str, ...]:
    """Return the names in --policies.

    Raises:
        ValueError: If a name is empty or is given twice.
    """
    names = tuple(name.strip() for name in policies.split(","))
    for index, name in enumerate(names):
        if not name:
            raise ValueError(f"--policies is {policies!r}; give names with single commas between them.")
        if name in names[:index]:
            raise ValueError(f"--policies has {name!r} twice; name every policy once.")
    return names


def _with_samples(names: tuple[str, ...], samples: int) -> tuple[str, ...]:
    if samples < 1:
        raise ValueError(f"--samples is {samples}; give 1 or more, or leave it out.")
    more: list[str] = []
    for name in names:
        model, sampled = parse_policy_name(name), f"{name}@{samples}"
        of_model = isinstance(model, ModelName) and not model.samples and sampled not in names
        more += [name, sampled] if of_model else [name]
    if not any(isinstance(parse_policy_name(name), ModelName) for name in names):
        raise ValueError(f"--samples is {samples}, but --policies names no trained model; name one or leave it out.")
    return tuple(more)
