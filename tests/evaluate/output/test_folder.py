"""Results are written as a whole or not at all, readable for everybody, and never over somebody's files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evaluate.output.folder import as_json, check_folder, write_folder


def test_a_new_folder_appears_whole_with_its_parents_and_can_be_read_by_all(tmp_path: Path) -> None:
    out = tmp_path / "some" / "new" / "folder"
    write_folder(out, {"words.txt": "Grüße 10 °C → ∞", "picture.png": b"\x89PNG"})
    assert (out / "words.txt").read_text(encoding="utf-8") == "Grüße 10 °C → ∞"
    assert (out / "picture.png").read_bytes() == b"\x89PNG"
    assert out.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in out.parent.iterdir()] == ["folder"]  # nothing temporary is left


def test_other_files_of_an_old_folder_are_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("mine.txt", "table.md"):
        (tmp_path / "out" / name).write_text("old")
    write_folder(tmp_path / "out", {"table.md": "new"})
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {
        "mine.txt": "old",
        "table.md": "new",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_files_may_lie_in_folders_of_an_old_and_of_a_new_folder(tmp_path: Path) -> None:
    for folder in ("plans", "plans", "more"):  # a new folder, then one that is there, then one beside it
        write_folder(tmp_path / "out", {"table.md": folder, f"{folder}/random/0.json": folder})
        assert (tmp_path / "out" / folder / "random" / "0.json").read_text() == folder
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["more", "plans", "table.md"]


def test_what_is_not_written_every_time_is_not_left_of_earlier_results(tmp_path: Path) -> None:
    out, patterns = tmp_path / "out", ("plans/*/*.json", "report.html")
    old = {"table.md": "old", "report.html": "old", "plans/a/0.json": "old", "plans/b/0.json": "old"}
    write_folder(out, {**old, "plans/a/mine.txt": "mine", "report.md": "mine"})
    write_folder(out, {"table.md": "new", "plans/a/1.json": "new"}, sometimes=patterns)
    files = {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}
    assert files == {"table.md": "new", "plans/a/1.json": "new", "plans/a/mine.txt": "mine", "report.md": "mine"}
    assert not (out / "plans" / "b").exists()  # a folder that is left empty goes, too
    write_folder(out, {"table.md": "newer"}, sometimes=patterns)
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == [
        "plans/a/mine.txt",
        "report.md",
        "table.md",
    ]


def test_if_one_file_cannot_be_written_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot write .*out: .*; name another folder"):
        write_folder(tmp_path / "out", {"fine.txt": "fine", "x" * 300: "not fine"})
    assert list(tmp_path.iterdir()) == []


def test_the_new_folder_is_made_beside_its_place_so_that_it_can_be_moved_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[tuple[Path, Path]] = []
    monkeypatch.setattr(os, "replace", lambda source, target: moved.append((Path(source), Path(target))))
    write_folder(tmp_path / "out", {"a.txt": "a"})
    assert [(source.parent, target) for source, target in moved] == [(tmp_path, tmp_path / "out")]


def test_a_folder_in_which_nothing_can_be_written_is_named_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)
    with pytest.raises(ValueError, match=f"but {tmp_path} cannot be written"):
        check_folder(tmp_path / "new", overwrite=False)


def test_numbers_that_json_does_not_have_are_refused() -> None:
    assert as_json({"a": [1.5]}) == '{\n  "a": [\n    1.5\n  ]\n}\n'
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            as_json({"a": number})
