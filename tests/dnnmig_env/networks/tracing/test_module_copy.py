"""Tracing works on a copy: whatever a module keeps, counts or draws, it is afterwards as it was before."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dnnmig_env.networks.profiling.measure import Effort, measure
from dnnmig_env.networks.tracing import trace

QUICK = Effort(repeats=1, warm_up=0, rounds=1)


class Store:
    """An object with a tensor and something that cannot be copied."""

    def __init__(self) -> None:
        self.lock, self.kept = threading.Lock(), None


class Caching(nn.Module):
    """Keeps tensors at first use in every place where networks keep them."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.anchors = torch.empty(0)
        self.shape: Any = None
        self.tables: dict[int, Tensor] = {}
        self.calls: list[int] = []
        self.store = Store()
        self.register_buffer("mask", torch.zeros(0), persistent=False)
        self.register_buffer("steps", torch.zeros(8))

    @lru_cache(maxsize=4)  # noqa: B019 - as in networks that exist
    def scale(self, size: int) -> Tensor:
        return torch.full((size,), 2.0, device=self.linear.weight.device)

    def forward(self, x: Tensor) -> Tensor:
        if self.shape != x.shape:
            self.anchors, self.shape = torch.arange(x.shape[-1], device=x.device), x.shape
        if x.shape[-1] not in self.tables:
            self.tables[x.shape[-1]] = self.anchors.float() + 1
        if self.mask.numel() == 0:
            self.mask = torch.ones_like(x)
        self.calls.append(len(self.calls))
        self.drawn = random.random() + np.random.rand() + torch.rand(1)
        self.steps += 1
        with self.store.lock:
            self.store.kept = x
            return self.linear(x) * self.scale(8) + self.tables[8] * self.mask + self.steps


SHARED: dict[int, Tensor] = {1: torch.ones(1)}
"""A cache of tensors beside the networks that use it, without their devices in its keys."""


class Sharing(nn.Module):
    masks: dict[int, Tensor] = {}  # noqa: RUF012 - as in networks that exist
    bias: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-1]
        if size not in SHARED:
            SHARED[size] = torch.arange(size, device=x.device)
        self.masks[size] = x.new_ones(size)
        Sharing.bias = x.new_ones(size)
        return x * SHARED[size] * self.masks[size] + Sharing.bias


def test_caches_that_networks_share_hold_no_tensors_without_memory() -> None:
    assert [layer.name for layer in trace(Sharing(), (1, 8)).layers] == ["mul", "mul#2", "add"]
    assert list(SHARED) == [1]
    assert Sharing.masks == {}
    assert Sharing.bias is None
    assert Sharing()(torch.ones(8)).tolist() == [1.0 + number for number in range(8)]
    assert trace(Sharing(), (1, 8)) == trace(Sharing(), (1, 8))  # now from caches that are full


class Failing(Caching):
    def forward(self, x: Tensor) -> Tensor:
        hidden = super().forward(x)
        return hidden if hidden.sum() > 0 else x


def state(module: nn.Module) -> Any:
    attributes = {name: dict(vars(part)) for name, part in module.named_modules()}
    contents = {name: {key: repr(value) for key, value in kept.items()} for name, kept in attributes.items()}
    contents |= {"store": repr(getattr(module, "store", Store()).kept)}
    training = [part.training for part in module.modules()]
    generators = (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())
    return attributes.keys(), contents, training, generators


@pytest.mark.parametrize("kind", [Caching, Failing])
def test_a_module_is_afterwards_as_it_was_before(kind: Callable[[], nn.Module]) -> None:
    module = kind().train()
    before = state(module)
    if kind is Failing:
        with pytest.raises(ValueError, match="cannot trace 'Failing'"):
            trace(module, (1, 8))
    else:
        # The product, and an addition or multiplication with each thing that was kept. Only `steps` is saved.
        graph = trace(module, (1, 8))
        assert [layer.name for layer in graph.layers] == ["linear", "mul", "add", "add#2"]
        assert graph.weight_bytes.tolist() == [4 * 72, 0, 0, 4 * 8]
    assert state(module) == before
    module.forward = Caching.forward.__get__(module)  # type: ignore[method-assign]
    assert module(torch.rand(1, 8)).device.type == "cpu"  # what it keeps from now on is real


def test_what_a_module_kept_before_is_used_and_not_changed() -> None:
    module = Caching()
    first = module(torch.zeros(1, 8))
    assert [layer.name for layer in trace(module, (1, 8)).layers] == ["linear", "mul", "add", "add#2"]
    assert module.steps.tolist() == [1.0] * 8
    assert torch.equal(module(torch.zeros(1, 8)), first + 1)


def test_profiling_works_with_caches_and_leaves_none() -> None:
    module = Caching()
    before = state(module)
    profile = measure(module, (1, 8), effort=QUICK)
    assert profile.is_of(trace(module, (1, 8)))
    assert state(module) == before
    assert module.steps.tolist() == [0.0] * 8


def test_hooks_and_closures_work_on_the_copy() -> None:
    features: list[Tensor] = []
    module = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    module[0].register_forward_hook(lambda part, args, output: features.append(output))

    class Closing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.seen = module, features
            self.run = lambda x: self.inner(x)

        def forward(self, x: Tensor) -> Tensor:
            return self.run(x) + self.seen[-1]

    graph = trace(Closing(), (1, 3))
    assert [layer.name for layer in graph.layers] == ["inner.0", "inner.1", "add"]
    assert graph.layers[2].predecessors == (0, 1)
    assert features == []
    assert len(module[0]._forward_hooks) == 1


def test_a_tensor_with_a_history_and_half_of_a_matrix_are_copied() -> None:
    class Slices(nn.Module):
        """Two parameters that are views of one storage, side by side, and a tensor with a gradient function."""

        def __init__(self) -> None:
            super().__init__()
            both = torch.rand(2, 3, 3)
            self.first, self.second = nn.Parameter(both[0]), nn.Parameter(both[1])
            self.overlap = nn.Parameter(both[1, :1])  # a part of the second
            self.kept = self.first * 2

        def forward(self, x: Tensor) -> Tensor:
            return (x @ self.first + self.kept[0]) @ self.second * self.overlap

    graph = trace(Slices(), (1, 3))
    assert graph.weight_bytes.tolist() == [36, 0, 36, 0]
    assert graph.layers[3].shares == (2,)
    assert (graph.layers[3].internal_bytes, graph.layers[1].internal_bytes) == (36, 0)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # the compiler's own, when it is imported
@pytest.mark.parametrize("make", [nn.DataParallel, torch.compile, lambda module: module])
def test_wrapped_modules_are_traced_like_what_they_wrap(make: Callable[[nn.Module], nn.Module]) -> None:
    plain = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    wrapped = make(plain)
    assert trace(wrapped, (1, 3)) == trace(plain, (1, 3))
    inside = nn.Sequential(make(nn.Linear(3, 4)), nn.ReLU())
    assert trace(inside, (1, 3), name="Sequential") == trace(plain, (1, 3))


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_a_module_that_was_compiled_in_place() -> None:
    plain = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    before = trace(plain, (1, 3))
    plain.compile()
    assert trace(plain, (1, 3)) == before
    assert plain._compiled_call_impl is not None


def test_weights_in_plain_lists_count_too() -> None:
    class Listing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.known = nn.Linear(3, 3)
            self.steps = [nn.Linear(3, 3), self.known, {"scale": nn.Parameter(torch.ones(3))}]

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.steps[1](self.steps[0](x)) * self.steps[2]["scale"]
            return result

    graph = trace(Listing(), (1, 3))
    assert [(layer.name, layer.weight_bytes) for layer in graph.layers] == [
        ("steps.0", 48),
        ("known", 48),
        ("steps.2", 12),
    ]
    assert measure(Listing(), (1, 3), effort=QUICK).is_of(graph)


FOREIGN = nn.Linear(3, 3)


def test_weights_of_a_global_variable_count_too() -> None:
    class Using(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = FOREIGN(x)
            return result

    assert trace(Using(), (1, 3)).weight_bytes.tolist() == [48]
    assert measure(Using(), (1, 3), effort=QUICK).is_of(trace(Using(), (1, 3)))
    assert not FOREIGN.weight.is_meta
