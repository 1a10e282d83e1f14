"""The leaderboard of the frozen sets: entries are kept in leaderboard.json, from which LEADERBOARD.md is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dnnmig_env.files.atomic_file import replace_text
from dnnmig_env.files.text_file import read_text
from dnnmig_env.files.yaml_json import parse_json
from evaluate.benchmark.entries import Added, Entry
from evaluate.compare.statistics import policy_figures
from evaluate.compare.summary_table import HEADINGS, summary_rows
from evaluate.output.tables import markdown_table
from evaluate.sets.best_known import load_best
from evaluate.sets.frozen import FOLDER

ENTRIES, PAGE = "leaderboard.json", "LEADERBOARD.md"

_HEAD = """# Leaderboard

Policies in the [frozen sets](../docs/guides/evaluation.md#frozen-sets) of scenarios. `python -m evaluate benchmark
add` writes this page from results whose plans it has replayed; do not edit it by hand. Columns are those of `python
-m evaluate`: the mean query delay with its 95 % interval over scenarios, the same divided by that of running
everything on the devices, the mean gap to the best known plan of each scenario, the share of scenarios in which
nothing better is known, and seconds of planning per scenario (on the machine of the entry, which may have been busy).
"""


def load_entries(folder: Path = FOLDER) -> dict[str, dict[str, Entry]]:
    """Return all entries by the names of their set and their policy.

    Raises:
        ValueError: If they cannot be read.
    """
    path = folder / ENTRIES
    if not path.exists():
        return {}
    try:
        data: Any = parse_json(read_text(path))
        return {name: {policy: Entry(**each) for policy, each in sets.items()} for name, sets in data.items()}
    except (TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: it cannot be read ({error}); take it from the repository again.") from None


def enter(added: Added, folder: Path = FOLDER) -> None:
    """Add entries, each in place of an earlier one of the same policy and set, and write the page anew.

    Raises:
        ValueError: If a file cannot be read or written.
    """
    entries = load_entries(folder)
    if added.entries:
        entries.setdefault(added.name, {}).update({entry.policy: entry for entry in added.entries})
    data = {name: {policy: asdict(each) for policy, each in sorted(entries[name].items())} for name in sorted(entries)}
    replace_text(folder / ENTRIES, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    replace_text(folder / PAGE, leaderboard(entries, folder))


def leaderboard(entries: Mapping[str, Mapping[str, Entry]], folder: Path = FOLDER) -> str:
    """Return the page in Markdown.

    Args:
        entries: The entries, by the names of their set and their policy.
        folder: Where the sets lie, and what is best known of them.
    """
    parts = [_HEAD]
    for name in sorted(entries):
        of_set, best = entries[name], load_best(name, folder)
        some = next(iter(of_set.values()))
        known_s = np.array([best[file].mean_delay_s for file in sorted(best)])
        figures = policy_figures(
            {policy: np.array(entry.delays_s) for policy, entry in of_set.items()},
            np.array(some.device_only_s),
            {policy: np.array([entry.planning_s]) for policy, entry in of_set.items()},
            seed=1,
            known_s=known_s,
        )
        rows = [(*row, of_set[row[0]].version, of_set[row[0]].date) for row in summary_rows(figures)]
        found = [each.policy for each in best.values()]
        most_first = sorted(set(found), key=lambda policy: (-found.count(policy), policy))
        shares = ", ".join(f"{policy} {found.count(policy)}" for policy in most_first)
        table = markdown_table((*HEADINGS, "version", "entered"), rows)
        parts.append(
            f"\n## {name}\n\n{len(some.delays_s)} scenarios. Best known mean delay {known_s.mean():.4g} s. Plans that "
            f"are best known, by policy: {shares}.\n\n{table}"
        )
    return "".join(parts)
