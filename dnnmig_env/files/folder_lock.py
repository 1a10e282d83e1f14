"""A lock on a folder: one process at a time writes to it.

The lock is the kernel's, on a file in the folder. So it ends with the process that holds it, however that dies, and a
lock file that was left behind locks nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".lock"
"""Name of the lock file. It is there only while somebody holds the lock, unless that process was killed."""

_TRIES = 20
"""How often the lock is tried for. Its last holder may remove the file, or the folder, just before it is locked."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if it is missing, and removed afterwards if it is then still empty.

    Where the file system knows no locks, a warning says that there is none.

    Raises:
        ValueError: If somebody else holds the lock, in this process or another, or nothing can be written to the
            folder.
    """
    made: list[Path] = []
    file = None
    try:
        try:
            made = [path for path in (folder, *folder.parents) if not path.exists()]
            file = _taken(folder)
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()} on {platform.node()}\n".encode(), 0)
        except (FileExistsError, NotADirectoryError):
            raise ValueError(f"{folder} is a file, or leads through one; name a folder.") from None
        except OSError as error:
            raise ValueError(
                f"cannot write to folder {folder}: {error.strerror}; name a folder that can be written to."
            ) from None
        yield
    finally:
        if file is not None:
            with suppress(OSError):
                if _is_at(file, folder / LOCK):
                    (folder / LOCK).unlink()
            os.close(file)
        with suppress(OSError):
            for path in made:
                path.rmdir()


def _taken(folder: Path) -> int:
    """Return the descriptor of the lock file, locked."""
    for remaining in reversed(range(_TRIES)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            if not remaining:
                raise
            continue
        try:
            _lock(file, folder)
            if _is_at(file, folder / LOCK):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)
    raise OSError(errno.EAGAIN, "others lock it again and again")


def _lock(file: int, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(file, 200, 0).decode(errors="replace").strip()
        raise ValueError(
            f"folder {folder} is in use by process {holder or '(number unknown)'}; "
            "wait until that ends, or name another folder."
        ) from None
    except OSError as error:
        warnings.warn(
            f"folder {folder} cannot be locked ({error.strerror}); see to it that no other process writes to it.",
            stacklevel=5,
        )


def _is_at(file: int, path: Path) -> bool:
    """Return whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False
