"""Writes operators on sequences of tensors as operators on the tensors, if their number is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from onnx import NodeProto

from dnnmig_env.networks.onnx.operands import attributes_of, described
from dnnmig_env.networks.onnx.writer import Writer


def _empty(writer: Writer, node: NodeProto) -> None:
    writer.sequences[node.output[0]] = []


def _construct(writer: Writer, node: NodeProto) -> None:
    writer.sequences[node.output[0]] = list(node.input)


def _insert(writer: Writer, node: NodeProto) -> None:
    tensors = list(writer.sequence(node))
    place = writer.number(node, node.input[2], "the place") if len(node.input) > 2 and node.input[2] else len(tensors)
    tensors.insert(place, node.input[1])
    writer.sequences[node.output[0]] = tensors


def _erase(writer: Writer, node: NodeProto) -> None:
    tensors = list(writer.sequence(node))
    del tensors[writer.number(node, node.input[1], "the place") if len(node.input) > 1 and node.input[1] else -1]
    writer.sequences[node.output[0]] = tensors


def _at(writer: Writer, node: NodeProto) -> None:
    tensors, place = writer.sequence(node), writer.number(node, node.input[1], "the place")
    if not -len(tensors) <= place < len(tensors):
        raise ValueError(f"{described(node)} reads place {place} of {len(tensors)} tensors; check the input shapes.")
    writer.rename([tensors[place]], node.output)


def _length(writer: Writer, node: NodeProto) -> None:
    writer.inference.know(node.output[0], np.array(len(writer.sequence(node))))


def _concatenate(writer: Writer, node: NodeProto) -> None:
    given = attributes_of(node)
    if given.get("new_axis"):
        writer.stack(node, node.output[0], writer.sequence(node), given["axis"])
    else:
        writer.make("Concat", writer.sequence(node), node.output, axis=given["axis"])


def _split(writer: Writer, node: NodeProto) -> None:
    given, source = attributes_of(node), node.input[0]
    shape = writer.inference.shape_of(source)
    axis = given.get("axis", 0) % len(shape)
    keeps = bool(given.get("keepdims", 1))
    ends = range(1, shape[axis] + 1)
    if len(node.input) > 1 and node.input[1]:
        sizes = writer.known(node, node.input[1], "the sizes of its parts")
        keeps = True  # the attribute counts only for parts of size 1 that are not asked for
        step = max(1, int(sizes.reshape(-1)[0]))
        ends = range(step, shape[axis] + step, step) if sizes.ndim == 0 else np.cumsum(sizes).tolist()
    parts: list[str] = []
    start = 0
    for end in ends:
        part = f"{node.output[0]}[{len(parts)}]"
        writer.make_with(
            "Slice", source, [part if keeps else f"{part}:"], starts=[start], ends=[min(end, shape[axis])], axes=[axis]
        )
        if not keeps:
            writer.make_with("Squeeze", f"{part}:", [part], axes=[axis])
        parts.append(part)
        start = end
    writer.sequences[node.output[0]] = parts


def _same(writer: Writer, node: NodeProto) -> None:
    writer.rename(node.input, node.output)


def _is_there(writer: Writer, node: NodeProto) -> None:
    writer.inference.know(node.output[0], np.array(len(node.input) > 0 and bool(node.input[0])))


SEQUENCE_RULES: Mapping[str, Callable[[Writer, NodeProto], None]] = {
    "ConcatFromSequence": _concatenate,
    "Optional": _same,
    "OptionalGetElement": _same,
    "OptionalHasElement": _is_there,
    "SequenceAt": _at,
    "SequenceConstruct": _construct,
    "SequenceEmpty": _empty,
    "SequenceErase": _erase,
    "SequenceInsert": _insert,
    "SequenceLength": _length,
    "SplitToSequence": _split,
}
"""For each operator, the function that writes it."""
