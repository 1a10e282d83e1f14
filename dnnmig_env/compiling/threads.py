"""Divides a compiled loop over rows among threads."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numba

ROWS_PER_CORE = 16
"""Fewest rows for each core. Below twice this many rows in all, one core is faster than starting several."""

_Queue = SimpleQueue[Any]


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
    ends = [count * part // parts for part in range(parts + 1)]
    work, done = _workers(), SimpleQueue[Any]()
    for part in range(1, parts):
        work.put((loop, ends[part], ends[part + 1], arguments, done))
    try:
        loop(0, ends[1], *arguments)
    finally:
        errors = [done.get() for _ in range(1, parts)]
    for error in errors:
        if error is not None:
            raise error


@functools.cache
def _workers() -> _Queue:
    """Start the threads, and return the queue from which they take parts of loops.

    They do what `concurrent.futures.ThreadPoolExecutor` does. Its bookkeeping takes some 30 us a call, which is 3 % of
    a step of 256 environments.
    """
    work: _Queue = SimpleQueue()
    for _ in range(numba.config.NUMBA_NUM_THREADS - 1):  # type: ignore[attr-defined]
        threading.Thread(target=_work, args=(work,), daemon=True).start()
    return work


def _work(work: _Queue) -> None:
    while True:
        loop, begin, end, arguments, done = work.get()
        try:
            loop(begin, end, *arguments)
            done.put(None)
        except BaseException as error:  # it is raised again in the thread that waits for this part
            done.put(error)
        del loop, arguments, done  # nothing is kept alive until the next part


# A forked child has none of its parent's threads, so that it needs some of its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.cache_clear)
