"""Writes a file in one go: a reader sees the old file or the new one, never a part."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path


def remedy(error: OSError) -> str:
    """Return what to do so that something can be written that could not be, as in "free some space"."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "make the place writable"
    if error.errno in (errno.EEXIST, errno.EISDIR, errno.ENOTDIR):
        return "move what has this name already"
    return "free some space"


def replace_text(path: Path, text: str) -> None:
    """Write a text as UTF-8 to a new or existing file, by way of a temporary file beside it; see `replace_bytes`.

    Raises:
        ValueError: If the file cannot be written; an existing file is then as it was.
    """
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, content: bytes) -> None:
    """Write bytes to a new or existing file, by way of a temporary file beside it; its folder is made if need be.

    Raises:
        ValueError: If the file cannot be written; an existing file is then as it was.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}; {remedy(error)}, or name another file.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
