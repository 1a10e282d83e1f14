"""Reads the network of a user, with what a scenario file says of its input."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dnnmig_env.networks import zoo
from dnnmig_env.networks.graph_file import read_graph
from dnnmig_env.networks.layer_graph import NETWORK_INPUT, Layer, LayerGraph
from dnnmig_env.networks.preprocessing import fuse, keep_fused_on_device, keep_on_device, merge
from dnnmig_env.networks.sent_input import Sent, with_sent_input
from dnnmig_env.scenarios.file.profiles import Forms
from dnnmig_env.scenarios.file.schema import GraphForm, UserForm

_ONNX_KEYS = ("input_shape", "input_values", "state")


def networks_of(form: UserForm, folder: Path) -> Forms:
    """Return a user's network as it is given, before merging, and after.

    Before merging it is fused, unless it is given as layers that are not to be merged.

    Raises:
        ValueError: If it cannot be read, or a key does not fit it.
    """
    network, max_layers, is_to_be_fused = form.network, form.max_layers, True
    _check_input_keys(form)
    if isinstance(network, GraphForm) or network.endswith(".json"):
        given = _inline_graph(network) if isinstance(network, GraphForm) else read_graph(folder / network)
        is_to_be_fused = max_layers is not None
    elif network.endswith(".onnx"):
        given = _onnx_graph(form, folder / network)
    elif not form.on_device:
        return zoo.load(network), zoo.load_prepared(network), zoo.load_prepared(network, max_layers)
    else:
        given = zoo.load(network)
    given = (keep_fused_on_device if is_to_be_fused else keep_on_device)(given, form.on_device)
    before = fuse(given) if is_to_be_fused else given
    return given, before, before if max_layers is None else merge(before, max_layers)


def sent_graph(form: UserForm, graph: LayerGraph) -> LayerGraph:
    """Return a user's network with the bytes of input that the scenario says are sent.

    Raises:
        ValueError: If they do not fit the network.
    """
    given = form.input_bytes
    sizes = () if given is None else given if isinstance(given, list) else (given,)
    return with_sent_input(graph, Sent(sizes, form.input_dtype, form.input_ratio))


def _inline_graph(form: GraphForm) -> LayerGraph:
    layers = []
    for index, row in enumerate(form.layers):
        layer_before = index - 1 if index else NETWORK_INPUT
        predecessors = [layer_before] if row.predecessors is None else row.predecessors
        layers.append(Layer(**{**dict(row), "predecessors": tuple(predecessors), "shares": tuple(row.shares)}))
    inputs, outputs = tuple(form.inputs), tuple(form.outputs)
    return LayerGraph(form.name, form.input_bytes, tuple(layers), form.origin, inputs, outputs)


def _check_input_keys(form: UserForm) -> None:
    """Raise an error if a key that only ONNX files have is given for another network."""
    is_onnx = isinstance(form.network, str) and form.network.endswith(".onnx")
    for key in _ONNX_KEYS:
        if not is_onnx and getattr(form, key) is not None:
            raise ValueError(f"{key} is given, but only an .onnx file as the network leaves it open; remove it.")


def _onnx_graph(form: UserForm, path: Path) -> LayerGraph:
    """Read the ONNX file of a user, with the shapes, values and state that the scenario gives."""
    from dnnmig_env.networks.onnx.inputs import Given
    from dnnmig_env.networks.onnx.reader import import_onnx

    shape = form.input_shape or []
    sizes = shape if isinstance(shape, Mapping) else {}
    shapes = [] if isinstance(shape, Mapping) else shape
    return import_onnx(path, given=Given(shapes=shapes, sizes=sizes, values=form.input_values or {}, state=form.state))
