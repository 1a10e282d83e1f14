"""The command `study`: runs one study, prints its table and writes the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from rich.console import Console

from dnnmig_env.families.registry import make_generator
from dnnmig_env.files.provenance import machine, versions
from evaluate.compare.record import Record
from evaluate.output.folder import as_json, write_folder
from evaluate.output.journal import Journal
from evaluate.output.tables import markdown_table, print_table
from evaluate.output.unfinished import journal_in, settings_of
from evaluate.studies.config import StudyConfig

JSON, TABLE = "study.json", "table.md"


class _Table(NamedTuple):
    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def run(config: StudyConfig) -> dict[str, Any]:
    """Run a study.

    Returns:
        The contents of `study.json`.

    Raises:
        ValueError: If anything in the config is not valid; nothing has been written then.
        KeyboardInterrupt: If the study is stopped; notes say which training runs and records are kept.
    """
    config.check()
    make_generator(config.family)  # raises if there is no such family
    settings, beside = settings_of(config), (config.runs.name,)
    with journal_in(config.out, settings, Record, overwrite=config.overwrite, beside=beside) as journal:
        return _run(config, journal)


def _run(config: StudyConfig, journal: Journal[Record]) -> dict[str, Any]:
    progress = Console(stderr=True)

    def say(line: str) -> None:
        progress.print(line, markup=False, highlight=False, soft_wrap=True)

    try:
        result, table = (_elsewhere if config.name == "generalisation" else _comparison)(config, say, journal)
    except KeyboardInterrupt as stop:
        if config.name != "generalisation":
            stop.add_note(
                f"interrupted: finished training runs are in {config.runs}; the same command goes on from there."
            )
        raise
    result = {
        "study": config.name,
        **result,
        "config": {**asdict(config), "out": str(config.out)},
        "versions": versions(),
        "machine": machine(),
    }
    text = f"**{table.title}**\n\n{markdown_table(table.headings, table.rows)}"
    try:
        write_folder(config.out, {JSON: as_json(result), TABLE: text})
    finally:
        print_table(*table)
    print(f"written to {config.out}")
    return result


def _comparison(
    config: StudyConfig, say: Callable[[str], None], journal: Journal[Record]
) -> tuple[dict[str, Any], _Table]:
    from evaluate.studies.comparison import HEADINGS, train_and_compare
    from evaluate.studies.variants import BASELINE, study

    found = train_and_compare(study(config.name), config, say, journal)
    effort = f"{config.steps} decisions" if config.seconds is None else f"{config.seconds:g} s"
    title = f"{found.study.title} after {effort}: {config.family}, {_count(config.seeds, 'training seed')}, "
    title += f"{_scenarios(config)}; "
    title += f"IQM and mean relative to {BASELINE}"
    return found.as_dict(), _Table(title, HEADINGS, found.rows())


def _elsewhere(
    config: StudyConfig, say: Callable[[str], None], journal: Journal[Record]
) -> tuple[dict[str, Any], _Table]:
    from evaluate.studies.generalisation import HEADINGS, play_elsewhere

    settings = play_elsewhere(config, say, journal)
    title = f"{config.agent} where it was not trained: {config.family}, {_scenarios(config)} each"
    return {"settings": [setting.as_dict() for setting in settings]}, _Table(
        title, HEADINGS, [setting.row() for setting in settings]
    )


def _scenarios(config: StudyConfig) -> str:
    return f"{_count(config.scenarios, 'scenario')}, seed {config.seed}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
