"""What ONNX operators cost: products have FLOPs by formula, all other operators have none."""

from __future__ import annotations

import math
from collections.abc import Callable

from onnx import NodeProto, helper

from dnnmig_env.networks.onnx.shapes import Shape

VIEWS = frozenset({"Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators whose output is the whole of their first input, arranged differently."""

SLICES = frozenset({"Slice", "Split"})
"""Operators whose outputs are parts of their first input."""

READS_SHAPE_ONLY = frozenset({"ConstantOfShape", "EyeLike", "Shape", "Size"})
"""Operators whose output does not depend on the values of their input."""

SETTINGS: dict[str, tuple[int, ...]] = {
    "BatchNormalization": (3, 4),
    "Clip": (1, 2),
    "Dropout": (1, 2),
    "Pad": (1, 2, 3),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
}
"""Positions of operands that are no parameters even if they are stored like them: running statistics, limits, sizes."""

_NAMES = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization BitShift Cast CastLike
    Ceil Celu CenterCropPad Clip Col2Im Compress Concat Cos Cosh CumSum DepthToSpace DequantizeLinear Div
    DynamicQuantizeLinear Elu Equal Erf Exp Expand Floor GatherElements Gather GatherND Gelu GlobalAveragePool
    GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish Hardmax
    InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization
    LpPool Max MaxPool MaxUnpool Mean MeanVarianceNormalization Min Mish Mod Mul Neg Not OneHot Or PRelu Pad Pow
    QuantizeLinear RMSNormalization Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax
    ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Resize ReverseSequence RotaryEmbedding Round
    ScatterElements ScatterND Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign SpaceToDepth Sqrt Sub Sum
    Swish Tan Tanh ThresholdedRelu Tile TopK Trilu Upsample Where Xor
"""
_WITHOUT_FLOPS = frozenset(_NAMES.split())


def flops(node: NodeProto, shape_of: Callable[[str], Shape]) -> float:
    """Return the floating-point operations of one operator; a multiply-add counts as two.

    Args:
        node: The operator.
        shape_of: Function that returns the shape of a tensor, given its name.

    Raises:
        ValueError: If the operator is not known.
    """
    if node.domain in ("", "ai.onnx"):
        if node.op_type in _PRODUCTS:
            return float(_PRODUCTS[node.op_type](node, shape_of))
        if node.op_type in _WITHOUT_FLOPS:
            return 0.0
    operator = f"{node.domain}.{node.op_type}".lstrip(".")
    raise ValueError(
        f"ONNX operator {operator!r} (node {node.name or node.output[0]!r}) is not supported; export the network with "
        "standard operators, without control flow and without the selection of boxes."
    )


def _convolution(node: NodeProto, shape_of: Callable[[str], Shape]) -> int:
    weight = node.input[3 if node.op_type == "QLinearConv" else 1]
    return 2 * math.prod(shape_of(node.output[0])) * math.prod(shape_of(weight)[1:])


def _transposed_convolution(node: NodeProto, shape_of: Callable[[str], Shape]) -> int:
    return 2 * math.prod(shape_of(node.input[0])) * math.prod(shape_of(node.input[1])[1:])


def _general_product(node: NodeProto, shape_of: Callable[[str], Shape]) -> int:
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return 2 * math.prod(shape_of(node.output[0])) * shape_of(node.input[0])[0 if transposed else 1]


def _matrix_product(node: NodeProto, shape_of: Callable[[str], Shape]) -> int:
    return 2 * math.prod(shape_of(node.output[0])) * shape_of(node.input[0])[-1]


def _recurrent(node: NodeProto, shape_of: Callable[[str], Shape]) -> int:
    """Return the operations of a recurrent layer, each step of which multiplies the input by W and the state by R."""
    steps, batch = shape_of(node.input[0])[:2]
    return 2 * steps * batch * (math.prod(shape_of(node.input[1])) + math.prod(shape_of(node.input[2])))


def _attention(node: NodeProto, shape_of: Callable[[str], Shape]) -> int:
    """Return the operations of attention: each query is multiplied by each key, then each attention weight by a value.

    The heads may be a dimension of their own or side by side in the last one.
    """
    keys = shape_of(node.input[1])[-2]
    return 2 * keys * (math.prod(shape_of(node.input[0])) + math.prod(shape_of(node.output[0])))


def _einsum(node: NodeProto, shape_of: Callable[[str], Shape]) -> int:
    equation = helper.get_node_attr_value(node, "equation").decode().replace(" ", "")
    operands = equation.partition("->")[0].split(",")
    if "." in equation or len(operands) > 2:
        raise ValueError(
            f"ONNX operator 'Einsum' (node {node.name or node.output[0]!r}) has the equation {equation!r}; export it "
            "with MatMul: only one or two operands without '...' are supported."
        )
    sizes: dict[str, int] = {}
    for labels, value in zip(operands, node.input, strict=True):
        sizes.update(zip(labels, shape_of(value), strict=True))
    return 2 * math.prod(sizes.values()) if len(operands) == 2 else 0


_PRODUCTS: dict[str, Callable[[NodeProto, Callable[[str], Shape]], int]] = {
    "Attention": _attention,
    "Conv": _convolution,
    "ConvInteger": _convolution,
    "ConvTranspose": _transposed_convolution,
    "DeformConv": _convolution,
    "Einsum": _einsum,
    "GRU": _recurrent,
    "Gemm": _general_product,
    "LSTM": _recurrent,
    "MatMul": _matrix_product,
    "MatMulInteger": _matrix_product,
    "QLinearConv": _convolution,
    "QLinearMatMul": _matrix_product,
    "RNN": _recurrent,
}
