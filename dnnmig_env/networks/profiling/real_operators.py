"""Finds, for each layer of a traced graph, the operator that executes it when the module runs on real tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from dnnmig_env.networks.layer_graph import LayerGraph
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
        of_layers: For each layer of the traced graph, the position of its operator in `names`.
    """

    names: list[str]
    of_layers: list[int]


def find_operators(module: nn.Module, call: Call, examples: Call, graph: LayerGraph) -> Operators:
    """Run a module twice on real tensors and find the operator that executes each layer the second time.

    The first run fills what the module keeps for later runs.

    Args:
        module: The module, in inference mode.
        call: Its arguments, real tensors.
        examples: The examples of which they are made.
        graph: The graph of the module, as traced.

    Raises:
        ValueError: If the module fails, or its operators do not correspond one to one to the layers of the graph.
    """
    numberer = _Numberer(module)
    try:
        for _ in range(2):
            numberer.start_over()
            numberer.add_inputs(call, examples)
            with whole_calls(numberer.observe), numberer:
                result = module(*call.args, **call.kwargs)
    except Exception as error:  # whatever the user's own code raises
        raise ValueError(
            f"cannot execute {graph.name!r} on inputs {[tuple(example.shape) for example in call.leaves]}: "
            f"{type(error).__name__}: {first_line(error)}. Check the input shapes and element types."
        ) from error
    executed = numberer.to_graph(graph.name, result)
    of_layers = [int(layer.name) for layer in executed.layers]
    for traced, real in zip(graph.layers, executed.layers, strict=False):
        if replace(real, name=traced.name) != traced:
            raise ValueError(
                f"{graph.name!r} does here what its trace does not say: layer {traced.name!r} is "
                f"{numberer.names[int(real.name)]}, with other tensors or FLOPs; it cannot be measured layer by layer."
            )
    if len(executed) != len(graph):
        raise ValueError(
            f"{graph.name!r} does here what its trace does not say: {len(executed)} operators instead of "
            f"{len(graph)}; it cannot be measured layer by layer."
        )
    return Operators(numberer.names, of_layers)


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

    def _layer_name(self, *_: Any) -> str:
        return str(len(self.names) - 1)
