"""Charges: buffers, constants, shared weights, several inputs, inner outputs, state, the user's own operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import library as operators
from torch.utils.flop_counter import flop_registry, register_flop_formula

from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.profiling.measure import Effort, measure
from dnnmig_env.networks.tracing import InputSpec, trace
from dnnmig_env.networks.tracing.libraries import without_memory

QUICK = Effort(repeats=1, warm_up=0, rounds=1)


def by_name(graph: LayerGraph) -> dict[str, Any]:
    return {layer.name: layer for layer in graph.layers}


class Packed(nn.Module):
    """A product with packed weights, as quantised language models have them, and what else buffers hold."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(16, 16, dtype=torch.int8))
        self.register_buffer("scales", torch.ones(16, dtype=torch.float16))
        self.register_buffer("order", torch.arange(16, dtype=torch.int32))
        self.register_buffer("index", torch.arange(16))
        self.register_buffer("causal", torch.ones(16, dtype=torch.bool))
        self.register_buffer("count", torch.tensor(2.0))
        self.register_buffer("angles", torch.ones(16), persistent=False)
        self.register_buffer("unread", torch.ones(16))
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.to(x.dtype) * self.scales
        chosen = x[:, self.order] * self.causal * self.angles[self.index] / self.count
        result: Tensor = self.head(chosen @ weight)
        return result


def test_packed_weights_are_uploaded_once_and_masks_are_not() -> None:
    graph = trace(Packed(), (1, 16))
    sent = {layer.name: layer.weight_bytes for layer in graph.layers if layer.weight_bytes}
    assert sent == {"index": 16 * 4, "mm": 16 * 16 + 16 * 2, "head": 4 * 34}
    assert "never reads" not in graph.origin
    assert measure(Packed(), (1, 16), effort=QUICK).is_of(graph)
    assert trace(without_memory(Packed), (1, 16)) == graph


def test_a_large_tensor_that_nobody_saves_is_mentioned() -> None:
    class Unsaved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.small, self.unread = torch.ones(512, 512), torch.ones(512), torch.ones(512, 512)

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.table * self.small

    graph = trace(Unsaved(), (1, 512))
    assert graph.origin.endswith(
        "; without 1048576 bytes of tensors that it reads and that are neither parameters nor saved buffers"
    )
    assert graph.weight_bytes.sum() == 0


def test_results_in_objects_return_but_caches_do_not() -> None:
    class Result:
        def __init__(self, scores: Tensor, cache: Any) -> None:
            self.inside, self.cache = {"scores": [scores]}, cache

    class KeyCache:
        def __init__(self, keys: Tensor) -> None:
            self.keys = keys

    class Returns(nn.Module):
        def forward(self, x: Tensor) -> Result:
            keys = x.exp()
            return Result(keys.sin(), KeyCache(keys))

    assert trace(Returns(), (1, 4)).outputs == ()
    assert [layer.name for layer in trace(Returns(), (1, 4)).layers] == ["exp", "sin"]


class Slotted:
    """An object that keeps its attributes in slots."""

    __slots__ = ("inner", "last")

    def __init__(self, inner: Tensor, last: Tensor) -> None:
        self.inner, self.last = inner, last


@pytest.mark.parametrize("hold", [Slotted, lambda *parts: set(parts), lambda *parts: frozenset(parts)])
def test_results_in_slots_and_sets_return(hold: Callable[..., Any]) -> None:
    class Holding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(16, 8), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Any:
            inner = self.first(x)
            return hold(inner, self.second(inner))

    assert trace(Holding(), (1, 16)).outputs == (0, 1)
    if hold is Slotted:
        assert trace(Holding(), (1, 16), state_outputs=["inner"]).outputs == ()


def test_values_of_buffers_and_of_single_parameters_are_known() -> None:
    class Asking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.scale = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.tensor([2.0]))
            self.register_buffer("sizes", torch.tensor([1.0, 3.0]))
            self.table = nn.Parameter(torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            known = self.gate > 0 and float(self.scale) > 1 and self.sizes.max() > 2
            return x[..., : int(self.sizes.sum())].exp() if known else x

    assert [layer.output_bytes for layer in trace(Asking(), (1, 8)).layers] == [16]

    class AskingAll(Asking):
        def forward(self, x: Tensor) -> Tensor:
            return x.exp() if self.table.sum() > 0 else x  # larger parameters have no values, as when loaded later

    with pytest.raises(ValueError, match="control flow depends on tensor values"):
        trace(AskingAll(), (1, 8))


def test_a_buffer_that_is_a_parameter_counts_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4, bias=False)
            self.register_buffer("same", self.linear.weight.detach())

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.linear(x) @ self.same
            return result

    graph = trace(Tied(), (1, 4))
    assert graph.weight_bytes.tolist() == [64, 0]
    assert graph.layers[1].shares == (0,)


@pytest.mark.parametrize(("affine", "num_bytes"), [(True, 2 * 3 * 4), (False, 2 * 3 * 4)])
def test_a_normalisation_has_two_numbers_per_channel(affine: bool, num_bytes: int) -> None:
    # A scale and a shift, into which mean and variance are folded; without these, mean and variance themselves.
    graph = trace(nn.BatchNorm2d(3, affine=affine), (1, 3, 4, 4))
    assert graph.weight_bytes.tolist() == [num_bytes]


@pytest.mark.parametrize(
    "make",
    [
        torch.zeros_like,
        torch.ones_like,
        torch.empty_like,
        torch.rand_like,
        torch.randn_like,
        lambda y: torch.full_like(y, 2.0),
        lambda y: torch.randint_like(y, 3),
        lambda y: y.new_zeros(()),
        lambda y: y.new_full((8,), 3.0),
        lambda y: y.new_empty(()),
        lambda y: torch.scalar_tensor(2.0, device=y.device),
    ],
)
def test_factories_on_single_numbers(make: Callable[[Tensor], Tensor]) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            y = self.linear(x)
            result: Tensor = y * make(y.mean())
            return result

    graph = trace(Scaled(), (1, 8))
    assert [(layer.name, layer.predecessors) for layer in graph.layers] == [("linear", (-1,)), ("mul", (0,))]


def test_values_of_factories_on_single_numbers_are_known() -> None:
    class Asking(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.exp() if torch.ones_like(x.sum()) > torch.zeros_like(x.sum()) else x

    assert [layer.name for layer in trace(Asking(), (2,)).layers] == ["exp"]


class Factored(nn.Module):
    """A weight that is a product of two, computed in each inference, used twice."""

    def __init__(self, keeps: bool) -> None:
        super().__init__()
        self.left, self.right = nn.Parameter(torch.rand(4, 5)), nn.Parameter(torch.rand(5, 6))
        self.keeps, self.kept = keeps, None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        weight = self.left @ self.right if self.kept is None else self.kept
        if self.keeps:
            self.kept = weight
        return x @ weight, (x * 2) @ weight


@pytest.mark.parametrize("keeps", [False, True])
def test_products_of_weights_count_for_the_first_that_reads_them(keeps: bool) -> None:
    graph = trace(Factored(keeps), (3, 4))
    product = 2 * 3 * 4 * 6
    assert graph.flops.tolist() == [2 * 4 * 5 * 6 + product, 0, product]
    assert graph.weight_bytes.tolist() == [4 * (20 + 30), 0, 0]
    assert [layer.shares for layer in graph.layers] == [(), (), (0,)]
    assert graph.layers[2].internal_bytes == 4 * (20 + 30)
    assert measure(Factored(keeps), (3, 4), effort=QUICK).is_of(graph)


def test_each_input_is_charged_to_who_reads_it() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 3), nn.Linear(16, 8)

        def forward(self, image: Tensor, vector: Tensor) -> Tensor:
            result: Tensor = self.a(image).mean((2, 3)) + self.b(vector)
            return result

    graph = trace(Two(), (1, 3, 32, 32), (1, 16))
    assert (graph.inputs, graph.input_bytes) == ((12288, 64), 12352)
    layers = by_name(graph)
    assert (layers["a"].predecessors, layers["b"].predecessors) == ((-1,), (-2,))
    moved = dict(zip(layers, graph.bytes_moved, strict=True))
    assert moved["b"] == 64 + 4 * (16 * 8 + 8) + 32
    assert trace(nn.Linear(3, 4), (1, 3)).inputs == ()


def test_an_output_that_is_read_inside_returns_too() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(16, 8), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Any:
            features = self.a(x)
            return self.b(features), features, x, torch.ones(3, device=x.device)

    graph = trace(Both(), (1, 16))
    assert graph.outputs == (0, 1)
    assert [graph.layers[index].output_bytes for index in graph.output_layers] == [32, 16]
    assert trace(nn.Linear(3, 4), (1, 3)).outputs == ()


class Step(nn.Module):
    """A decoding step: keys of the past are state, a new one is added, and the head shares the table of the words."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 4)
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.words.weight

    def forward(self, ids: Tensor, past: Tensor) -> dict[str, Tensor]:
        query = self.words(ids)
        keys = torch.cat([past, query], dim=1)
        mixed = (query @ keys.transpose(1, 2)) @ keys
        return {"logits": self.head(mixed), "keys": keys, "last": keys * 2}


def test_state_is_neither_sent_nor_returned() -> None:
    inputs = InputSpec((1, 1), "int64"), InputSpec((1, 7, 4), state=True)
    graph = trace(Step(), *inputs, state_outputs=["keys", "last"])
    assert (graph.inputs, graph.input_bytes) == ((), 8)
    names = [layer.name for layer in graph.layers]
    assert names == ["words", "cat", "bmm", "bmm#2", "head", "mul"]
    moved = dict(zip(names, graph.bytes_moved, strict=True))
    assert moved["cat"] == 16 + 7 * 16 + 8 * 16  # the word, the past, both together
    assert moved["mul"] == 8 * 16 + 8 * 16
    assert by_name(graph)["mul"].output_bytes == 0  # nothing leaves
    assert graph.outputs == (4,)
    assert by_name(graph)["head"].shares == (0,)
    assert (by_name(graph)["head"].weight_bytes, by_name(graph)["head"].internal_bytes) == (0, 160)
    returned = trace(Step(), *inputs)
    assert returned.outputs == (1, 4, 5)
    assert measure(Step(), *inputs, effort=QUICK).is_of(graph)
    with pytest.raises(ValueError, match="state_outputs names 'key'; the network returns logits, keys, last"):
        trace(Step(), *inputs, state_outputs=["key"])


@pytest.fixture
def own_operators() -> Iterator[Any]:
    with operators._scoped_library("dnnmig_test", "DEF") as library:
        for name, signature in (
            ("product", "(Tensor x, Tensor w) -> Tensor"),
            ("fill", "(Tensor(a!) o, Tensor x) -> ()"),
        ):
            library.define(name + signature)
        library.impl("product", lambda x, w: x @ w, "CPU")
        library.impl("product", lambda x, w: x.new_empty(x.shape[0], w.shape[1]), "Meta")
        library.impl("fill", lambda o, x: o.copy_(x), "CPU")
        library.impl("fill", lambda o, x: None, "Meta")
        yield torch.ops.dnnmig_test


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 4))

    def forward(self, x: Tensor) -> Tensor:
        result = torch.empty(2, 4, device=x.device)
        torch.ops.dnnmig_test.fill(result, torch.ops.dnnmig_test.product(x, self.weight))
        return result.exp()


def test_operators_of_the_user(own_operators: Any) -> None:
    with pytest.warns(
        UserWarning, match="Own: FLOPs of dnnmig_test::product, dnnmig_test::fill count as 0; register a"
    ):
        graph = trace(Own(), (2, 3))
    assert [(layer.name, layer.flops, layer.predecessors) for layer in graph.layers] == [
        ("product", 0, (-1,)),
        ("fill", 0, (0,)),
        ("exp", 0, (1,)),
    ]
    assert graph.weight_bytes.tolist() == [48, 0, 0]
    assert graph.origin.endswith("FLOPs of dnnmig_test::product, dnnmig_test::fill count as 0")
    register_flop_formula(own_operators.product)(lambda x, w, *_, **__: 2 * x[0] * x[1] * w[1])
    register_flop_formula(own_operators.fill)(lambda *_, **__: 0)
    try:
        graph = trace(Own(), (2, 3))
        assert graph.flops.tolist() == [2 * 2 * 3 * 4, 0, 0]
        assert "FLOPs" not in graph.origin
    finally:
        for operator in (own_operators.product, own_operators.fill):
            flop_registry.pop(operator)


def test_a_builder_that_needs_real_tensors() -> None:
    def make() -> nn.Module:
        module = nn.Linear(8, 8)
        module.weight.data[:] = torch.from_numpy(module.weight.detach().numpy() * 2)
        return module

    module = without_memory(make)
    assert module.weight.device.type == "cpu"
    assert trace(module, (1, 8)).flops.tolist() == [128]
    assert without_memory(lambda: nn.Linear(8, 8)).weight.is_meta
    with pytest.raises(ZeroDivisionError):
        without_memory(lambda: 1 / 0)
