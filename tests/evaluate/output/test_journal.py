"""Journals give back what they were given, whatever ends the command that writes them."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from evaluate.compare.record import Record
from evaluate.output.journal import JOURNAL, Journal
from evaluate.output.unfinished import is_unfinished

RECORD = Record(3, 1.5, 2.5, 0.5, 0.75, 1e-3, 2, False, (4, 0))


def journal(folder: Path, *, anew: bool = False, **settings: Any) -> Journal[Record]:
    return Journal(folder, {"policies": "a", **settings}, Record, anew=anew)


def as_line(record: dict[str, Any]) -> str:
    line = {"name": "a", "number": 4, "record": record}
    return json.dumps({**line, "check": zlib.crc32(json.dumps(line).encode())}) + "\n"


def test_records_come_back_exactly(tmp_path: Path) -> None:
    journal(tmp_path).add("a", 3, RECORD)
    journal(tmp_path).add("b", 3, RECORD)
    assert journal(tmp_path).known == {"a": {3: RECORD}, "b": {3: RECORD}}
    assert journal(tmp_path).count == 2
    assert is_unfinished(tmp_path)
    (tmp_path / "mine.txt").write_text("")
    assert not is_unfinished(tmp_path)


def test_a_line_that_was_cut_off_is_dropped_and_written_over(tmp_path: Path) -> None:
    journal(tmp_path).add("a", 3, RECORD)
    path = tmp_path / JOURNAL
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"name": "a", "numb')
    again = journal(tmp_path)
    assert again.known == {"a": {3: RECORD}}
    again.add("b", 3, RECORD)
    assert path.read_bytes().startswith(whole) and len(path.read_bytes().splitlines()) == 3
    assert journal(tmp_path).count == 2
    path.write_bytes(b'{"settings": {"poli')  # killed in the first line
    assert journal(tmp_path).known == {}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (None, r"other policies \(a is gone and b is new\)"),
        ("garbage\n", "line 3 is damaged"),
        (as_line({"scenario": "three"}), "line 3 holds no record"),
        (as_line(asdict(RECORD)).replace("1.5", "1.6"), "line 3 is damaged"),
        ("[" * 100_000 + "\n", "line 3 is damaged"),
    ],
)
def test_another_or_a_damaged_journal_is_refused_unless_told_otherwise(
    tmp_path: Path, damage: str | None, message: str
) -> None:
    journal(tmp_path).add("a", 3, RECORD)
    settings = {"policies": "b"} if damage is None else {}
    with (tmp_path / JOURNAL).open("a") as file:
        file.write(damage or "")
    with pytest.raises(ValueError, match=f"{message}.*; repeat the same command .*--overwrite"):
        journal(tmp_path, **settings)
    begun = journal(tmp_path, anew=True, **settings)
    assert begun.known == {}
    begun.add("a", 3, RECORD)
    assert journal(tmp_path, **settings).known == {"a": {3: RECORD}}


def test_a_full_disk_is_told_of_once_and_loses_nothing_if_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = journal(tmp_path)
    mine.add("a", 3, RECORD)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        for name in ("b", "c"):
            mine.add(name, 3, RECORD)
        assert mine.count == 1  # not those that are only in memory
    said = capsys.readouterr().err
    assert said.count("No space left on device") == 1
    mine.add("d", 3, RECORD)
    assert list(journal(tmp_path).known) == ["a", "b", "c", "d"]
    assert mine.count == 4


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        ("device-only,exact,lmu", "device-only,lmu", "exact is gone"),
        ("device-only", "device-only,runs/a", "runs/a is new"),
        ("a,b", "b,a", "in another order"),
    ],
)
def test_of_long_lists_of_policies_it_says_what_differs(tmp_path: Path, before: str, now: str, says: str) -> None:
    journal(tmp_path, policies=before)
    journal(tmp_path, policies=before).add("a", 3, RECORD)
    with pytest.raises(ValueError, match=rf"begun with other policies \({says}\); repeat"):
        journal(tmp_path, policies=now)
