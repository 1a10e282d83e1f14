"""The command `truth`: plays the plans of policies in the model and query by query, and says how near the two are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from dnnmig_env.families.registry import make_generator
from dnnmig_env.families.registry import scenarios as drawn_scenarios
from dnnmig_env.files.command_line import UnmetError
from dnnmig_env.files.provenance import machine, versions
from evaluate.compare.given import Given
from evaluate.compare.playing import Part, parts_left, play_all
from evaluate.compare.progress import showing
from evaluate.compare.record import Record
from evaluate.compare.rollout import Arena
from evaluate.output.folder import as_json, write_folder
from evaluate.output.journal import Journal
from evaluate.output.tables import markdown_table, print_table
from evaluate.output.unfinished import journal_in, settings_of
from evaluate.truth.comparison import TruthRecord, compared
from evaluate.truth.config import TruthConfig
from evaluate.truth.plots import truth_png
from evaluate.truth.tables import HEADINGS, records_csv, rows
from evaluate.truth.verdict import Ratios, best_policies, failures, ratios_of


def check_truth(config: TruthConfig) -> dict[str, Any]:
    """Compare the model with the simulation, print a table and write the files.

    Returns:
        The contents of `truth.json`.

    Raises:
        ValueError: If anything in the config is not valid; nothing has been written then.
        UnmetError: If the model is further off than its description allows; the files have been written then.
        KeyboardInterrupt: If the command is stopped; a note says what is kept.
    """
    config.check()
    names, given = config.policy_names, _given(config)
    settings, total = _settings(config, given), len(names) * len(given.scenarios)
    with journal_in(config.out, settings, TruthRecord, overwrite=config.overwrite, total=total) as journal:
        result = _publish(config, _records(config, names, given, journal))
    if result["failures"]:
        raise UnmetError("; ".join(result["failures"]) + ".")
    return result


def _given(config: TruthConfig) -> Given:
    drawn: Sequence[Any] = drawn_scenarios(config.family, config.scenarios, config.seed)
    if config.uplink != "as-drawn":
        drawn = [replace(scenario, uplink=config.uplink) for scenario in drawn]
    generator = make_generator(config.family)
    return Given(generator.limits, drawn, generator.family, ())


def _settings(config: TruthConfig, given: Given) -> dict[str, Any]:
    """Return whatever the records depend on."""
    return {**settings_of(config), "scenarios drawn": given.digest()}


def _records(
    config: TruthConfig, names: Sequence[str], given: Given, journal: Journal[TruthRecord]
) -> dict[str, list[TruthRecord]]:
    """Return the records of every policy, in the order of the scenarios."""
    # One at a time, as the simulation of every query takes longer than playing.
    arena = Arena(given.limits, given.scenarios, given.family, rows=1)
    found = {name: dict(journal.known.get(name, {})) for name in names}
    known = {name: {index: record.played for index, record in found[name].items()} for name in names}
    # All policies are made before the first one plays, so that a wrong name ends the command here.
    parts = [part for name in names for part in parts_left(name, name, config.seed, arena, known[name])]
    with showing(len(names), len(given.scenarios)) as show:
        for name in names:
            show(name, len(found[name]))
        for part, records in play_all(parts, config, partial(_compared, config)):
            for record in records:
                found[part.key][record.scenario] = record
                journal.add(part.key, record.scenario, record)
            show(part.key, len(found[part.key]))
    return {name: [mine[index] for index in sorted(mine)] for name, mine in found.items()}


def _compared(config: TruthConfig, part: Part, played: Record) -> TruthRecord:
    """Compare, in one scenario, what a policy has uploaded; a worker calls this."""
    scenario = part.arena.scenario(played.scenario)
    (plan,) = part.arena.plans([played.actions])
    seed, repetitions = config.seed, config.repetitions
    return compared(played, scenario, plan, seed, repetitions, tensors_share=config.tensors_share)


@dataclass(frozen=True)
class Findings:
    """What all records together say: the ratios of each policy, and how well the model names the best policy."""

    ratios: Mapping[str, Ratios]
    best_policy_same: float
    loss_by_choice: float

    @property
    def failures(self) -> list[str]:
        """What is worse than the model's description allows."""
        return failures(self.ratios, self.best_policy_same)


def _publish(config: TruthConfig, records: Mapping[str, Sequence[TruthRecord]]) -> dict[str, Any]:
    """Write the files, then print the table, even if the files cannot be written."""
    findings = Findings({name: ratios_of(each) for name, each in records.items()}, *best_policies(records))
    title = f"{config.family}: {config.scenarios} scenario{'' if config.scenarios == 1 else 's'}, seed {config.seed}"
    result = {
        "family": config.family,
        "policies": {name: asdict(each) for name, each in findings.ratios.items()},
        "best_policy_same": findings.best_policy_same,
        "loss_by_choice": findings.loss_by_choice,
        "failures": findings.failures,
        "config": {**asdict(config), "out": str(config.out)},
        "versions": versions(),
        "machine": machine(),
    }
    table = rows(records, findings.ratios)
    files: dict[str, str | bytes] = {
        "truth.json": as_json(result),
        "records.csv": records_csv(records),
        "table.md": markdown_table(HEADINGS, table),
        "truth.png": truth_png(title, records),
    }
    try:
        write_folder(config.out, files)
    finally:
        print_table(title, HEADINGS, table)
        print(
            f"best policy the same in {findings.best_policy_same:.0%} of the scenarios; trusting the model costs "
            f"{findings.loss_by_choice:.2%} of delay"
        )
    print(f"written to {config.out}")
    return result
