"""Rows of many arrays as bytes, which one compiled call copies, whatever the arrays hold.

A packed scenario is a row of 27 arrays. NumPy would copy each by itself, and take 37 microseconds for one scenario.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnmig_env.arrays import Ints
from dnnmig_env.compiling.jit import jit_without_refcounts

Bytes = NDArray[np.uint8]


def byte_views(arrays: tuple[NDArray[Any], ...]) -> tuple[Bytes, ...]:
    """Return the memory of arrays of N rows as bytes, shape (N, bytes of a row) each.

    They are views of arrays whose memory is in one piece, and copies of others.
    """
    return tuple(array.reshape(len(array), array.size // len(array)).view(np.uint8) for array in arrays)


def joined_bytes(arrays: tuple[NDArray[Any], ...]) -> Bytes:
    """Return N rows of bytes: in each the memory of that row of all arrays, one after another."""
    return np.concatenate(byte_views(arrays), axis=1)


@jit_without_refcounts
def put_rows(views: tuple[Bytes, ...], rows: Ints, source: Bytes, chosen: Ints) -> None:
    """Put rows of bytes into arrays.

    Args:
        views: The arrays, as `byte_views` returns them.
        rows: Their rows that receive something, shape (N,).
        source: What `joined_bytes` returns for arrays with rows of the same shapes and types.
        chosen: The row of the source for each of these rows, shape (N,).
    """
    # Indices without a sign cannot count from the end, so that whole blocks of bytes are copied at a time.
    for n in range(len(rows)):
        given, begin = source[chosen[n]], np.uint64(0)
        for view in views:
            target = view[rows[n]]
            size = np.uint64(len(target))
            for k in range(size):
                target[k] = given[begin + k]
            begin += size
