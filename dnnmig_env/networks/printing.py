"""Prints graphs and profiles as tables, for command lines."""

from __future__ import annotations

import re
import sys

from dnnmig_env.files.command_line import print_table
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.measured_profile import Elsewhere, Profile

_MOST_ROWS = 24
_SLOWEST = 10
_BUSY = 1.05


def print_graph(graph: LayerGraph) -> None:
    """Print a graph's sums and, if they are few, its layers."""
    params, gmac = totals(graph)
    print(f"{graph.name}: {len(graph)} layers, {params} M parameters (as float32), {gmac} GMAC,", end=" ")
    print(f"{graph.bytes_moved.sum() / 1e6:.1f} MB memory traffic, {graph.input_bytes / 1e3:.1f} kB input")
    for note in re.findall(r"; ((?:FLOPs|sends|state|without) [^;]*)", graph.origin):
        print(f"note: {note}")
    if len(graph) > _MOST_ROWS:
        print(f"(--max-layers {_MOST_ROWS} or less shows the layers)")
        return
    rows: list[tuple[str, ...]] = [("", "layer", "reads", "MFLOP", "weights kB", "output kB")]
    for index, layer in enumerate(graph.layers):
        reads = ",".join(_source(source, graph) for source in layer.predecessors)
        numbers = (layer.flops / 1e6, layer.weight_bytes / 1e3, layer.output_bytes / 1e3)
        rows.append((str(index), layer.name, reads, *(f"{number:.1f}" for number in numbers)))
    print_table(rows)


def print_profile(profile: Profile) -> None:
    """Print a profile's sums and its layers or, if they are many, the slowest."""
    how, whole_s, wall_s = profile.measured, profile.whole_s, profile.whole_wall_s
    print(f"{profile.network} on {how.machine}: {len(profile.layers)} layers", end=", ")
    if isinstance(how, Elsewhere):
        print(f"{profile.layers_s * 1e3:.4g} ms, measured on {how.node!r}, read from {how.file}")
    else:
        print(f"{how.device}, {_number(how.threads, 'thread')}, {how.versions}")
        print(f"layers {profile.layers_s * 1e3:.4g} ms, whole forward pass {_ms(whole_s)} ms", end=" ")
        print(f"(ratio {profile.ratio or 0:.3f}); medians of {how.repeats} passes,", end=" ")
        print(f"best of {_number(how.rounds, 'round')}, {how.clock}")
        print(f"the instrument adds at most {how.operator_overhead_s * 1e6:.2g} us per operator", end="; ")
        print(f"wall clock of the whole pass {_ms(wall_s)} ms, load average {how.load_average:.2g}")
    if (wall_s or 0) > _BUSY * (whole_s or 0):
        print("note: something else kept this machine busy; measure again at a quiet moment.", file=sys.stderr)
    layers = sorted(enumerate(profile.layers), key=lambda row: -row[1].seconds)
    if len(layers) > _MOST_ROWS:
        print(f"the {_SLOWEST} slowest layers:")
        layers = layers[:_SLOWEST]
    rows: list[tuple[str, ...]] = [("", "layer", "ms", "%")]
    for index, layer in sorted(layers):
        part = f"{100 * layer.seconds / (profile.layers_s or 1):.1f}"
        rows.append((str(index), layer.name, f"{layer.seconds * 1e3:.3f}", part))
    print_table(rows)


def totals(graph: LayerGraph) -> tuple[str, str]:
    """Return a graph's millions of parameters (as float32) and its 10^9 multiply-adds, as text."""
    return f"{graph.weight_bytes.sum() / 4e6:.1f}", f"{graph.flops.sum() / 2e9:.3f}"


def _source(source: int, graph: LayerGraph) -> str:
    """Return what a layer reads, in short: the number of a layer, or of an input if there are several."""
    return str(source) if source >= 0 else f"input{-source}" if graph.inputs else "input"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count > 1)}"


def _ms(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds * 1e3:.4g}"
