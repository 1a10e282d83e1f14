"""Fills the template of a report with the tables, charts and pictures of evaluations."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluate.compare.reading import Evaluation
from evaluate.compare.record import Record, Rollout
from evaluate.compare.summary_table import HEADINGS, MOVE_HEADINGS, illegal_notes, move_rows, summary_rows
from evaluate.report.charts import charts, delay_name
from evaluate.report.episodes import LOADS, Episode, Episodes

TEMPLATE = "page.html"
SPREAD_HEADINGS = ("policy", "least", "10 %", "quarter", "median", "three quarters", "90 %", "greatest")
_SPREAD_PERCENT = (0, 10, 25, 50, 75, 90, 100)


def page(found: Sequence[tuple[Evaluation, Episodes | None]]) -> str:
    """Return a page of HTML that needs nothing but itself.

    Args:
        found: Evaluations, and what their plans say where these are known.
    """
    from bokeh.embed import components
    from bokeh.resources import Resources
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    drawn = {
        f"{place} {name}": plot
        for place, (evaluation, episodes) in enumerate(found)
        for name, plot in charts(evaluation, None if episodes is None else _shown_loads(episodes)).items()
    }
    script, places = components(drawn)
    sections = []
    for place, (evaluation, episodes) in enumerate(found):
        mine = {key.partition(" ")[2]: Markup(html) for key, html in places.items() if key.startswith(f"{place} ")}
        sections.append(_section(evaluation, episodes) | {"charts": mine})
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    library = Resources(mode="inline", components=["bokeh"]).render_js()
    text = environment.get_template(TEMPLATE).render(
        title="; ".join(evaluation.title for evaluation, _ in found),
        scripts=Markup(library + script),
        sections=sections,
    )
    return text.encode(errors="backslashreplace").decode()


def _section(evaluation: Evaluation, episodes: Episodes | None) -> dict[str, Any]:
    """Return what the template says of an evaluation, apart from its charts."""
    policies = len(evaluation.figures)
    device_s = float(evaluation.summary["device_only_delay_s"])
    decisions = evaluation.made_with["config"].get("decisions", "joint")
    rollouts = {name: _rollout(evaluation, name) for name in evaluation.rows}
    moved = any(each.handovers.any() or each.wire_bytes.any() for each in rollouts.values())
    return {
        "title": evaluation.title,
        "introduction": (
            f"{policies} polic{'y' if policies == 1 else 'ies'}, {decisions} decisions, compared by the "
            f"{delay_name(evaluation)}. With everything on the devices it is {device_s:.3g} s."
        ),
        "delay": delay_name(evaluation),
        "headings": HEADINGS,
        "rows": summary_rows(evaluation.figures),
        "notes": illegal_notes(rollouts),
        "move_headings": MOVE_HEADINGS,
        "move_rows": move_rows(rollouts) if moved else (),
        "spread_headings": SPREAD_HEADINGS,
        "spread_rows": _spread_rows(evaluation),
        "load_headings": ("policy", *LOADS.values()),
        "load_rows": () if episodes is None else _load_rows(episodes),
        "episodes": () if episodes is None else _shown_episodes(evaluation, episodes),
        "command": evaluation.command,
        "facts": _facts(evaluation),
    }


def _spread_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    rows = []
    for name, of_policy in evaluation.rows.items():
        values = np.percentile([row.relative for row in of_policy], _SPREAD_PERCENT)
        rows.append((name, *(f"{value:.3f}" for value in values)))
    return rows


def _shown_loads(episodes: Episodes) -> dict[str, dict[str, float]]:
    return {
        policy: {label: of_policy[name] for name, label in LOADS.items()}
        for policy, of_policy in episodes.loads.items()
    }


def _load_rows(episodes: Episodes) -> list[tuple[str, ...]]:
    return [
        (policy, *(f"{load:.1%}" for load in of_policy.values()))
        for policy, of_policy in _shown_loads(episodes).items()
    ]


def _shown_episodes(evaluation: Evaluation, episodes: Episodes) -> list[tuple[str, list[dict[str, Any]]]]:
    return [
        (policy, [_shown("best", episodes.best[policy]), _shown("worst", episodes.worst[policy])])
        for policy in evaluation.rows
    ]


def _shown(kind: str, episode: Episode) -> dict[str, Any]:
    row = episode.row
    return {
        "kind": kind,
        "scenario": row.scenario,
        "text": f"{row.delay_s:.3g} s, {row.relative:.3f} of the {row.device_only_s:.3g} s on the devices, "
        f"{row.gap:+.1%} to the best known {row.best_known_s:.3g} s",
        "picture": base64.b64encode(episode.picture).decode(),
    }


def _rollout(evaluation: Evaluation, policy: str) -> Rollout:
    """Return the rows of a policy as a rollout, as far as tables of what moved and notes need it."""
    records = []
    for row in evaluation.rows[policy]:
        moves: Mapping[str, Any] = row.moves
        records.append(
            Record(
                row.scenario,
                row.mean_delay_s,
                row.device_only_s,
                np.nan,
                np.nan,
                row.planning_s,
                0,
                row.illegal,
                (),
                **moves,
            )
        )
    return Rollout.of(records)


def _facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    summary, made_with = evaluation.summary, evaluation.made_with
    facts = [
        ("seed of the policies", str(summary["policy_seed"])),
        *((f"machine: {name}", str(value)) for name, value in made_with["machine"].items()),
        *((f"version: {name}", str(value)) for name, value in made_with["versions"].items()),
    ]
    if summary.get("set"):
        facts.insert(0, ("frozen set", f"{summary['set']['name']}, SHA-256 {summary['set']['sha256']}"))
    if summary["scenario_files"] and not summary.get("set"):
        facts.insert(0, ("scenario files", ", ".join(summary["scenario_files"])))
    return facts
