"""The command `testbed`: plans, runs each plan for real, and writes how well it was predicted."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from rich.console import Console

from agents.planners import Planner, planner
from agents.policies.name import OwnName, PlannerName, parse_policy_name
from dnnmig_env.files.provenance import machine, versions
from dnnmig_env.files.yaml_json import FORMATS
from dnnmig_env.networks.measured_profile import profile_text
from dnnmig_env.scenarios.file.write import description_of
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.simulator import simulate
from evaluate.compare.config import separate_names
from evaluate.output.folder import as_json, output_folder, write_folder
from evaluate.output.tables import markdown_table, print_table
from evaluate.testbed.comparison import Comparison, compare_run, events_of
from evaluate.testbed.config import TestbedConfig
from evaluate.testbed.given import Measurements, read_given
from evaluate.testbed.machine_check import busy_warning
from evaluate.testbed.plots import delays_png
from evaluate.testbed.processes.coordinator import run_for_real
from evaluate.testbed.tables import (
    HEADINGS,
    PARTS_HEADINGS,
    UPLOAD_HEADINGS,
    delay_rows,
    figures,
    parts_rows,
    queries_csv,
    upload_rows,
    uploads_csv,
)


def run_testbed(config: TestbedConfig) -> list[Comparison]:
    """Carry out the plan of every planner for real, print the tables and write the files.

    Raises:
        ValueError: If anything in the config is not valid or a run fails; nothing has been written then.
    """
    planners = {name: _planner(name) for name in separate_names(config.policies)}
    if config.seed < 0:
        raise ValueError(f"--seed is {config.seed}; it must not be negative.")
    with output_folder(config.out, overwrite=config.overwrite):
        _warn()
        command = (
            f"python -m evaluate testbed --scenario-file {shlex.quote(str(config.scenario_file))} "
            f"--policies {shlex.quote(config.policies)}"
        )
        measurements, status = Measurements(command), Console(stderr=True)
        with status.status("measuring layers on this machine"):
            scenario = read_given(config.scenario_file, measurements)
        comparisons = []
        for number, (name, planning) in enumerate(planners.items(), start=1):
            with status.status(f"{name}: a run of {scenario.horizon_s:g} s ({number} of {len(planners)})"):
                comparisons.append(_run(name, planning, scenario, config.seed))
        _publish(config, scenario, measurements, comparisons)
    return comparisons


def _run(name: str, planning: Planner, scenario: Scenario, seed: int) -> Comparison:
    plan = planning(scenario, np.random.default_rng(seed))
    predicted = simulate(scenario, plan)
    run = run_for_real(scenario, plan, events_of(predicted))
    return compare_run(name, scenario, plan, predicted, run)


def _planner(name: str) -> Planner:
    parsed = parse_policy_name(name)
    if isinstance(parsed, OwnName) and parsed.view == "start" and parsed.model is None:
        return planner(parsed.reference)
    if not isinstance(parsed, PlannerName) or parsed.view != "start":
        raise ValueError(
            f"--policies has {name!r}; a testbed carries out plans that are made once, so name planners, without @."
        )
    return planner(parsed.planner)


def _warn() -> None:
    warning = busy_warning()
    if warning:
        print(warning, file=sys.stderr)


def _publish(
    config: TestbedConfig, scenario: Scenario, measurements: Measurements, comparisons: Sequence[Comparison]
) -> None:
    name = config.scenario_file.name
    tables = [
        (f"{name}: mean delay of a query [ms]", HEADINGS, delay_rows(comparisons)),
        ("What it is made of [ms]", PARTS_HEADINGS, parts_rows(comparisons)),
        ("When the last partition had arrived [s]", UPLOAD_HEADINGS, upload_rows(comparisons)),
    ]
    notes = _notes(comparisons)
    texts = [f"**{title}**\n\n{markdown_table(headings, rows)}" for title, headings, rows in tables]
    _, write = FORMATS[".yaml"]
    plain = {key: str(value) if key in ("scenario_file", "out") else value for key, value in asdict(config).items()}
    files: dict[str, str | bytes] = {
        "testbed.json": as_json({one.policy: figures(one) for one in comparisons}),
        "queries.csv": queries_csv(comparisons),
        "uploads.csv": uploads_csv(comparisons),
        "table.md": "\n".join([*texts, "".join(f"- {note}\n" for note in notes)]),
        "delays.png": delays_png(name, comparisons),
        "scenario.yaml": write(description_of(scenario)),
        "config.json": as_json({"config": plain, "versions": versions(), "machine": machine()}),
    }
    for number, measured in enumerate(measurements.found):
        files[f"profile-{number}-{measured.graph.name}.json"] = profile_text(measured.profile)
    try:
        write_folder(config.out, files, sometimes=("profile-*.json",))
    finally:
        for title, headings, rows in tables:
            print_table(title, headings, rows)
            print()
        for note in notes:
            print(note)
    print(f"written to {config.out}")


def _notes(comparisons: Sequence[Comparison]) -> list[str]:
    """Return what a reader of the tables should know."""
    notes = [
        "Queries: finished for real (predicted). Retold: predicted from the seconds that layers really took, so that "
        "its error is the model's. Late: share of segments whose layers took over 5 % longer than they should, which "
        "is noise of this machine."
    ]
    for one in comparisons:
        if one.wrong_results:
            notes.append(
                f"{one.policy}: {one.wrong_results} queries returned something else than the whole network does."
            )
    return notes
