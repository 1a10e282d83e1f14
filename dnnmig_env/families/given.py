"""Scenarios that are given as files, to train and compare on clusters of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dnnmig_env.families.draw.ranges import check_count
from dnnmig_env.scenarios.file import load_scenario
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.scenario_batch import ScenarioBatch, as_batch


@dataclass(frozen=True)
class Given:
    """Draws scenarios from files, all with the same probability. A single file gives the same scenario every time.

    Attributes:
        scenarios: Scenario files (`dnnmig_env.scenarios.file`).
        chunk: Number of scenarios that environments draw at once.

    Raises:
        ValueError: If there is no file, or one is not valid.
    """

    scenarios: tuple[str, ...]
    chunk: int = 16

    def __post_init__(self) -> None:
        check_count(self, "chunk")
        if isinstance(self.scenarios, str) or not self.scenarios:
            raise ValueError(f"scenarios is {self.scenarios!r}; give at least one scenario file in a list.")
        _ = self._loaded  # so that a file that cannot be read is refused at once

    @property
    def family(self) -> str:
        """Name of the family that the files state; custom if they differ."""
        families = {scenario.family for scenario in self._loaded}
        return families.pop() if len(families) == 1 else "custom"

    @cached_property
    def limits(self) -> Limits:
        """Sizes of the largest scenario."""
        return Limits.of(self._loaded)

    def draw(self, rng: np.random.Generator, count: int) -> ScenarioBatch:
        """Draw scenarios; see `registry.Generator`."""
        chosen = rng.integers(len(self._loaded), size=count)
        return as_batch([self._loaded[each] for each in chosen.tolist()], self.limits)

    @cached_property
    def _loaded(self) -> list[Scenario]:
        return [load_scenario(file) for file in self.scenarios]
