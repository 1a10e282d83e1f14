"""What a rule for an operator of ONNX Runtime is given, and what it returns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnnmig_env.networks.onnx.tensor_type import Shape, TensorType


class Call(NamedTuple):
    """One operator: its operands by position (None if left out or not known), its attributes, and known values."""

    operands: list[TensorType | None]
    attributes: dict[str, Any]
    values: list[NDArray[np.generic] | None]

    def at(self, place: int) -> TensorType | None:
        """Return an operand, or None if it is left out."""
        return self.operands[place] if place < len(self.operands) else None

    def shape(self, place: int) -> Shape:
        """Return the shape of an operand that must be there."""
        found = self.at(place)
        if found is None:
            raise LookupError(place)
        return found.shape


class Result(NamedTuple):
    """What an operator returns and costs.

    Attributes:
        shapes: Shape of each output (None: not known), or its whole type if it differs from that of the others.
        flops: Floating-point operations; None: not known.
        element_type: Element type of the outputs; by default that of the first operand.
    """

    shapes: list[Shape | TensorType | None]
    flops: float | None = 0.0
    element_type: int | None = None
