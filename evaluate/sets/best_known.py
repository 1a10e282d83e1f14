"""The best known plan of each scenario of a frozen set, how long queries take with it, and who found it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.files.atomic_file import replace_bytes
from dnnmig_env.files.yaml_json import parse_json
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_file.read import plan_in
from dnnmig_env.simulation.plan_file.schema import checked_form
from dnnmig_env.simulation.plan_file.write import plan_text
from dnnmig_env.simulation.timelines.timeline import Timeline
from evaluate.sets.archive import archive_of, texts_in
from evaluate.sets.frozen import FOLDER, SUFFIX, FrozenSet

FOUND = "found.json"


@dataclass(frozen=True)
class Found:
    """The best known plan of one scenario.

    Attributes:
        mean_delay_s: Mean query delay J with it.
        policy: The policy that found it.
        version: Version of the project with which it was found.
        date: Day on which it was found, as in 2026-11-29.
        plan: The file of the plan.
    """

    mean_delay_s: float
    policy: str
    version: str
    date: str
    plan: str


def load_best(name: str, folder: Path = FOLDER) -> dict[str, Found]:
    """Return what is best known of a set, by the files of its scenarios; nothing if nobody has entered a plan.

    Raises:
        ValueError: If the archive cannot be read.
    """
    path = _path(name, folder)
    if not path.exists():
        return {}
    try:
        texts = texts_in(path.read_bytes())
        entries: Any = parse_json(texts[FOUND])
        return {file: Found(**entry, plan=texts[file]) for file, entry in entries.items()}
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: it cannot be read ({error}); take it from the repository again.") from None


def save_best(name: str, found: Mapping[str, Found], folder: Path = FOLDER) -> None:
    """Write what is best known of a set, in one go.

    Raises:
        ValueError: If the archive cannot be written.
    """
    entries = {file: asdict(each) for file, each in sorted(found.items())}
    plans = {file: entry.pop("plan") for file, entry in entries.items()}
    lines = [f"{json.dumps(file)}: {json.dumps(entry)}" for file, entry in entries.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    replace_bytes(_path(name, folder), archive_of({FOUND: text, **plans}))


def best_delays_s(chosen: FrozenSet, folder: Path = FOLDER) -> Floats:
    """Return the best known mean query delay of each scenario of a set, shape (N,); infinite where none is known."""
    found = load_best(chosen.name, folder)
    return np.array([found[file].mean_delay_s if file in found else np.inf for file in chosen.files])


def short_plan(timeline: Timeline, policy: str) -> str:
    """Return the file of a plan with nothing but what was decided and the mean delay.

    The check sum of the scenario is left out: it would change if the zoo came to prepare a network otherwise.
    """
    data = json.loads(plan_text(timeline, policy))
    del data["placement"], data["scenario"]["sha256"]
    for move in data["moves"]:
        move["layers"] = [layer["layer"] for layer in move["layers"]]
        move.pop("usable_s", None)
    return json.dumps(data, ensure_ascii=False) + "\n"


def plan_from(text: str, scenario: Scenario) -> Plan:
    """Return the plan that a JSON text holds for a scenario.

    Raises:
        ValueError: If it holds none, or that of another scenario.
    """
    return plan_in(checked_form(parse_json(text)), scenario).plan


def _path(name: str, folder: Path) -> Path:
    return folder / f"{name}-best{SUFFIX}"
