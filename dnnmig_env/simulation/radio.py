"""The radio link between a moving user and the nearest edge: its rate falls with distance and fades."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.compiling.jit import jit_without_refcounts

BANDWIDTH_HZ = 20e6
"""Bandwidth of the channel."""

REFERENCE_M = 50.0
"""Distance up to which the path loss does not grow."""

REFERENCE_SNR_DB = 25.0
"""Signal-to-noise ratio up to `REFERENCE_M`, without shadowing."""

PATH_LOSS_EXPONENT = 3.5
"""How the path loss grows with distance in a town without line of sight (3GPP TR 38.901, urban micro, roughly)."""

MAX_BITS_PER_S_PER_HZ = 8.0
"""Spectral efficiency of the best modulation, 256-QAM uncoded: 160 Mbit/s."""

MIN_BITS_PER_S_PER_HZ = 0.1
"""Spectral efficiency of the most robust modulation and coding: 2 Mbit/s."""


def radio_bytes_per_s(distance_m: Floats, shadowing_db: Floats) -> Floats:
    """Return Shannon's rate in bytes/s, kept between the rates of the most robust and the best modulation.

    Args:
        distance_m: Distance to the edge, any shape.
        shadowing_db: Loss in addition to the path loss, same shape (M. Gudmundson, "Correlation model for shadow fading
            in mobile radio systems", 1991: normal in dB and correlated in time).
    """
    path_loss_db = 10 * PATH_LOSS_EXPONENT * np.log10(np.maximum(distance_m, REFERENCE_M) / REFERENCE_M)
    snr = 10 ** ((REFERENCE_SNR_DB - path_loss_db - shadowing_db) / 10)
    efficiency = np.minimum(np.maximum(np.log2(1 + snr), MIN_BITS_PER_S_PER_HZ), MAX_BITS_PER_S_PER_HZ)
    rate: Floats = BANDWIDTH_HZ * efficiency / 8
    return rate


one_radio_bytes_per_s: Callable[[float, float], float] = jit_without_refcounts(cast(Any, radio_bytes_per_s))
"""`radio_bytes_per_s` for a single distance and shadowing, to be called from compiled code."""
