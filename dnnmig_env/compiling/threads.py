"""Divides a compiled loop over rows among threads."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba

ROWS_PER_CORE = 16
"""Fewest rows for each core. Below twice this many rows in all, one core is faster than starting several."""


def share_rows(loop: Callable[..., None], count: int, *arguments: Any) -> None:
    """Divide the iterations 0 to `count - 1` of a loop among as many threads as Numba may use.

    Args:
        loop: A function compiled with `jit_nogil`. It is called as `loop(begin, end, *arguments)` and does the
            iterations from `begin` up to, but not including, `end`. Its iterations are independent of each other.
        count: Number of iterations.
        *arguments: The loop's further arguments.
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
