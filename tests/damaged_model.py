"""Copies of model files with something wrong in them."""

import zipfile


def damaged(file, folder, name=None, content=b""):
    """Copy a model with one member of the archive replaced, or cut in the middle."""
    copy = folder / "copy.zip"
    if name is None:
        copy.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        return copy
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(copy, "w") as new:
        for member in old.namelist():
            if member != name:
                new.writestr(member, old.read(member))
        if content is not None:
            new.writestr(name, content)
    return copy
