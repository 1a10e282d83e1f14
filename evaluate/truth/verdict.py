"""Says whether the model is as near to the simulation as its description demands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dnnmig_env.arrays import Floats
from evaluate.truth.comparison import TruthRecord

MEDIAN = 0.03
"""By how much the median over scenarios of a policy's ratio may differ from 1."""

MOST = 0.10
"""By how much the ratio may differ from 1 in `MOST_SHARE` of the scenarios."""

MOST_SHARE = 0.9

SAME_BEST = 0.95
"""Share of scenarios in which the best policy must be the same."""

ROUNDING = 1e-9
"""Relative difference of two delays that are equal but for rounding."""


@dataclass(frozen=True)
class Ratios:
    """How the model's delay, divided by the simulation's, is distributed over the scenarios of a policy.

    Attributes:
        ratio_median: Median.
        ratio_q10: Tenth percentile.
        ratio_q90: Ninetieth percentile.
        within: Share of scenarios in which the ratio differs from 1 by `MOST` at most.
        scenarios: Number of scenarios that count: those in which any query ended.
        user_q10: Tenth percentile over single users who ever left their device; 1 if there are none. No bound is set
            on single users.
        user_q90: Ninetieth percentile over them.
    """

    ratio_median: float
    ratio_q10: float
    ratio_q90: float
    within: float
    scenarios: int
    user_q10: float = 1.0
    user_q90: float = 1.0


def ratios_of(records: Sequence[TruthRecord]) -> Ratios:
    """Return how the ratios of a policy are distributed.

    Raises:
        ValueError: If no query ended in any of the scenarios.
    """
    ratios = np.array([record.ratio for record in records])
    ratios = ratios[np.isfinite(ratios)]
    if not len(ratios):
        raise ValueError("no query ended in any of the scenarios; draw more of them (--scenarios).")
    median, low, high = (float(value) for value in np.quantile(ratios, (0.5, 0.1, 0.9)))
    within = float(np.mean(np.abs(ratios - 1.0) <= MOST + ROUNDING))
    users = [ratio for record in records for ratio in record.user_ratios] or [1.0]
    user_low, user_high = (float(value) for value in np.quantile(users, (0.1, 0.9)))
    return Ratios(median, low, high, within, len(ratios), user_low, user_high)


def best_policies(records: Mapping[str, Sequence[TruthRecord]]) -> tuple[float, float]:
    """Return how often the model names the best policy, and what it costs to trust it.

    The first number is the share of scenarios in which the policy that is best in the model is best in the simulation
    as well. One whose simulated delay equals the least counts as best, so that equal plans do not compete. The second
    is by how much the simulated delay of the model's best policy exceeds the least one, mean over the scenarios.
    Policies are compared by the two delays of their records; scenarios in which one has none are left out, and without
    any the answer is (1, 0).
    """
    predicted_s = _table([[record.predicted_s for record in each] for each in records.values()])
    experienced_s = _table([[record.experienced_s for record in each] for each in records.values()])
    counts = np.isfinite(predicted_s).all(axis=0)
    if not counts.any():
        return 1.0, 0.0
    predicted_s, experienced_s = predicted_s[:, counts], experienced_s[:, counts]
    chosen_s = experienced_s[predicted_s.argmin(axis=0), np.arange(predicted_s.shape[1])]
    excess = chosen_s / experienced_s.min(axis=0) - 1.0
    return float(np.mean(excess <= ROUNDING)), float(np.mean(excess))


def failures(ratios: Mapping[str, Ratios], same_best: float) -> list[str]:
    """Return what is worse than the model's description allows, a line each."""
    found = []
    for name, each in ratios.items():
        if abs(each.ratio_median - 1.0) > MEDIAN + ROUNDING:
            found.append(f"{name}: the median ratio is {each.ratio_median:.3f}, more than {MEDIAN:.0%} from 1")
        if each.within < MOST_SHARE - ROUNDING:
            found.append(
                f"{name}: {each.within:.0%} of the scenarios are within {MOST:.0%}, fewer than {MOST_SHARE:.0%}"
            )
    if same_best < SAME_BEST - ROUNDING:
        found.append(f"the best policy is the same in {same_best:.0%} of the scenarios, fewer than {SAME_BEST:.0%}")
    return found


def _table(rows: Sequence[Sequence[float | None]]) -> Floats:
    """Return delays of every policy (rows) in every scenario (columns) as an array, with NaN for None."""
    return np.array(rows, np.float64)
