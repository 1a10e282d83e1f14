"""Measures how long each layer of a real torch module takes on this machine.

The module runs for real, with random weights, while a dispatch mode (as in tracing) reads a clock before and after
every operator. That its operators are those of the traced graph, one to one, is checked, not assumed: a first run on
real tensors is recorded as a graph too, and the two must agree in every tensor, FLOP and edge. What runs otherwise on
real tensors than on shapes alone is refused: recurrent layers, modules laid out channels-last. Views, constants and
dead code are no layers and cost nothing.

What is timed. Forward passes with and without the instrument take turns, so that both see the same machine. A layer's
seconds are the median over the instrumented passes of the sum of its operators; those of the whole forward pass are
the median over the others. A layer is seen where it stands: with caches as the layers before it left them. All of that
is done in several rounds, of which the one with the fastest whole pass counts: others disturb a measurement, and never
make it faster.

What the instrument adds. Python's way to the dispatch mode lies outside the two readings. Between them remain one
reading of the clock and a call from Python where a module's operator is called from C++: together less than what the
instrument shows for an operator that does nothing, which each profile states (`operator_overhead_s`, about 1
microsecond on one core of a Xeon). It is not taken off. In turn the layers lack what a forward pass does between
operators, above all Python's walk through the modules.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import date

import numpy as np
import torch
from torch import Tensor, nn

from dnnmig_env.files.provenance import machine as this_machine
from dnnmig_env.networks.measured_profile import Circumstances, LayerTime, Profile, rounded, size_of
from dnnmig_env.networks.preprocessing import prepare, prepared_groups
from dnnmig_env.networks.profiling.clocks import clock_for
from dnnmig_env.networks.profiling.real_operators import find_operators
from dnnmig_env.networks.profiling.stopwatch import idle_s, time_round
from dnnmig_env.networks.tracing import InputSpec, trace
from dnnmig_env.networks.tracing.recorder import inference


@dataclass(frozen=True)
class Effort:
    """How a profile is measured.

    Attributes:
        threads: Threads that an operator may use on the processor.
        device: `cpu` or `cuda`; `auto` is the latter where there is one.
        repeats: Forward passes that medians are over, with and without the instrument each.
        warm_up: Forward passes of both kinds before those.
        rounds: How often to do all of that; the quietest round counts.
        pause_s: Seconds between rounds, to let a busy machine calm down.

    Raises:
        ValueError: If a number is too small, or the device is unknown or not there.
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
        """Return what is not as by default."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }


def measure(
    module: nn.Module,
    *inputs: Sequence[int] | InputSpec | Tensor,
    name: str | None = None,
    max_layers: int | None = None,
    effort: Effort | None = None,
    machine: str | None = None,
    origin: str = "dnnmig_env.networks.profiling.measure.measure",
    on_round: Callable[[int], None] = lambda number: None,
) -> Profile:
    """Measure seconds per layer of the prepared graph of a module.

    The module must have real parameters; their values do not matter. It is moved to the device and comes back in every
    other respect as it was. Numbers too small to be normal count as zero meanwhile, as random weights without training
    can bring them about, and they would be slow.

    Args:
        module: Any network that can be traced.
        *inputs: As for `trace`. An example tensor is used as it is; a shape is filled with random numbers (with zeros
            if integers, which every table has).
        name: Name of the network; by default the module's class name.
        max_layers: Merge the fused layers until at most so many remain; by default only fuse. A profile of the fused
            layers serves scenarios with any `max_layers`.
        effort: How to measure.
        machine: The machine in words; by default its processor, cores and system.
        origin: The command that does it again, a semicolon, and the versions of libraries.
        on_round: Called with 1, 2, ... when a round begins.

    Raises:
        ValueError: If the module cannot be traced or executed, or does on this device what its trace does not say.
    """
    effort = effort or Effort()
    graph = trace(module, *inputs, name=name, origin=origin)
    groups = prepared_groups(graph, max_layers)
    clock = clock_for(effort.device, effort.threads)
    with _undisturbed(effort.threads), torch.no_grad(), inference(module), _without_gradients(module):
        _check_memory(graph.name, module)
        module.to(effort.device)
        examples = [_filled(entry, effort.device) for entry in inputs]
        operators = find_operators(module, examples, graph)
        rounds = []
        for number in range(1, effort.rounds + 1):
            time.sleep(effort.pause_s if number > 1 else 0.0)
            on_round(number)
            rounds.append(time_round(module, examples, operators, clock, effort.warm_up, effort.repeats))
        overhead_s = idle_s(clock, effort.device)
    quietest = min(rounds, key=lambda times: times.whole_s)
    layer_s = np.stack([quietest.operators_s[:, list(group)].sum(axis=1) for group in groups], axis=1)
    layers = zip(prepare(graph, max_layers).layers, rounded(np.median(layer_s, axis=0)), strict=True)
    whole_s, wall_s, overhead_s = rounded([quietest.whole_s, quietest.wall_s, overhead_s])
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
        whole_wall_s=wall_s,
        layers=tuple(LayerTime(name=layer.name, seconds=seconds) for layer, seconds in layers),
    )


@contextmanager
def _undisturbed(threads: int) -> Iterator[None]:
    """Fix the number of threads, keep the garbage collector away, and treat tiny numbers as zero."""
    before, collects = torch.get_num_threads(), gc.isenabled()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)
        if collects:
            gc.enable()


@contextmanager
def _without_gradients(module: nn.Module) -> Iterator[None]:
    """Have no parameter ask for gradients: matrix products choose their operators by that."""
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


def _filled(entry: Sequence[int] | InputSpec | Tensor, device: str) -> Tensor:
    if isinstance(entry, Tensor):
        return entry.to(device)
    spec = entry if isinstance(entry, InputSpec) else InputSpec(tuple(entry))
    dtype: torch.dtype = getattr(torch, spec.dtype)  # tracing has checked it
    if not dtype.is_floating_point:
        return torch.zeros(spec.shape, dtype=dtype, device=device)
    generator = torch.Generator().manual_seed(0)
    return torch.rand(spec.shape, generator=generator).to(device, dtype)


def _described_machine(device: str) -> str:
    found = this_machine()
    system = str(found["system"]).partition("-")[0]
    processor = f"{found['processor']} ({torch.backends.cpu.get_cpu_capability()}), {found['cores']} cores, {system}"
    return f"{torch.cuda.get_device_name()}; {processor}" if device == "cuda" else processor
