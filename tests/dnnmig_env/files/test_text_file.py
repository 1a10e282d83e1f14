"""Files that somebody names: texts are read, and everything that is none is said to be what it is, at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dnnmig_env.files import text_file
from dnnmig_env.files.text_file import read_text


def test_a_text_comes_without_its_mark_and_with_its_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("\ufeffä\r\nb".encode())
    assert read_text(tmp_path / "a") == "ä\r\nb"


def test_what_is_no_text_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin").write_bytes("ab\xe9".encode("latin-1"))
    (tmp_path / "utf16").write_bytes(b"\xff\xfea")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "large").write_text("12345")
    monkeypatch.setattr(text_file, "MOST_BYTES", 4)
    for name, why in {
        "pipe": "it is a device, a pipe or a socket; give another.",
        "/dev/zero": "it is a device, a pipe or a socket; give another.",
        "folder": "it is a folder; give another.",
        "latin": "it is not UTF-8 text (byte 2); save it as UTF-8.",
        "utf16": "it is not UTF-8 text (byte 0); save it as UTF-8.",
        "absent": "No such file or directory; give another.",
        "latin/x": "Not a directory; give another.",
        "loop": "Too many levels of symbolic links; give another.",
        "a\0b": "embedded null byte; give another.",
        "x" * 300: "File name too long; give another.",
        "large": "it has more than 4 bytes; give another.",
    }.items():
        with pytest.raises(ValueError) as caught:
            read_text(tmp_path / name, "give another")
        assert str(caught.value) == why
