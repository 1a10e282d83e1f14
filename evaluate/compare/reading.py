"""Reads the folder that an evaluation has written."""

from __future__ import annotations

import csv
import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnnmig_env.files.text_file import read_text
from dnnmig_env.files.yaml_json import parse_json
from evaluate.compare.config import Config
from evaluate.compare.given import title_of
from evaluate.compare.results import MOVE_COLUMNS
from evaluate.compare.statistics import PolicyFigures


@dataclass(frozen=True)
class Row:
    """What records.csv says of one scenario under one policy; seconds are those of the objective.

    Attributes:
        policy: Name of the policy.
        scenario: Number of the scenario.
        delay_s: Its delay.
        device_only_s: Delay of uploading nothing.
        best_known_s: Best known delay.
        mean_delay_s: Its mean query delay J, whatever the objective.
        planning_s: Seconds that the policy took.
        illegal: Whether an illegal action ended the episode.
        moves: What moved, by the names in `MOVE_COLUMNS`.
    """

    policy: str
    scenario: int
    delay_s: float
    device_only_s: float
    best_known_s: float
    mean_delay_s: float
    planning_s: float
    illegal: bool
    moves: Mapping[str, float]

    @property
    def relative(self) -> float:
        """Delay divided by that of uploading nothing."""
        return self.delay_s / self.device_only_s

    @property
    def gap(self) -> float:
        """Delay divided by the best known one, minus 1."""
        return self.delay_s / self.best_known_s - 1.0


@dataclass(frozen=True)
class Evaluation:
    """An evaluation that was written to a folder.

    Attributes:
        folder: The folder.
        summary: What summary.json holds.
        made_with: What config.json holds: `config`, `versions` and `machine`.
        figures: Figures of each policy, the fastest queries first.
        rows: The rows of records.csv, by policy, in the same order.
    """

    folder: Path
    summary: Mapping[str, Any]
    made_with: Mapping[str, Any]
    figures: Mapping[str, PolicyFigures]
    rows: Mapping[str, list[Row]]

    @property
    def is_cold_start(self) -> bool:
        """Whether the delays are cold-start delays."""
        return bool(self.summary["objective"] == "cold-start")

    @property
    def title(self) -> str:
        """The scenarios, in a few words."""
        summary = self.summary
        set_name = None if not summary.get("set") else summary["set"]["name"]
        return title_of(summary["scenarios"], summary["seed"], summary["family"], summary["scenario_files"], set_name)

    @property
    def command(self) -> str:
        """The command line that asks for the same evaluation."""
        words, given = ["python", "-m", "evaluate"], self.made_with["config"]
        for field in dataclasses.fields(Config):
            value = given.get(field.name, field.default)
            option = f"--{field.name.replace('_', '-')}"
            if value is True:
                words.append(option)
            elif isinstance(value, list) and value:
                words += [option, *map(str, value)]
            elif value not in (field.default, False, []):
                words += [option, str(value)]
        return shlex.join(words)


def read_evaluation(folder: Path) -> Evaluation:
    """Read the results in a folder.

    Raises:
        ValueError: If it holds no results of `python -m evaluate`, or they cannot be read.
    """
    remedy = "name a folder that python -m evaluate has written"
    place = folder
    try:
        texts = {}
        for name in ("summary.json", "config.json", "records.csv"):
            place = folder / name
            texts[name] = read_text(place, remedy)
        place = folder
        summary: Any = parse_json(texts["summary.json"])
        figures = {name: _figures(each) for name, each in summary["policies"].items()}
        ranked = dict(sorted(figures.items(), key=lambda item: item[1].mean_delay_s))
        rows: dict[str, list[Row]] = {name: [] for name in ranked}
        cold = summary["objective"] == "cold-start"
        for each in csv.DictReader(texts["records.csv"].splitlines()):
            rows[each["policy"]].append(_row(each, "cold_start_delay_s" if cold else "mean_delay_s"))
        made_with: Any = parse_json(texts["config.json"])
        found = Evaluation(folder, summary, made_with, ranked, rows)
        if not all(len(of_policy) == summary["scenarios"] for of_policy in rows.values()):
            raise ValueError(f"records.csv has not a row per policy and scenario; {remedy}.")
        _ = (found.title, found.command, made_with["versions"], made_with["machine"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder}: it holds no results of a comparison (no {error}); {remedy}.") from None
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    return found


def _figures(data: Mapping[str, Any]) -> PolicyFigures:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    return PolicyFigures(**values)


def _row(columns: Mapping[str, str], delay: str) -> Row:
    return Row(
        policy=columns["policy"],
        scenario=int(columns["scenario"]),
        delay_s=float(columns[delay]),
        device_only_s=float(columns["device_only_s"]),
        best_known_s=float(columns["best_known_s"]),
        mean_delay_s=float(columns["mean_delay_s"]),
        planning_s=float(columns["planning_s"]),
        illegal=bool(int(columns["illegal_action"])),
        moves={name: float(columns[name]) for name in MOVE_COLUMNS},
    )
