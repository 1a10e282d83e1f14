"""Measures the seconds that each layer takes when it is run on its own, by the wall clock and by processor time."""

from __future__ import annotations

import os
from datetime import date

import numpy as np
import torch

from dnnmig_env.arrays import Floats
from dnnmig_env.files.provenance import machine as this_machine
from dnnmig_env.networks.execution.layer_runner import LayerRunner
from dnnmig_env.networks.measured_profile import Circumstances, LayerTime, Profile, rounded, size_of
from dnnmig_env.networks.profiling.clocks import CpuTime, WallTime
from dnnmig_env.networks.profiling.undisturbed import undisturbed

WARM_UP = 3
"""Passes before those that count."""


def time_layers(runner: LayerRunner, command: str, repeats: int = 20, rounds: int = 3) -> Profile:
    """Return a profile of a runner's layers on one core of this machine.

    Layers run in order, each as `LayerRunner.run` runs it, Python included; so these are the seconds that a node of a
    testbed takes. Medians are taken over passes; the round with the fastest pass counts, as other processes disturb a
    measurement but never make it faster.

    Args:
        runner: The layers.
        command: The command that repeats the measurement, for the profile.
        repeats: Passes that count in each round.
        rounds: Rounds of such passes.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else -1.0
    medians: list[Floats] = []
    with undisturbed(threads=1):
        for _ in range(rounds):
            passes = [_one_pass(runner) for _ in range(WARM_UP + repeats)]
            medians.append(np.median(np.array(passes[WARM_UP:]), axis=0))
    wall_s, cpu_s = min(medians, key=lambda seconds: seconds[0].sum())
    graph, found = runner.graph, this_machine()
    input_bytes, flops, weight_bytes = size_of(graph)
    return Profile(
        network=graph.name,
        input_bytes=input_bytes,
        flops=flops,
        weight_bytes=weight_bytes,
        measured=Circumstances(
            command=command,
            versions=f"torch {torch.__version__}",
            machine=f"{found['processor']}, {found['cores']} cores, {str(found['system']).partition('-')[0]}",
            device="cpu",
            threads=1,
            clock=CpuTime.name,
            repeats=repeats,
            warm_up=WARM_UP,
            rounds=rounds,
            load_average=round(load, 2),
            operator_overhead_s=0.0,
            date=date.today().isoformat(),
        ),
        whole_s=rounded([float(cpu_s.sum())])[0],
        whole_wall_s=rounded([float(wall_s.sum())])[0],
        layers=tuple(
            LayerTime(name=layer.name, seconds=cpu, wall_s=wall)
            for layer, cpu, wall in zip(graph.layers, rounded(cpu_s), rounded(wall_s), strict=True)
        ),
    )


def _one_pass(runner: LayerRunner) -> Floats:
    """Return the seconds of each layer by the wall clock and by processor time, shape (2, L)."""
    values = runner.begin(with_inputs=True)
    wall, cpu = WallTime(), CpuTime()
    spans = []
    for layer in range(len(runner.graph)):
        begin = wall.read(), cpu.read()
        runner.run(layer, values)
        spans.append((begin, (wall.read(), cpu.read())))
    return np.array(
        [clock.seconds([(begin[place], end[place]) for begin, end in spans]) for place, clock in enumerate((wall, cpu))]
    )
