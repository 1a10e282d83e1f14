"""Writes operators of old operator sets as today's: what were attributes then are inputs now."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

Array = NDArray[np.generic]

_MOVED: Mapping[str, tuple[str, ...]] = {
    "Clip": ("min", "max"),
    "Dropout": ("ratio",),
    "Pad": ("pads", "value"),
    "Slice": ("starts", "ends", "axes"),
    "Split": ("split",),
    "Squeeze": ("axes",),
    "TopK": ("k",),
    "Unsqueeze": ("axes",),
    **{
        f"Reduce{kind}": ("axes",)
        for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
    },
}
"""For each operator the attributes that became its second input, its third, and so on."""


def as_today(node: NodeProto) -> tuple[NodeProto, dict[str, Array]] | None:
    """Return an operator in today's form and the values of its new inputs, or None if it has no such attribute."""
    moved = _MOVED.get(node.op_type, ())
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if not any(name in values for name in moved):
        return None
    inputs, arrays = [*node.input[:1]], {}
    for name in moved:
        if name in values:
            inputs.append(f"{name} of {node.output[0]}")
            arrays[inputs[-1]] = _array(values[name])
        else:
            inputs.append("")
    rest = {name: value for name, value in values.items() if name not in moved}
    return helper.make_node(node.op_type, inputs, [*node.output], node.name, **rest), arrays


def _array(value: object) -> Array:
    if isinstance(value, float):
        return np.array(value, dtype=np.float32)
    return np.array(np.atleast_1d(np.asarray(value)), dtype=np.int64)
