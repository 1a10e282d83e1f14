"""One process at a time writes to a folder, and a process that dies locks nothing."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dnnmig_env.files.folder_lock import LOCK, locked

HOLDING = (
    "import sys, time\nfrom pathlib import Path\nfrom dnnmig_env.files.folder_lock import locked\n"
    "with locked(Path(sys.argv[1])):\n    print('locked', flush=True)\n    time.sleep(60)\n"
)


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "locked\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_another_process_is_refused_with_the_number_of_the_one_that_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with holder(folder) as process:
        with pytest.raises(ValueError, match=rf"run is in use by process {process.pid} on .*; wait .* another folder"):
            locked(folder).__enter__()
        assert (folder / LOCK).exists()  # who is refused takes nothing away


def test_a_killed_process_locks_nothing(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / LOCK).exists()
        with locked(tmp_path):
            assert (tmp_path / LOCK).read_text().startswith(f"{os.getpid()} on ")
    assert not (tmp_path / LOCK).exists()


def test_the_same_process_is_refused_too_until_it_lets_go(tmp_path: Path) -> None:
    with locked(tmp_path):
        with pytest.raises(ValueError, match=f"in use by process {os.getpid()} on"):
            locked(tmp_path).__enter__()
        with pytest.raises(ValueError, match="in use"):  # the refused one has taken nothing away
            locked(tmp_path).__enter__()
        with locked(tmp_path / "another"):
            pass
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path):
        pass


def test_a_folder_is_made_for_the_lock_and_goes_with_it_if_it_stayed_empty(tmp_path: Path) -> None:
    with locked(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b" / LOCK).is_file()
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path / "a" / "b"):
        (tmp_path / "a" / "result").touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "result"]
    (tmp_path / "mine").mkdir()
    with locked(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir()  # it was there before


def test_a_lock_file_that_somebody_removed_is_not_taken_from_the_next_holder(tmp_path: Path) -> None:
    first, second = locked(tmp_path), locked(tmp_path)
    first.__enter__()
    (tmp_path / LOCK).unlink()
    second.__enter__()
    first.__exit__(None, None, None)
    assert (tmp_path / LOCK).exists()
    second.__exit__(None, None, None)
    assert not (tmp_path / LOCK).exists()


def test_a_lock_whose_file_its_last_holder_removes_in_between_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = fcntl.flock, []

    def slow(file: int, operation: int) -> None:
        if not tries:
            (tmp_path / LOCK).unlink()
        tries.append(file)
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", slow)
    with locked(tmp_path):
        assert len(tries) == 2
        assert (tmp_path / LOCK).read_text().startswith(str(os.getpid()))


def test_where_nothing_can_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "taken" / LOCK).mkdir(parents=True)
    for folder in (
        tmp_path / ("n" * 300),
        tmp_path / "taken",
        Path("/proc/no-such-process"),
    ):
        with pytest.raises(
            ValueError, match=r"cannot write to folder .*; name a folder that can be written to"
        ) as said:
            locked(folder).__enter__()
        assert "\n" not in str(said.value)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for folder in (tmp_path / "file", tmp_path / "loop", tmp_path / "file" / "run", Path("/dev/null/run")):
        with pytest.raises(ValueError, match=r".* is a file, or leads through one; name a folder\."):
            locked(folder).__enter__()


def test_a_full_disk_is_said_and_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(ValueError, match=r"cannot write to folder .*run: No space left on device"):
        locked(tmp_path / "run").__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_used_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with pytest.warns(UserWarning, match="cannot be locked \\(Function not implemented\\)"), locked(tmp_path):
        pass
