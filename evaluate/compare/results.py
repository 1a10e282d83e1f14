"""The delays of policies in the same scenarios, and what the files of a comparison contain."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from dnnmig_env.arrays import Floats
from dnnmig_env.simulation.timelines.moves import Moves
from evaluate.compare.config import Objective
from evaluate.compare.record import Rollout
from evaluate.compare.statistics import PolicyFigures, best_known_s, delay_ratios, is_best, policy_figures

MOVE_COLUMNS = tuple(field.name for field in fields(Moves))
"""Columns of records.csv, and fields of a rollout, that tell of weights that move."""

RECORD_COLUMNS = (
    "policy",
    "scenario",
    "mean_delay_s",
    "cold_start_delay_s",
    "device_only_s",
    "relative_to_device_only",
    "best_known_s",
    "gap_to_best_known",
    "won",
    "planning_s",
    "decisions",
    "illegal_action",
    *MOVE_COLUMNS,
    "scenario_file",
)
"""Columns of records.csv."""


@dataclass(frozen=True, eq=False)
class Results:
    """What all policies have reached in the same N scenarios.

    Attributes:
        family: Family of the scenarios; "custom" if they have none.
        seed: Seed of the scenarios that were drawn, and of the intervals; of scenario files, that of the policies.
        rollouts: Rollout of each policy.
        objective: The delay by which policies are compared.
        policy_seed: Seed of the policies; by default `seed`.
        files: The file of each scenario; empty if they were drawn.
        known_s: Best known mean delays of the scenarios from elsewhere, shape (N,).
        frozen: Name and check sum of the frozen set of which the scenarios are.
    """

    family: str
    seed: int
    rollouts: Mapping[str, Rollout]
    objective: Objective = "mean-delay"
    policy_seed: int | None = None
    files: tuple[str, ...] = ()
    known_s: Floats | None = None
    frozen: Mapping[str, str] | None = None

    @property
    def delays_s(self) -> dict[str, Floats]:
        """Delay of each policy in each scenario, shape (N,): J or the cold-start delay, as the objective says."""
        cold = self.objective == "cold-start"
        return {name: rollout.cold_start_s if cold else rollout.mean_delay_s for name, rollout in self.rollouts.items()}

    @property
    def device_only_s(self) -> Floats:
        """Delay of uploading nothing in each scenario, shape (N,), as the objective says."""
        rollout = next(iter(self.rollouts.values()))
        return rollout.device_only_cold_start_s if self.objective == "cold-start" else rollout.device_only_s

    @property
    def best_s(self) -> Floats:
        """Best known delay of each scenario, shape (N,); what is known from elsewhere counts for mean delays only."""
        return best_known_s(self.delays_s, self.device_only_s, self._known_s)

    @property
    def _known_s(self) -> Floats | None:
        return None if self.objective == "cold-start" else self.known_s

    def figures(self) -> dict[str, PolicyFigures]:
        """Return the figures of every policy."""
        planning_s = {name: rollout.planning_s for name, rollout in self.rollouts.items()}
        return policy_figures(self.delays_s, self.device_only_s, planning_s, self.seed, self._known_s)


def summary(results: Results, figures: Mapping[str, PolicyFigures]) -> dict[str, Any]:
    """Return the contents of summary.json.

    `policies` has the figures of each policy; `ratios[a][b]` is the mean delay of a divided by that of b, with its
    interval; `illegal` counts the episodes that an illegal action ended; `moves` has means over scenarios of what
    moved, such as the bytes that devices sent. All delays are those of the objective. Scenarios that came from files
    or a frozen set have no seed; `set` has the set's name and check sum.
    """
    ratios = {
        one: {other: {"ratio": ratio, "ci95": [low, high]} for other, (ratio, low, high) in others.items()}
        for one, others in delay_ratios(results.delays_s, results.seed).items()
    }
    return {
        "family": results.family,
        "scenarios": len(results.device_only_s),
        "set": None if results.frozen is None else dict(results.frozen),
        "scenario_files": list(results.files),
        "seed": None if results.files else results.seed,
        "policy_seed": results.seed if results.policy_seed is None else results.policy_seed,
        "objective": results.objective,
        "policies": {name: asdict(each) for name, each in figures.items()},
        "device_only_delay_s": float(results.device_only_s.mean()),
        "ratios": ratios,
        "illegal": {name: int(rollout.illegal.sum()) for name, rollout in results.rollouts.items()},
        "moves": {
            name: {column: float(getattr(rollout, column).mean()) for column in MOVE_COLUMNS}
            for name, rollout in results.rollouts.items()
        },
    }


def records_csv(results: Results) -> str:
    """Return records.csv: one row per policy and scenario, numbers in full precision.

    The mean delay and the cold-start delay are both in it; all columns after them are about the delay of the objective.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(RECORD_COLUMNS)
    best_s = results.best_s
    device_only_s = results.device_only_s
    for name, delays_s in results.delays_s.items():
        rollout, won = results.rollouts[name], is_best(delays_s, best_s)
        for k, delay_s in enumerate(delays_s):
            numbers = (
                rollout.mean_delay_s[k],
                rollout.cold_start_s[k],
                device_only_s[k],
                delay_s / device_only_s[k],
                best_s[k],
                delay_s / best_s[k] - 1.0,
            )
            counts = (int(rollout.decisions[k]), int(rollout.illegal[k]))
            file = results.files[k] if results.files else ""
            moves = (getattr(rollout, column)[k].item() for column in MOVE_COLUMNS)
            spent = (int(won[k]), float(rollout.planning_s[k]), *counts)
            writer.writerow((name, k, *map(float, numbers), *spent, *moves, file))
    return text.getvalue()
