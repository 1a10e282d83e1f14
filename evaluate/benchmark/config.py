"""What can be asked of `python -m evaluate benchmark`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import tyro


@dataclass(frozen=True)
class BenchmarkConfig:
    """Keep the frozen sets of scenarios in benchmarks/, their best known plans and the leaderboard.

    add FOLDER... enters results of python -m evaluate --set SET --save-plans: all plans are replayed, those that are
    better than what is best known take its place, and benchmarks/LEADERBOARD.md is written anew. check [SET...] replays
    the best known plans. freeze SET draws a new set, which then never changes.
    """

    action: tyro.conf.Positional[Literal["add", "check", "freeze"]]
    """What to do."""
    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Folders of results for add, names of sets for check (by default all) and freeze."""
    scenarios: int = 100
    """For freeze: number of scenarios."""
    seed: int = 20261129
    """For freeze: seed with which the scenarios are drawn."""
