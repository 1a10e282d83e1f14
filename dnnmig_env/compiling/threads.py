"""Divides a compiled loop over rows among threads."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba

from dnnmig_env.compiling.lent import lent

ROWS_PER_CORE = 16
"""Fewest rows for each core. Below twice this many rows in all, one core is faster than starting several."""


def share_rows(loop: Callable[..., None], count: int, *arguments: Any, per_core: int = ROWS_PER_CORE) -> None:
    """Divide the iterations 0 to `count - 1` of a loop among as many threads as Numba may use.

    Args:
        loop: A function compiled with `jit_nogil`. It is called as `loop(begin, end, *arguments)` and does the
            iterations from `begin` up to, but not including, `end`. Its iterations are independent of each other.
        count: Number of iterations.
        *arguments: The loop's further arguments.
        per_core: Fewest iterations for which a core is worth starting.
    """
    parts = 1 if count < 2 * per_core else min(numba.get_num_threads(), count // per_core)
    if parts < 2:
        loop(0, count, *arguments)
        return
    ends, handed = [count * part // parts for part in range(parts + 1)], tuple(map(lent, arguments))
    others = [_pool().submit(loop, *ends[part : part + 2], *handed) for part in range(1, parts)]
    loop(0, ends[1], *handed)
    for other in others:
        other.result()


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


# A forked child has none of its parent's threads, so that it needs a pool of its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
