"""The plans of a comparison as files, beside the scenarios for which they were made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from dnnmig_env.scenarios.file import scenario_json
from dnnmig_env.simulation.plan_file.write import plan_text
from dnnmig_env.simulation.timelines.timeline import Timeline
from evaluate.compare.given import Given

_MOST_CHARACTERS = 100


def plan_files(given: Given, timelines: Mapping[str, Iterable[Timeline]]) -> dict[str, str]:
    """Return the files by their names within the folder of the results.

    A plan is plans/POLICY/NUMBER.json, with the number of its scenario from 0 on. A scenario that was drawn, or is of a
    frozen set, is scenarios/NUMBER.json.

    Args:
        given: The scenarios.
        timelines: What happened in each of them, in their order, by policy.
    """
    files = {}
    if _are_in_no_file(given):
        files = {f"scenarios/{number}.json": scenario_json(scenario) for number, scenario in enumerate(given.scenarios)}
    for name, folder in folder_names(timelines).items():
        for number, timeline in enumerate(timelines[name]):
            files[f"plans/{folder}/{number}.json"] = plan_text(timeline, name)
    return files


def plan_patterns(given: Given) -> tuple[str, ...]:
    """Return patterns of what `plan_files` returns, as `write_folder` takes them.

    Scenarios that are read from files may lie in the folder of the results themselves, and are left alone there.
    """
    return ("plans/*/*.json", "scenarios/*.json") if _are_in_no_file(given) else ("plans/*/*.json",)


def _are_in_no_file(given: Given) -> bool:
    """Return whether the scenarios are drawn, or are of a frozen set, so that no file of the user's holds them."""
    return not given.files or given.frozen is not None


def folder_names(policies: Iterable[str], kept: str = r"\w@+=,.-") -> dict[str, str]:
    """Return for each policy the name of a folder of its own: its name, with _ for what a folder may not be called.

    Args:
        policies: The policies.
        kept: The characters that it may be called, as a regular expression has them between square brackets.
    """
    names: dict[str, str] = {}
    for policy in policies:
        plain = re.sub(f"[^{kept}]+", "_", policy).strip("._")[-_MOST_CHARACTERS:] or "policy"
        name, number = plain, 2
        while name in names.values():
            name, number = f"{plain}-{number}", number + 1
        names[policy] = name
    return names
