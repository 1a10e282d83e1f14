"""Figures of trained policies, which differ from training seed to training seed as well as from scenario to scenario.

A variant's delays form a table of K training seeds by N scenarios. As Agarwal et al. recommend ("Deep Reinforcement
Learning at the Edge of the Statistical Precipice", NeurIPS 2021), it is summed up by the interquartile mean over the
whole table: the mean of the middle half, which an odd scenario does not move, and which is less uncertain than the
median. Delays are taken relative to those of a reference in the same scenario, so that slow DNNs weigh no more than
fast ones. Beside it stands the ratio of mean delays, in which slow DNNs weigh more, and every failed training run
counts.

Intervals are percentile bootstrap intervals that resample both: training seeds within each variant (stratified, as in
that paper), and scenarios, the same ones for all variants (paired). The two are crossed, as every seed meets every
scenario, so rows and columns of the table are drawn independently of each other (Owen, "The pigeonhole bootstrap",
Annals of Applied Statistics 2007). With few seeds such intervals are too narrow, if anything: three seeds say little of
the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

from dnnmig_env.arrays import Floats
from evaluate.compare.statistics import CONFIDENCE, RESAMPLES

Drawn = tuple[NDArray[np.intp], NDArray[np.intp]]
"""A batch of R resamples: indices of training seeds, shape (R, K), and of scenarios, shape (R, N)."""

CUT = 0.25
"""Share of the values that an interquartile mean leaves out at either end."""

BATCH_VALUES = 4_000_000
"""About how many numbers are resampled at a time."""


@dataclass(frozen=True)
class SeededFigures:
    """What a study says of one variant.

    Attributes:
        seeds: Number of training seeds, K; 1 where nothing is trained.
        mean_delay_s: Mean delay over seeds and scenarios.
        iqm: Interquartile mean over seeds and scenarios of the delay divided by the reference's in the same scenario.
        iqm_ci95: Bootstrap interval of `iqm`.
        ratio: Mean delay divided by that of the reference.
        ratio_ci95: Bootstrap interval of `ratio`.
    """

    seeds: int
    mean_delay_s: float
    iqm: float
    iqm_ci95: tuple[float, float]
    ratio: float
    ratio_ci95: tuple[float, float]


def seeded_figures(delays_s: Mapping[str, Floats], reference: str, seed: int) -> dict[str, SeededFigures]:
    """Return the figures of every variant.

    Args:
        delays_s: Delays of each variant, shape (K, N); K may differ.
        reference: Name of the variant to which all are relative. Its training seeds are not resampled: in each scenario
            its mean over seeds stands for it.
        seed: Seed of the resampling. Each variant draws training seeds from a stream of its own, so that one variant
            more changes nothing for the others.
    """
    reference_s = delays_s[reference].mean(axis=0)
    return {name: _figures(table_s, reference_s, seed, place) for place, (name, table_s) in enumerate(delays_s.items())}


def interquartile_mean(values: Floats) -> Floats:
    """Return the mean of the middle half of the values along the last axis."""
    means: Floats = trim_mean(values, CUT, axis=-1)
    return means


def _figures(table_s: Floats, reference_s: Floats, seed: int, place: int) -> SeededFigures:
    relative = table_s / reference_s
    iqms, ratios = [], []
    for rows, columns in _draws(len(table_s), len(reference_s), seed, place):
        both = rows[:, :, None], columns[:, None, :]
        iqms.append(interquartile_mean(relative[both].reshape(len(rows), -1)))
        ratios.append(table_s[both].mean(axis=(1, 2)) / reference_s[columns].mean(axis=1))
    return SeededFigures(
        seeds=len(table_s),
        mean_delay_s=float(table_s.mean()),
        iqm=float(interquartile_mean(relative.ravel())),
        iqm_ci95=_interval(np.concatenate(iqms)),
        ratio=float(table_s.mean() / reference_s.mean()),
        ratio_ci95=_interval(np.concatenate(ratios)),
    )


def _draws(seeds: int, scenarios: int, seed: int, place: int) -> Iterator[Drawn]:
    """Yield resamples in batches: training seeds, shape (R, K), and scenarios, shape (R, N).

    The scenarios are the same for every `place`, the variant's place in the study.
    """
    for_seeds, for_scenarios = np.random.default_rng([seed, 1 + place]), np.random.default_rng([seed, 0])
    batch, left = max(1, BATCH_VALUES // (seeds * scenarios)), RESAMPLES
    while left > 0:
        size = min(batch, left)
        yield for_seeds.integers(seeds, size=(size, seeds)), for_scenarios.integers(scenarios, size=(size, scenarios))
        left -= size


def _interval(resampled: Floats) -> tuple[float, float]:
    low, high = np.quantile(resampled, [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0])
    return float(low), float(high)
