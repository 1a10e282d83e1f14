"""What can be asked of `python -m evaluate`: its command lines and their help are derived from these dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from agents.policies.name import ModelName, parse_policy_name
from evaluate.parallel import Workers

Objective = Literal["mean-delay", "cold-start"]
"""What policies are compared by: the mean query delay over the horizon, or the delay of a first query."""

REPORT = "report.html"
"""Name of the file that --report writes."""


@dataclass(frozen=True)
class Config(Workers):
    """Compare policies in the same scenarios: how long do queries take, on average over each scenario's horizon?

    A table is printed. The folder --out receives summary.json, records.csv (a row per policy and scenario), table.md,
    delays.png and config.json. If the evaluation is stopped, the same command goes on where it was.
    """

    policies: str
    """Names of the policies, with commas between them: planners, random, or paths of trained models, which contain "/"
    or end in .zip. NAME@replan plans anew at each decision; NAME@forecast does so from the links that are expected if
    users keep their course. The name pretrained stands for the trained agent that comes with the project for the
    family. NAME@64 plans with a trained model by the best of 64 samples. Policies of your own are named
    package.module:attribute: a planner, a class with predict, or package.module:Class@FILE for a saved model of
    Stable-Baselines3 and its class."""
    out: Path
    """Folder to which the results are written."""
    family: str | None = None
    """Family from which scenarios are drawn: single, edge-cloud, multi-user, mobile, city or toy, or one of your own: a
    file such as my_family.yaml, or package.module:attribute. The default is multi-user. Scenario files say their family
    themselves."""
    scenarios: int | None = None
    """Number of scenarios to draw. The default is 50."""
    seed: int | None = None
    """Seed of the drawn scenarios. The default is 1."""
    set: str | None = None
    """A frozen set of scenarios to play instead of drawn ones, such as multi-user-v1. Gaps are then against what is
    best known of the set, too. --scenarios 10 plays only its first 10 scenarios."""
    policy_seed: int | None = None
    """Seed of whatever is random in the policies. The default is that of the scenarios, and 1 with scenario files."""
    decisions: Literal["joint", "two-phase"] = "joint"
    """With joint, each decision places a layer and uploads it next. With two-phase, all layers are placed before the
    first upload."""
    objective: Objective = "mean-delay"
    """Compare the mean delay of queries over the horizon, or the delay of a first query that waits for its layers."""
    scenario_file: tuple[Path, ...] = ()
    """Scenario files (YAML or JSON) to play instead of drawn scenarios."""
    networks: Literal["default", "train", "test", "all"] = "default"
    """Networks of the zoo that users of drawn scenarios have. With default, these are the networks of the family."""
    option: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")] = ()
    """Further options of the family's generator, such as num_users=4 or num_users=2,4."""
    samples: int = 0
    """Play each trained model a second time, as NAME@SAMPLES: it plans once, by the best of that many samples. With 0
    it is played only once."""
    save_plans: bool = False
    """Write every policy's plan of every scenario to the folder plans, and drawn scenarios to the folder scenarios, as
    JSON files. python -m dnnmig_env simulate replays them."""
    report: bool = False
    """Write report.html, too: one page with tables, plots that can be zoomed, and each policy's best and worst
    scenario. Plans are then saved as with --save-plans."""
    overwrite: bool = False
    """Write into a folder that is not empty. Files of an earlier evaluation are replaced, and one of other settings, if
    it was stopped, is given up."""

    @property
    def drawn_family(self) -> str:
        """The family from which scenarios are drawn, with the default filled in."""
        return "multi-user" if self.family is None else self.family

    @property
    def scenario_seed(self) -> int:
        """The seed of drawn scenarios, with the default filled in.

        Raises:
            ValueError: If it is negative.
        """
        return _checked_seed("--seed", 1 if self.seed is None else self.seed)

    @property
    def chosen_policy_seed(self) -> int:
        """The seed of the policies, with the default filled in.

        Raises:
            ValueError: If it is negative.
        """
        return self.scenario_seed if self.policy_seed is None else _checked_seed("--policy-seed", self.policy_seed)

    @property
    def saves_plans(self) -> bool:
        """Whether the plans are written; a report is made from them."""
        return self.save_plans or self.report

    def check_files(self) -> None:
        """Check that nothing is asked for that says how to draw scenarios, as they come from files or a frozen set.

        Raises:
            ValueError: If something is, or a file is named twice.
        """
        source = "--scenario-file" if self.scenario_file else "--set"
        drawing = {
            "--family": self.family is not None,
            "--scenarios": self.scenarios is not None and self.set is None,
            "--seed": self.seed is not None,
            "--networks": self.networks != "default",
            "--option": bool(self.option),
        }
        if self.scenario_file and self.set is not None:
            raise ValueError(f"--scenario-file and --set {self.set} both give scenarios; leave one of the two out.")
        for option, is_given in drawing.items():
            if is_given:
                hint = ", or seed the policies by --policy-seed" if option == "--seed" else ""
                raise ValueError(
                    f"{option} says how to draw scenarios, but {source} gives them; leave one of the two out{hint}."
                )
        for index, path in enumerate(self.scenario_file):
            if path in self.scenario_file[:index]:
                raise ValueError(f"--scenario-file has {str(path)!r} twice; name every file once.")

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
            ValueError: If an option is not written NAME=VALUE, or is given twice.
        """
        from dnnmig_env.files.named_values import named_values

        options = named_values("--option", self.option)
        if self.networks == "default":
            return options
        if "networks" in options:
            raise ValueError(f"--networks is {self.networks}, and --option has networks too; keep one.")
        return {"networks": self.networks, **options}


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


def _checked_seed(option: str, seed: int) -> int:
    if seed < 0:
        raise ValueError(f"{option} is {seed}; it must not be negative.")
    return seed
