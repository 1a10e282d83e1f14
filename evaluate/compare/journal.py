"""The journal of an evaluation: each record is kept as soon as it is there, so that a stopped evaluation can go on.

It is a file of JSON lines in the folder of the results. The first line holds the settings, and each other line a record
and the name of its policy. The file is removed when the results are written.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from dnnmig_env.files.folder_lock import LOCK
from dnnmig_env.files.text_file import read_text

JOURNAL = "unfinished.jsonl"
"""Name of the file."""


class OfScenario(Protocol):
    """A record, which is a dataclass: what came of one scenario."""

    @property
    def scenario(self) -> int:
        """Number of the scenario."""


Kept = TypeVar("Kept", bound=OfScenario)


def is_unfinished(folder: Path) -> bool:
    """Return whether a folder holds the journal of an evaluation, and nothing else."""
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError:
        return False
    return JOURNAL in names and names <= {JOURNAL, LOCK}


class Journal(Generic[Kept]):
    """Reads what an evaluation of the same settings has left in a folder, and adds to it.

    Args:
        folder: Folder of the results.
        settings: Whatever the records depend on, as data that JSON can hold.
        kind: The dataclass of the records.
        anew: Drop a journal of other settings, or a damaged one.

    Attributes:
        known: The records that were there, by policy and number of the scenario.

    Raises:
        ValueError: If there is a journal of other settings, or it is damaged.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], kind: type[Kept], *, anew: bool) -> None:
        self._path, self._kind = folder / JOURNAL, TypeAdapter(kind)
        self._head = json.dumps({"settings": settings}) + "\n"
        self.known: dict[str, dict[int, Kept]] = {}
        self._pending, self._size, self._warned = b"", 0, False
        if self._path.exists():
            self._read(json.loads(self._head)["settings"], anew=anew)
        if not self._size:
            self._pending = self._head.encode()

    @property
    def count(self) -> int:
        """Number of records that are in the file."""
        return sum(map(len, self.known.values()))

    def add(self, policy: str, record: Kept) -> None:
        """Write a record, unless it is known; if that fails, warn once and try again with the next one."""
        mine = self.known.setdefault(policy, {})
        if record.scenario in mine:
            return
        mine[record.scenario] = record
        self._pending += (json.dumps({"policy": policy, **asdict(cast(Any, record))}) + "\n").encode()
        try:
            with self._path.open("r+b" if self._path.exists() else "wb", buffering=0) as file:
                file.seek(self._size)
                file.truncate()  # a part of a line, where the disk was full
                left = self._pending
                while left:
                    left = left[file.write(left) or 0 :]
        except OSError as error:
            if not self._warned:
                print(f"warning: cannot write {self._path}: {error.strerror}; going on without.", file=sys.stderr)
            self._warned = True
            return
        self._size, self._pending = self._size + len(self._pending), b""

    def remove(self) -> None:
        """Remove the file, as the results are written."""
        with suppress(OSError):
            os.remove(self._path)

    def _read(self, settings: Mapping[str, Any], *, anew: bool) -> None:
        try:
            lines = read_text(self._path).split("\n")[:-1]  # the last one is empty, or was cut off
            if not lines:
                return
            self._check(_value(lines[0], 1).get("settings"), settings)
            for number, line in enumerate(lines[1:], start=2):
                data = _value(line, number)
                policy = data.pop("policy", "")
                try:
                    record = self._kind.validate_python(data)
                except ValidationError:
                    raise ValueError(f"line {number} holds no record") from None
                self.known.setdefault(policy, {})[record.scenario] = record
        except ValueError as error:
            if not anew:
                raise ValueError(
                    f"{self._path} cannot be used: {error}; repeat the same command to go on, name another --out, or "
                    "begin anew with --overwrite."
                ) from None
            self.known = {}
            return
        self._size = sum(len(line.encode()) + 1 for line in lines)

    def _check(self, found: Any, settings: Mapping[str, Any]) -> None:
        found = found if isinstance(found, dict) else {}
        for name in (*settings, *found):
            if found.get(name) != settings.get(name):
                was, now = (json.dumps(each.get(name)) for each in (found, settings))
                raise ValueError(
                    f"it was begun with other settings ({name} was {_short(was)}, now it is {_short(now)})"
                )


def _value(line: str, number: int) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise ValueError(f"line {number} is damaged")
    return data


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
