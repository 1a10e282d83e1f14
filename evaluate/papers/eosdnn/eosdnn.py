"""The command `eosdnn`: measures the two claims of EosDNN in drawn scenarios, and writes the results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from dnnmig_env.files.provenance import machine, versions
from evaluate.output.folder import as_json, write_folder
from evaluate.output.keeping import Keeper
from evaluate.output.tables import markdown_table, print_table
from evaluate.output.unfinished import journal_in, settings_of
from evaluate.papers.eosdnn.config import EosdnnConfig
from evaluate.papers.eosdnn.placements import SWARM, Placed, PlacementStudy, place_and_compare
from evaluate.papers.eosdnn.plots import studies_png
from evaluate.papers.eosdnn.uploads import Uploaded, UploadStudy, upload_and_compare

INTERVAL = "95 %"
"""Heading of the intervals. They are only in table.md, as the terminal is too narrow for them."""

PLACEMENT_HEADINGS = ("placement", "delay [s]", INTERVAL, "/ pso-ga", INTERVAL, "excess", INTERVAL, "best", "plan [ms]")
"""Headings of the tables of placements."""
UPLOAD_HEADINGS = ("upload", "delay [s]", "/ ionn", INTERVAL, "faster", "queries", "/ ionn", INTERVAL, "partitions")
"""Headings of the tables of upload orders."""

Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""Title, headings and rows."""


def reproduce(config: EosdnnConfig) -> dict[str, Any]:
    """Compare placements and upload orders, print tables and write the files.

    Records are kept in a journal as they come. If there is one already, the command goes on where it was stopped.

    Returns:
        The contents of `eosdnn.json`.

    Raises:
        ValueError: If anything in the config is not valid; nothing has been written then.
        KeyboardInterrupt: If the command is stopped; a note says what is kept.
    """
    config.check()
    with journal_in(config.out, settings_of(config), Placed | Uploaded, overwrite=config.overwrite) as journal:
        return _reproduced(config, Keeper(journal, config))


def _reproduced(config: EosdnnConfig, keep: Keeper) -> dict[str, Any]:
    placements, uploads = [], []
    with Console(stderr=True).status("placing") as status:
        for placed in place_and_compare(config.scenarios, config.seed, config.iterations, keep):
            placements.append(placed)
            _show(_tables([placed], []))
            status.update(f"{placed.title}: done")
        for uploaded in upload_and_compare(config.scenarios, config.seed, keep):
            uploads.append(uploaded)
            _show(_tables([], [uploaded]))
            status.update(f"{uploaded.title}: done")
    result = {
        "evaluations": SWARM * (config.iterations + 1),
        "placements": [
            {"family": study.family, "exact": study.exact, "methods": study.figures()} for study in placements
        ],
        "uploads": [{"setting": study.setting, "methods": study.figures()} for study in uploads],
        "config": {**asdict(config), "out": str(config.out)},
        "versions": versions(),
        "machine": machine(),
    }
    tables = list(_tables(placements, uploads))
    text = "\n".join(f"**{title}**\n\n{markdown_table(headings, rows)}" for title, headings, rows in tables)
    picture = studies_png(placements, uploads)
    write_folder(config.out, {"eosdnn.json": as_json(result), "table.md": text, "eosdnn.png": picture})
    print(f"written to {config.out}")
    return result


def _show(tables: Iterable[Table]) -> None:
    """Print the tables of a study as soon as it is finished, so that stopping the command does not lose them."""
    for title, headings, rows in tables:
        shown = [column for column, heading in enumerate(headings) if heading != INTERVAL]
        narrow = [[row[column] for column in shown] for row in (headings, *rows)]
        print_table(title, narrow[0], narrow[1:])
        print()


def _tables(placements: Sequence[PlacementStudy], uploads: Sequence[UploadStudy]) -> Iterable[Table]:
    for placed in placements:
        yield placed.title, PLACEMENT_HEADINGS, [_placement_row(*item) for item in placed.figures().items()]
    for uploaded in uploads:
        yield uploaded.title, UPLOAD_HEADINGS, [_upload_row(*item) for item in uploaded.figures().items()]


def _placement_row(name: str, each: dict[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"{each['mean_delay_s']:.3f}",
        _interval(each["ci95"], ".3f"),
        f"{each['relative_to_pso_ga']:.3f}",
        _interval(each["relative_ci95"], ".3f"),
        f"{each['excess']:+.1%}",
        _interval(each["excess_ci95"], ".1%"),
        f"{each['best']:.0%}",
        f"{1e3 * each['planning_s']:.3g}",
    )


def _upload_row(name: str, each: dict[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"{each['mean_delay_s']:.3f}",
        f"{each['relative_to_ionn']:.3f}",
        _interval(each["relative_ci95"], ".3f"),
        f"{each['faster']:.0%}",
        f"{each['queries']:.1f}",
        f"{each['queries_relative_to_ionn']:.3f}",
        _interval(each["queries_relative_ci95"], ".3f"),
        f"{each['partitions']:.1f}",
    )


def _interval(bounds: tuple[float, float], form: str) -> str:
    return f"{bounds[0]:{form}} - {bounds[1]:{form}}"
