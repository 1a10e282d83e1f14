"""Writes an ONNX network as one list of operators: branches that are taken and repetitions whose number is known.

`If` becomes the operators of the branch that its condition chooses, `Loop` and `Scan` those of their body, once for
each step. What decides about this must follow from constants and from the shapes of tensors; where it depends on the
values of the network's input, the network has no single graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto

from dnnmig_env.networks.onnx.operands import attributes_of, check_form, described
from dnnmig_env.networks.onnx.sequences import SEQUENCE_RULES
from dnnmig_env.networks.onnx.shapes import Inference
from dnnmig_env.networks.onnx.writer import Writer


class Flattening(Writer):
    """The operators of a network without control flow; tensors of bodies get names that are unique in the network.

    Attributes:
        skipped: The branches that are not taken, and the bodies of operators that no output needs.
        repeated: Names of the tensors that steps of loops compute.
    """

    def __init__(self, inference: Inference) -> None:
        super().__init__(inference)
        self.skipped: list[GraphProto] = []
        self.repeated: set[str] = set()
        self._bodies = count()

    def add_graph(self, graph: GraphProto, names: dict[str, str], prefix: str = "") -> None:
        """Add the operators of a graph.

        Args:
            graph: The network, or the body of an operator.
            names: For names in the graph that differ, the tensors' names in the network; the graph's own are added.
            prefix: Text before the names of the graph's tensors that makes them unique.
        """
        for entry in graph.value_info:
            self.inference.state(prefix + entry.name, entry.type)
        for tensor in graph.initializer:
            names[tensor.name] = prefix + tensor.name
            self.store(prefix + tensor.name, tensor)
        for sparse in graph.sparse_initializer:
            names[sparse.values.name] = prefix + sparse.values.name
            self.store_sparse(prefix + sparse.values.name, sparse)
        ordered = _in_order(graph.node)
        needed = {entry.name for entry in graph.output}
        unneeded: set[int] = set()  # what nobody needs must not decide whether the network can be read
        for place in range(len(ordered) - 1, -1, -1):
            if needed.intersection(ordered[place].output):
                needed.update(_read_by(ordered[place]))
            elif ordered[place].op_type != "Constant":  # which stores a tensor like those above
                unneeded.add(place)
        for place, node in enumerate(ordered):
            if place in unneeded:
                self.skipped += [attribute.g for attribute in node.attribute if attribute.type == AttributeProto.GRAPH]
            else:
                self._add(node, names, prefix)

    def _add(self, node: NodeProto, names: dict[str, str], prefix: str) -> None:
        check_form(node, self.inference.opsets)
        if not any(node.output):
            return  # it computes nothing
        inputs = [names.get(value, value) for value in node.input]
        outputs = [prefix + value if value else "" for value in node.output]
        if prefix or inputs != list(node.input):
            names.update(zip(node.output, outputs, strict=True))
            renamed = NodeProto()
            renamed.CopyFrom(node)
            del renamed.input[:], renamed.output[:]
            renamed.input.extend(inputs)
            renamed.output.extend(outputs)
            node = renamed
        if node.domain:
            self.emit(node)
        elif node.op_type in SEQUENCE_RULES:
            SEQUENCE_RULES[node.op_type](self, node)
        elif node.op_type == "If":
            self._add_if(node, names)
        elif node.op_type == "Loop":
            self._add_loop(node, names)
        elif node.op_type == "Scan":
            self._add_scan(node, names)
        elif node.op_type == "SequenceMap":
            self._add_sequence_map(node, names)
        elif node.op_type == "Identity" and inputs[0] in self.sequences:
            self.sequences[outputs[0]] = self.sequences[inputs[0]]
        else:
            self.emit(node)

    def _run_body(self, graph: GraphProto, names: dict[str, str], inputs: Sequence[str], node: NodeProto) -> list[str]:
        """Add the operators of a body and return the names of its outputs in the network."""
        start = len(self.nodes)
        if len(graph.output) < len(node.output):
            raise ValueError(f"{described(node)} has more outputs than its body; export the network again.")
        inner = {**names, **{entry.name: value for entry, value in zip(graph.input, inputs, strict=False)}}
        self.add_graph(graph, inner, f"{node.name or node.output[0]}[{next(self._bodies)}]/")
        if node.op_type != "If":
            self.repeated.update(value for added in self.nodes[start:] for value in added.output)
        return [inner.get(entry.name, entry.name) for entry in graph.output]

    def _add_if(self, node: NodeProto, names: dict[str, str]) -> None:
        taken, other = "then_branch", "else_branch"
        if not self.number(node, node.input[0], "its condition"):
            taken, other = other, taken
        branches = attributes_of(node)
        self.skipped.append(branches[other])
        self.rename(self._run_body(branches[taken], names, [], node), node.output)

    def _add_loop(self, node: NodeProto, names: dict[str, str]) -> None:
        body = attributes_of(node)["body"]
        steps = self.number(node, node.input[0], "how often it repeats its body") if node.input[0] else None
        has_condition = len(node.input) > 1 and bool(node.input[1])
        goes_on = bool(self.number(node, node.input[1], "its condition")) if has_condition else True
        carried, step = list(node.input[2:]), 0
        stacked: list[list[str]] = [[] for _ in node.output[len(carried) :]]
        while goes_on and (steps is None or step < steps):
            number, condition = f"{node.output[0]}[step {step}]", f"{node.output[0]}[condition {step}]"
            self.inference.know(number, np.array(step))
            self.inference.know(condition, np.array(goes_on))
            condition, *results = self._run_body(body, names, [number, condition, *carried], node)
            carried, scanned = results[: len(carried)], results[len(carried) :]
            for parts, part in zip(stacked, scanned, strict=False):
                parts.append(part)
            goes_on, step = bool(self.number(node, condition, "whether it goes on")), step + 1
        self.rename(carried, node.output[: len(carried)])
        for name, parts in zip(node.output[len(carried) :], stacked, strict=True):
            self.stack(node, name, parts, 0)

    def _add_scan(self, node: NodeProto, names: dict[str, str]) -> None:
        given = attributes_of(node)
        if self.inference.opsets.get("", 1) < 9:
            raise ValueError(f"{described(node)} is of operator set 8; export the network with set 9 or newer.")
        scanned = given["num_scan_inputs"]
        carried, sources = list(node.input[:-scanned]), node.input[-scanned:]
        outputs = len(node.output) - len(carried)
        axes, out_axes = given.get("scan_input_axes", [0] * scanned), given.get("scan_output_axes", [0] * outputs)
        backward = given.get("scan_input_directions", [0] * scanned)
        shapes = [self.inference.shape_of(source) for source in sources]
        steps = shapes[0][axes[0]]
        stacked: list[list[str]] = [[] for _ in range(outputs)]
        for step in range(steps):
            slices = []
            for source, axis, shape, back in zip(sources, axes, shapes, backward, strict=True):
                part = f"{source}[{node.output[0]} step {step}]"
                at = steps - 1 - step if back else step
                self.make_with("Slice", source, [f"{part}:"], starts=[at], ends=[at + 1], axes=[axis % len(shape)])
                self.make_with("Squeeze", f"{part}:", [part], axes=[axis % len(shape)])
                slices.append(part)
            results = self._run_body(given["body"], names, [*carried, *slices], node)
            carried = results[: len(carried)]
            for parts, part in zip(stacked, results[len(carried) :], strict=False):
                parts.append(part)
        self.rename(carried, node.output[: len(carried)])
        turned = given.get("scan_output_directions", [0] * outputs)
        for name, parts, axis, back in zip(node.output[len(carried) :], stacked, out_axes, turned, strict=True):
            self.stack(node, name, parts[::-1] if back else parts, axis)

    def _add_sequence_map(self, node: NodeProto, names: dict[str, str]) -> None:
        results: list[list[str]] = []
        for place in range(len(self.sequence(node))):
            inputs = [self.sequences[value][place] if value in self.sequences else value for value in node.input]
            results.append(self._run_body(attributes_of(node)["body"], names, inputs, node))
        for number, name in enumerate(node.output):
            self.sequences[name] = [result[number] for result in results]


def _in_order(nodes: Sequence[NodeProto]) -> list[NodeProto]:
    """Return a graph's operators so that each follows those whose tensors it reads, with as few moves as possible."""
    made = {value for node in nodes for value in node.output if value}
    ready: set[str] = set()
    ordered: list[NodeProto] = []
    waiting = list(nodes)
    while waiting:
        later = []
        for node in waiting:
            if all(value in ready for value in _read_by(node) if value in made):
                ordered.append(node)
                ready.update(node.output)
            else:
                later.append(node)
        if len(later) == len(waiting):
            raise ValueError(f"{described(later[0])} reads what is computed from its own output; export it again.")
        waiting = later
    return ordered


def _read_by(node: NodeProto) -> Iterable[str]:
    """Yield the tensors that an operator reads, those that its bodies read included."""
    yield from node.input
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            own = {value for inner in attribute.g.node for value in inner.output}
            own |= {entry.name for entry in attribute.g.input} | {entry.name for entry in attribute.g.initializer}
            for inner in attribute.g.node:
                yield from (value for value in _read_by(inner) if value not in own)
            yield from (entry.name for entry in attribute.g.output if entry.name not in own)
