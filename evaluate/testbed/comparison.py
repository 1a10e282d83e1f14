"""Compares what was measured in a run with what was predicted, at the same starts of queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.timeline import Timeline
from evaluate.testbed.processes.job import Events
from evaluate.testbed.seconds_taken import is_late, scenario_as_taken

Records = Sequence[Mapping[str, Any]]

PARTS = ("device", "network", "server")
"""What the delay of a query is made of: layers on the device, transfers and waiting, and layers on servers."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """One plan, carried out for real and predicted.

    Every query stands for the time until its user's next one, at its user's rate; so weighted, the mean of the delays
    is the delay that a query meets which is raised at a random instant, as the objective of the model is.

    Attributes:
        policy: Name of the planner.
        predicted: The timeline that was predicted.
        retold: The timeline that is predicted from the seconds that layers really took.
        queries: Records of the queries, by user and start.
        segments: Records of the segments.
        uploads: Records of the uploads that began.
    """

    policy: str
    predicted: Timeline
    retold: Timeline
    queries: Records
    segments: Records
    uploads: Records

    @property
    def delay_s(self) -> Floats:
        """Measured delay of each query, shape (Q,)."""
        return np.array([query["end_s"] - query["start_s"] for query in self.queries])

    @property
    def weight(self) -> Floats:
        """Weight of each query, shape (Q,); they add up to 1."""
        horizon_s, weights = self.predicted.scenario.horizon_s, []
        for place, query in enumerate(self.queries):
            later = self.queries[place + 1] if place + 1 < len(self.queries) else None
            is_last = later is None or later["user"] != query["user"]
            until_s = max(horizon_s, query["end_s"]) if is_last or later is None else later["start_s"]
            weights.append((until_s - query["start_s"]) * self._rate_hz(query))
        array: Floats = np.array(weights, dtype=np.float64)
        shares: Floats = array / array.sum()
        return shares

    def expected_s(self, timeline: Timeline) -> Floats:
        """Return the delay that a timeline predicts for each query at its start, shape (Q,)."""
        horizon_s = timeline.scenario.horizon_s
        starts = ((query["user"], min(max(query["start_s"], 0.0), horizon_s)) for query in self.queries)
        return np.array([timeline.delay_s(start_s)[user] for user, start_s in starts])

    @property
    def measured_s(self) -> float:
        """Weighted mean of the measured delays."""
        return float(self.weight @ self.delay_s)

    @property
    def predicted_s(self) -> float:
        """Weighted mean of the delays that were predicted at the same starts."""
        return float(self.weight @ self.expected_s(self.predicted))

    @property
    def retold_s(self) -> float:
        """Weighted mean of the delays predicted at the same starts from the seconds that layers really took."""
        return float(self.weight @ self.expected_s(self.retold))

    @property
    def late_share(self) -> float:
        """Share of the segments whose layers took longer than the node that is played would take."""
        return float(np.mean([is_late(segment) for segment in self.segments]))

    @property
    def wrong_results(self) -> int:
        """Number of queries whose result differs from that of the whole network on the device."""
        return sum(not query["same"] for query in self.queries)

    @property
    def predicted_queries(self) -> float:
        """Number of queries that are predicted to be raised by the horizon."""
        return float(self.predicted.usage.started.sum())

    @property
    def upload_rows(self) -> list[dict[str, Any]]:
        """For each partition when it had arrived, measured and predicted, in seconds; infinite if not by the end."""
        ends = {record["upload"]: record["end_s"] for record in self.uploads}
        rows = zip(self.predicted.uploads, self.retold.uploads, strict=True)
        return [
            {
                "upload": number,
                "user": self.predicted.scenario.users[first.user].name,
                "server": self.predicted.scenario.servers[first.server - 1].name,
                "layers": len(first.layers),
                "measured_s": ends.get(number, float("inf")),
                "predicted_s": first.end_s,
                "retold_s": second.end_s,
            }
            for number, (first, second) in enumerate(rows)
        ]

    def parts_s(self) -> dict[str, tuple[float, float]]:
        """Return the weighted mean seconds of each of the `PARTS` of a delay, measured and predicted."""
        busy = {(query["user"], query["query"]): [0.0, 0.0] for query in self.queries}
        for segment in self.segments:
            key = (segment["user"], segment["query"])
            if key in busy:
                busy[key][int(segment["node"] > 0)] += segment["end_s"] - segment["begin_s"]
        measured = np.array([busy[query["user"], query["query"]] for query in self.queries])
        predicted = np.array(list(self._predicted_parts()))
        rows = []
        for found, delay_s in ((measured, self.delay_s), (predicted, self.expected_s(self.predicted))):
            device_s, server_s = self.weight @ found
            rows.append((float(device_s), float(self.weight @ delay_s - device_s - server_s), float(server_s)))
        return {part: (rows[0][place], rows[1][place]) for place, part in enumerate(PARTS)}

    def _predicted_parts(self) -> Iterator[tuple[float, float]]:
        """Yield the predicted seconds of each query on its device and on servers."""
        known: dict[tuple[int, int], tuple[float, float]] = {}
        timeline = self.predicted
        for query in self.queries:
            at_s = min(max(query["start_s"], 0.0), timeline.scenario.horizon_s)
            event = int(np.searchsorted(timeline.event_time_s, at_s, side="right")) - 1
            key = (query["user"], event)
            if key not in known:
                detail = timeline.query(query["user"], at_s)
                device_s = sum(one.end_s - one.start_s for one in detail.computations if one.node == 0)
                server_s = sum(one.end_s - one.start_s for one in detail.computations if one.node > 0)
                known[key] = (device_s, server_s)
            yield known[key]

    def _rate_hz(self, query: Mapping[str, Any]) -> float:
        scenario = self.predicted.scenario
        slot = int(np.searchsorted(np.asarray(scenario.slot_starts_s), query["start_s"], side="right")) - 1
        return float(np.asarray(scenario.users[query["user"]].query_rate_hz)[max(slot, 0)])


def compare_run(policy: str, scenario: Scenario, plan: Plan, predicted: Timeline, run: Mapping[str, Any]) -> Comparison:
    """Compare a run with its prediction.

    Args:
        policy: Name of the planner.
        scenario: The scenario.
        plan: The plan.
        predicted: What was predicted.
        run: What the processes measured.

    Raises:
        ValueError: If no query has ended.
    """
    if not run["queries"]:
        raise ValueError("no query was raised; give the scenario a longer horizon_s.")
    retold = simulate(scenario_as_taken(scenario, run["segments"]), plan)
    queries = sorted(run["queries"], key=lambda query: (query["user"], query["start_s"]))
    return Comparison(policy, predicted, retold, queries, run["segments"], run["uploads"])


def events_of(timeline: Timeline) -> Events:
    """Return the events of a timeline: how many partitions have arrived, in which slot, and where layers run."""
    ends_s = np.array([upload.end_s for upload in timeline.uploads])
    arrived = tuple(int(np.count_nonzero(ends_s <= time_s)) for time_s in timeline.event_time_s)
    return Events(arrived, tuple(timeline.event_slot.tolist()), timeline.event_assignment)
