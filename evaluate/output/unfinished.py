"""Commands that were stopped: their records are in a journal, and the same command goes on from there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnnmig_env.files.folder_lock import LOCK
from dnnmig_env.files.provenance import versions
from evaluate.output.folder import output_folder
from evaluate.output.journal import JOURNAL, Journal
from evaluate.parallel import OPTIONS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@contextmanager
def journal_in(
    folder: Path,
    settings: Mapping[str, Any],
    kind: Any,
    *,
    overwrite: bool,
    beside: Collection[str] = (),
    total: int | None = None,
) -> Iterator[Journal[Any]]:
    """Hold the folder of the results of a command, and keep its records in a journal until the results are there.

    If the command is stopped by a signal, the exception receives a note that says how many records are kept.

    Args:
        folder: Folder of the results.
        settings: Whatever the records depend on, as data that JSON can hold; the versions are added.
        kind: The dataclass of the records, or the union of several.
        overwrite: Write into a folder that is not empty, and drop a journal that cannot be used.
        beside: Names in the folder that may be beside the journal of a command that was stopped.
        total: Number of records in the end, for the note.

    Raises:
        ValueError: If the results cannot be written, somebody else is at work in the folder, or its journal is of other
            settings or damaged.
    """
    used = {f"version of {name}": version for name, version in versions().items()}
    with output_folder(folder, overwrite=overwrite or is_unfinished(folder, beside)):
        journal: Journal[Any] = Journal(folder, {**settings, **used}, kind, anew=overwrite)
        try:
            yield journal
        except KeyboardInterrupt as stop:
            if journal.count:
                of = f"{journal.count} records" if total is None else f"{journal.count} of {total} records"
                stop.add_note(f"interrupted: {of} are kept in {folder}; the same command goes on from there.")
            raise
        journal.remove()


def is_unfinished(folder: Path, beside: Collection[str] = ()) -> bool:
    """Return whether a folder holds the journal of a command or some of the names in `beside`, and nothing else."""
    try:
        names = {path.name for path in folder.iterdir()} - {LOCK}
    except OSError:
        return False
    return bool(names) and names <= {JOURNAL, *beside}


def settings_of(config: DataclassInstance) -> dict[str, Any]:
    """Return the options of a command on which its records depend, as data that JSON can hold."""
    none = ("out", "overwrite", *OPTIONS)
    return {name: value for name, value in as_data(asdict(config)).items() if name not in none}


def as_data(value: Any) -> Any:
    """Return a value as JSON can hold it: lists for tuples, and text for whatever else JSON does not know."""
    if isinstance(value, dict):
        return {name: as_data(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [as_data(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
