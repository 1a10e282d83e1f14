"""The scenarios in which policies are compared: drawn from a family, or read from files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.policies.name import PRETRAINED, ModelName, parse_policy_name
from dnnmig_env.families.registry import Generator, is_family, make_generator
from dnnmig_env.families.registry import scenarios as drawn_scenarios
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits, pack
from evaluate.compare.config import Config
from evaluate.sets.frozen import FrozenSet, load_set

NAMED_FILES = 3
"""Most files that a title names one by one."""


@dataclass(frozen=True, eq=False)
class Given:
    """The scenarios of a comparison.

    Attributes:
        limits: Sizes of the environment in which all of them can be played.
        scenarios: The scenarios, N of them.
        family: Their family; None if they come from files of none, or of several.
        files: The file of each, in the same order; empty if they were drawn.
        generator: What drew them; None if they come from files. For a frozen set, what draws others in the same town.
        frozen: The frozen set of which they are, if they are of one; `files` then names its files.
    """

    limits: Limits
    scenarios: Sequence[Scenario]
    family: str | None
    files: tuple[str, ...]
    generator: Generator | None = None
    frozen: FrozenSet | None = None

    def digest(self) -> str:
        """Return a number in hexadecimal digits that differs wherever any of the scenarios differs."""
        content = hashlib.sha256()
        for scenario in self.scenarios:
            for array in pack([scenario], self.limits):
                content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()


def given_scenarios(config: Config, count_option: str = "--scenarios") -> Given:
    """Draw or read the scenarios that a command line asks for.

    Args:
        config: What it asks for.
        count_option: How it calls the number of scenarios.

    Raises:
        ValueError: If it asks for what does not exist, or for both drawn scenarios and files.
    """
    if config.scenario_file:
        return _read(config)
    if config.set is not None:
        config.check_files()
        frozen = load_set(config.set, config.scenarios, called=count_option)
        family = frozen.scenarios[0].family
        limits, town = Limits.of(frozen.scenarios), _town(frozen)
        return Given(limits, frozen.scenarios, family, frozen.files, town, frozen)
    scenarios = 50 if config.scenarios is None else config.scenarios
    if scenarios < 1:
        raise ValueError(f"{count_option} is {scenarios}; evaluate at least 1.")
    options = config.generator_options
    drawn = drawn_scenarios(config.drawn_family, scenarios, config.scenario_seed, **options)
    generator = make_generator(config.drawn_family, **options)
    return Given(generator.limits, drawn, generator.family, (), generator)


def _town(frozen: FrozenSet) -> Generator | None:
    """Return the generator of a frozen set's family if it has one town, which is that of the set, else None."""
    mobility, family = frozen.scenarios[0].mobility, frozen.scenarios[0].family
    generator: Any = make_generator(family) if is_family(family) else None
    if mobility is None or not hasattr(generator, "ground"):
        return None
    edges_m = generator.ground().edges_m
    there_m = np.asarray(mobility.server_positions_m)[: len(edges_m)]  # the cloud comes last
    is_there = there_m.shape == edges_m.shape and np.allclose(there_m, edges_m, rtol=1e-4)  # it has six digits
    return generator if is_there else None


def title_of(
    count: int, seed: int | None, family: str | None, files: Sequence[str] = (), set_name: str | None = None
) -> str:
    """Return how a title names scenarios.

    Args:
        count: How many they are.
        seed: The seed with which they were drawn, if they were.
        family: The family from which they were drawn, if they were.
        files: The file of each, if they come from files: the title has each without its folder, or the first, the last
            and how many.
        set_name: The frozen set of which they are, if they are of one.
    """
    scenarios = f"{count} scenario{'' if count == 1 else 's'}"
    if set_name is not None:
        return f"{set_name}: {scenarios}"
    if not files:
        return f"{family}: {scenarios}, seed {seed}"
    names = [Path(file).name for file in files]
    if len(names) == 1:
        return names[0]
    listed = ", ".join(names) if len(names) <= NAMED_FILES else f"{names[0]} ... {names[-1]}"
    return f"{len(names)} scenario files ({listed})"


def _read(config: Config) -> Given:
    from dnnmig_env.scenarios.file import load_scenario

    config.check_files()
    scenarios = [load_scenario(path) for path in config.scenario_file]
    families = sorted({scenario.family for scenario in scenarios})
    family = families[0] if len(families) == 1 and is_family(families[0]) else None
    if family is None:
        for text in config.policy_names:
            name = parse_policy_name(text)
            if isinstance(name, ModelName) and name.model == PRETRAINED:
                raise ValueError(
                    f"--policies has {text!r}, the agent of a family, but the family of the scenario files is "
                    f"{' or '.join(map(repr, families))}; name a model's file, such as "
                    "agents/pretrained/multi-user.zip, or write `family: multi-user` in the files."
                )
    return Given(Limits.of(scenarios), scenarios, family, tuple(map(str, config.scenario_file)))
