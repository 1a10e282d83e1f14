"""What ONNX operators cost: products have FLOPs by formula, and operators that only move or scale numbers have none."""

from __future__ import annotations

import math
from collections.abc import Callable

from onnx import NodeProto

from dnnmig_env.networks.onnx.operands import attributes_of, described
from dnnmig_env.networks.onnx.tensor_type import Shape

VIEWS = frozenset({"Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators whose output is the whole of their first input, arranged differently."""

SLICES = frozenset({"Slice", "Split"})
"""Operators whose outputs are parts of their first input."""

READS_SHAPE_ONLY = frozenset({"ConstantOfShape", "EyeLike", "RandomNormalLike", "RandomUniformLike", "Shape", "Size"})
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
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Bernoulli
    BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil Celu CenterCropPad
    Clip Col2Im Compress Concat Cos Cosh CumProd CumSum DepthToSpace DequantizeLinear Div DynamicQuantizeLinear Elu
    Equal Erf Exp Expand Floor Gather GatherElements GatherND Gelu GlobalAveragePool GlobalLpPool GlobalMaxPool
    Greater GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow Hardmax HardSigmoid HardSwish
    ImageDecoder InstanceNormalization IsInf IsNaN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax
    LpNormalization LpPool LRN Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min
    Mish Mod Mul Multinomial Neg NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Or Pad Pow PRelu
    QuantizeLinear Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Relu Resize ReverseSequence RMSNormalization RoiAlign RotaryEmbedding Round
    Scatter ScatterElements ScatterND Selu Shrink Sigmoid Sign SimplifiedLayerNormalization Sin Sinh Softmax
    SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Sqrt Sub Sum SwiGLU Swish Tan Tanh TensorScatter
    ThresholdedRelu Tile TopK Trilu Unique Upsample Where Xor
"""
_WITHOUT_FLOPS = VIEWS | SLICES | frozenset(_NAMES.split())


def flops(node: NodeProto, shape_of: Callable[[str], Shape]) -> float | None:
    """Return the floating-point operations of one standard operator; a multiply-add counts as two.

    Args:
        node: The operator.
        shape_of: Function that returns the shape of a tensor, given its name.

    Returns:
        The operations, or None if they are not known, as those of a Fourier transform or of a user's own operator.
    """
    if node.domain:
        return None
    if node.op_type in _PRODUCTS:
        return float(_PRODUCTS[node.op_type](node, shape_of))
    return 0.0 if node.op_type in _WITHOUT_FLOPS else None


def _convolution(node: NodeProto, shape_of: Callable[[str], Shape]) -> int:
    weight = node.input[3 if node.op_type == "QLinearConv" else 1]
    return 2 * math.prod(shape_of(node.output[0])) * math.prod(shape_of(weight)[1:])


def _transposed_convolution(node: NodeProto, shape_of: Callable[[str], Shape]) -> int:
    return 2 * math.prod(shape_of(node.input[0])) * math.prod(shape_of(node.input[1])[1:])


def _general_product(node: NodeProto, shape_of: Callable[[str], Shape]) -> int:
    transposed = attributes_of(node).get("transA")
    return 2 * math.prod(shape_of(node.output[0])) * shape_of(node.input[0])[0 if transposed else 1]


def _matrix_product(node: NodeProto, shape_of: Callable[[str], Shape]) -> int:
    return 2 * math.prod(shape_of(node.output[0])) * shape_of(node.input[0])[-1]


def _affine_grid(node: NodeProto, shape_of: Callable[[str], Shape]) -> int:
    """Return the operations of a grid, each point of which is multiplied by a matrix of one column more than rows."""
    grid = shape_of(node.output[0])
    return 2 * math.prod(grid) * (grid[-1] + 1)


def _recurrent(node: NodeProto, shape_of: Callable[[str], Shape]) -> int:
    """Return the operations of a recurrent layer, each step of which multiplies the input by W and the state by R."""
    steps, batch = shape_of(node.input[0])[:2]
    return 2 * steps * batch * (math.prod(shape_of(node.input[1])) + math.prod(shape_of(node.input[2])))


def _attention(node: NodeProto, shape_of: Callable[[str], Shape]) -> int:
    """Return the operations of attention: each query is multiplied by each key, then each attention weight by a value.

    The heads may be a dimension of their own or side by side in the last one. Keys of the past come first.
    """
    keys = shape_of(node.input[1])[-2]
    if len(node.input) > 4 and node.input[4]:
        keys += shape_of(node.input[4])[-2]
    return 2 * keys * (math.prod(shape_of(node.input[0])) + math.prod(shape_of(node.output[0])))


def _einsum(node: NodeProto, shape_of: Callable[[str], Shape]) -> int:
    """Return the operations of a product over labelled dimensions; several operands are multiplied from left to right.

    Dimensions behind "..." are labelled by their place from the end.
    """
    left, _, right = attributes_of(node)["equation"].decode().replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    operands = []
    for labels, value in zip(left.split(","), node.input, strict=True):
        shape = shape_of(value)
        rest = len(shape) - len(labels.replace("...", ""))
        before, dots, after = labels.partition("...")
        named = [*before, *(f"...{place}" for place in range(rest if dots else 0, 0, -1)), *after]
        if len(named) != len(shape):
            raise ValueError(f"{described(node)} does not fit its operands: {labels!r} is to label {shape}.")
        for label, size in zip(named, shape, strict=True):
            if 1 not in (size, sizes.get(label, 1)) and size != sizes[label]:
                raise ValueError(
                    f"{described(node)} does not fit its operands: dimension {label!r} is {sizes[label]} and {size}; "
                    "check the input shapes."
                )
            sizes[label] = max(size, sizes.get(label, 1))
        operands.append(set(named))
    count, done = 0, operands[0]
    for place, operand in enumerate(operands[1:], 2):
        count += 2 * math.prod(sizes[label] for label in done | operand)
        needed = set(right).union(*operands[place:]) if right else set(sizes)
        done = {label for label in done | operand if label in needed or label.startswith("...")}
    return count


_PRODUCTS: dict[str, Callable[[NodeProto, Callable[[str], Shape]], int]] = {
    "AffineGrid": _affine_grid,
    "Attention": _attention,
    "CausalConvWithState": _convolution,
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
