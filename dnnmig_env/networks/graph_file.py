"""Layer graphs as JSON files, one layer per line."""

from __future__ import annotations

import json
from pathlib import Path

from dnnmig_env.files.atomic_file import replace_text
from dnnmig_env.networks.layer_graph import LayerGraph


def read_graph(path: Path) -> LayerGraph:
    """Read a graph that `write_graph` wrote.

    Raises:
        ValueError: If the file cannot be read or does not hold a valid graph.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"cannot read the network {path}: {reason}; trace it again.") from error
    if not isinstance(data, dict):
        raise ValueError(f"cannot read the network {path}: it holds a {type(data).__name__}; trace it again.")
    return LayerGraph.from_dict(data)


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
