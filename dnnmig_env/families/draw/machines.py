"""Devices, edge servers and clouds drawn by the batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats
from dnnmig_env.families.draw.ranges import Range
from dnnmig_env.scenarios.node import Node, Tier


class Machines(NamedTuple):
    """What `Node` says of machines, as arrays of one shape; infinitely fast where there is none."""

    flops_per_s: Floats
    memory_bytes_per_s: Floats
    layer_overhead_s: Floats
    memory_bytes: Floats

    def node(self, name: str, tier: Tier, *index: int) -> Node:
        """Return one machine."""
        return Node(name, tier, *(float(values[index]) for values in self))


@dataclass(frozen=True)
class MachineRanges:
    """Between which machines of a kind lie. Fast ones have fast memory and launch operators quickly, roughly."""

    flops_per_s: Range
    memory_bytes_per_s: Range
    layer_overhead_s: Range


DEVICE = MachineRanges((1e9, 20e9), (5e9, 30e9), (20e-6, 100e-6))
"""Phones and single-board computers."""

EDGE = MachineRanges((0.2e12, 2e12), (100e9, 900e9), (5e-6, 20e-6))
"""Servers with one small to medium GPU."""

CLOUD = MachineRanges((5e12, 15e12), (1e12, 3e12), (5e-6, 5e-6))
"""Data-centre GPUs."""

CORRELATION = 0.7
"""Weight of a machine's place among its like in the places of its memory and its overhead."""


def machine_ranges(device: Range, edge: Range, cloud: Range | None = None) -> tuple[MachineRanges, ...]:
    """Return what devices, edges and the cloud, if there is one, are like, given their speeds in FLOP/s."""
    kinds = (replace(DEVICE, flops_per_s=device), replace(EDGE, flops_per_s=edge))
    return kinds if cloud is None else (*kinds, replace(CLOUD, flops_per_s=cloud))


def draw_machines(
    rng: np.random.Generator, kinds: tuple[MachineRanges, ...], kind: np.ndarray[tuple[int, ...], np.dtype[np.intp]]
) -> Machines:
    """Draw machines, log-uniformly; their memory is unlimited.

    Args:
        rng: Source of randomness.
        kinds: The kinds of machines.
        kind: Index of each machine's kind, any shape.
    """
    logs = np.log([[k.flops_per_s, k.memory_bytes_per_s, k.layer_overhead_s[::-1]] for k in kinds])  # (kinds, 3, 2)
    low, span = logs[..., 0], logs[..., 1] - logs[..., 0]
    place = rng.random((*kind.shape, 3))
    place[..., 1:] += CORRELATION * (place[..., :1] - place[..., 1:])
    values = np.exp(low[kind] + place * span[kind])
    return Machines(values[..., 0], values[..., 1], values[..., 2], np.full(kind.shape, np.inf))


def without(machines: Machines, absent: Bools) -> Machines:
    """Take machines away: they become infinitely fast, so that nothing takes any time on them, and hold nothing."""
    infinite = (np.where(absent, np.inf, values) for values in machines[:2])
    nothing = (np.where(absent, 0.0, values) for values in machines[2:])
    return Machines(*infinite, *nothing)
