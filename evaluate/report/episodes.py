"""Replays the plans of an evaluation: what happens in each policy's best and worst scenario, and how busy all is."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dnnmig_env.simulation.timelines.timeline import Timeline
from dnnmig_env.simulation.viewer import draw
from evaluate.compare.reading import Evaluation, Row
from evaluate.compare.replaying import has_plans, replays, saved_scenarios

LOADS = {
    "device_load": "busiest device",
    "server_load": "busiest server",
    "uplink_load": "uplink: queries' data",
    "uploading": "uploads under way",
    "downlink_load": "downlink: results",
    "wire_load": "busiest wire between servers",
}
"""The loads that are shown, by their names in `Usage.figures`."""

DOTS_PER_INCH = 110


@dataclass(frozen=True)
class Episode:
    """What happened in one scenario under one policy.

    Attributes:
        row: Delays and planning time.
        picture: A PNG picture of uploads and delays over time.
    """

    row: Row
    picture: bytes


@dataclass(frozen=True)
class Episodes:
    """What the plans of an evaluation say.

    Attributes:
        best: Each policy's episode that is nearest to the best known delay.
        worst: Each policy's episode that is farthest from it.
        loads: Share of the horizon for which what `LOADS` names is busy, mean over scenarios, by policy; above 1 where
            more is asked for than there is.
    """

    best: Mapping[str, Episode]
    worst: Mapping[str, Episode]
    loads: Mapping[str, Mapping[str, float]]


def episodes(evaluation: Evaluation) -> Episodes | None:
    """Replay all plans of an evaluation.

    Returns:
        What they say; None if plans were not saved.

    Raises:
        ValueError: If a plan or scenario cannot be read, or a delay is not the one in records.csv.
    """
    if not has_plans(evaluation):
        return None
    low = {policy: min(rows, key=_rank) for policy, rows in evaluation.rows.items()}
    high = {policy: max(rows, key=_rank) for policy, rows in evaluation.rows.items()}
    best, worst = dict[str, Episode](), dict[str, Episode]()
    loads = {policy: {name: list[float]() for name in LOADS} for policy in evaluation.rows}
    for row, timeline in replays(evaluation, saved_scenarios(evaluation)):
        figures = timeline.usage.figures()
        for name, values in loads[row.policy].items():
            values.append(figures[name])
        if row is low[row.policy]:
            best[row.policy] = Episode(row, _png(timeline))
        if row is high[row.policy]:
            worst[row.policy] = Episode(row, _png(timeline))
    means = {policy: {name: float(np.mean(values)) for name, values in each.items()} for policy, each in loads.items()}
    return Episodes(best, worst, means)


def _rank(row: Row) -> tuple[float, float]:
    """Rank by the distance from the best known delay and, among equals, by how little is gained over the device."""
    return round(row.gap, 9), row.relative


def _png(timeline: Timeline) -> bytes:
    picture = io.BytesIO()
    draw(timeline).savefig(picture, format="png", dpi=DOTS_PER_INCH)
    return picture.getvalue()
