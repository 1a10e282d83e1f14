"""Draws devices, edge servers and clouds, a whole batch at once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import PlainValidator

from dnnmig_env.arrays import Bools, Floats
from dnnmig_env.families.draw.ranges import Range, Ranges, check_replaced, positive_range
from dnnmig_env.files.strict_model import Form, checked
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
    """Ranges within which machines of one kind lie. Fast machines tend to have fast memory and a small overhead.

    `memory_bytes` is the room for weights, log-uniform in its range; None: as the family limits it, if it does.
    """

    flops_per_s: Range
    memory_bytes_per_s: Range
    layer_overhead_s: Range
    memory_bytes: Range | None = None


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


@dataclass(frozen=True, kw_only=True)
class MachineLists:
    """Options of generators: lists of machines from which devices, edges and clouds are drawn.

    Each device, edge or cloud is one of its list, all with the same probability; what is a range in that is then drawn
    as described at `CORRELATION`. A machine is a mapping with `flops_per_s`, `memory_bytes_per_s`,
    `layer_overhead_s` and, for edges and clouds, perhaps `memory_bytes`, the room for weights that takes the place of
    the family's limit; each is a number or a range. Or it is `MachineRanges`.

    Attributes:
        devices: Devices, in place of those of `device_flops_per_s`.
        edges: Edges, in place of those of `edge_flops_per_s`.
        clouds: Clouds, in place of those of `cloud_flops_per_s`.
    """

    devices: tuple[MachineRanges, ...] = ()
    edges: tuple[MachineRanges, ...] = ()
    clouds: tuple[MachineRanges, ...] = ()

    def check_machines(self) -> None:
        """Check the lists, and make mappings in them `MachineRanges`.

        Raises:
            ValueError: If one is no list of machines, or there are clouds where none is drawn; the error names the
                place, the value and the remedy.
        """
        for name in ("devices", "edges", "clouds"):
            object.__setattr__(self, name, _checked_machines(name, getattr(self, name)))
        if self.clouds and not hasattr(self, "cloud_flops_per_s"):
            raise ValueError("clouds are given, but these scenarios have no cloud; leave them out.")
        for lists, speeds in (("devices", "device"), ("edges", "edge"), ("clouds", "cloud")):
            check_replaced(self, lists, f"{speeds}_flops_per_s")
        for place, device in enumerate(self.devices):
            if device.memory_bytes is not None:
                raise ValueError(
                    f"devices[{place}].memory_bytes is {device.memory_bytes!r}, but a device holds its whole network; "
                    "leave it out."
                )


class _MachineForm(Form):
    flops_per_s: Annotated[Any, PlainValidator(lambda value: _range("flops_per_s", value))]
    memory_bytes_per_s: Annotated[Any, PlainValidator(lambda value: _range("memory_bytes_per_s", value))]
    layer_overhead_s: Annotated[Any, PlainValidator(lambda value: _range("layer_overhead_s", value))]
    memory_bytes: Annotated[Any, PlainValidator(lambda value: _range_or_none("memory_bytes", value))] = None


class _MachinesForm(Form):
    machines: list[_MachineForm]


def machine_kinds(options: Any) -> tuple[tuple[MachineRanges, ...], ...]:
    """Return the kinds of devices, of edges and, if there is one, of the cloud.

    Args:
        options: Generator whose options are `MachineLists`, `device_flops_per_s`, `edge_flops_per_s` and perhaps
            `cloud_flops_per_s`.
    """
    kinds = [
        options.devices or _at_speeds(DEVICE, options.device_flops_per_s),
        options.edges or _at_speeds(EDGE, options.edge_flops_per_s),
    ]
    if hasattr(options, "cloud_flops_per_s"):
        kinds.append(options.clouds or _at_speeds(CLOUD, options.cloud_flops_per_s))
    return tuple(kinds)


def draw_machines(
    rng: np.random.Generator, kinds: tuple[MachineRanges, ...], kind: np.ndarray[tuple[int, ...], np.dtype[np.intp]]
) -> Machines:
    """Draw machines log-uniformly from the ranges of their kinds; without a range, they can hold any amount of weights.

    Args:
        rng: Source of randomness.
        kinds: The ranges of each kind of machine.
        kind: Index of each machine's kind, any shape.
    """
    ends = np.array([[k.flops_per_s, k.memory_bytes_per_s, k.layer_overhead_s[::-1]] for k in kinds])  # (kinds, 3, 2)
    logs = np.log(ends)
    low, span = logs[..., 0], logs[..., 1] - logs[..., 0]
    place = rng.random((*kind.shape, 3))
    place[..., 1:] += CORRELATION * (place[..., :1] - place[..., 1:])
    # Where a range is one number, it is that number: rounding would make 99999999999.99985 of 1e11.
    values = np.where(span[kind] == 0.0, ends[kind, :, 0], np.exp(low[kind] + place * span[kind]))
    memory_bytes = np.full(kind.shape, np.inf)
    if any(each.memory_bytes is not None for each in kinds):
        bounds = np.array([each.memory_bytes or (np.inf, np.inf) for each in kinds])
        limited = np.isfinite(bounds[kind, 0])
        least, most = bounds[kind[limited]].T
        drawn = np.exp(np.log(least) + rng.random(kind.shape)[limited] * (np.log(most) - np.log(least)))
        memory_bytes[limited] = np.where(least == most, least, drawn)
    return Machines(values[..., 0], values[..., 1], values[..., 2], memory_bytes)


def without(machines: Machines, absent: Bools) -> Machines:
    """Return machines of which some are absent: these are infinitely fast, so nothing takes time, and hold nothing."""
    infinite = (np.where(absent, np.inf, values) for values in machines[:2])
    nothing = (np.where(absent, 0.0, values) for values in machines[2:])
    return Machines(*infinite, *nothing)


def _at_speeds(usual: MachineRanges, flops_per_s: Ranges) -> tuple[MachineRanges, ...]:
    """Return a usual kind of machine with each of some ranges of speeds."""
    ranges = np.array(flops_per_s, np.float64).reshape(-1, 2)
    return tuple(replace(usual, flops_per_s=(float(low), float(high))) for low, high in ranges)


def _checked_machines(name: str, value: Any) -> tuple[MachineRanges, ...]:
    if not isinstance(value, tuple | list):
        raise ValueError(f"{name} is {value!r}; give a list of machines.")
    given = [asdict(each) if isinstance(each, MachineRanges) else each for each in value]
    try:
        form = checked(_MachinesForm, {"machines": given})
    except ValueError as error:
        raise ValueError(str(error).replace("machines", name, 1)) from None
    return tuple(MachineRanges(**each.model_dump()) for each in form.machines)


def _range_or_none(name: str, value: Any) -> Range | None:
    return None if value is None else _range(name, value)


def _range(name: str, value: Any) -> Range:
    """Return a range of positive numbers; the error begins after the name, which the place of it has already."""
    try:
        return positive_range(name, value)
    except ValueError as error:
        raise ValueError(str(error).partition("; ")[2]) from None
