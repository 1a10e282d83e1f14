"""Reads a text file that somebody names: a regular file of UTF-8 text, and not too large to be one by mistake."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_BYTES = 2**28
"""Size of the largest file that is read, 256 MiB; scenarios, networks and traces are far smaller."""


def read_text(path: Path, remedy: str = "") -> str:
    """Return the text of a file, without a byte-order mark; line ends are those of the file.

    Args:
        path: The file.
        remedy: What to do if it cannot be read, such as "give an existing CSV trace"; for errors.

    Raises:
        ValueError: If it is missing, is no regular file (a folder, a device or a pipe, which may have no end), is
            larger than `MOST_BYTES` or is not UTF-8 text. The error says why and the remedy, but not the path.
    """
    ending = f"; {remedy}." if remedy else ""
    try:
        # Without O_NONBLOCK, opening a pipe would wait for somebody to write to it.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            kind = stat.S_IFMT(os.fstat(file.fileno()).st_mode)
            content = file.read(MOST_BYTES + 1) if kind == stat.S_IFREG else b""
    except IsADirectoryError:
        kind, content = stat.S_IFDIR, b""
    except OSError as error:
        raise ValueError(f"{error.strerror}{ending}") from None
    except ValueError as error:  # such as a null character in the path
        raise ValueError(f"{error}{ending}") from None
    if kind == stat.S_IFDIR:
        raise ValueError(f"it is a folder{ending}")
    if kind != stat.S_IFREG:
        raise ValueError(f"it is a device, a pipe or a socket{ending}")
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes{ending}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text (byte {error.start}); save it as UTF-8.") from None
