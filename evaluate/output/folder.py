"""Writes the results of a command into a folder, all files or none."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dnnmig_env.files.folder_lock import LOCK, locked


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Check before a long computation that its results can be written.

    Raises:
        ValueError: If the folder is a file, is not empty without `overwrite`, or cannot be written.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"--out is {folder}, which is a file; name a folder.")
        if folder.is_dir() and any(path.name != LOCK for path in folder.iterdir()) and not overwrite:
            raise ValueError(f"--out is {folder}, which is not empty; name another folder or add --overwrite.")
        existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    except OSError as error:
        raise ValueError(f"--out is {folder}, which cannot be used: {error.strerror}; name another folder.") from error
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise ValueError(f"--out is {folder}, but {existing} cannot be written; name another folder.")


@contextmanager
def output_folder(folder: Path, *, overwrite: bool) -> Iterator[None]:
    """Check a folder as `check_folder` does, and keep others from writing to it until the results are there.

    Raises:
        ValueError: If the results cannot be written, or somebody else is at work in the folder.
    """
    check_folder(folder, overwrite=overwrite)
    with locked(folder):
        yield


def write_folder(folder: Path, files: Mapping[str, str | bytes], sometimes: Collection[str] = ()) -> None:
    """Write files into a folder, which is made if need be; a new folder appears with all of them at once.

    Args:
        folder: The folder.
        files: The content of each file by its name, which may have folders before it: "plans/0.json".
        sometimes: Patterns of files that a command does not write every time, such as "plans/*/*.json". What an
            earlier command has left of them is removed, as it would seem to belong to these results.

    Raises:
        ValueError: If something cannot be written. A new folder then does not exist; an old one is as it was, or some
            of its files are replaced in full.
    """
    folder = folder.absolute()
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".results-", dir=folder.parent))
        temporary.chmod(0o755)
        for name, content in files.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(
                content if isinstance(content, bytes) else content.encode(errors="backslashreplace")
            )
        if folder.is_dir() and any(folder.iterdir()):
            for name in files:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(temporary / name, folder / name)
            for old in [path for pattern in sometimes for path in folder.glob(pattern)]:
                if old.relative_to(folder).as_posix() not in files:
                    _remove(old, folder)
        else:
            os.replace(temporary, folder)
    except OSError as error:
        raise ValueError(f"cannot write {folder}: {error.strerror}; name another folder.") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _remove(file: Path, folder: Path) -> None:
    """Remove a file, and those of the folders around it within `folder` that it leaves empty."""
    file.unlink()
    for parent in file.relative_to(folder).parents[:-1]:
        with suppress(OSError):  # it is not empty
            (folder / parent).rmdir()


def as_json(content: Any) -> str:
    """Return JSON for people to read.

    Raises:
        ValueError: If a number is infinite or NaN, which JSON does not have.
    """
    return json.dumps(content, indent=2, allow_nan=False) + "\n"
