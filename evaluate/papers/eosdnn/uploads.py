"""The second claim of EosDNN: LMU's fine partitions make queries during the upload faster than IONN's large ones.

Xue et al., IEEE TGCN 2022. IONN (SoCC 2018) places and partitions; every other order uploads just what IONN uploads, to
the same servers. Partitions become usable when their last byte is in. EosDNN as a whole, with a placement of its own,
is measured, too. The paper knows of no query data that hold up uploads, nor did IONN's, so the uplink is read as
`independent`. Several users' data do meet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from agents.planners import ORDER_PLANNERS, PLANNERS
from dnnmig_env.arrays import Floats
from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.timeline import Timeline
from evaluate.compare.statistics import TIE, delay_ratios
from evaluate.output.keeping import Keeper

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "single": ("single", {"max_layers": 64, "uplink": "independent"}),
    "edge-cloud, one user": ("edge-cloud", {"num_users": 1, "max_layers": 64, "uplink": "independent"}),
    "edge-cloud": ("edge-cloud", {"max_layers": 64, "uplink": "independent"}),
}
"""Family and generator options by the name of the setting; most networks keep all of their layers."""

BASELINE = "ionn"
"""The planner to which others are compared."""

ORDERS = ("efficiency", "front-to-back", "lmu")
"""Orders in which IONN's placement is uploaded."""

WHOLE = "pso-ga+lmu"
"""The planner that is EosDNN as a whole."""


@dataclass(frozen=True)
class Uploaded:
    """What every method reached in one scenario.

    Attributes:
        delay_s: Mean query delay J over the horizon, by method.
        queries: As in `UploadStudy`, by method.
        partitions: Number of partitions, by method.
    """

    delay_s: dict[str, float]
    queries: dict[str, float]
    partitions: dict[str, float]


@dataclass(frozen=True, eq=False)
class UploadStudy:
    """What every method reached in the same N scenarios.

    Attributes:
        setting: Name in `SETTINGS`.
        delays_s: Mean query delay J over the horizon by method, shape (N,) each.
        queries: Number of queries that all users together raise back to back until the horizon, by method, shape (N,)
            each. Users with fast queries count most in it.
        partitions: Number of partitions by method, shape (N,) each.
        seed: Seed of the resampling.
    """

    setting: str
    delays_s: Mapping[str, Floats]
    queries: Mapping[str, Floats]
    partitions: Mapping[str, Floats]
    seed: int

    @property
    def title(self) -> str:
        """Title of the study's table."""
        return f"queries during the upload, {self.setting}, {len(self.delays_s[BASELINE])} scenarios"

    def figures(self) -> dict[str, dict[str, Any]]:
        """Return the figures of every method, the method with the fastest queries first.

        `relative_to_ionn` and `queries_relative_to_ionn` are ratios of means with paired bootstrap intervals over
        scenarios; `faster` is the share of scenarios in which queries are faster than IONN's.
        """
        delay_ratio, query_ratio = delay_ratios(self.delays_s, self.seed), delay_ratios(self.queries, self.seed)
        found = {}
        for name in sorted(self.delays_s, key=lambda name: float(self.delays_s[name].mean())):
            ratio, queries = (each[name].get(BASELINE, (1.0, 1.0, 1.0)) for each in (delay_ratio, query_ratio))
            found[name] = {
                "mean_delay_s": float(self.delays_s[name].mean()),
                "relative_to_ionn": ratio[0],
                "relative_ci95": ratio[1:],
                "faster": float(np.mean(self.delays_s[name] < (1.0 - TIE) * self.delays_s[BASELINE])),
                "queries": float(self.queries[name].mean()),
                "queries_relative_to_ionn": queries[0],
                "queries_relative_ci95": queries[1:],
                "partitions": float(self.partitions[name].mean()),
            }
        return found


def upload_and_compare(
    count: int,
    seed: int,
    keep: Keeper = Keeper(),  # noqa: B008  immutable
) -> Iterator[UploadStudy]:
    """Yield the study of one setting after another.

    Args:
        count: Scenarios per setting.
        seed: Seed of the scenarios and of PSO-GA.
        keep: Computes and keeps what all methods reached in each scenario.
    """
    for setting, (family, options) in SETTINGS.items():
        drawn = scenarios(family, count, seed, **options)
        tasks = [(setting, k, partial(_uploaded, scenario, (seed, k))) for k, scenario in enumerate(drawn)]
        found = list(keep.records(tasks))
        delays_s, queries, partitions = (
            {name: np.array([getattr(each, figure)[name] for each in found]) for name in found[0].delay_s}
            for figure in ("delay_s", "queries", "partitions")
        )
        yield UploadStudy(setting, delays_s, queries, partitions, seed)


def queries_finished(timeline: Timeline) -> float:
    """Return how many queries the users raise until the horizon if each raises the next one when the last one ends.

    A query that is under way at the horizon counts, as in the figures of IONN. Only for scenarios of one time slot.
    """
    edges_s, count = np.append(timeline.event_time_s, timeline.scenario.horizon_s).tolist(), 0
    for delays_s in timeline.event_delay_s.T.tolist():
        now_s = 0.0
        for end_s, delay_s in zip(edges_s[1:], delays_s, strict=True):
            started = max(0, math.ceil((end_s - now_s) / delay_s))
            count, now_s = count + started, now_s + started * delay_s
    return float(count)


def _uploaded(scenario: Scenario, seed: tuple[int, int]) -> Uploaded:
    rng = np.random.default_rng(seed)
    timelines = {name: simulate(scenario, plan) for name, plan in _plans(scenario, rng).items()}
    return Uploaded(
        {name: float(each.mean_delay_s) for name, each in timelines.items()},
        {name: queries_finished(each) for name, each in timelines.items()},
        {name: float(len(each.plan.uploads)) for name, each in timelines.items()},
    )


def _plans(scenario: Scenario, rng: np.random.Generator) -> dict[str, Plan]:
    ionn = PLANNERS[BASELINE](scenario, rng)
    placement = ionn.placement(scenario)
    return {
        "device-only": Plan(),
        BASELINE: ionn,
        **{f"{order} of ionn's placement": ORDER_PLANNERS[order](scenario, placement, rng) for order in ORDERS},
        WHOLE: PLANNERS[WHOLE](scenario, rng),
    }
