"""Draws devices, edge servers and clouds, a whole batch at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats
from dnnmig_env.families.draw.ranges import Range
from dnnmig_env.scenarios.node import Node, Tier


class Machines(NamedTuple):
    """The attributes of many `Node`s, as arrays of one shape; an absent machine is infinitely fast."""

    flops_per_s: Floats
    memory_bytes_per_s: Floats
    layer_overhead_s: Floats
    memory_bytes: Floats

    def node(self, name: str, tier: Tier, *index: int) -> Node:
        """Return the machine at an index of the arrays as a `Node`."""
        return Node(name, tier, *(float(values[index]) for values in self))


@dataclass(frozen=True)
class MachineRanges:
    """Ranges within which machines of one kind lie. Fast machines tend to have fast memory and a small overhead."""

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
"""Weight of a machine's speed in its memory rate and in its overhead.

The place of a value within its range is 0 at the slow end and 1 at the fast end, on a log scale. The places of the
memory rate and of the overhead are each this weight times the place of the speed, plus the rest times a random place.
"""


def machine_ranges(device: Range, edge: Range, cloud: Range | None = None) -> tuple[MachineRanges, ...]:
    """Return the ranges of devices, of edges and, if there is one, of the cloud, given the ranges of their FLOP/s."""
    kinds = (replace(DEVICE, flops_per_s=device), replace(EDGE, flops_per_s=edge))
    return kinds if cloud is None else (*kinds, replace(CLOUD, flops_per_s=cloud))


def draw_machines(
    rng: np.random.Generator, kinds: tuple[MachineRanges, ...], kind: np.ndarray[tuple[int, ...], np.dtype[np.intp]]
) -> Machines:
    """Draw machines log-uniformly from the ranges of their kinds; they can hold any amount of weights.

    Args:
        rng: Source of randomness.
        kinds: The ranges of each kind of machine.
        kind: Index of each machine's kind, any shape.
    """
    logs = np.log([[k.flops_per_s, k.memory_bytes_per_s, k.layer_overhead_s[::-1]] for k in kinds])  # (kinds, 3, 2)
    low, span = logs[..., 0], logs[..., 1] - logs[..., 0]
    place = rng.random((*kind.shape, 3))
    place[..., 1:] += CORRELATION * (place[..., :1] - place[..., 1:])
    values = np.exp(low[kind] + place * span[kind])
    return Machines(values[..., 0], values[..., 1], values[..., 2], np.full(kind.shape, np.inf))


def without(machines: Machines, absent: Bools) -> Machines:
    """Return machines of which some are absent: these are infinitely fast, so nothing takes time, and hold nothing."""
    infinite = (np.where(absent, np.inf, values) for values in machines[:2])
    nothing = (np.where(absent, 0.0, values) for values in machines[2:])
    return Machines(*infinite, *nothing)
