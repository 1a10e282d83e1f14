"""The inputs of an ONNX network: their shapes, the values that decide its course, and the state that stays in place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ValueInfoProto, helper

from dnnmig_env.networks.onnx.tensor_type import TensorType, element_name, tensor_type


@dataclass(frozen=True)
class Given:
    """What a caller says of the inputs of an ONNX network.

    Attributes:
        shapes: Shape of each input, in the file's order; empty if the file or `sizes` say them.
        element_types: Element type of each of these inputs, such as `int64`, to be compared with the file's; "" is not
            compared.
        sizes: For the name of an input its shape, and for the name of a dynamic dimension its size.
        values: Values of inputs that decide which branch the network takes; such an input is a constant, and not sent.
        state: Names of inputs and outputs (* stands for any characters) that stay where the layers that use them run,
            such as the cache of a language model. None = inputs `past*` and outputs `present*` that belong together.
        marked: Names of further inputs that are state.
    """

    shapes: Sequence[Sequence[int]] = ()
    element_types: Sequence[str] = ()
    sizes: Mapping[str, int | Sequence[int]] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    state: Sequence[str] | None = None
    marked: Sequence[str] = ()


@dataclass(frozen=True)
class Inputs:
    """The inputs of a network, all of whose shapes are known.

    Attributes:
        types: Type of each input, in the file's order.
        sizes: Sizes of dynamic dimensions, by their names.
        values: The values of inputs that are constants.
        state: Names of the inputs and outputs that stay where they are used.
    """

    types: dict[str, TensorType]
    sizes: dict[str, int]
    values: dict[str, NDArray[np.generic]]
    state: frozenset[str]

    def __str__(self) -> str:
        """Return the inputs as they are given on a command line: those that are sent by place, others by name."""
        words = []
        for name, entry in self.types.items():
            size = "x".join(map(str, entry.shape)) or "scalar"
            kind = _kind(entry.element_type)
            if name in self.values:
                words.append(f"{name}={size}")
            elif name in self.state:
                words.append(f"{name}={size}:state")
            else:
                words.append(size if kind == "float32" else f"{size}:{kind}")
        values = " ".join(f"{name}={value.reshape(-1)[0]}" for name, value in self.values.items())
        return f"--input-shape {' '.join(words)}" + (f" --input-value {values}" if values else "")


def fixed_inputs(model: onnx.ModelProto, given: Given) -> Inputs:
    """Write fixed shapes into a network's inputs and return these inputs; stored tensors do not count as inputs.

    Raises:
        ValueError: If a shape is not known or does not fit, an input is no tensor, or a name is unknown.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    entries = {entry.name: entry for entry in model.graph.input if entry.name not in stored}
    for name, entry in entries.items():
        if not entry.type.HasField("tensor_type"):
            raise ValueError(f"input {name!r} is no tensor; export the network with tensors as its inputs.")
    for entry in entries.values():
        for size in entry.type.tensor_type.shape.dim:
            if not size.dim_value and not _NAME.search(size.dim_param):
                size.Clear()  # some exporters name every dynamic dimension "?"
    shapes, sizes = _given_shapes(entries, given), _given_sizes(entries, given)
    for name, shape in shapes.items():
        for size, length in zip(entries[name].type.tensor_type.shape.dim, shape, strict=False):
            sizes.setdefault(size.dim_param, length)
    for entry in entries.values():
        for size in entry.type.tensor_type.shape.dim[:1]:
            if not _NO_BATCH.search(size.dim_param):
                sizes.setdefault(size.dim_param, 1)
    sizes.pop("", None)
    for name, entry in entries.items():
        _fix(entry, shapes.get(name), sizes)
    types = {name: found for name, entry in entries.items() if (found := tensor_type(entry.type)) is not None}
    values = {
        name: np.full(types[name].shape, value, helper.tensor_dtype_to_np_dtype(types[name].element_type))
        for name, value in given.values.items()
    }
    _check_names("an input", given.marked, [*entries])
    state = _state([*entries], [entry.name for entry in model.graph.output], given.state).union(given.marked)
    return Inputs(types, sizes, values, state)


def _given_sizes(entries: Mapping[str, ValueInfoProto], given: Given) -> dict[str, int]:
    """Return the sizes of dimensions that are given by their names."""
    symbols = {size.dim_param for entry in entries.values() for size in entry.type.tensor_type.shape.dim} - {""}
    _check_names("a dimension or input", given.sizes, [*entries, *symbols])
    _check_names("an input", given.values, [*entries])
    for name, size in given.sizes.items():
        if name not in entries and not (isinstance(size, int) and size >= 0):
            raise ValueError(f"the dimension {name!r} is {size!r}; give one whole number, not negative.")
    return {name: size for name, size in given.sizes.items() if name in symbols and isinstance(size, int)}


def _given_shapes(entries: Mapping[str, ValueInfoProto], given: Given) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the inputs for which one is given."""
    without_values = [name for name in entries if name not in given.values]
    others = [name for name in without_values if name not in given.sizes]
    names = next((names for names in (without_values, others) if len(names) == len(given.shapes)), [*entries])
    if given.shapes and len(given.shapes) != len(names):
        raise ValueError(
            f"{len(given.shapes)} input shapes for {len(names)} inputs ({', '.join(names)}); give one for each."
        )
    shapes = {name: tuple(shape) for name, shape in zip(names, given.shapes, strict=False)}
    for name, kind in zip(names, given.element_types, strict=False):
        right = _kind(entries[name].type.tensor_type.elem_type)
        if kind and kind != right:
            raise ValueError(f"input {name!r} holds {right}, not {kind}; give its shape alone.")
    for name, size in given.sizes.items():
        if name in entries:
            shapes[name] = tuple(size) if isinstance(size, Sequence) else (size,)
    for name, shape in shapes.items():
        if not all(isinstance(size, int) and size >= 0 for size in shape):
            raise ValueError(f"input {name!r}: shape is {list(shape)}; give whole numbers, not negative.")
    return shapes


def _fix(entry: ValueInfoProto, shape: tuple[int, ...] | None, sizes: Mapping[str, int]) -> None:
    """Write a fixed shape into an input."""
    tensor = entry.type.tensor_type
    stated = [size.dim_value if size.dim_value > 0 else sizes.get(size.dim_param) for size in tensor.shape.dim]
    if stated[:1] == [None] and not tensor.shape.dim[0].dim_param:
        stated[0] = 1
    fixed = stated if shape is None else list(shape)
    if not tensor.HasField("shape") and shape is not None:
        tensor.shape.SetInParent()
        for length in shape:
            tensor.shape.dim.add().dim_value = length
        return
    if None in fixed or len(fixed) != len(stated) or not tensor.HasField("shape"):
        text = ", ".join(str(size.dim_value or size.dim_param or "?") for size in tensor.shape.dim)
        text = f"the shape ({text})" if tensor.HasField("shape") else "no shape"
        wrong = "" if shape is None else f", not {list(shape)}"
        unknown = [size.dim_param for size, found in zip(tensor.shape.dim, stated, strict=True) if found is None]
        example = f", or sizes of its dimensions, e.g. {unknown[0]}=128" if shape is None and any(unknown[:1]) else ""
        raise ValueError(f"input {entry.name!r} has {text}{wrong}; give input shapes that fix it{example}.")
    for dimension, known in zip(tensor.shape.dim, fixed, strict=True):
        dimension.dim_value = known or 0


def _state(inputs: Sequence[str], outputs: Sequence[str], patterns: Sequence[str] | None) -> frozenset[str]:
    """Return the names of the inputs and outputs that are state."""
    if patterns is not None:
        found: set[str] = set()
        for pattern in patterns:
            matching = {name for name in (*inputs, *outputs) if fnmatchcase(name, pattern)}
            _check_names("an input or output", [] if matching else [pattern], [*inputs, *outputs])
            found |= matching
        return frozenset(found)
    past = {_PAST.sub("", name): name for name in inputs if _PAST.match(name)}
    present = {_PRESENT.sub("", name): name for name in outputs if _PRESENT.match(name)}
    if not past.keys() & present.keys():
        return frozenset()
    return frozenset([*past.values(), *present.values()])


_NAME = re.compile(r"[A-Za-z]")
_NO_BATCH = re.compile(r"(?i)seq|len|time|frame|token|width|height|steps")
"""What the names of dynamic dimensions contain at all, and the names of first dimensions that are no batch."""

_PAST = re.compile(r"past(_key_values?)?(?!\w*len)")
_PRESENT = re.compile(r"present(_key_values?)?")
"""Beginnings of the names of a decoder's cache; `past_sequence_length` is none."""


def _check_names(what: str, names: Iterable[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}."
            raise ValueError(f"{name!r} is not the name of {what} of this network; {hint}")


def _kind(element_type: int) -> str:
    """Return the name of an element type as numpy and torch call it."""
    try:
        return str(helper.tensor_dtype_to_np_dtype(element_type).name)
    except KeyError:
        return element_name(element_type).lower()
