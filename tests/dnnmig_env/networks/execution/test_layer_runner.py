from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dnnmig_env.networks import zoo
from dnnmig_env.networks.execution.build import build_runner, runner_of, source_of
from dnnmig_env.networks.execution.layer_runner import LayerRunner, memory_of
from dnnmig_env.networks.execution.steps import Values
from dnnmig_env.networks.execution.timing import time_layers
from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.networks.measured_profile import profile_text
from dnnmig_env.networks.preprocessing import prepare
from dnnmig_env.networks.tracing import InputSpec, trace


class InPlace(nn.Module):
    """Updates tensors that others read before and after: y is needed as it was before `add_` and after `relu_`."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, image: Tensor) -> Tensor:
        y = self.first(image)
        before = y * 2.0
        y += image.mean()
        z = self.second(torch.relu_(y))
        z[:, :4] += 1.0
        return (self.norm(z).relu_() + before).flatten(1)


class Attention(nn.Module):
    """Attention and recurrent layers, which are whole operators, with constants and views between them."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.recurrent = nn.LSTM(16, 16, 2, batch_first=True)
        self.cell = nn.GRUCell(16, 16)
        self.last = nn.Linear(16, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        attended = self.attention(tokens, tokens, tokens)[0] + torch.arange(16)
        sequence, _ = self.recurrent(attended[:, :6])
        return self.last(self.cell(sequence[:, -1])).softmax(-1)


class Shared(nn.Module):
    """One weight for two layers, and a constant that is computed from weights."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.scale = nn.Linear(12, 12), nn.Parameter(torch.rand(12))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.inner(x) * self.scale.exp()
        return self.inner(y.tanh()) * self.scale.exp(), y


class Constants(nn.Module):
    """A constant that is read, then changed, then read again."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(12, 12), nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.zeros(12)
        y = self.first(x) + mask
        mask[4:] += 1.0
        result: Tensor = self.last(y * mask) + mask
        return result


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "in-place": (InPlace, (1, 3, 12, 12)),
    "attention": (Attention, (1, 9, 16)),
    "shared": (Shared, (2, 12)),
    "constants": (Constants, (2, 12)),
}


def runners(make: Callable[[], nn.Module], shape: tuple[int, ...], count: int, max_layers: int | None) -> Any:
    """Return a module, and as many runners of it, each with a module of its own that has the same weights."""
    modules = []
    for _ in range(count + 1):
        torch.manual_seed(1)
        modules.append(make().eval())
    graph = prepare(trace(modules[0], shape), max_layers) if max_layers else trace(modules[0], shape)
    return modules[0], [runner_of(graph, module, [shape]) for module in modules[1:]]


def run_apart(nodes: list[LayerRunner], assignment: list[int]) -> tuple[Values, list[tuple[int, int]]]:
    """Run each layer on its node, with copies of the bytes that go between nodes; return the device's values."""
    values = [runner.begin(with_inputs=node == 0) for node, runner in enumerate(nodes)]
    maker = dict.fromkeys(nodes[0].inputs, 0)
    sent = []

    def bring(value: int, node: int) -> None:
        if value in values[node]:
            return
        tensor, memory = nodes[node].received(value)
        memory[:] = memory_of(values[maker[value]][value])
        values[node][value] = tensor
        sent.append((value, node))

    for layer, node in enumerate(assignment):
        for value in nodes[node].cuts[layer].reads:
            bring(value, node)
        nodes[node].run(layer, values[node])
        maker.update(dict.fromkeys(nodes[node].cuts[layer].sends, node))
    for cut in nodes[0].cuts:
        for value in cut.returned:
            bring(value, 0)
    return values[0], sent


def tensors(result: Any) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)


@pytest.mark.parametrize("max_layers", [None, 4, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_layers_on_several_nodes_return_what_the_module_does_bit_for_bit(name: str, max_layers: int | None) -> None:
    make, shape = NETWORKS[name]
    module, nodes = runners(make, shape, 3, max_layers)
    with torch.no_grad():
        expected = tensors(module(nodes[0].input_tensor(0).clone()))
    random = np.random.default_rng(0)
    assignments = [random.integers(0, 3, len(nodes[0].graph)).tolist() for _ in range(12)]
    for assignment in [[0] * len(nodes[0].graph), [1] * len(nodes[0].graph), *assignments]:
        for _ in range(2):  # what a query does must not change what the next one finds
            values, _ = run_apart(nodes, assignment)
            found = nodes[0].result(values)
            assert len(found) == len(expected)
            assert all(map(torch.equal, found, expected)), assignment


@pytest.mark.parametrize("name", NETWORKS)
def test_a_node_without_weights_is_wrong_until_they_have_arrived(name: str) -> None:
    make, shape = NETWORKS[name]
    _, (device, server) = runners(make, shape, 2, None)
    expected = device.result(device.run_all())
    server.forget_weights()
    layers = [layer for layer, row in enumerate(server.graph.layers) if row.weight_bytes]
    assignment = [1] * len(server.graph)
    for layer in layers:
        values, _ = run_apart([device, server], assignment)
        assert not all(map(torch.equal, device.result(values), expected)), layer
        theirs, ours = server.weights(layer), device.weights(layer)
        assert sum(map(len, ours)) == server.graph.layers[layer].weight_bytes
        for their, our in zip(theirs, ours, strict=True):
            their[:] = our
    values, _ = run_apart([device, server], assignment)
    assert all(map(torch.equal, device.result(values), expected))


def test_what_leaves_a_layer_has_the_bytes_that_the_graph_says() -> None:
    make, shape = NETWORKS["in-place"]
    _, (runner,) = runners(make, shape, 1, None)
    assert [runner.sent_bytes(layer) for layer in range(len(runner.graph))] == [
        layer.output_bytes for layer in runner.graph.layers
    ]


def test_layers_held_from_the_start_keep_their_weights() -> None:
    make, shape = NETWORKS["shared"]
    _, (device, server) = runners(make, shape, 2, None)
    server.forget_weights(held=range(len(server.graph)))
    values, _ = run_apart([device, server], [1] * len(server.graph))
    assert all(map(torch.equal, device.result(values), device.result(device.run_all())))


class Counter(nn.Module):
    """Counts its calls in a buffer, which is state."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        assert isinstance(self.calls, Tensor)
        self.calls += 1.0
        return self.linear(x) + self.calls


def test_a_network_with_state_is_refused() -> None:
    module = Counter()
    with pytest.raises(ValueError, match="changes a buffer of its own of 16 bytes"):
        runner_of(trace(module, (1, 4)), module, [(1, 4)])


def test_a_graph_of_other_layers_is_refused() -> None:
    graph = trace(nn.Linear(4, 4), (1, 4))
    with pytest.raises(ValueError, match=re.escape("the layers of network 'Linear' are not those of the module")):
        runner_of(graph, nn.Linear(4, 5), [(1, 4)])


def test_the_source_of_a_graph_is_in_its_origin() -> None:
    assert source_of(zoo.load_prepared("resnet50", 8)) == ("torchvision:resnet50", (InputSpec((1, 3, 224, 224)),))
    given = LayerGraph("mine", 4, (Layer("a", 1.0, 4, 4, (-1,)),))
    for graph in (given, replace(given, origin="python -m dnnmig_env trace a.onnx; onnx 1")):
        with pytest.raises(ValueError, match="'mine' does not say from which torch module it was traced"):
            source_of(graph)


def test_every_process_builds_the_same_network() -> None:
    origin = "python -m dnnmig_env trace torch.nn:Identity --input-shape 1x4; torch"
    graph = trace(Net(), (1, 4), name="net", origin=origin.replace("torch.nn:Identity", f"{__name__}:Net"))
    import sys

    sys.modules.setdefault(__name__, sys.modules[Net.__module__])
    one, other = build_runner(graph), build_runner(graph)
    assert all(map(torch.equal, one.result(one.run_all()), other.result(other.run_all())))


class Net(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 300), nn.ReLU(), nn.Linear(300, 4))


def test_layers_are_timed_by_both_clocks() -> None:
    module = Net()
    runner = runner_of(prepare(trace(module, (1, 4))), module, [(1, 4)])
    profile = time_layers(runner, "python -m evaluate testbed", repeats=3, rounds=2)
    assert profile.names == tuple(layer.name for layer in runner.graph.layers)
    assert all(0 < layer.seconds < 0.1 and layer.wall_s and 0 < layer.wall_s < 0.1 for layer in profile.layers)
    assert profile.measured.clock == "process CPU time"
    assert '"wall_s": ' in profile_text(profile)
