"""The study that trains nothing: how well does an agent do in scenarios unlike those on which it was trained?

The weights of a policy network do not depend on the numbers of users, layers and servers, so it may act where there are
more of them than it has ever seen. Whether it is still good there is measured against planners, which were never
trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dnnmig_env.arrays import Floats
from dnnmig_env.families.registry import make_generator, options_of, scenarios
from evaluate.compare.record import Record
from evaluate.compare.statistics import delay_ratios
from evaluate.output.journal import Journal
from evaluate.studies.config import StudyConfig
from evaluate.studies.playing import played_s
from evaluate.studies.variants import PLANNERS

AGENT = "agent"
"""Name of the agent in the results."""

MORE_USERS, MORE_EDGES, MORE_LAYERS = 12, 2, 32
"""Numbers of the unusual settings: of users, of edges beyond the family's most, and of layers per network."""

HEADINGS = ("scenarios with", "delay [s]", *(part for name in PLANNERS for part in (f"/ {name}", "95 %")))
"""Headings of the table."""


@dataclass(frozen=True, eq=False)
class Setting:
    """The results in one setting.

    Attributes:
        title: What is particular about the scenarios.
        options: Options of the family's generator.
        delays_s: Mean query delays of the agent and of the planners, shape (N,) each.
        seed: Seed of the resampling.
    """

    title: str
    options: Mapping[str, Any]
    delays_s: Mapping[str, Floats]
    seed: int

    def ratios(self) -> dict[str, tuple[float, float, float]]:
        """Return the agent's mean delay divided by each planner's, with its interval, scenarios drawn in pairs."""
        return delay_ratios(self.delays_s, self.seed)[AGENT]

    def as_dict(self) -> dict[str, Any]:
        """Return what study.json says of the setting: means, ratios, and a record per policy and scenario."""
        ratios = {name: {"ratio": ratio, "ci95": [low, high]} for name, (ratio, low, high) in self.ratios().items()}
        return {
            "setting": self.title,
            "options": dict(self.options),
            "mean_delay_s": {name: float(row_s.mean()) for name, row_s in self.delays_s.items()},
            "agent_to": ratios,
            "records": [
                {"policy": name, "scenario": scenario, "mean_delay_s": float(delay_s)}
                for name, row_s in self.delays_s.items()
                for scenario, delay_s in enumerate(row_s)
            ],
        }

    def row(self) -> tuple[str, ...]:
        """Return the row of text under `HEADINGS`."""
        ratios = self.ratios()
        cells = [text for name in PLANNERS for text in _cells(*ratios[name])]
        return self.title, f"{self.delays_s[AGENT].mean():.3f}", *cells


def play_elsewhere(
    config: StudyConfig, say: Callable[[str], None], journal: Journal[Record] | None = None
) -> list[Setting]:
    """Play the agent and planners in every setting that the family can draw.

    Args:
        config: The numbers, the family and the agent.
        say: Receives a line of text per setting.
        journal: Keeps the records, and knows those of earlier; by default nothing does.

    Raises:
        ValueError: If the family is unknown, or the agent cannot act in it.
    """
    found = []
    for title, options in _settings(config.family).items():
        generator = make_generator(config.family, **options)
        given = scenarios(config.family, config.scenarios, config.seed, **options)
        names = [config.agent, *PLANNERS]
        rows_s = played_s(names, generator, given, config.seed, journal, title, config)
        delays_s = dict(zip((AGENT, *PLANNERS), rows_s, strict=True))
        found.append(Setting(title, options, delays_s, config.seed))
        means = ", ".join(f"{name} {row_s.mean():.3f} s" for name, row_s in delays_s.items())
        say(f"played scenarios with {title}: mean delay of {means}")
    return found


def _settings(family: str) -> dict[str, dict[str, Any]]:
    """Return the generator options of each setting; settings for which the family has no option are left out."""
    usual: Any = make_generator(family)
    edges = getattr(usual, "num_edges", (0, 0))[1] + MORE_EDGES
    settings: dict[str, dict[str, Any]] = {
        "nothing unusual": {},
        "networks never trained on": {"networks": "test"},
        f"{MORE_USERS} users": {"num_users": MORE_USERS},
        f"{edges} edges": {"num_edges": edges},
        f"up to {MORE_LAYERS} layers": {"max_layers": MORE_LAYERS},
    }
    known = set(options_of(family))
    return {title: options for title, options in settings.items() if set(options) <= known}


def _cells(ratio: float, low: float, high: float) -> tuple[str, str]:
    return f"{ratio:.3f}", f"{low:.3f} - {high:.3f}"
