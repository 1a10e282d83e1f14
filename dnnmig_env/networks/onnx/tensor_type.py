"""Shape, element type and size of a tensor in an ONNX file."""

from __future__ import annotations

import math
from dataclasses import dataclass

from onnx import TensorProto, TypeProto, helper

Shape = tuple[int, ...]

BITS: dict[str, int] = {
    **{"FLOAT": 32, "DOUBLE": 64, "FLOAT16": 16, "BFLOAT16": 16, "COMPLEX64": 64, "COMPLEX128": 128, "BOOL": 8},
    **{f"{sign}INT{bits}": bits for sign in ("", "U") for bits in (2, 4, 8, 16, 32, 64)},
    **{"FLOAT8E4M3FN": 8, "FLOAT8E4M3FNUZ": 8, "FLOAT8E5M2": 8, "FLOAT8E5M2FNUZ": 8, "FLOAT8E8M0": 8},
    **{"FLOAT6E2M3": 6, "FLOAT6E3M2": 6, "FLOAT4E2M1": 4},
}
"""Bits of one element, by the name of its ONNX type; elements of less than a byte are packed."""


@dataclass(frozen=True)
class TensorType:
    """Shape and ONNX element type of a tensor."""

    shape: Shape
    element_type: int

    @property
    def num_bytes(self) -> int:
        """The tensor's bytes; the last byte of packed elements may be filled in part.

        Raises:
            ValueError: If an element's size is not known, as that of a text.
        """
        name = element_name(self.element_type)
        if name not in BITS:
            raise ValueError(
                f"tensors of the element type {name} have no known size; give a network of numbers, e.g. one that is "
                "cut behind its tokenizer."
            )
        return -(-math.prod(self.shape) * BITS[name] // 8)

    def to_proto(self) -> TypeProto:
        """Return the type as ONNX writes it."""
        return helper.make_tensor_type_proto(self.element_type, self.shape)


def element_name(element_type: int) -> str:
    """Return the name of an ONNX element type, such as FLOAT16."""
    known = {number: name for name, number in TensorProto.DataType.items()}
    return str(known.get(element_type, element_type))


def tensor_type(entry: TypeProto) -> TensorType | None:
    """Return a tensor's type, or None if it is no tensor or a dimension is not known."""
    tensor = entry.tensor_type
    if not tensor.HasField("shape") or not all(size.HasField("dim_value") for size in tensor.shape.dim):
        return None
    return TensorType(tuple(size.dim_value for size in tensor.shape.dim), tensor.elem_type)
