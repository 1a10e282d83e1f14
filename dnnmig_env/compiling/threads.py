"""Divides a compiled loop over rows, or other independent work, among threads, and says how many there may be.

Numba is never asked for its number of threads: with `numba.get_num_threads()` it starts threads of its own and, on the
way, sets OpenMP's number of threads, which is torch's too. On two cores torch then trains on two threads whatever
`torch.set_num_threads` has said, and they mostly wait for each other: two trainings side by side take ten times as long
as one (29 November 2026).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from numba import config

from dnnmig_env.compiling.lent import lent

Item = TypeVar("Item")
Result = TypeVar("Result")

ROWS_PER_CORE = 16
"""Fewest rows for each core. Below twice this many rows in all, one core is faster than starting several."""


MOST_THREADS: int = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
"""Most threads that this process may use: the environment variable `NUMBA_NUM_THREADS`, by default one per core."""

_wanted = ContextVar("_wanted", default=MOST_THREADS)


def num_threads() -> int:
    """Return among how many threads loops are divided at present."""
    return _wanted.get()


@contextmanager
def at_most_threads(count: int) -> Iterator[int]:
    """Divide loops among `count` threads, `MOST_THREADS` if that is fewer; hand out how many these are."""
    token = _wanted.set(min(count, MOST_THREADS))
    try:
        yield num_threads()
    finally:
        _wanted.reset(token)


def share_rows(loop: Callable[..., None], count: int, *arguments: Any, per_core: int = ROWS_PER_CORE) -> None:
    """Divide the iterations 0 to `count - 1` of a loop among as many threads as `num_threads` allows.

    Args:
        loop: A function compiled with `jit_nogil`. It is called as `loop(begin, end, *arguments)` and does the
            iterations from `begin` up to, but not including, `end`. Its iterations are independent of each other.
        count: Number of iterations.
        *arguments: The loop's further arguments.
        per_core: Fewest iterations for which a core is worth starting.
    """
    parts = 1 if count < 2 * per_core else min(num_threads(), count // per_core)
    if parts < 2:
        loop(0, count, *arguments)
        return
    ends, handed = [count * part // parts for part in range(parts + 1)], tuple(map(lent, arguments))
    results_of(lambda part: loop(*ends[part : part + 2], *handed), range(parts))


def results_of(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return what a function returns for each of several items, in their order; as many threads share them as may.

    Args:
        work: The function, which spends most of its time outside of Python. Its calls are independent of each other.
        items: The items.
    """
    parts = min(num_threads(), len(items))
    if parts < 2:
        return [work(item) for item in items]

    def share(part: int) -> list[Result]:
        return [work(item) for item in items[part::parts]]

    others = [_pool().submit(share, part) for part in range(1, parts)]
    done = [share(0), *(other.result() for other in others)]
    return [done[index % parts][index // parts] for index in range(len(items))]


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST_THREADS)


# A forked child has none of its parent's threads, so that it needs a pool of its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
