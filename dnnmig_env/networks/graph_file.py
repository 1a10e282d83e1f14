"""Layer graphs as JSON files, one layer per line."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field

from dnnmig_env.files.atomic_file import replace_text
from dnnmig_env.files.quantities import Bytes, Index, Quantity
from dnnmig_env.files.strict_model import Form, checked
from dnnmig_env.files.text_file import read_text
from dnnmig_env.files.yaml_json import parse_json
from dnnmig_env.networks.layer_graph import LayerGraph


class LayerRow(Form):
    """A `layer_graph.Layer` in a file."""

    name: str
    flops: Quantity
    weight_bytes: Bytes
    output_bytes: Bytes
    predecessors: list[Index]
    internal_bytes: Bytes = 0
    operators: Bytes = 1
    shares: list[Index] = Field(default_factory=list)
    on_device: bool = False


class GraphRow(Form):
    """A `layer_graph.LayerGraph` in a file, with all its layers."""

    name: str
    input_bytes: Bytes
    layers: list[LayerRow]
    origin: str = ""
    inputs: list[Bytes] = Field(default_factory=list)
    outputs: list[Index] = Field(default_factory=list)


def read_graph(path: Path) -> LayerGraph:
    """Read a graph that `write_graph` wrote, or that somebody wrote in the same form.

    Raises:
        ValueError: If the file cannot be read or does not hold a valid graph; in one line that names the file, the
            place in it, the value and the remedy.
    """
    try:
        form = checked(GraphRow, parse_json(read_text(path)))
        return LayerGraph.from_dict({**dict(form), "layers": [dict(layer) for layer in form.layers]})
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise ValueError(f"cannot read the network {path}: {reason}; correct it, or trace it again.") from None


def write_graph(graph: LayerGraph, path: Path) -> None:
    """Write a graph in one go: a reader sees the old file or the new one, never a part.

    Raises:
        ValueError: If the file cannot be written.
    """
    data = graph.to_dict()
    rows = data.pop("layers")
    data = {key: value for key, value in data.items() if value != []}
    head = json.dumps(data, indent=0).removesuffix("\n}")
    lines = ",\n".join(json.dumps(_compact(row), separators=(",", ":")) for row in rows)
    replace_text(path, f'{head},\n"layers": [\n{lines}\n]\n}}\n')


def _compact(row: dict[str, object]) -> dict[str, object]:
    """Return a layer's row with a whole number of FLOPs as an integer and without what `Layer` has by default."""
    if isinstance(row["flops"], float) and row["flops"].is_integer():
        row["flops"] = int(row["flops"])
    defaults = {"internal_bytes": 0, "operators": 1, "shares": [], "on_device": False}
    return {key: value for key, value in row.items() if key not in defaults or defaults[key] != value}
