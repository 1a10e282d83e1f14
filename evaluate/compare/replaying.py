"""Replays the plans that an evaluation has saved, and checks that they reach the delays that it says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from dnnmig_env.replay import SAME
from dnnmig_env.scenarios.file import load_scenario
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan_file import load_plan
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.timeline import Timeline
from evaluate.compare.plan_files import folder_names
from evaluate.compare.reading import Evaluation, Row


def has_plans(evaluation: Evaluation) -> bool:
    """Return whether an evaluation has saved its plans."""
    return (evaluation.folder / "plans").is_dir()


def saved_scenarios(evaluation: Evaluation) -> list[Scenario]:
    """Return the scenarios of an evaluation that has saved its plans.

    Raises:
        ValueError: If one cannot be read.
    """
    given = evaluation.summary["scenario_files"]
    if given and not evaluation.summary.get("set"):
        return [load_scenario(Path(file)) for file in given]
    written = evaluation.folder / "scenarios"
    return [load_scenario(written / f"{number}.json") for number in range(evaluation.summary["scenarios"])]


def replays(evaluation: Evaluation, scenarios: Sequence[Scenario]) -> Iterator[tuple[Row, Timeline]]:
    """Carry out every saved plan; yield what records.csv says of it, and what happened.

    Args:
        evaluation: The evaluation.
        scenarios: Its scenarios, in their order.

    Raises:
        ValueError: If a plan cannot be read, is one of another scenario, or has another mean delay than
            records.csv says.
    """
    # Folders got their names in the order in which policies were named, which is that of the summary.
    for policy, folder in folder_names(evaluation.summary["policies"]).items():
        for row in evaluation.rows[policy]:
            path = evaluation.folder / "plans" / folder / f"{row.scenario}.json"
            timeline = simulate(scenarios[row.scenario], load_plan(path, scenarios[row.scenario]).plan)
            # After an illegal action, the delay that counts is not that of what had been planned until then.
            if not row.illegal and not math.isclose(row.mean_delay_s, timeline.mean_delay_s, rel_tol=SAME):
                raise ValueError(
                    f"{path}: with it the mean delay is {timeline.mean_delay_s!r} s, but records.csv says "
                    f"{row.mean_delay_s!r} s; a file was changed, or is of another version: evaluate again."
                )
            yield row, timeline
