"""Computes the seconds per layer and node of a user for whom a scenario file names measured profiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.files.strict_model import inside
from dnnmig_env.files.suggestion import suggestion
from dnnmig_env.networks.grouping import Groups
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.measured_profile import Profile, find_profile, size_of
from dnnmig_env.networks.preprocessing import fuse, merged_groups, prepared_groups
from dnnmig_env.scenarios.file.schema import MeasuredForm
from dnnmig_env.scenarios.node import Node, execution_s

Forms = tuple[LayerGraph, LayerGraph, LayerGraph]
"""A network as it is given, before merging (fused, unless it is not to be merged), and after."""

DEVICE = "device"
"""Name of the user's own node in a file."""

THIS_MACHINE = "this-machine"
"""What stands in a file in place of a profile that is measured on the machine that runs a testbed."""

Measure = Callable[[LayerGraph], Floats]
"""Function that measures the seconds of each layer of a prepared graph on this machine, shape (L,)."""


def profile_table(
    place: str,
    forms: Mapping[str, str | MeasuredForm],
    networks: Forms,
    nodes: Sequence[Node],
    folder: Path,
    measure: Measure | None = None,
) -> Floats:
    """Return the seconds per layer and node, shape (L, S + 1): measured where a profile is named, else the roofline.

    Args:
        place: Place in the file at which the profiles are named, for errors.
        forms: The profile of each node that has one, by the node's name; "device" is the user's own node.
        networks: The user's network as it is given, before it was merged to `max_layers`, and after.
        nodes: The user's device, then the servers.
        folder: Folder to which paths in the file are relative.
        measure: What measures this machine; None where nothing does.

    Raises:
        ValueError: If a named node or profile does not exist, or a profile is of another network or other layers.
    """
    names = [DEVICE, *(server.name for server in nodes[1:])]
    if names.count(DEVICE) > 1:
        raise ValueError(f"{place}: {DEVICE!r} is the user's own node here, but a server has that name; rename it.")
    for name in forms:
        if name not in names:
            raise ValueError(f"{place}: there is no node {name!r}; {suggestion(name, names)}")
    columns = []
    for name, node in zip(names, nodes, strict=True):
        form = forms.get(name)
        if form is None:
            columns.append(execution_s(networks[-1], node))
            continue
        form = MeasuredForm(profile=form) if isinstance(form, str) else form
        try:
            if form.profile == THIS_MACHINE:
                columns.append(form.scale * _measured(measure, networks[-1]))
            else:
                columns.append(form.scale * _fitted(form.profile, find_profile(form.profile, folder), networks))
        except ValueError as error:
            raise ValueError(f"{inside(place, name)}: {error}") from None
    return np.stack(columns, axis=1)


def groups_of(rows: int, networks: Forms) -> Groups:
    """Return which rows of a table belong to each layer of a network.

    Args:
        rows: Number of rows: one per layer of the network as it is given, fused, or merged.
        networks: The network in these forms. If the number fits none, each row belongs to a merged layer.
    """
    given, before, merged = networks
    if rows == len(before) != len(merged):
        return merged_groups(before, len(merged))
    if rows == len(given) != len(merged):
        return prepared_groups(given, None if len(before) == len(merged) else len(merged))
    return tuple((layer,) for layer in range(len(merged)))


def _fitted(reference: str, profile: Profile, networks: Forms) -> Floats:
    """Return a profile's seconds for the layers of a graph, shape (L,); a merged layer takes as long as its parts."""
    given, before, graph = networks
    seconds = np.array(profile.seconds)
    if not profile.is_of(graph):
        raise ValueError(
            f"{reference!r} was measured for {profile.network!r} ({_size(*profile.size)}), not for the user's "
            f"{graph.name!r} ({_size(*size_of(graph))}); {_measure(reference, graph)}"
        )
    if profile.names in (_names(graph), _names(before), _names(given)):
        return np.array([seconds[list(group)].sum() for group in groups_of(len(seconds), networks)])
    remedy = _measure(reference, graph, len(graph) if len(graph) < len(seconds) else None)
    if profile.names == _names(fuse(before)):
        remedy = f"give the user max_layers, {len(seconds)} or less, for layers that are fused too."
    raise ValueError(
        f"{reference!r} has {len(seconds)} layers of {profile.network!r} that are not those of the user's network "
        f"({len(graph)}), nor their parts; {remedy}"
    )


def _measured(measure: Measure | None, graph: LayerGraph) -> Floats:
    if measure is None:
        raise ValueError(
            f"{THIS_MACHINE!r} is measured by `python -m evaluate testbed`, which runs the scenario for real; for "
            "anything else name a shipped profile or a file."
        )
    return measure(graph)


def _measure(reference: str, graph: LayerGraph, max_layers: int | None = None) -> str:
    """Return the remedy for a profile that does not fit: the command that measures the user's network.

    Without `max_layers` it measures the fused layers; with it, layers merged to that number.
    """
    trace = "python -m dnnmig_env trace "
    made = graph.origin.partition(";")[0]
    source = made.removeprefix(trace) if made.startswith(trace) else "package.module:callable --input-shape ..."
    merged = "" if max_layers is None else f" --max-layers {max_layers}"
    out = reference if reference.endswith(".json") else f"{graph.name}.json"
    return f"measure it with `python -m dnnmig_env profile {source}{merged} --out {out}`."


def _names(graph: LayerGraph) -> tuple[str, ...]:
    return tuple(layer.name for layer in graph.layers)


def _size(input_bytes: int, flops: int, weight_bytes: int) -> str:
    return f"{flops} FLOP, {weight_bytes} bytes of weights, {input_bytes} of input"
