"""Checks the results of an evaluation of a frozen set, and takes from them what is better than the best known."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evaluate.compare.reading import read_evaluation
from evaluate.compare.replaying import has_plans, replays
from evaluate.compare.statistics import TIE
from evaluate.sets.best_known import Found, load_best, save_best, short_plan
from evaluate.sets.frozen import FOLDER, load_set


@dataclass(frozen=True)
class Entry:
    """What a policy has reached in all scenarios of a set.

    Attributes:
        policy: Its name.
        delays_s: Mean query delay J of each scenario.
        device_only_s: The same of running everything on the devices.
        planning_s: Mean seconds of planning per scenario.
        processor: Processor on which it planned.
        version: Version of the project.
        date: Day on which it was entered, as in 2026-11-29.
    """

    policy: str
    delays_s: list[float]
    device_only_s: list[float]
    planning_s: float
    processor: str
    version: str
    date: str


@dataclass(frozen=True)
class Added:
    """What came of the results in a folder.

    Attributes:
        name: Name of the set.
        entries: An entry per policy; none if only some of the scenarios were played.
        improved: In how many scenarios each policy is better than what was best known.
    """

    name: str
    entries: list[Entry]
    improved: Mapping[str, int]


def add_results(results: Path, folder: Path = FOLDER) -> Added:
    """Replay the plans in a folder of results, and keep those that are better than the best known.

    Args:
        results: Folder that `python -m evaluate --set SET --save-plans` has written.
        folder: Where the sets lie.

    Raises:
        ValueError: If these are no such results, or a plan does not reach the delay that they say; nothing has been
            changed then.
    """
    evaluation = read_evaluation(results)
    of_set = evaluation.summary.get("set")
    if not of_set:
        raise ValueError(f"{results}: its scenarios are of no frozen set; evaluate with --set.")
    if not has_plans(evaluation):
        raise ValueError(f"{results}: it has no plans, so nothing can be checked; evaluate with --save-plans.")
    if evaluation.is_cold_start:
        raise ValueError(f"{results}: it compares cold-start delays; evaluate without --objective cold-start.")
    frozen = load_set(of_set["name"], evaluation.summary["scenarios"], folder)
    if of_set["sha256"] != frozen.sha256:
        raise ValueError(f"{results}: the set {frozen.name} was another one then; evaluate again.")
    version, date = str(evaluation.made_with["versions"].get("dnnmig", "unknown")), datetime.date.today().isoformat()
    best = load_best(frozen.name, folder)
    improved = dict.fromkeys(evaluation.rows, 0)
    delays_s: dict[str, list[float]] = {policy: [] for policy in evaluation.rows}
    device_only_s: dict[str, list[float]] = {policy: [] for policy in evaluation.rows}
    for row, timeline in replays(evaluation, frozen.scenarios):
        delay_s, file = timeline.mean_delay_s, frozen.files[row.scenario]
        delays_s[row.policy].append(delay_s)
        device_only_s[row.policy].append(timeline.mean_device_delay_s)
        if file not in best or delay_s < best[file].mean_delay_s * (1.0 - TIE):
            best[file] = Found(delay_s, row.policy, version, date, short_plan(timeline, row.policy))
            improved[row.policy] += 1
    if any(improved.values()):
        save_best(frozen.name, best, folder)
    entries = [
        Entry(
            policy=policy,
            delays_s=delays_s[policy],
            device_only_s=device_only_s[policy],
            planning_s=sum(row.planning_s for row in rows) / len(rows),
            processor=str(evaluation.made_with["machine"]["processor"]),
            version=version,
            date=date,
        )
        for policy, rows in evaluation.rows.items()
    ]
    return Added(frozen.name, entries if frozen.is_whole else [], improved)
