"""Reads and makes archives of texts: tar.xz files whose bytes depend on nothing but the texts."""

from __future__ import annotations

import io
import lzma
import tarfile
from collections.abc import Mapping


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
