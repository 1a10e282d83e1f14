"""Finds the torch module that a graph was traced from, and makes its layers ready to run with random weights."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from dnnmig_env.networks.execution.cuts import cut
from dnnmig_env.networks.execution.layer_runner import LayerRunner
from dnnmig_env.networks.execution.tape import Tape
from dnnmig_env.networks.grouping import Groups
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.preprocessing import fuse, merge, prepared_groups
from dnnmig_env.networks.profiling.real_operators import find_operators
from dnnmig_env.networks.tracing import InputSpec, parse_inputs, trace
from dnnmig_env.networks.tracing.examples import example_call
from dnnmig_env.networks.tracing.libraries import with_weights
from dnnmig_env.networks.tracing.meta_run import inference, same_random_numbers
from dnnmig_env.networks.tracing.operators import divided

SEED = 0
"""Seed of the random weights, so that all nodes build the same network."""

_COMMAND = "python -m dnnmig_env trace "


def source_of(graph: LayerGraph) -> tuple[str, tuple[InputSpec, ...]]:
    """Return where a graph was traced from, as its `origin` says, and the shapes of its inputs.

    Raises:
        ValueError: If it was not traced by `python -m dnnmig_env trace` from a torch module.
    """
    command = graph.origin.partition(";")[0]
    words = shlex.split(command.removeprefix(_COMMAND)) if command.startswith(_COMMAND) else [""]
    if not words[0] or words[0].endswith(".onnx"):
        raise ValueError(
            f"network {graph.name!r} does not say from which torch module it was traced, so it cannot be run; take one "
            "of the zoo, or trace it with `python -m dnnmig_env trace package.module:callable --out FILE.json`."
        )
    at = words.index("--input-shape") + 1 if "--input-shape" in words else len(words)
    shapes = []
    for word in words[at:]:
        if word.startswith("--"):
            break
        shapes.append(word)
    return words[0], parse_inputs(shapes)


def build_runner(graph: LayerGraph) -> LayerRunner:
    """Build the network of a prepared graph with random weights, the same in every process, and record it.

    Args:
        graph: A graph that was traced from a torch module, prepared in any way.

    Raises:
        ValueError: If the module cannot be built or run layer by layer, or the graph is not of its layers.
    """
    from dnnmig_env.networks.sources import find

    source, inputs = source_of(graph)
    with _seeded():
        recipe = find(source, inputs, with_weights)
    return runner_of(graph, recipe.module, recipe.inputs)


def runner_of(graph: LayerGraph, module: nn.Module, inputs: Sequence[Any]) -> LayerRunner:
    """Return the layers of a prepared graph of a module, ready to run.

    Args:
        graph: The prepared graph.
        module: The module; it is put into inference mode and keeps its weights.
        inputs: Its inputs, as for `trace`.

    Raises:
        ValueError: As `build_runner`.
    """
    traced = trace(module, *inputs, name=graph.name, origin=graph.origin)
    groups = _groups_of(graph, traced)
    examples = example_call(module, inputs)
    call = examples.map(lambda example: example.filled("cpu"))
    module.eval().requires_grad_(False)
    with torch.no_grad(), same_random_numbers(), inference(module):
        operators = find_operators(module, call, examples, traced)
        # Inputs that the network updates are filled again, so that the recorded pass is like every other one.
        call = examples.map(lambda example: example.filled("cpu"))
        tape = Tape(module, call.leaves)
        tensors = [tensor.clone() for tensor in call.leaves]
        result = _recorded(tape, module, call)
    if tape.names != operators.names:
        raise ValueError(f"{graph.name!r} executes other operators each time; it cannot be run layer by layer.")
    looks = [tape.looks_at(tensor) for tensor in divided(result, ())[0]]
    cuts, kept = cut(graph, groups, operators.of_layers, tape, looks)
    return LayerRunner(graph, cuts, kept, tape, looks, tensors)


def _recorded(tape: Tape, module: nn.Module, call: Any) -> Any:
    from dnnmig_env.networks.tracing.whole_calls import whole_calls

    with whole_calls(tape.observe, module), tape:
        return module(*call.args, **call.kwargs)


def _groups_of(graph: LayerGraph, traced: LayerGraph) -> Groups:
    """Return which traced layers each layer of a graph consists of, whichever way it was prepared."""
    fused = fuse(traced)
    kinds = [(traced, tuple((layer,) for layer in range(len(traced)))), (fused, prepared_groups(traced))]
    if len(graph) < len(fused):
        kinds.append((merge(fused, len(graph)), prepared_groups(traced, len(graph))))
    for prepared, groups in kinds:
        if _content(prepared) == _content(graph):
            return groups
    raise ValueError(
        f"the layers of network {graph.name!r} are not those of the module that it says it was traced from; trace it "
        "again with this version, and keep no layers on the device (on_device) and the input as it is read."
    )


def _content(graph: LayerGraph) -> tuple[Any, ...]:
    return graph.input_bytes, graph.outputs, *(replace(layer, name="") for layer in graph.layers)


@contextmanager
def _seeded() -> Iterator[None]:
    with same_random_numbers():
        torch.manual_seed(SEED)
        yield
