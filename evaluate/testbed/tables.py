"""The tables of a testbed: delays measured and predicted, what they are made of, and when partitions arrived."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from evaluate.testbed.comparison import PARTS, Comparison

HEADINGS = ("planner", "queries", "measured", "predicted", "error", "retold", "error", "late")
PARTS_HEADINGS = ("planner", *PARTS, *(f"{part}, predicted" for part in PARTS))
UPLOAD_HEADINGS = ("planner", "partitions", "measured", "predicted", "retold")


def delay_rows(comparisons: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """Return a row per planner: mean delays, and by how much the measured one exceeds each prediction."""
    return [
        (
            one.policy,
            f"{len(one.queries)} ({one.predicted_queries:.0f})",
            _ms(one.measured_s),
            _ms(one.predicted_s),
            _excess(one.measured_s, one.predicted_s),
            _ms(one.retold_s),
            _excess(one.measured_s, one.retold_s),
            f"{100 * one.late_share:.0f} %",
        )
        for one in comparisons
    ]


def parts_rows(comparisons: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """Return a row per planner: how much of the mean delay is spent on the device, between nodes and on servers."""
    rows = []
    for one in comparisons:
        parts = one.parts_s()
        rows.append((one.policy, *(_ms(parts[part][0]) for part in PARTS), *(_ms(parts[part][1]) for part in PARTS)))
    return rows


def upload_rows(comparisons: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """Return a row per planner: when the last partition was there that arrived for real and as predicted."""
    rows = []
    for one in comparisons:
        both = [row for row in one.upload_rows if math.isfinite(row["measured_s"] + row["predicted_s"])]
        last = both[-1] if both else {"measured_s": math.inf, "predicted_s": math.inf, "retold_s": math.inf}
        times = (_seconds(last[key]) for key in ("measured_s", "predicted_s", "retold_s"))
        rows.append((one.policy, f"{len(both)} of {len(one.upload_rows)}", *times))
    return rows


def queries_csv(comparisons: Sequence[Comparison]) -> str:
    """Return a CSV table with a row per query, times in seconds."""
    rows = []
    for one in comparisons:
        found = zip(one.queries, one.weight, one.expected_s(one.predicted), one.expected_s(one.retold), strict=True)
        for query, weight, predicted_s, retold_s in found:
            rows.append(
                {
                    "planner": one.policy,
                    "user": one.predicted.scenario.users[query["user"]].name,
                    "query": query["query"],
                    "start_s": round(query["start_s"], 6),
                    "delay_s": round(query["end_s"] - query["start_s"], 6),
                    "predicted_s": round(float(predicted_s), 6),
                    "retold_s": round(float(retold_s), 6),
                    "weight": round(float(weight), 9),
                    "event": query["event"],
                    "result_is_right": query["same"],
                }
            )
    return _csv(rows)


def uploads_csv(comparisons: Sequence[Comparison]) -> str:
    """Return a CSV table with a row per partition, times in seconds."""
    return _csv([{"planner": one.policy, **row} for one in comparisons for row in one.upload_rows])


def figures(one: Comparison) -> dict[str, Any]:
    """Return the figures of one run for testbed.json."""
    return {
        "queries": len(one.queries),
        "predicted_queries": one.predicted_queries,
        "measured_s": one.measured_s,
        "predicted_s": one.predicted_s,
        "retold_s": one.retold_s,
        "parts_s": {part: {"measured": both[0], "predicted": both[1]} for part, both in one.parts_s().items()},
        "late_share": one.late_share,
        "wrong_results": one.wrong_results,
        "objective_s": one.predicted.mean_delay_s,
        "uploads": [
            {key: None if value == math.inf else value for key, value in row.items()} for row in one.upload_rows
        ],
    }


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f}" if math.isfinite(seconds) else "-"


def _excess(measured: float, predicted: float) -> str:
    return f"{100 * (measured / predicted - 1):+.1f} %"
