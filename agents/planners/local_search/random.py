"""Random numbers for chains that walk side by side: each has a stream of its own, the same on any number of threads.

SplitMix64: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
"""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Ints
from dnnmig_env.compiling.jit import jit_without_refcounts

GAMMA, MIX_1, MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
BITS_30, BITS_27, BITS_31, BITS_11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@jit_without_refcounts
def uniform(random: Ints) -> float:
    """Return a random number in [0, 1).

    Args:
        random: State of the stream, one 64-bit number, shape (1,).
    """
    random[0] += GAMMA
    z = random[0]
    z = (z ^ (z >> BITS_30)) * MIX_1
    z = (z ^ (z >> BITS_27)) * MIX_2
    return float((z ^ (z >> BITS_31)) >> BITS_11) / 2.0**53


@jit_without_refcounts
def below(random: Ints, limit: int) -> int:
    """Return a random number from 0 to `limit` - 1."""
    return int(uniform(random) * limit)


@jit_without_refcounts
def few(random: Ints, mean: float) -> int:
    """Return a random number from 1 on that is most often small, and about `mean` on average."""
    return 1 - int((mean - 0.5) * np.log(1.0 - uniform(random)))
