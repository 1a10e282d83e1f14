"""The comparison as a whole: scenarios and policies in, a table and files out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from agents.policies.name import ModelName, OwnName, parse_policy_name
from dnnmig_env.files.provenance import machine, versions
from evaluate.compare.config import REPORT, Config
from evaluate.compare.given import Given, given_scenarios, title_of
from evaluate.compare.plan_files import plan_files, plan_patterns
from evaluate.compare.playing import parts_left, play_all, the_record
from evaluate.compare.plots import delays_png
from evaluate.compare.progress import showing
from evaluate.compare.record import Record, Rollout
from evaluate.compare.results import Results, records_csv, summary
from evaluate.compare.rollout import Arena
from evaluate.compare.summary_table import HEADINGS, MOVE_HEADINGS, illegal_notes, move_rows, summary_rows
from evaluate.output.folder import as_json, write_folder
from evaluate.output.journal import Journal
from evaluate.output.tables import markdown_table, print_table
from evaluate.output.unfinished import as_data, journal_in, settings_of
from evaluate.parallel import Workers
from evaluate.sets.best_known import best_delays_s


def compare(config: Config) -> Results:
    """Play every scenario with every policy, print the table and write the files.

    Records are kept in a journal as they come. If there is one already, the evaluation goes on where it was stopped.

    Raises:
        ValueError: If anything in the config is not valid, or a policy cannot plan in one of the scenarios; the table
            of the policies that have played all scenarios is printed then, and nothing is written but the journal.
        KeyboardInterrupt: If the evaluation is stopped; a note says what is kept.
    """
    config.check_workers()
    names, seed = config.policy_names, config.chosen_policy_seed
    given = given_scenarios(config)
    if given.limits.lanes and config.objective == "cold-start":
        raise ValueError(
            "--objective is cold-start, which is defined where all users share one channel; in these scenarios they "
            "have cells, or weights move between servers: leave it out."
        )
    arena = Arena(given.limits, given.scenarios, given.family, config.decisions, given.generator)
    settings, total = played_settings(config, names, given), len(names) * len(given.scenarios)
    with journal_in(config.out, settings, Record, overwrite=config.overwrite, total=total) as journal:
        try:
            rollouts = roll_out_all(arena, names, seed, journal, config)
        except (KeyboardInterrupt, ValueError):  # stopped, or a policy cannot go on: show what the others have done
            rollouts = _finished(arena, names, journal.known)
            if rollouts:
                title = _title(config, given, len(names) - len(rollouts))
                _print(title, _results(config, given, rollouts), given.limits.lanes)
            raise
        results = _results(config, given, rollouts)
        timelines = {name: arena.timelines(rollout.actions) for name, rollout in rollouts.items()}
        _publish(config, given, results, plan_files(given, timelines) if config.saves_plans else {})
    return results


def roll_out_all(
    arena: Arena,
    names: Sequence[str],
    seed: int,
    journal: Journal[Record] | None = None,
    workers: Workers = Workers(),  # noqa: B008  immutable
) -> dict[str, Rollout]:
    """Play every scenario with every policy, and show progress.

    Args:
        arena: The environment with the scenarios.
        names: The policies.
        seed: Seed of whatever is random in them.
        journal: Keeps the records, and knows those of earlier; by default nothing does.
        workers: Who plays.

    Raises:
        ValueError: If one of the policies cannot act; nothing has been played then.
    """
    known = {} if journal is None else journal.known
    found = {name: dict(known.get(name, {})) for name in names}
    # All policies are made before the first one plays, so that a wrong name ends the command here.
    of_policies = [parts_left(name, name, seed, arena, found[name], is_timed=True) for name in names]
    # Several workers get the parts of all policies at once, so that none waits for the last plan of a policy.
    rounds = [[part for parts in of_policies for part in parts]] if workers.in_parallel else of_policies
    with showing(len(names), len(arena.numbers)) as show:
        for name in names:
            if len(found[name]) == len(arena.numbers):
                show(name, len(found[name]))
        for parts in rounds:
            if parts:
                show(parts[0].key, len(found[parts[0].key]))
            for part, records in play_all(parts, workers, the_record):
                for record in records:
                    found[part.key][record.scenario] = record
                    if journal is not None:
                        journal.add(part.key, record.scenario, record)
                show(part.key, len(found[part.key]))
    return _finished(arena, names, found)


def _finished(arena: Arena, names: Sequence[str], found: Mapping[str, Mapping[int, Record]]) -> dict[str, Rollout]:
    """Return the rollouts of the policies that have played every scenario."""
    return {
        name: Rollout.of(list(found[name].values())) for name in names if len(found.get(name, {})) == len(arena.numbers)
    }


def played_settings(config: Config, names: Sequence[str], given: Given) -> dict[str, Any]:
    """Return whatever the records of an evaluation depend on."""
    models = {}
    for text in names:
        name = parse_policy_name(text)
        if isinstance(name, ModelName):
            from agents.policies.trained import find

            models[text] = hashlib.sha256(find(name.path(given.family)).read_bytes()).hexdigest()
        elif isinstance(name, OwnName):
            from agents.policies.own_policy import own_digest

            models[text] = own_digest(name)
    settings = settings_of(config)
    del settings["save_plans"], settings["report"]  # a stopped evaluation may go on with them
    return {**settings, "scenarios drawn or read": given.digest(), "models": models}


def _results(config: Config, given: Given, rollouts: Mapping[str, Rollout]) -> Results:
    seed, frozen = config.chosen_policy_seed, given.frozen
    return Results(
        family=(given.family or "custom") if given.files else config.drawn_family,
        seed=seed if given.files else config.scenario_seed,
        rollouts=rollouts,
        objective=config.objective,
        policy_seed=seed,
        files=given.files,
        known_s=None if frozen is None else best_delays_s(frozen),
        frozen=None if frozen is None else {"name": frozen.name, "sha256": frozen.sha256},
    )


def _title(config: Config, given: Given, missing: int = 0) -> str:
    set_name = None if given.frozen is None else given.frozen.name
    title = title_of(len(given.scenarios), config.scenario_seed, config.drawn_family, given.files, set_name)
    title += f", {config.decisions} decisions" + (", cold-start delay" if config.objective == "cold-start" else "")
    return f"{title}, {missing} more polic{'y' if missing == 1 else 'ies'} to play" if missing else title


def _publish(config: Config, given: Given, results: Results, plans: Mapping[str, str]) -> None:
    """Write the files, then print the table, even if the files cannot be written."""
    title, figures = _title(config, given), results.figures()
    moves = "\n" + markdown_table(MOVE_HEADINGS, move_rows(results.rollouts)) if given.limits.lanes else ""
    notes = "".join(f"\n{note}\n" for note in illegal_notes(results.rollouts))
    made_with = {"config": as_data(asdict(config)), "versions": versions(), "machine": machine()}
    files: dict[str, str | bytes] = {
        "summary.json": as_json(summary(results, figures)),
        "records.csv": records_csv(results),
        "table.md": markdown_table(HEADINGS, summary_rows(figures)) + moves + notes,
        "delays.png": delays_png(title, figures, results.delays_s, results.best_s),
        "config.json": as_json(made_with),
        **plans,
    }
    try:
        write_folder(config.out, files, sometimes=(*plan_patterns(given), REPORT))
    finally:
        _print(title, results, given.limits.lanes)
    print(f"written to {config.out}")


def _print(title: str, results: Results, lanes: bool) -> None:
    print_table(title, HEADINGS, summary_rows(results.figures()))
    if lanes:
        print_table("Weights that moved", MOVE_HEADINGS, move_rows(results.rollouts))
    for note in illegal_notes(results.rollouts):
        print(note)
