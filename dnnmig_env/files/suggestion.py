"""The remedy that errors name for a name that is not known. It imports nothing slow, as every command line needs it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggestion(name: object, known: Iterable[str]) -> str:
    """Return the remedy for an unknown name: the closest known one, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(map(repr, names))}."
