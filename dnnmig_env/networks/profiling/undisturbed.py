"""Keeps from a measurement what would disturb it within this process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def undisturbed(threads: int) -> Iterator[None]:
    """Fix the number of threads, switch the garbage collector off, and treat denormal numbers as zero."""
    before, collects = torch.get_num_threads(), gc.isenabled()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)
        if collects:
            gc.enable()
