"""From the delays of each policy in each scenario to the figures of the summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnmig_env.arrays import Bools, Floats

CONFIDENCE = 0.95
"""Confidence level of all intervals."""
RESAMPLES = 9999
"""Number of resamples of a bootstrap interval."""
TIE = 1e-9
"""Relative difference up to which two delays count as the same."""


@dataclass(frozen=True)
class PolicyFigures:
    """What the summary says of one policy.

    Attributes:
        mean_delay_s: Mean over scenarios of the delay by which policies are compared: J, or the cold-start delay.
        ci95: Bootstrap interval of `mean_delay_s`.
        relative_to_device_only: `mean_delay_s` divided by that of uploading nothing (a ratio of means).
        relative_ci95: Bootstrap interval of `relative_to_device_only`.
        gap_to_best_known: Mean over scenarios of the delay divided by the best known one, minus 1.
        gap_ci95: Bootstrap interval of `gap_to_best_known`.
        wins: Share of scenarios in which nothing better is known; a tie (within 1e-9) counts for all who share it.
        planning_s: Mean seconds per scenario that the policy took.
    """

    mean_delay_s: float
    ci95: tuple[float, float]
    relative_to_device_only: float
    relative_ci95: tuple[float, float]
    gap_to_best_known: float
    gap_ci95: tuple[float, float]
    wins: float
    planning_s: float


def best_known_s(delays_s: Mapping[str, Floats], device_only_s: Floats, known_s: Floats | None = None) -> Floats:
    """Return the least delay in each scenario of all policies compared and of uploading nothing, shape (N,).

    If delays are known from elsewhere (`known_s`, shape (N,)), they count as well.
    """
    best: Floats = np.min([device_only_s, *delays_s.values(), *([] if known_s is None else [known_s])], axis=0)
    return best


def is_best(delay_s: Floats, best_s: Floats) -> Bools:
    """Return in which scenarios a policy reached the best known delay, ties included, shape (N,)."""
    return delay_s <= best_s * (1.0 + TIE)


def policy_figures(
    delays_s: Mapping[str, Floats],
    device_only_s: Floats,
    planning_s: Mapping[str, Floats],
    seed: int,
    known_s: Floats | None = None,
) -> dict[str, PolicyFigures]:
    """Return the figures of every policy.

    Args:
        delays_s: Delay of each policy in each scenario, shape (N,) each.
        device_only_s: Delay of uploading nothing, shape (N,).
        planning_s: Seconds of each policy in each scenario, shape (N,) each.
        seed: Seed of the resampling.
        known_s: Delays that are known from elsewhere, shape (N,), see `best_known_s`.
    """
    best_s = best_known_s(delays_s, device_only_s, known_s)
    delays = np.stack(list(delays_s.values()))

    def figures(drawn: NDArray[np.intp]) -> Floats:
        """Return mean, relative and gap of every policy from drawn scenarios (..., n), shape (3, P, ...)."""
        mean_s = delays[:, drawn].mean(axis=-1)
        gap = (delays / best_s)[:, drawn].mean(axis=-1) - 1.0
        return np.stack([mean_s, mean_s / device_only_s[drawn].mean(axis=-1), gap])

    mean_s, relative, gap = figures(np.arange(len(best_s)))
    low, high = _interval(figures, len(best_s), seed)
    return {
        name: PolicyFigures(
            mean_delay_s=float(mean_s[k]),
            ci95=(float(low[0, k]), float(high[0, k])),
            relative_to_device_only=float(relative[k]),
            relative_ci95=(float(low[1, k]), float(high[1, k])),
            gap_to_best_known=float(gap[k]),
            gap_ci95=(float(low[2, k]), float(high[2, k])),
            wins=float(is_best(delays_s[name], best_s).mean()),
            planning_s=float(planning_s[name].mean()),
        )
        for k, name in enumerate(delays_s)
    }


def delay_ratios(delays_s: Mapping[str, Floats], seed: int) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Return the mean delay of every policy divided by that of every other one, with its interval: (ratio, low, high).

    An interval that does not contain 1 says that one of the two is better in scenarios of this kind.
    """
    names, delays = list(delays_s), np.stack(list(delays_s.values()))

    def ratios(drawn: NDArray[np.intp]) -> Floats:
        mean_s: Floats = delays[:, drawn].mean(axis=-1)
        return mean_s[:, None] / mean_s[None]

    ratio = ratios(np.arange(delays.shape[1]))
    low, high = _interval(ratios, delays.shape[1], seed)
    return {
        one: {
            other: (float(ratio[i, j]), float(low[i, j]), float(high[i, j]))
            for j, other in enumerate(names)
            if other != one
        }
        for i, one in enumerate(names)
    }


def _interval(statistic: Any, count: int, seed: int) -> tuple[Floats, Floats]:
    """Return the percentile bootstrap interval of statistics of scenarios.

    Scenarios are resampled with replacement, the same ones for all policies and for device-only (paired): what makes
    scenarios differ then cancels in ratios. The interval of a single scenario is its value.
    """
    if count == 1:
        value = statistic(np.zeros(1, np.intp))
        return value, value
    from scipy.stats import bootstrap

    result = bootstrap(
        (np.arange(count),),
        lambda drawn, axis: statistic(drawn),
        n_resamples=RESAMPLES,
        batch=max(1, 2_000_000 // count // 16),
        vectorized=True,
        axis=-1,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return result.confidence_interval.low, result.confidence_interval.high
