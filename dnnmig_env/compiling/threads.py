"""Shares loops over rows among threads."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba

ROWS_PER_CORE = 16
"""Below twice this many rows, one core is faster than starting several."""


def share_rows(loop: Callable[..., None], count: int, *arguments: Any) -> None:
    """Call `loop(begin, end, *arguments)` for parts of 0 to `count`, as many at a time as numba may use threads.

    Args:
        loop: A function compiled with `shared`, whose turns touch nothing of each other's.
        count: Number of turns.
        arguments: What else it takes.
    """
    parts = min(numba.get_num_threads(), count // ROWS_PER_CORE)
    if parts < 2:
        loop(0, count, *arguments)
        return
    ends = [count * part // parts for part in range(parts + 1)]
    others = [_pool().submit(loop, *ends[part : part + 2], *arguments) for part in range(1, parts)]
    loop(0, ends[1], *arguments)
    for other in others:
        other.result()


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
