"""The journal of a command: each record is kept as soon as it is there, so that a stopped command can go on.

It is a file of JSON lines in the folder of the results. The first line holds the settings, and each other line a
record, its name and number, and a check sum. The file is removed when the results are written.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from dnnmig_env.files.text_file import read_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

JOURNAL = "unfinished.jsonl"
"""Name of the file."""

Kept = TypeVar("Kept", bound="DataclassInstance")


class Journal(Generic[Kept]):
    """Reads what a command of the same settings has left in a folder, and adds to it.

    Args:
        folder: Folder of the results.
        settings: Whatever the records depend on, as data that JSON can hold.
        kind: The dataclass of the records, or the union of several.
        anew: Drop a journal of other settings, or a damaged one.

    Attributes:
        known: The records that were there, by name and number.

    Raises:
        ValueError: If there is a journal of other settings, or it is damaged.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], kind: type[Kept], *, anew: bool) -> None:
        self._path = folder / JOURNAL
        self._head = json.dumps({"settings": settings}) + "\n"
        self._kind: TypeAdapter[Kept] = TypeAdapter(kind)
        self.known: dict[str, dict[int, Kept]] = {}
        self._pending, self._waiting, self._size, self._warned = b"", 0, 0, False
        if self._path.exists():
            self._read(json.loads(self._head)["settings"], anew=anew)
        if not self._size:
            self._pending = self._head.encode()

    @property
    def count(self) -> int:
        """Number of records that are in the file."""
        return sum(map(len, self.known.values())) - self._waiting

    def add(self, name: str, number: int, record: Kept) -> None:
        """Write a record, unless it is known; if that fails, warn once and try again with the next one."""
        mine = self.known.setdefault(name, {})
        if number in mine:
            return
        mine[number] = record
        line = {"name": name, "number": number, "record": asdict(record)}
        self._waiting += 1
        self._pending += (json.dumps({**line, "check": _check_sum(line)}) + "\n").encode()
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
        self._size, self._pending, self._waiting = self._size + len(self._pending), b"", 0

    def remove(self) -> None:
        """Remove the file, as the results are written."""
        with suppress(OSError):
            os.remove(self._path)

    def _read(self, settings: Mapping[str, Any], *, anew: bool) -> None:
        try:
            lines = read_text(self._path).split("\n")[:-1]  # the last one is empty, or was cut off
            if not lines:
                return
            _check_settings(_value(lines[0], 1).get("settings"), settings)
            for number, line in enumerate(lines[1:], start=2):
                data = _value(line, number)
                if data.pop("check", None) != _check_sum(data):
                    raise ValueError(f"line {number} is damaged")
                try:
                    record = self._kind.validate_python(data.get("record"))
                except ValidationError:
                    raise ValueError(f"line {number} holds no record") from None
                self.known.setdefault(data["name"], {})[data["number"]] = record
        except ValueError as error:
            if not anew:
                raise ValueError(
                    f"{self._path} cannot be used: {error}; repeat the same command to go on, name another --out, or "
                    "begin anew with --overwrite."
                ) from None
            self.known = {}
            return
        self._size = sum(len(line.encode()) + 1 for line in lines)


def _check_settings(found: Any, settings: Mapping[str, Any]) -> None:
    found = found if isinstance(found, dict) else {}
    for name in (*settings, *found):
        if found.get(name) != settings.get(name):
            was, now = found.get(name), settings.get(name)
            if name == "policies" and isinstance(was, str) and isinstance(now, str):
                gone, new = _only_in(was, now), _only_in(now, was)
                differs = " and ".join([f"{each} is gone" for each in gone] + [f"{each} is new" for each in new])
                raise ValueError(f"it was begun with other policies ({_short(differs or 'in another order')})")
            was, now = _short(json.dumps(was)), _short(json.dumps(now))
            raise ValueError(f"it was begun with other settings ({name} was {was}, now it is {now})")


def _only_in(one: str, other: str) -> list[str]:
    return [each for each in one.split(",") if each not in other.split(",")]


def _check_sum(line: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(line).encode())


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
