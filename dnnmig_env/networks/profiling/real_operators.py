"""Finds, for each layer of a traced graph, the operator that executes it when the module runs on real tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

from torch import nn

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.networks.tracing.constants import Constants
from dnnmig_env.networks.tracing.examples import Call
from dnnmig_env.networks.tracing.module_copy import weights_of
from dnnmig_env.networks.tracing.reasons import first_line
from dnnmig_env.networks.tracing.recorder import Recorder
from dnnmig_env.networks.tracing.whole_calls import whole_calls


@dataclass(frozen=True)
class Operators:
    """The operators that one forward pass executes.

    Attributes:
        names: Names of all operators in the order of execution, including those that are no layers.
        of_layers: For each layer of the traced graph, the positions of its operators in `names`: one, and those before
            it that run here only; none if it does not run here.
    """

    names: list[str]
    of_layers: list[list[int]]


def find_operators(module: nn.Module, call: Call, examples: Call, graph: LayerGraph) -> Operators:
    """Run a module twice on real tensors and find the operator that executes each layer the second time.

    The first run fills what the module keeps for later runs.

    Args:
        module: The module, in inference mode.
        call: Its arguments, real tensors.
        examples: The examples of which they are made.
        graph: The graph of the module, as traced.

    Raises:
        ValueError: If the module fails, or its operators with FLOPs or weights are not those of the graph.
    """
    numberer = _Numberer(module)
    hooks = numberer.follow(module)
    try:
        for _ in range(2):
            numberer.start_over()
            numberer.add_inputs(call, examples)
            with whole_calls(numberer.observe, module), numberer:
                result = module(*call.args, **call.kwargs)
    except Exception as error:  # whatever the user's own code raises
        raise ValueError(
            f"cannot execute {graph.name!r} on inputs {[tuple(example.shape) for example in call.leaves]}: "
            f"{type(error).__name__}: {first_line(error)}. Check the input shapes and element types."
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    executed = numberer.to_graph(graph.name, result).layers
    positions = [int(layer.name.partition(" ")[0]) for layer in executed]
    same = (replace(real, name=traced.name) == traced for traced, real in zip(graph.layers, executed, strict=False))
    if len(executed) == len(graph) and all(same):
        return Operators(numberer.names, [[position] for position in positions])
    return Operators(numberer.names, _aligned(graph, executed, numberer.names))


def _aligned(graph: LayerGraph, executed: tuple[Layer, ...], names: list[str]) -> list[list[int]]:
    """Find the operators of each traced layer where PyTorch divides something in other operators on this device.

    Raises:
        ValueError: If what has FLOPs or weights differs.
    """
    traced_keys = [(layer.name.partition("#")[0], layer.flops, layer.weight_bytes) for layer in graph.layers]
    parts = [layer.name.partition(" ") for layer in executed]
    keys = [(path, layer.flops, layer.weight_bytes) for (_, _, path), layer in zip(parts, executed, strict=True)]
    of_layers: list[list[int]] = [[] for _ in traced_keys]
    matcher = SequenceMatcher(None, traced_keys, keys, autojunk=False)
    for change, first, end, first_real, end_real in matcher.get_opcodes():
        here = [int(number) for number, _, _ in parts[first_real:end_real]]
        if change == "equal":
            for place, position in zip(range(first, end), here, strict=True):
                of_layers[place].append(position)
        else:
            differs = [graph.layers[place].name for place in range(first, end) if any(traced_keys[place][1:])]
            differs += [names[int(parts[place][0])] for place in range(first_real, end_real) if any(keys[place][1:])]
            if differs:
                raise ValueError(
                    f"{graph.name!r} does here what its trace does not say: {differs[0]} is only in one of the two, or "
                    "has other FLOPs or weights; it cannot be measured layer by layer."
                )
            of_layers[min(end, len(of_layers) - 1)] += here
    return [sorted(found) for found in of_layers]


class _Numberer(Recorder):
    """Records real operators as layers, each named by its position among all operators."""

    def __init__(self, module: nn.Module) -> None:
        constants = Constants()
        super().__init__(constants, weights_of(module, constants), on_meta=False)
        self.names: list[str] = []

    def start_over(self) -> None:
        """Forget what ran so far."""
        super().start_over()
        self.names = []

    def add(self, operator: str, *what: Any) -> None:
        """Note the name of an operator, then log it as any recorder does."""
        self.names.append(operator)
        super().add(operator, *what)

    def _layer_name(self, *what: Any) -> str:
        return f"{len(self.names) - 1} {super()._layer_name(*what)}"
