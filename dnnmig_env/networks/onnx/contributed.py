"""What operators of ONNX Runtime (domain com.microsoft) return and cost; ONNX itself does not know them.

They stand in files of optimised and quantised networks, above all of language models. ONNX Runtime's page on its
contributed operators defines them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from dnnmig_env.networks.onnx.attention import (
    experts,
    grouped_query_attention,
    multi_head_attention,
    self_attention,
)
from dnnmig_env.networks.onnx.operands import attributes_of, described
from dnnmig_env.networks.onnx.rule import Call, Result
from dnnmig_env.networks.onnx.tensor_type import Shape, TensorType

_DOMAIN = "com.microsoft"


def output_types(
    node: NodeProto, known: Mapping[str, TensorType], values: Mapping[str, NDArray[np.generic]]
) -> dict[str, TensorType]:
    """Return the types of an operator's outputs, as far as they are known.

    Args:
        node: The operator, of any domain.
        known: Types of tensors by name.
        values: Values of tensors by name, of those that are known.
    """
    result, call = _result(node, known, values)
    if result is None or not (first := next(filter(None, call.operands), None)):
        return {}
    element_type = first.element_type if result.element_type is None else result.element_type
    outputs = zip(node.output, result.shapes, strict=False)
    return {
        name: shape if isinstance(shape, TensorType) else TensorType(shape, element_type)
        for name, shape in outputs
        if name and shape is not None
    }


def contributed_flops(
    node: NodeProto, known: Mapping[str, TensorType], values: Mapping[str, NDArray[np.generic]]
) -> float | None:
    """Return an operator's floating-point operations, or None if they are not known."""
    result, _ = _result(node, known, values)
    return None if result is None else result.flops


def _result(
    node: NodeProto, known: Mapping[str, TensorType], values: Mapping[str, NDArray[np.generic]]
) -> tuple[Result | None, Call]:
    call = Call(
        [known.get(name) for name in node.input], attributes_of(node), [values.get(name) for name in node.input]
    )
    rule = _RULES.get(f"{node.domain}.{node.op_type}".removeprefix(f"{_DOMAIN}."))
    if rule is None:
        return None, call
    try:
        return rule(call), call
    except LookupError:  # an operand is left out, has another rank than documented, or is not known
        return None, call
    except ValueError as error:
        raise ValueError(f"{described(node)} does not fit its operands: {error}; check the input shapes.") from None


def _same(call: Call) -> Result:
    return Result([call.shape(0), None, None, call.shape(0)])


def _broadcast(*places: int) -> Callable[[Call], Result]:
    def rule(call: Call) -> Result:
        return Result([np.broadcast_shapes(*(call.shape(place) for place in places))])

    return rule


def _product(left: Shape, right: Shape, element_type: int | None = None) -> Result:
    """Return the result of a matrix product, whose leading dimensions are repeated as needed."""
    if len(left) < 2 or len(right) < 2 or left[-1] != right[-2]:
        raise ValueError(f"the matrices are {left} and {right}")
    shape = (*np.broadcast_shapes(left[:-2], right[:-2]), left[-2], right[-1])
    return Result([shape], 2.0 * math.prod(shape) * left[-1], element_type)


def _products(left: int, right: int, element_type: int | None = None) -> Callable[[Call], Result]:
    def rule(call: Call) -> Result:
        first, second = call.shape(left), call.shape(right)
        for side, keys in ((0, ("transA", "transBatchA")), (1, ("transB", "transBatchB"))):
            shape = (first, second)[side]
            if call.attributes.get(keys[1]):
                shape = (*shape[1:-1], shape[0], shape[-1])
            if call.attributes.get(keys[0]):
                shape = (*shape[:-2], shape[-1], shape[-2])
            first, second = (shape, second) if side == 0 else (first, shape)
        return _product(first, second, element_type)

    return rule


def _packed_product(call: Call) -> Result:
    """Return the result of a product by a weight that is packed into few bits: its sizes are attributes."""
    inner, columns = call.attributes["K"], call.attributes["N"]
    rows = call.shape(0)
    if rows[-1] != inner:
        raise ValueError(f"the input has the shape {rows}, and K is {inner}")
    shape = (*rows[:-1], columns)
    return Result([shape], 2.0 * math.prod(shape) * inner)


def _recurrent(call: Call) -> Result:
    (steps, batch, _), weight, recurrent = call.shape(0), call.shape(1), call.shape(2)
    directions, size = recurrent[0], recurrent[1]
    state = (directions, batch, size)
    flops = 2.0 * steps * batch * (math.prod(weight) + math.prod(recurrent))
    return Result([(steps, directions, batch, size), state, state], flops)


def _convolved(image: int, weight: int, is_last: bool | None) -> Callable[[Call], Result]:
    """Return the rule of a convolution; `is_last`: channels are the last dimension (None: an attribute says so)."""

    def rule(call: Call) -> Result:
        last = bool(call.attributes.get("channels_last")) if is_last is None else is_last
        shape, kernel = call.shape(image), call.shape(weight)
        channels, spatial = (shape[-1], shape[1:-1]) if last else (shape[1], shape[2:])
        group = call.attributes.get("group", 1)
        if channels != kernel[1] * group:
            raise ValueError(f"the input has {channels} channels, and the weight is {kernel} in {group} groups")
        sizes = _swept(spatial, kernel[2:], call.attributes)
        result = (shape[0], *sizes, kernel[0]) if last else (shape[0], kernel[0], *sizes)
        return Result([result], 2.0 * math.prod(result) * math.prod(kernel[1:]))

    return rule


def _pooled(is_last: bool | None) -> Callable[[Call], Result]:
    def rule(call: Call) -> Result:
        last = bool(call.attributes.get("channels_last")) if is_last is None else is_last
        shape = call.shape(0)
        sizes = _swept(shape[1:-1] if last else shape[2:], call.attributes["kernel_shape"], call.attributes)
        return Result([(shape[0], *sizes, shape[-1]) if last else (*shape[:2], *sizes)])

    return rule


def _swept(sizes: Shape, kernel: Shape, attributes: dict[str, Any]) -> Shape:
    """Return how often a kernel fits along each dimension."""
    count = len(sizes)
    strides, dilations = attributes.get("strides", [1] * count), attributes.get("dilations", [1] * count)
    pads, auto = attributes.get("pads", [0] * 2 * count), attributes.get("auto_pad", b"NOTSET")
    if auto.startswith(b"SAME"):
        return tuple(-(-size // stride) for size, stride in zip(sizes, strides, strict=True))
    spare = [
        sizes[axis] + pads[axis] + pads[axis + count] - dilations[axis] * (kernel[axis] - 1) - 1
        for axis in range(count)
    ]
    up = attributes.get("ceil_mode", 0)
    steps = [-(-rest // stride) if up else rest // stride for rest, stride in zip(spare, strides, strict=True)]
    return tuple(step + 1 for step in steps)


def _global_pooled(call: Call) -> Result:
    batch, *rest = call.shape(0)
    last = bool(call.attributes.get("channels_last"))
    ones = [1] * (len(rest) - 1)
    return Result([(batch, *ones, rest[-1]) if last else (batch, rest[0], *ones)])


def _reordered_input(call: Call) -> Result:
    """Return the result of moving channels into blocks, from the last dimension if `channels_last`."""
    batch, *rest = call.shape(0)
    return Result([(batch, rest[-1], *rest[:-1]) if call.attributes.get("channels_last") else (batch, *rest)])


def _reordered_output(call: Call) -> Result:
    """Return the result of moving channels out of blocks, without those that only filled the last block."""
    batch, _, *sizes = call.shape(0)
    channels = call.attributes["channels"]
    return Result([(batch, *sizes, channels) if call.attributes.get("channels_last") else (batch, channels, *sizes)])


def _joined(call: Call) -> Result:
    shapes = [call.shape(place) for place in range(2, len(call.operands), 3)]
    axis = call.attributes["axis"] % len(shapes[0])
    total = sum(shape[axis] for shape in shapes)
    element = call.at(2)
    shape = (*shapes[0][:axis], total, *shapes[0][axis + 1 :])
    return Result([shape], element_type=element.element_type if element is not None else None)


def _embedded(call: Call) -> Result:
    table = call.at(2)
    shape = (*call.shape(0), call.shape(2)[1])
    mask = TensorType((shape[0],), TensorProto.INT32)
    return Result([shape, mask, shape], element_type=table.element_type if table is not None else None)


def _gathered(call: Call) -> Result:
    table, scales = call.shape(0), call.at(2)
    axis = call.attributes.get("gather_axis", 0) % len(table)
    packed = call.operands[0] is not None and call.operands[0].element_type == TensorProto.UINT8
    factor = 8 // call.attributes.get("bits", 4) if packed else 1
    rest = [*table[:axis], *table[axis + 1 :]]
    rest[-1] *= factor
    shape = (*rest[:axis], *call.shape(1), *rest[axis:])
    return Result([shape], element_type=scales.element_type if scales is not None else None)


def _quantised_product(call: Call) -> Result:
    zero = call.at(8)
    return _products(0, 3, TensorProto.FLOAT if zero is None else zero.element_type)(call)


def _halved(call: Call) -> Result:
    return Result([(*call.shape(0)[:-1], call.shape(0)[-1] // 2)])


_FLOAT = TensorProto.FLOAT
_AS_INPUT = """
    BiasAdd BiasGelu BiasSoftmax FastGelu Gelu GroupNorm LayerNormalization QLinearLeakyRelu QLinearSigmoid
    QLinearSoftmax QuickGelu RotaryEmbedding SkipGroupNorm SkipLayerNormalization SkipSimplifiedLayerNormalization
    Trilu
"""

_RULES: dict[str, Callable[[Call], Result]] = {
    **dict.fromkeys(_AS_INPUT.split(), _same),
    "Attention": self_attention(4),
    "BiasSplitGelu": _halved,
    "DequantizeLinear": lambda call: Result([call.shape(0)], element_type=_FLOAT),
    "DynamicQuantizeLSTM": _recurrent,
    "DynamicQuantizeMatMul": _products(0, 1),
    "EmbedLayerNormalization": _embedded,
    "FusedConv": _convolved(0, 1, is_last=False),
    "FusedGemm": _products(0, 1),
    "FusedMatMul": _products(0, 1),
    "FusedMatMulActivation": _products(0, 1),
    "GatherBlockQuantized": _gathered,
    "GemmFastGelu": _products(0, 1),
    "Inverse": lambda call: Result([call.shape(0)], None),
    "GroupQueryAttention": grouped_query_attention,
    "MatMulBnb4": _packed_product,
    "MatMulInteger16": _products(0, 1, TensorProto.INT32),
    "MatMulIntegerToFloat": _products(0, 1, _FLOAT),
    "MatMulNBits": _packed_product,
    "MoE": experts,
    "MultiHeadAttention": multi_head_attention,
    "NhwcConv": _convolved(0, 1, is_last=True),
    "NhwcFusedConv": _convolved(0, 1, is_last=True),
    "NhwcMaxPool": _pooled(is_last=True),
    "QAttention": self_attention(8, _FLOAT),
    "QGemm": _quantised_product,
    "QLinearAdd": _broadcast(0, 3),
    "QLinearAveragePool": _pooled(None),
    "QLinearConcat": _joined,
    "QLinearConv": _convolved(0, 3, None),
    "QLinearGlobalAveragePool": _global_pooled,
    "QLinearMul": _broadcast(0, 3),
    "QMoE": experts,
    "QuantizeLinear": lambda call: Result([call.shape(0)], element_type=_zero_type(call)),
    "TransposeMatMul": _products(0, 1),
    "nchwc.AveragePool": _pooled(is_last=False),
    "nchwc.Conv": _convolved(0, 1, is_last=False),
    "nchwc.GlobalAveragePool": _global_pooled,
    "nchwc.GlobalMaxPool": _global_pooled,
    "nchwc.MaxPool": _pooled(is_last=False),
    "nchwc.ReorderInput": _reordered_input,
    "nchwc.ReorderOutput": _reordered_output,
}
"""For each operator the rule by which its outputs and FLOPs follow from its operands."""


def _zero_type(call: Call) -> int:
    zero = call.at(2)
    return TensorProto.UINT8 if zero is None else zero.element_type
