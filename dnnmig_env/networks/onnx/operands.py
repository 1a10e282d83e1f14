"""Checks that an operator's operands fit each other, where ONNX's own shape inference does not look."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from onnx import NodeProto, defs, helper

from dnnmig_env.networks.onnx.tensor_type import Shape

ShapeIfKnown = Callable[[str], Shape | None]


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """Return an operator's attributes by name."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def described(node: NodeProto) -> str:
    """Return an operator's kind and name, for errors."""
    kind = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    return f"ONNX operator {kind!r} (node {node.name or next(iter(node.output), '')!r})"


def check_form(node: NodeProto, opsets: Mapping[str, int]) -> None:
    """Check that a standard operator has the inputs, outputs and attributes that it must have.

    Args:
        node: The operator.
        opsets: Version of the operators of each domain.

    Raises:
        ValueError: If it lacks one, or has too many.
    """
    latest = defs.onnx_opset_version()
    version = min(opsets.get("", latest), latest)
    version = version if defs.has(node.op_type, version, "") else latest
    if node.domain or not defs.has(node.op_type, version, ""):
        return
    schema = defs.get_schema(node.op_type, version, "")
    given = {attribute.name for attribute in node.attribute}
    missing = [name for name, attribute in schema.attributes.items() if attribute.required and name not in given]
    for what, count, least, most in (
        ("inputs", len(node.input), schema.min_input, schema.max_input),
        ("outputs", len(node.output), schema.min_output, schema.max_output),
    ):
        if not least <= count <= most:
            missing.append(f"{least} to {most} {what} instead of {count}")
    if missing:
        raise ValueError(f"{described(node)} is not valid: it needs {', '.join(missing)}; export the network again.")


def check_operands(node: NodeProto, shape_of: ShapeIfKnown) -> None:
    """Check an operator; what is not known is not checked.

    Args:
        node: The operator.
        shape_of: Function that returns the shape of a tensor, given its name, or None if it is not known.

    Raises:
        ValueError: If operands do not fit each other.
    """
    if node.domain or node.op_type not in _DEMANDS:
        return
    shapes = [shape_of(name) if name else None for name in [*node.input, *node.output[:1]]]
    try:
        demands = list(_DEMANDS[node.op_type](attributes_of(node), shapes))
    except IndexError:
        demands = [("the number of dimensions of an operand", "too small", "that of the operator")]
    for what, found, right in demands:
        if found != right:
            raise ValueError(
                f"{described(node)} does not fit its operands: {what} is {found}, but must be {right}; check the "
                "input shapes, or export the network again."
            )


_Shapes = list[Shape | None]
"""Shapes of an operator's inputs and, at the end, of its first output."""
_Demands = Iterator[tuple[str, object, object]]
"""What has to hold: what it is about, what was found, and what is right."""


def _at(shapes: _Shapes, place: int) -> Shape | None:
    return shapes[place] if place < len(shapes) - 1 else None


def _known(shapes: _Shapes, *places: int) -> list[Shape]:
    """Return the shapes at some places, or none if one of them is not known."""
    found = [shape for place in places if (shape := _at(shapes, place)) is not None]
    return found if len(found) == len(places) else []


def _convolution(weight_place: int, bias_place: int) -> Callable[[dict[str, Any], _Shapes], _Demands]:
    def demands(attributes: dict[str, Any], shapes: _Shapes) -> _Demands:
        group = attributes.get("group", 1)
        image, weight, bias = _at(shapes, 0), _at(shapes, weight_place), _at(shapes, bias_place)
        if weight is None:
            return
        if image is not None:
            yield "the number of dimensions of the weight", len(weight), len(image)
            yield "the number of input channels", image[1], weight[1] * group
        yield "the kernel's shape", weight[2:], tuple(attributes.get("kernel_shape", weight[2:]))
        yield "the remainder of output channels by groups", weight[0] % group, 0
        if bias is not None and bias_place:
            yield "the shape of the bias", bias, (weight[0],)

    return demands


def _transposed_convolution(attributes: dict[str, Any], shapes: _Shapes) -> _Demands:
    if known := _known(shapes, 0, 1):
        (image, weight), group = known, attributes.get("group", 1)
        yield "the number of input channels", image[1], weight[0]
        yield "the kernel's shape", weight[2:], tuple(attributes.get("kernel_shape", weight[2:]))
        yield "the remainder of input channels by groups", weight[0] % group, 0
        if (bias := _at(shapes, 2)) is not None:
            yield "the shape of the bias", bias, (weight[1] * group,)


def _recurrent(gates: int) -> Callable[[dict[str, Any], _Shapes], _Demands]:
    def demands(attributes: dict[str, Any], shapes: _Shapes) -> _Demands:
        if known := _known(shapes, 0, 1, 2):
            sequence, weight, recurrent = known
            directions = 2 if attributes.get("direction", b"forward") == b"bidirectional" else 1
            size = attributes.get("hidden_size", recurrent[2])
            yield "the number of input features", sequence[2], weight[2]
            yield "the shape of the input's weight", weight, (directions, gates * size, weight[2])
            yield "the shape of the state's weight", recurrent, (directions, gates * size, size)
            if (bias := _at(shapes, 3)) is not None:
                yield "the shape of the bias", bias, (directions, 2 * gates * size)

    return demands


def _general_product(attributes: dict[str, Any], shapes: _Shapes) -> _Demands:
    if known := _known(shapes, 0, 1):
        rows, columns = known
        inner = rows[0 if attributes.get("transA") else 1]
        yield "the inner dimension of the product", inner, columns[1 if attributes.get("transB") else 0]
        product = (rows[1 if attributes.get("transA") else 0], columns[0 if attributes.get("transB") else 1])
        if (summand := _at(shapes, 2)) is not None:
            yield _repeats(summand, product)


def _attention(attributes: dict[str, Any], shapes: _Shapes) -> _Demands:
    if known := _known(shapes, 0, 1, 2):
        query, key, value = known
        yield "the number of dimensions of keys", len(key), len(query)
        yield "the number of dimensions of values", len(value), len(query)
        yield "the number of values", value[-2], key[-2]
        yield "the batch of keys", key[0], query[0]
        if len(query) == 3:
            heads, groups = (attributes.get(kind) or 1 for kind in ("q_num_heads", "kv_num_heads"))
            yield "the width of a key", key[-1] / groups, query[-1] / heads
        else:
            heads, groups = query[1], key[1]
            yield "the width of a key", key[-1], query[-1]
            yield "the number of heads of values", value[1], groups
        yield "the remainder of heads by those of keys", heads % groups, 0


def _per_channel(places: dict[int, str]) -> Callable[[dict[str, Any], _Shapes], _Demands]:
    def demands(attributes: dict[str, Any], shapes: _Shapes) -> _Demands:
        image = _at(shapes, 0)
        for place, what in places.items():
            if image is not None and len(image) > 1 and (found := _at(shapes, place)) is not None:
                yield f"the shape of the {what}", found, (image[1],)

    return demands


def _repeated(attributes: dict[str, Any], shapes: _Shapes) -> _Demands:
    if known := _known(shapes, 0, 1):
        yield _repeats(known[1], known[0])


def _repeats(part: Shape, whole: Shape) -> tuple[str, object, object]:
    fits = all(theirs in (1, ours) for ours, theirs in zip(reversed(whole), reversed(part), strict=False))
    return f"whether {part} can be repeated over {whole}", fits and len(part) <= len(whole), True


def _grouped(attributes: dict[str, Any], shapes: _Shapes) -> _Demands:
    """Scale and shift have an entry for each channel; until operator set 20 for each group."""
    if known := _known(shapes, 0, 1, 2):
        image, *settings = known
        for what, found in zip(("scale", "shift"), settings, strict=True):
            sizes = ((image[1],), (attributes.get("num_groups", 1),))
            yield f"whether the shape {found} of the {what} is one of {sizes}", found in sizes, True


def _rearranged(attributes: dict[str, Any], shapes: _Shapes) -> _Demands:
    before, after = _at(shapes, 0), shapes[-1]
    if before is not None and after is not None:
        yield f"the number of elements of {before} as {after}", math.prod(before), math.prod(after)


_DEMANDS: dict[str, Callable[[dict[str, Any], _Shapes], _Demands]] = {
    **dict.fromkeys(("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"), _rearranged),
    **dict.fromkeys(("LayerNormalization", "PRelu", "RMSNormalization"), _repeated),
    "Attention": _attention,
    "BatchNormalization": _per_channel({1: "scale", 2: "shift", 3: "mean", 4: "variance"}),
    "Conv": _convolution(1, 2),
    "ConvInteger": _convolution(1, 0),
    "ConvTranspose": _transposed_convolution,
    "DeformConv": _convolution(1, 3),
    "GRU": _recurrent(3),
    "GroupNormalization": _grouped,
    "Gemm": _general_product,
    "InstanceNormalization": _per_channel({1: "scale", 2: "shift"}),
    "LSTM": _recurrent(4),
    "QLinearConv": _convolution(3, 8),
    "RNN": _recurrent(1),
}
"""For each operator, what its operands have to fulfil."""
