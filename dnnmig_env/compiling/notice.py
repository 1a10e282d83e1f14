"""Says so, once, when compiling keeps the user waiting, as the first start after an installation does."""

from __future__ import annotations

import sys
import time
from typing import Any

from numba.core import event

PATIENCE_S = 2.0
"""Seconds of compiling that pass without a word."""

COMPILING = (
    "dnnmig: compiling for this machine, which happens once and can take minutes; "
    "`python -m dnnmig_env compile` does it beforehand."
)

_PACKAGES = ("dnnmig_env", "agents", "train", "evaluate")


class Notice(event.Listener):
    """Adds up the seconds that this project's functions take to compile, and prints one line when they are many.

    Numba tells of the beginning and the end of each function, of those that are compiled on its way too, and holds a
    lock meanwhile. What is only loaded from the cache does not count.

    Args:
        patience_s: Seconds of compiling that pass without a word.

    Attributes:
        said: Whether the line has been printed.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self.said = False
        self._patience_s, self._spent_s, self._depth, self._began_s = patience_s, 0.0, 0, 0.0

    def on_start(self, event: Any) -> None:
        """Note that a function begins to compile."""
        if _is_ours(event):
            if self._depth == 0:
                self._began_s = time.perf_counter()
            self._depth += 1
            self._tell()

    def on_end(self, event: Any) -> None:
        """Note that a function has been compiled."""
        if _is_ours(event):
            self._tell()
            self._depth -= 1
            if self._depth == 0:
                self._spent_s += time.perf_counter() - self._began_s

    def _tell(self) -> None:
        if not self.said and self._spent_s + time.perf_counter() - self._began_s > self._patience_s:
            self.said = True
            print(COMPILING, file=sys.stderr, flush=True)


def _is_ours(event: Any) -> bool:
    return str(event.data["dispatcher"].py_func.__module__).partition(".")[0] in _PACKAGES


NOTICE = Notice()
"""The one that listens in this process."""

event.register("numba:compile", NOTICE)  # type: ignore[no-untyped-call]
