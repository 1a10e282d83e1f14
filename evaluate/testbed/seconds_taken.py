"""Says how long layers really took in a run, and which segments were late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dnnmig_env.scenarios.scenario import Scenario

LATE = 0.05
"""A segment is late if running its layers took longer than it should by more than this share."""


def scenario_as_taken(scenario: Scenario, segments: Sequence[Mapping[str, Any]]) -> Scenario:
    """Return a scenario with the mean seconds that each layer really took on each node; others keep theirs.

    What a segment ended too late is divided among those of its layers that ran too long, or else among all of them.

    Args:
        scenario: The scenario that was run.
        segments: Records of the segments, each with the node, user, layers and times.
    """
    tables = [table.copy() for table in scenario.execution_s]
    sums = [np.zeros_like(table) for table in tables]
    counts = [np.zeros_like(table) for table in tables]
    for segment in segments:
        user, node, layers = segment["user"], segment["node"], list(segment["layers"])
        target_s = scenario.execution_s[user][layers, node]
        over_s = np.maximum(np.asarray(segment["executed_s"]) - target_s, 0.0)
        shares = over_s if over_s.sum() > 0 else target_s
        if not shares.sum() > 0:
            shares = np.ones_like(target_s)
        taken_s = target_s + (segment["end_s"] - segment["due_s"]) * shares / shares.sum()
        sums[user][layers, node] += np.maximum(taken_s, 0.0)
        counts[user][layers, node] += 1
    for table, total, count in zip(tables, sums, counts, strict=True):
        np.divide(total, count, out=table, where=count > 0)
    users = (replace(user, profile_s=table) for user, table in zip(scenario.users, tables, strict=True))
    return replace(scenario, users=tuple(users))


def is_late(segment: Mapping[str, Any]) -> bool:
    """Return whether the layers of a segment took longer than the node that is played would take."""
    executed_s, allowed_s = sum(segment["executed_s"]), segment["due_s"] - segment["begin_s"]
    return bool(executed_s > (1 + LATE) * allowed_s)
