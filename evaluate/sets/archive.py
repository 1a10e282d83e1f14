"""Reads and writes archives of texts: tar.xz files whose bytes depend on nothing but the texts."""

from __future__ import annotations

import io
import lzma
import os
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path


def archive_of(texts: Mapping[str, str]) -> bytes:
    """Return an archive of texts, by the names of their files; equal texts give equal bytes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in texts.items():
            encoded = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(encoded)
            archive.addfile(entry, io.BytesIO(encoded))
    return lzma.compress(content.getvalue(), preset=9)


def texts_in(content: bytes) -> dict[str, str]:
    """Return the texts of an archive, by the names of their files.

    Raises:
        ValueError: If it is no such archive.
    """
    texts = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:xz") as archive:
            for entry in archive:
                file = archive.extractfile(entry)
                if file is not None:
                    texts[entry.name] = file.read().decode()
    except (tarfile.TarError, lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"it is no archive of texts ({error}); take it from the repository again.") from None
    return texts


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a file in one go: a reader sees the old file or the new one, never a part.

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
        raise ValueError(f"cannot write {path}: {error.strerror}; make its folder writable.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
