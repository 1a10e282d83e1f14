"""Measuring real modules: each second goes to the layer that took it, and what cannot be measured says so."""

from __future__ import annotations

import gc
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.measured_profile import Profile
from dnnmig_env.networks.preprocessing import prepare
from dnnmig_env.networks.profiling import clocks
from dnnmig_env.networks.profiling import measure as measuring
from dnnmig_env.networks.profiling.clocks import clock_for
from dnnmig_env.networks.profiling.measure import Effort, measure
from dnnmig_env.networks.tracing import InputSpec, trace

QUICK = Effort(repeats=5, warm_up=1, rounds=2)


class Ticks:
    """A clock that goes on by one with each reading: every operator takes one second."""

    name = "ticks"

    def __init__(self) -> None:
        self.read = count().__next__

    def seconds(self, spans: Any) -> Any:
        return clocks.CpuTime().seconds(spans) * 1e9


class Unequal(nn.Module):
    """A large product between two small ones: 100 times the FLOPs of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.large, self.last = nn.Linear(256, 64), nn.Linear(64, 25600), nn.Linear(25600, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.large(self.small(x)).relu())


class Branches(nn.Module):
    """Views, constants, an operator in place, a residual, a shared layer and dead code."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True)
        self.head, self.unused = nn.Linear(192, 192), nn.Linear(192, 2)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        hidden = (self.act(self.norm(self.conv(image))) + image).permute(0, 2, 3, 1).flatten(1)
        mask = torch.arange(192, device=image.device) % 2
        self.unused(hidden)
        once = self.head(hidden * mask)
        return {"once": once, "twice": self.head(once)}


class Words(nn.Module):
    """Tokens, positions, and attention in two ways."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)

    def forward(self, ids: Tensor) -> Tensor:
        hidden = self.encoder(self.words(ids))
        parts = [part.view(1, -1, 2, 4).transpose(1, 2) for part in (hidden, hidden.exp(), hidden.sin())]
        mixed = functional.scaled_dot_product_attention(*parts, is_causal=True)
        return mixed.transpose(1, 2).reshape(1, -1, 8).mean(1)


def names(graph: LayerGraph) -> tuple[str, ...]:
    return tuple(layer.name for layer in graph.layers)


class Ring(nn.Module):
    """Four rows of a saved buffer, the first of which each run overwrites, as the cache of a decoder may be."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.register_buffer("rows", torch.zeros(4, 8))

    def forward(self, x: Tensor) -> Tensor:
        self.rows[0] = x[0]
        result: Tensor = self.linear(self.rows)
        return result


def test_a_saved_buffer_that_each_run_overwrites_is_a_weight_in_each_run() -> None:
    assert trace(Ring(), (1, 8)).weight_bytes.tolist() == [4 * 8 * 4, 8 * 8 * 4 + 8 * 4]
    assert measure(Ring(), (1, 8), effort=QUICK).weight_bytes == 128 + 288


@pytest.mark.parametrize(
    ("module", "inputs"),
    [(Unequal(), (1, 256)), (Branches(), (2, 3, 8, 8)), (Words(), InputSpec((1, 6), "int64"))],
    ids=["unequal", "branches", "words"],
)
@pytest.mark.parametrize("max_layers", [None, 3, 1])
def test_every_operator_of_a_layer_counts_for_it_and_nothing_else(
    module: nn.Module, inputs: Any, max_layers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "clock_for", lambda *_: Ticks())
    profile = measure(module, inputs, max_layers=max_layers, effort=QUICK)
    graph = prepare(trace(module, inputs), max_layers)
    assert profile.names == names(graph)
    assert profile.seconds == tuple(graph.operators)  # one tick for each
    assert profile.is_of(graph)


def test_more_work_takes_longer_and_the_layers_make_up_the_whole() -> None:
    profile = measure(Unequal(), (64, 256), name="unequal", effort=Effort(repeats=15))
    seconds = dict(zip(profile.names, profile.seconds, strict=True))
    assert seconds["large"] > 5 * seconds["small"] > 0  # 100 times the FLOPs
    assert all(value > 0 for value in profile.seconds)
    assert 0.7 < profile.ratio < 1.2
    assert profile.whole_wall_s > 0.9 * profile.whole_s
    how = profile.measured
    assert (profile.network, how.device, how.threads, how.clock) == ("unequal", "cpu", 1, "process CPU time")
    assert (how.repeats, how.warm_up, how.rounds) == (15, 3, 3)
    assert how.versions == f"torch {torch.__version__}"
    assert 0 < how.operator_overhead_s < 1e-3


def test_several_threads_are_timed_by_the_wall_clock() -> None:
    before = torch.get_num_threads()
    assert measure(nn.Linear(8, 8), (1, 8), effort=Effort(threads=2, repeats=1)).measured.clock == "wall clock"
    assert torch.get_num_threads() == before


def test_a_module_comes_back_as_it_was() -> None:
    module = Branches()
    module.conv.weight.requires_grad_(False)
    module.norm.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    measure(module, (1, 3, 8, 8), effort=QUICK)
    assert module.training
    assert module.conv.training
    assert not module.norm.training
    assert [name for name, value in module.named_parameters() if not value.requires_grad] == ["conv.weight"]
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert gc.isenabled()
    assert functional.scaled_dot_product_attention is torch._C._nn.scaled_dot_product_attention


def test_an_example_is_used_as_it_is() -> None:
    class Lookup(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(4, 3)

        def forward(self, ids: Tensor) -> Tensor:
            return self.table(ids)

    measure(Lookup(), torch.tensor([3]), effort=QUICK)
    measure(Lookup(), InputSpec((2,), "int64"), effort=QUICK)  # zeros: every table has that row
    with pytest.raises(
        ValueError, match=r"cannot execute 'Lookup' on inputs \[\(1,\)\]: IndexError: .*Check the input"
    ):
        measure(Lookup(), torch.tensor([4]), effort=QUICK)


class Copies(nn.Module):
    """On real tensors there is one copy more in one place, and one less in another."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x) if x.is_meta else self.first(x).clone().relu()
        hidden = hidden.relu().clone() if x.is_meta else hidden
        return self.last(hidden)


def test_copies_may_be_made_at_other_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "clock_for", lambda *_: Ticks())
    module = Copies()
    assert names(trace(module, (1, 3))) == ("first", "relu", "clone", "last")
    profile = measure(module, (1, 3), effort=QUICK)
    # The activation and its copy are fused with the first layer. Here: the product, the copy before the activation.
    assert dict(zip(profile.names, profile.seconds, strict=True)) == {"first": 3.0, "last": 1.0}


class Different(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) if x.is_meta else self.linear(self.linear(x))


class Other(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.other = nn.Linear(3, 3), nn.Linear(3, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) if x.is_meta else self.other(x)


class Fickle(nn.Module):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += not x.is_meta
        return x.exp() if self.calls < 3 else x.sin()


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Different(), "'Different' does here what its trace does not say: aten::addmm is only in one of the two, or"),
        (Other(), "'Other' does here what its trace does not say: linear is only in one of the two, or has other"),
        (Fickle(), "the module executes other operators each time; it cannot be measured layer by layer"),
        (nn.Linear(3, 3, device="meta"), "'Linear' has no memory for its parameter 'weight'; build it off the meta"),
        (nn.Linear(4, 3), "cannot trace 'Linear' on inputs"),
    ],
)
def test_what_cannot_be_measured_is_explained(module: nn.Module, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        measure(module, (2, 3), effort=QUICK)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads is 0; give at least 1"),
        ({"repeats": 0}, "repeats is 0; give at least 1"),
        ({"warm_up": -1}, "warm_up is -1; give at least 0"),
        ({"rounds": 0}, "rounds is 0; give at least 1"),
        ({"pause_s": -0.5}, "pause_s is -0.5; give at least 0"),
        ({"device": "tpu"}, "device is 'tpu'; give cpu, cuda or auto"),
    ],
)
def test_an_effort_that_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Effort(**options)


def test_without_a_gpu_auto_is_the_processor_and_cuda_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Effort(device="auto").device == "cpu"
    with pytest.raises(ValueError, match="device is 'cuda', but torch finds none here; give cpu"):
        Effort(device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Effort(device="auto").device == "cuda"


def test_a_gpu_is_timed_by_its_events_once_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the code asks of CUDA, in order; events stand in for a GPU: each is 2 ms after the one before."""
    happened: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.time_ms = 2.0 * len(happened)
            happened.append("record")

        def elapsed_time(self, end: Event) -> float:
            assert happened[-1] == "synchronize"
            return end.time_ms - self.time_ms

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: happened.append("synchronize"))
    clock = clock_for("cuda", 4)
    assert clock.name == "CUDA events"
    spans = [(clock.read(), clock.read()) for _ in range(2)]
    assert clock.seconds(spans).tolist() == [0.002, 0.002]
    assert happened == ["record"] * 4 + ["synchronize"]


def test_the_quietest_round_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    speeds, rounds = iter([3.0, 1.0, 2.0]), []
    real = measuring.time_round

    def at_some_speed(*arguments: Any) -> Any:
        times, tau = real(*arguments), next(speeds)
        rounds.append(tau)
        return type(times)(tau, times.operators_s * 0 + tau, times.operators_wall_s * 0 + 2 * tau, tau, tau)

    monkeypatch.setattr(measuring, "time_round", at_some_speed)
    profile: Profile = measure(nn.Linear(3, 3), (1, 3), effort=Effort(repeats=1))
    assert rounds == [3.0, 1.0, 2.0]
    assert (profile.whole_s, profile.seconds, profile.measured.load_average) == (1.0, (1.0,), 1.0)
    assert profile.layers[0].wall_s == 2.0  # the wall clock, beside the processor time


def test_the_instrument_is_small_beside_an_operator_of_a_millisecond() -> None:
    assert measuring.idle_s(clock_for("cpu", 1), "cpu") < 1e-4
