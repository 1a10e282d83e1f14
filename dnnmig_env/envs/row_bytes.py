"""Scenarios as rows of bytes, which one compiled call copies into the arrays of a batch.

A packed scenario has 27 arrays. NumPy would copy each by itself, and take 37 microseconds for a single scenario.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnnmig_env.arrays import Ints
from dnnmig_env.compiling.jit import jit_without_refcounts
from dnnmig_env.simulation.packed import PackedScenarios

Bytes = NDArray[np.uint8]


def byte_views(packed: PackedScenarios) -> tuple[Bytes, ...]:
    """Return the memory of each array of N packed scenarios as bytes, shape (N, bytes per scenario).

    They are views where the array's memory is in one piece, as it is where `empty_packed` made it, and else copies.
    """
    count = len(packed.num_users)
    return tuple(array.reshape(count, array.size // count).view(np.uint8) for array in packed)


def joined_bytes(packed: PackedScenarios) -> Bytes:
    """Return N packed scenarios as one row of bytes each: those of all arrays, one after another."""
    return np.concatenate(byte_views(packed), axis=1)


@jit_without_refcounts
def put_rows(views: tuple[Bytes, ...], rows: Ints, source: Bytes, chosen: Ints) -> None:
    """Put scenarios into packed scenarios.

    Args:
        views: The packed scenarios that receive them, as `byte_views` returns them.
        rows: Their rows that do, shape (N,).
        source: Scenarios as `joined_bytes` returns them, padded to the same sizes.
        chosen: The row of the source for each of these rows, shape (N,).
    """
    # Indices without a sign cannot count from the end, so that whole blocks of bytes are copied at a time.
    for n in range(len(rows)):
        scenario, begin = source[chosen[n]], np.uint64(0)
        for view in views:
            target = view[rows[n]]
            size = np.uint64(len(target))
            for k in range(size):
                target[k] = scenario[begin + k]
            begin += size
