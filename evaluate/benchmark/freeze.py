"""Draws the scenarios of a set once, and writes them as files that are never drawn again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from dnnmig_env.families.registry import FAMILIES
from dnnmig_env.families.registry import scenarios as drawn_scenarios
from dnnmig_env.files.atomic_file import replace_bytes, replace_text
from dnnmig_env.files.suggestion import suggestion
from dnnmig_env.scenarios.file.write import description_of
from dnnmig_env.scenarios.scenario import Scenario
from evaluate.sets.archive import archive_of
from evaluate.sets.frozen import FOLDER, SUFFIX, SUMS, check_sums, scenario_in

DIGITS = 6
"""Significant digits to which the numbers of a scenario are rounded, which makes the archives half as large."""


def freeze(name: str, scenarios: int, seed: int, folder: Path = FOLDER) -> Path:
    """Draw a set and write its archive and its check sum.

    Args:
        name: Name of the set: a family, -v, and a version, such as "multi-user-v1".
        scenarios: Number of scenarios.
        seed: Seed with which they are drawn.
        folder: Where the sets lie.

    Returns:
        The archive.

    Raises:
        ValueError: If the set exists, its name names no family, or a number is out of range.
    """
    family, dash, version = name.rpartition("-v")
    if not dash or not version.isdigit():
        raise ValueError(f"the set is called {name!r}; give a family and a version, such as multi-user-v2.")
    if family not in FAMILIES:
        raise ValueError(f"the set {name!r} is of no family; {suggestion(family, FAMILIES)}")
    sums = check_sums(folder) if (folder / SUMS).exists() else {}
    if name in sums:
        raise ValueError(f"the set {name} exists and stays as it is; give another version.")
    if scenarios < 1 or seed < 0:
        raise ValueError(f"--scenarios is {scenarios} and --seed {seed}; give at least 1 scenario and a seed from 0.")
    texts = {f"{k:03}.json": frozen_json(each) for k, each in enumerate(drawn_scenarios(family, scenarios, seed))}
    content, path = archive_of(texts), folder / f"{name}{SUFFIX}"
    replace_bytes(path, content)
    sums[name] = hashlib.sha256(content).hexdigest()
    replace_text(folder / SUMS, "".join(f"{sums[each]}  {each}{SUFFIX}\n" for each in sorted(sums)))
    return path


def frozen_json(scenario: Scenario) -> str:
    """Return a scenario as a JSON text with all layers of its networks, its other numbers rounded to `DIGITS`.

    Raises:
        ValueError: If the text does not hold a valid scenario.
    """
    text = json.dumps(_rounded(description_of(scenario, in_full=True)), ensure_ascii=False, allow_nan=False)
    scenario_in(text)
    return text + "\n"


def _rounded(data: Any) -> Any:
    """Return plain data in which all numbers but those of networks are rounded."""
    if isinstance(data, float):
        return float(f"{data:.{DIGITS}g}")
    if isinstance(data, list):
        return [_rounded(item) for item in data]
    if isinstance(data, dict):
        return {key: value if key == "network" else _rounded(value) for key, value in data.items()}
    return data
