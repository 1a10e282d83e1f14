"""Measures how long each layer of a real torch module takes on this machine.

**How.** The module runs for real, with random weights, while a dispatch mode (as in tracing) reads a clock before and
after every operator: this is the instrument. It is checked that these operators are those of the traced graph, one to
one: a first forward pass on real tensors fills what the module keeps for later passes, a second one is recorded as a
graph too, and the two graphs must agree in every tensor, FLOP and edge. Where they differ, but not in operators with
FLOPs or weights (copies in modules laid out channels-last, for example), an operator that runs here only counts for the
layer after it. Other modules that do something else on real tensors than on shapes alone are refused. Views, constants
and dead code are no layers and cost nothing.

**What is timed.** Forward passes with and without the instrument take turns, so that both see the machine in the same
state. The seconds of a layer are the median, over the passes with the instrument, of the sum of its operators; the
seconds of the whole forward pass are the median over the other passes. A layer is timed in its place, with caches as
the layers before it left them. All of this is done in several rounds, and the round with the fastest whole pass counts:
other processes disturb a measurement, but never make it faster.

**What the instrument adds.** The way through Python to the dispatch mode lies outside the two readings. What lies
between them besides the operator is one reading of the clock, and a call from Python where a module calls the operator
from C++: together less than what the instrument shows for an operator that does nothing. Each profile states that time
(`operator_overhead_s`, about 1 microsecond on one core of a Xeon); it is not subtracted. On the other hand, the layers
lack what a forward pass does between operators, above all Python's walk through the modules.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dnnmig_env.files.provenance import machine as this_machine
from dnnmig_env.networks.measured_profile import Circumstances, LayerTime, Profile, rounded, size_of
from dnnmig_env.networks.preprocessing import prepare, prepared_groups
from dnnmig_env.networks.profiling.clocks import clock_for
from dnnmig_env.networks.profiling.real_operators import find_operators
from dnnmig_env.networks.profiling.stopwatch import idle_s, time_round
from dnnmig_env.networks.profiling.undisturbed import undisturbed
from dnnmig_env.networks.tracing import InputSpec, trace
from dnnmig_env.networks.tracing.examples import example_call
from dnnmig_env.networks.tracing.meta_run import inference, same_random_numbers
from dnnmig_env.networks.tracing.module_copy import copy_with_same_parameters
from dnnmig_env.networks.tracing.reasons import as_module


@dataclass(frozen=True)
class Effort:
    """How a profile is measured.

    Attributes:
        threads: Threads that an operator may use on the processor.
        device: `cpu` or `cuda`; `auto` becomes `cuda` if there is a GPU, else `cpu`.
        repeats: Number of forward passes over which medians are taken, with and without the instrument each.
        warm_up: Number of forward passes of both kinds before those, which do not count.
        rounds: Number of rounds of such passes; the round with the fastest whole pass counts.
        pause_s: Seconds between rounds, in which a busy machine may calm down.

    Raises:
        ValueError: If a number is too small, or the device is unknown or not present.
    """

    threads: int = 1
    device: str = "cpu"
    repeats: int = 20
    warm_up: int = 3
    rounds: int = 3
    pause_s: float = 0.0

    def __post_init__(self) -> None:
        for quantity, least in (("threads", 1), ("repeats", 1), ("warm_up", 0), ("rounds", 1), ("pause_s", 0)):
            if not getattr(self, quantity) >= least:
                raise ValueError(f"{quantity} is {getattr(self, quantity)}; give at least {least}.")
        if self.device == "auto":
            object.__setattr__(self, "device", "cuda" if torch.cuda.is_available() else "cpu")
        if self.device not in ("cpu", "cuda"):
            raise ValueError(f"device is {self.device!r}; give cpu, cuda or auto.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device is 'cuda', but torch finds none here; give cpu.")

    def unusual(self) -> dict[str, int | float | str]:
        """Return the attributes that differ from their defaults, by name."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }


def measure(
    module: nn.Module,
    *inputs: Sequence[int] | InputSpec | Tensor | Mapping[str, Any] | Sequence[Any],
    name: str | None = None,
    max_layers: int | None = None,
    effort: Effort | None = None,
    machine: str | None = None,
    origin: str = "dnnmig_env.networks.profiling.measure.measure",
    on_round: Callable[[int], None] = lambda number: None,
) -> Profile:
    """Measure seconds per layer of the prepared graph of a module.

    The module must have real parameters; their values do not matter. It is moved to the device; otherwise it is
    afterwards as it was before, since a copy runs, which has the same parameters. Meanwhile, numbers so small that they
    are denormal count as zero: random, untrained weights can cause them, and they would be slow.

    Args:
        module: Any network that can be traced.
        *inputs: As for `trace`. An example tensor is used as it is. A shape is filled with random numbers or, for
            integers and truth values, with those that `trace` knows.
        name: Name of the network; by default the module's class name.
        max_layers: Merge the fused layers until at most this many remain; by default only fuse. A profile of the fused
            layers serves scenarios with any `max_layers`.
        effort: How to measure.
        machine: The machine in words; by default its processor, cores and system.
        origin: The command that repeats the measurement, a semicolon, and the versions of libraries.
        on_round: Function that is called with the number of a round (1, 2, ...) when the round begins.

    Raises:
        ValueError: If the module cannot be traced or executed, or runs other operators on this device than its trace.
    """
    effort = effort or Effort()
    module = as_module(module)
    graph = trace(module, *inputs, name=name, origin=origin)
    groups = prepared_groups(graph, max_layers)
    clock = clock_for(effort.device, effort.threads)
    examples = example_call(module, inputs)
    call = examples.map(lambda example: example.filled(effort.device))
    _check_memory(graph.name, module)
    module = copy_with_same_parameters(module.to(effort.device))
    with (
        undisturbed(effort.threads),
        torch.no_grad(),
        same_random_numbers(),
        inference(module),
        _without_gradients(module),
    ):
        operators = find_operators(module, call, examples, graph)
        rounds = []
        for number in range(1, effort.rounds + 1):
            time.sleep(effort.pause_s if number > 1 else 0.0)
            on_round(number)
            rounds.append(time_round(module, call, operators, clock, effort.warm_up, effort.repeats))
        overhead_s = idle_s(clock, effort.device)
    quietest = min(rounds, key=lambda times: times.whole_s)
    layer_s, layer_wall_s = (
        rounded(np.median(np.stack([seconds[:, list(group)].sum(axis=1) for group in groups], axis=1), axis=0))
        for seconds in (quietest.operators_s, quietest.operators_wall_s)
    )
    layers = zip(prepare(graph, max_layers).layers, layer_s, layer_wall_s, strict=True)
    whole_s, whole_wall_s, overhead_s = rounded([quietest.whole_s, quietest.wall_s, overhead_s])
    command, _, versions = origin.partition("; ")
    input_bytes, flops, weight_bytes = size_of(graph)
    return Profile(
        network=graph.name,
        input_bytes=input_bytes,
        flops=flops,
        weight_bytes=weight_bytes,
        measured=Circumstances(
            command=command,
            versions=versions or f"torch {torch.__version__}",
            machine=machine or _described_machine(effort.device),
            device=effort.device,
            threads=effort.threads,
            clock=clock.name,
            repeats=effort.repeats,
            warm_up=effort.warm_up,
            rounds=effort.rounds,
            load_average=round(quietest.load_average, 2),
            operator_overhead_s=overhead_s,
            date=date.today().isoformat(),
        ),
        whole_s=whole_s,
        whole_wall_s=whole_wall_s,
        layers=tuple(LayerTime(name=layer.name, seconds=seconds, wall_s=wall_s) for layer, seconds, wall_s in layers),
    )


@contextmanager
def _without_gradients(module: nn.Module) -> Iterator[None]:
    """Let no parameter require gradients, as matrix products choose their operators by that."""
    asking = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)


def _check_memory(name: str, module: nn.Module) -> None:
    for kind, tensors in (("parameter", module.named_parameters()), ("buffer", module.named_buffers())):
        for path, tensor in tensors:
            if tensor.is_meta:
                raise ValueError(f"{name!r} has no memory for its {kind} {path!r}; build it off the meta device.")


def _described_machine(device: str) -> str:
    found = this_machine()
    system = str(found["system"]).partition("-")[0]
    processor = f"{found['processor']} ({torch.backends.cpu.get_cpu_capability()}), {found['cores']} cores, {system}"
    return f"{torch.cuda.get_device_name()}; {processor}" if device == "cuda" else processor
