"""Finds, for each layer of a traced graph, the operator that executes it when the module runs on real tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.tracing.recorder import Recorder, attention_as_one_operator


@dataclass(frozen=True)
class Operators:
    """The operators that one forward pass executes.

    Attributes:
        names: Names of all operators in the order of execution, including those that are no layers.
        of_layers: For each layer of the traced graph, the position of its operator in `names`.
    """

    names: list[str]
    of_layers: list[int]


def find_operators(module: nn.Module, examples: list[Tensor], graph: LayerGraph) -> Operators:
    """Run a module once on real tensors and find the operator that executes each layer.

    Args:
        module: The module, in inference mode.
        examples: Its inputs.
        graph: The graph of the module, as traced.

    Raises:
        ValueError: If the module fails, or its operators do not correspond one to one to the layers of the graph.
    """
    numberer = _Numberer(dict(module.named_parameters()))
    numberer.add_inputs(examples)
    try:
        with attention_as_one_operator(numberer.attend), numberer:
            result = module(*examples)
    except Exception as error:  # whatever the user's own code raises
        reason = (str(error).strip() or "no message").splitlines()[0].rstrip(".")
        raise ValueError(
            f"cannot execute {graph.name!r} on inputs {[tuple(example.shape) for example in examples]}: "
            f"{type(error).__name__}: {reason}. Check the input shapes and element types."
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

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        super().__init__(parameters)
        self.names: list[str] = []

    def add(self, operator: str, *what: Any) -> None:
        """Note the name of an operator, then log it as any recorder does."""
        self.names.append(operator)
        super().add(operator, *what)

    def _layer_name(self, *_: Any) -> str:
        return str(len(self.names) - 1)
