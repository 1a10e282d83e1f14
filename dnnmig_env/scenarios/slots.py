"""Time slots of one length."""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Floats


def uniform_starts(slot_s: float, horizon_s: float) -> Floats:
    """Return the starts of slots of one length, shape (T,); the horizon may cut the last one short."""
    # Without the margin of 1e-9, slots of 0.7 s in 2.1 s would get a fourth one of 4e-16 s.
    return np.arange(max(1, int(np.ceil(horizon_s / slot_s - 1e-9))), dtype=np.float64) * slot_s
