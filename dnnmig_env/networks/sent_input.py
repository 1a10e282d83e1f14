"""States what is really sent as a network's input: fewer bytes per number, or compressed, or a given size.

Networks are traced with the numbers that their first layers read, usually of 32 bits. What crosses a link is often much
less: an image of 8 bits per colour has a quarter of these bytes, and as a JPEG usually a tenth of that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np

from dnnmig_env.networks.layer_graph import NETWORK_INPUT, LayerGraph

_SENT = re.compile(r"; sends \d+ for (\d+) bytes of input")


@dataclass(frozen=True)
class Sent:
    """What is sent for each inference; the default is what the network reads.

    Attributes:
        input_bytes: Bytes of each input as it is sent.
        dtype: Type of the numbers that are sent, such as `uint8`; it is that of inputs with floating-point numbers.
        ratio: How many times smaller inputs with floating-point numbers become by compression, after `dtype`.
    """

    input_bytes: Sequence[int] = ()
    dtype: str | None = None
    ratio: float | None = None


def with_sent_input(graph: LayerGraph, sent: Sent) -> LayerGraph:
    """Return a graph whose input has the bytes that are really sent.

    Layers that read the input still read the numbers of the network from memory: the difference becomes internal
    traffic. `origin` says what was changed.

    Args:
        graph: Any layer graph.
        sent: What is sent.

    Raises:
        ValueError: If a number is not sensible, or the types of the graph's inputs are not known but needed.
    """
    if sent == Sent():
        return graph
    if sent.input_bytes and (sent.dtype, sent.ratio) != (None, None):
        raise ValueError(
            "input_bytes is given with input_dtype or input_ratio; give either the bytes or how they arise."
        )
    raw = list(graph.inputs or [graph.input_bytes])
    sizes = list(sent.input_bytes) or _shrunk(graph, raw, sent)
    if len(sizes) != len(raw):
        raise ValueError(f"input_bytes has {len(sizes)} numbers for {len(raw)} inputs; give one for each.")
    if min(sizes) < 0:
        raise ValueError(f"input_bytes is {sizes}; it must not be negative.")
    saved = {
        NETWORK_INPUT - place: before - after for place, (before, after) in enumerate(zip(raw, sizes, strict=True))
    }
    layers = []
    for layer in graph.layers:
        rest = sum(saved.get(source, 0) for source in layer.predecessors)
        layers.append(replace(layer, internal_bytes=max(0, layer.internal_bytes + rest)))
    return replace(
        graph,
        input_bytes=sum(sizes),
        inputs=tuple(sizes) if graph.inputs else (),
        layers=tuple(layers),
        origin=f"{_SENT.sub('', graph.origin)}; sends {sum(sizes)} for {network_input_bytes(graph)} bytes of input",
    )


def network_input_bytes(graph: LayerGraph) -> int:
    """Return the bytes of input that the network reads, whatever is sent for them."""
    changed = _SENT.search(graph.origin)
    return graph.input_bytes if changed is None else int(changed[1])


def _shrunk(graph: LayerGraph, raw: Sequence[int], sent: Sent) -> list[int]:
    ratio = 1.0 if sent.ratio is None else sent.ratio
    if not (math.isfinite(ratio) and ratio > 0):
        raise ValueError(f"input_ratio is {sent.ratio}; give how many times smaller the input becomes, e.g. 10.")
    types = _input_types(graph, len(raw))
    item_bytes = None if sent.dtype is None else _dtype(sent.dtype).itemsize
    return [
        math.ceil(size / (1 if item_bytes is None else kind.itemsize) * (item_bytes or 1) / ratio)
        if kind.kind == "f"
        else size
        for size, kind in zip(raw, types, strict=True)
    ]


def _input_types(graph: LayerGraph, count: int) -> list[np.dtype[np.generic]]:
    """Return the types of a graph's inputs, which its origin names as in `--input-shape 1x3x224x224 1x128:int64`."""
    stated, values = (re.search(rf"--input-{what} ([^;]*)", graph.origin) for what in ("shape", "value"))
    words = list(takewhile(lambda word: not word.startswith("--"), stated[1].split())) if stated else []
    constants = [word.partition("=")[0] for word in values[1].split()] if values else []
    words = [word for word in words if not word.endswith(":state") and word.rpartition("=")[0] not in constants]
    if not words or all(word.isdecimal() for word in words):  # not stated, or the sizes of one input
        words = ["float32"] * (1 if words else count)
    if len(words) != count:
        raise ValueError(
            f"the types of the {count} inputs of {graph.name!r} are not known; give the bytes of each (input_bytes)."
        )
    return [_dtype(word.partition(":")[2] or "float32") for word in words]


def _dtype(name: str) -> np.dtype[np.generic]:
    if name == "bfloat16":
        return np.dtype(np.float16)  # as many bytes
    try:
        kind = np.dtype(name)
    except TypeError:
        kind = np.dtype(object)
    if kind.kind not in "fiub":
        raise ValueError(f"input_dtype is {name!r}; give the type of a number such as uint8, float16 or float32.")
    return kind
