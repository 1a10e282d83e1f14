"""The comparison of the model with the simulation, as a table and as records."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np

from evaluate.truth.comparison import TruthRecord
from evaluate.truth.verdict import Ratios

HEADINGS = ("policy", "model [s]", "met [s]", "ratio", "10 %", "90 %", "within", "users")
"""Headings of the table. The ratio is that of the model to the simulation, median and percentiles over scenarios;
`within` is the share of scenarios in which it differs from 1 by at most `verdict.MOST`; `users` are the percentiles
over single users who ever left their device."""

COLUMNS = (
    "policy",
    "scenario",
    "mean_delay_s",
    "predicted_s",
    "experienced_s",
    "ratio",
    "queries",
    "abandoned",
    "abandoned_share",
    "skipped",
)
"""Columns of records.csv."""


def rows(records: Mapping[str, Sequence[TruthRecord]], ratios: Mapping[str, Ratios]) -> list[tuple[str, ...]]:
    """Return one row of text per policy; delays are means over the scenarios."""
    return [
        (
            name,
            f"{_mean([record.predicted_s for record in each]):.3f}",
            f"{_mean([record.experienced_s for record in each]):.3f}",
            f"{ratios[name].ratio_median:.3f}",
            f"{ratios[name].ratio_q10:.3f}",
            f"{ratios[name].ratio_q90:.3f}",
            f"{ratios[name].within:.0%}",
            f"{ratios[name].user_q10:.2f} - {ratios[name].user_q90:.2f}",
        )
        for name, each in records.items()
    ]


def records_csv(records: Mapping[str, Sequence[TruthRecord]]) -> str:
    """Return records.csv: one row per policy and scenario, numbers in full precision; nothing where no query ended."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, each in records.items():
        for record in each:
            delays_s = (record.predicted_s, record.experienced_s, None if np.isnan(record.ratio) else record.ratio)
            counts = (record.queries, record.abandoned, record.abandoned_share, record.skipped)
            writer.writerow((name, record.scenario, record.played.mean_delay_s, *delays_s, *counts))
    return text.getvalue()


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
