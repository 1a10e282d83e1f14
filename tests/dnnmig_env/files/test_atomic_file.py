"""A file written in one go: the same bytes everywhere, readable by others, and nothing left behind by a failure."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from dnnmig_env.files.atomic_file import remedy, replace_text


def test_a_text_is_written_as_utf_8_with_plain_line_ends_for_everybody_to_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    replace_text(path, "caf\u00e9 \u2192\nend\n")
    assert path.read_bytes() == b"caf\xc3\xa9 \xe2\x86\x92\nend\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ValueError, match=r"cannot write .*a\.txt: No space left on device"):
        replace_text(path, "after")
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_the_folder_of_a_file_is_made(tmp_path: Path) -> None:
    replace_text(tmp_path / "new" / "folder" / "a.txt", "text")
    assert (tmp_path / "new" / "folder" / "a.txt").read_text() == "text"


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match=r"cannot write .*a\.txt: File exists; move what has this name already"):
        replace_text(tmp_path / "file" / "a.txt", "text")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "make the place writable"),
        (errno.EROFS, "make the place writable"),
        (errno.EISDIR, "move what has this name already"),
        (errno.ENOTDIR, "move what has this name already"),
    ],
)
def test_each_failure_has_its_remedy(number: int, words: str) -> None:
    assert remedy(OSError(number, "reason")) == words
