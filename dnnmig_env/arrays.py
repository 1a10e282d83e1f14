"""Short names for the types of NumPy arrays, one for each type of element."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Ints = NDArray[np.int64]
Int8s = NDArray[np.int8]
Int32s = NDArray[np.int32]
Bools = NDArray[np.bool_]
