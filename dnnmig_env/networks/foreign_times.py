"""Makes measured profiles from seconds per layer that were measured elsewhere: a graph, and a table of times.

The table is a CSV file with a header. Its columns are `name` (of a layer), `node` (the kind of node that was measured;
without it, all rows are of one) and `seconds`, `ms` or `us`; others are ignored, as are empty lines and lines that
start with `#`. The layers are those of the graph as it was traced, fused, or merged; each has one row per kind of node.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

from dnnmig_env.files.suggestion import suggestion
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.measured_profile import Elsewhere, LayerTime, Profile, size_of
from dnnmig_env.networks.preprocessing import prepare

_UNITS = {"seconds": 1.0, "ms": 1e-3, "us": 1e-6}
_ONLY = "device"
"""Kind of node of a table that names none."""


def find_graph(network: str) -> LayerGraph:
    """Return a network of the zoo, or one of a file, as it was traced.

    Raises:
        ValueError: If there is none.
    """
    from dnnmig_env.networks import zoo
    from dnnmig_env.networks.graph_file import read_graph

    if network.endswith(".onnx"):
        raise ValueError(
            f"network is {network!r}; write a .json file of it (python -m dnnmig_env trace), and give that."
        )
    return read_graph(Path(network)) if network.endswith(".json") else zoo.load(network)


def read_times(
    graph: LayerGraph, path: Path, max_layers: int | None = None, machine: str | None = None
) -> dict[str, Profile]:
    """Read a table of seconds per layer.

    Args:
        graph: The network as it was traced.
        path: The CSV file.
        max_layers: Number of layers to which the network was merged, if the file names such layers.
        machine: Name of the machine; by default the kind of node.

    Returns:
        For each kind of node its profile, of the layers that the file names.

    Raises:
        ValueError: If the file cannot be read, or its layers are not those of the network; the error names the file,
            the line, the value and the remedy.
    """
    seconds: dict[str, dict[str, float]] = {}
    for line, name, node, value in _rows(path):
        times = seconds.setdefault(node, {})
        if name in times:
            raise ValueError(
                f"{path}, line {line}: layer {name!r} has a time on {node!r} already; give one, e.g. the median."
            )
        times[name] = value
    if not seconds:
        raise ValueError(f"{path} has no rows; give one per layer.")
    input_bytes, flops, weight_bytes = size_of(graph)
    return {
        node: Profile(
            network=graph.name,
            input_bytes=input_bytes,
            flops=flops,
            weight_bytes=weight_bytes,
            measured=Elsewhere(
                file=path.name,
                node=node,
                machine=machine or node,
                read=date.today().isoformat(),
            ),
            layers=tuple(
                LayerTime(name=name, seconds=times[name]) for name in _layer_names(graph, path, node, times, max_layers)
            ),
        )
        for node, times in seconds.items()
    }


def _layer_names(
    graph: LayerGraph, path: Path, node: str, times: Mapping[str, float], max_layers: int | None
) -> list[str]:
    """Return the names of the layers that a file has, in the graph's order."""
    forms = [graph, prepare(graph)] + ([] if max_layers is None else [prepare(graph, max_layers)])
    named = [[layer.name for layer in form.layers] for form in forms]
    for names in named:
        if len(names) == len(times) and set(names) == set(times):
            return names
    nearest = max(named, key=lambda names: len(times.keys() & set(names)) - abs(len(names) - len(times)) / 1e6)
    missing = [name for name in nearest if name not in times]
    unknown = [name for name in times if name not in nearest]
    where = f"{path}: on {node!r}"
    if unknown:
        raise ValueError(
            f"{where}, layer {unknown[0]!r} is not one of {graph.name!r}; {suggestion(unknown[0], nearest)}"
        )
    raise ValueError(
        f"{where}, {len(missing)} of the {len(nearest)} layers have no time, e.g. {missing[0]!r}; give each one, 0 for "
        "what takes none."
    )


def _rows(path: Path) -> Iterator[tuple[int, str, str, float]]:
    """Yield line, name of the layer, kind of node, and seconds."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; give an existing CSV file.") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot read {path}: it is not UTF-8 text (byte {error.start}); save it as UTF-8.") from None
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not numbered:
        return
    separator = max(",;\t", key=numbered[0][1].count)
    header = [cell.strip().lower() for cell in next(csv.reader([numbered[0][1]], delimiter=separator))]
    name_at = _column(path, header, ("name", "layer"))
    time_at = _column(path, header, tuple(_UNITS))
    node_at = _column(path, header, ("node", "node_kind", "node kind"), required=False)
    for number, line in numbered[1:]:
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=separator))]
        where = f"{path}, line {number}"
        if len(cells) != len(header):
            raise ValueError(f"{where}: {len(cells)} cells for {len(header)} columns; put names with commas in quotes.")
        try:
            value = float(cells[time_at]) * _UNITS[header[time_at]]
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{where}: {header[time_at]} is {cells[time_at]!r}; give a number that is not negative.")
        yield number, cells[name_at], _ONLY if node_at < 0 else cells[node_at], value


def _column(path: Path, header: list[str], names: tuple[str, ...], required: bool = True) -> int:
    places = [place for place, cell in enumerate(header) if cell in names]
    if len(places) > 1 or (required and not places):
        problem = "several columns are" if places else "no column is"
        raise ValueError(f"{path}: {problem} {' or '.join(names)} in the header {header}; give name, node and seconds.")
    return places[0] if places else -1


def as_file(node: str) -> str:
    """Return a kind of node as a part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in node)
