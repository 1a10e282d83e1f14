"""Writes a file in one go: a reader sees the old file or the new one, never a part."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write a text as UTF-8 to a new or existing file, by way of a temporary file beside it.

    Raises:
        ValueError: If the file cannot be written; an existing file is then as it was.
    """
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, content: bytes) -> None:
    """Write bytes to a new or existing file, by way of a temporary file beside it.

    Raises:
        ValueError: If the file cannot be written; an existing file is then as it was.
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}; give a file in an existing folder.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
