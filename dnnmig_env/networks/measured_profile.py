"""Measured profiles: seconds per layer of one network on one machine, which scenarios accept in place of FLOP/s.

`python -m dnnmig_env profile` writes such files, and `times` makes them of what was measured elsewhere; reading them
needs no torch. The profiles in `profiles/` come with the project; each says on which machine and by which command it
was measured. That machine was shared with others: of several measurements the one with the fastest whole forward pass
was kept, and how far its `whole_wall_s` exceeds its `whole_s` tells how busy the machine was even then.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from dnnmig_env.files.atomic_file import replace_text
from dnnmig_env.files.quantities import MANY, ONE, Amount, Count, Positive, Quantity
from dnnmig_env.files.strict_model import Form, checked
from dnnmig_env.files.suggestion import suggestion
from dnnmig_env.files.text_file import read_text
from dnnmig_env.files.yaml_json import parse_json
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.sent_input import network_input_bytes

FOLDER = Path(__file__).with_name("profiles")
"""Folder of the profiles that come with the project."""


class LayerTime(Form):
    """One layer and how long it takes.

    Attributes:
        name: Its name in the prepared graph.
        seconds: Median of its seconds in one inference.
        wall_s: The same by the wall clock, by which real runs live; None if it was not kept.
    """

    name: str
    seconds: Amount
    wall_s: Amount | None = None


class Circumstances(Form):
    """Where and how a profile was measured.

    Attributes:
        command: The command that repeats the measurement.
        versions: Versions of the libraries from which the network came and with which it ran.
        machine: The machine in words.
        device: `cpu` or `cuda`.
        threads: Processor threads that one operator may use.
        clock: The clock that was read: `process CPU time`, `wall clock` or `CUDA events`.
        repeats: Number of forward passes over which each median is taken.
        warm_up: Number of forward passes before those.
        rounds: Number of rounds of such passes; the round with the fastest whole forward pass counts.
        load_average: Number of processes that wanted to run in the minute before that round (from the second round on,
            this process is among them); -1 where the system does not say.
        operator_overhead_s: Seconds that the instrument shows for an operator that does nothing; the measured time of
            each operator of a layer is too long by at most this much.
        date: Day of the measurement, as YYYY-MM-DD.
    """

    command: str
    versions: str
    machine: str
    device: str
    threads: Count
    clock: str
    repeats: Count
    warm_up: Quantity
    rounds: Count
    load_average: float
    operator_overhead_s: Amount
    date: str


class Elsewhere(Form):
    """Where the times of a profile come from that was measured elsewhere and read from a table.

    Attributes:
        file: Name of the table's file.
        node: Kind of node that was measured, as the table says.
        machine: The machine in words.
        read: Day on which the table was read, as YYYY-MM-DD.
    """

    file: str
    node: str
    machine: str
    read: str


class Profile(Form):
    """Seconds per layer of one network on one machine; immutable.

    Attributes:
        network: Name of the network.
        input_bytes: Bytes of its input. Input, FLOPs and weights tell networks with the same layer names apart.
        flops: FLOPs of the network.
        weight_bytes: Bytes of its weights.
        measured: Where and how it was measured.
        whole_s: Median seconds of the whole forward pass without instruments, by the same clock; None if it is not
            known.
        whole_wall_s: Median seconds of the same passes by the wall clock; more than `whole_s` if the machine was busy
            with something else.
        layers: The layers in topological order.

    Raises:
        ValueError: If no layer is given, or a name repeats.
    """

    network: str
    input_bytes: Quantity
    flops: Quantity
    weight_bytes: Quantity
    measured: Annotated[
        Annotated[Circumstances, Tag(ONE)] | Annotated[Elsewhere, Tag(MANY)],
        Discriminator(lambda value: MANY if isinstance(value, Elsewhere) or _names_a_file(value) else ONE),
    ]
    whole_s: Positive | None = None
    whole_wall_s: Positive | None = None
    layers: Annotated[tuple[LayerTime, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _has_unique_names(self) -> Profile:
        names = self.names
        if len(set(names)) < len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"layers repeats the name {repeated!r}; names must be unique")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the layers."""
        return tuple(layer.name for layer in self.layers)

    @property
    def seconds(self) -> tuple[float, ...]:
        """Seconds of the layers."""
        return tuple(layer.seconds for layer in self.layers)

    @property
    def layers_s(self) -> float:
        """Seconds of all layers together."""
        return math.fsum(self.seconds)

    @property
    def ratio(self) -> float | None:
        """Seconds of all layers by those of the whole forward pass, which also runs Python code, views, constants.

        None if the latter are not known.
        """
        return None if self.whole_s is None else self.layers_s / self.whole_s

    @property
    def size(self) -> tuple[int, int, int]:
        """Input bytes, FLOPs and weight bytes of the network, as `size_of` returns them for a graph."""
        return self.input_bytes, self.flops, self.weight_bytes

    def is_of(self, graph: LayerGraph) -> bool:
        """Return whether a graph is of the same network with the same input, however its layers are grouped."""
        return self.size == size_of(graph)


def size_of(graph: LayerGraph) -> tuple[int, int, int]:
    """Return input bytes, FLOPs and weight bytes of a network, which neither grouping nor what is sent changes."""
    return network_input_bytes(graph), int(graph.flops.sum()), int(graph.weight_bytes.sum())


def shipped() -> tuple[str, ...]:
    """Return the names of the profiles that come with the project, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


def find_profile(reference: str, folder: Path) -> Profile:
    """Read the profile that a scenario file names.

    Args:
        reference: A path that ends in .json, or the name of a shipped profile.
        folder: Folder to which paths are relative.

    Raises:
        ValueError: If there is no such profile, or it cannot be read.
    """
    if reference.endswith(".json"):
        return read_profile(folder / reference)
    if reference not in shipped():
        raise ValueError(
            f"there is no profile {reference!r}; {suggestion(reference, shipped())} A file's name ends in .json."
        )
    return read_profile(FOLDER / f"{reference}.json")


def read_profile(path: Path) -> Profile:
    """Read a profile that `write_profile` wrote.

    Raises:
        ValueError: If the file cannot be read, does not hold a profile, or its sums do not add up; in one line.
    """
    try:
        data = parse_json(read_text(path))
        given = [data.pop(key, None) for key in ("layers_s", "ratio")] if isinstance(data, dict) else []
        profile = checked(Profile, data)
        sums = [_sums(profile).get(key) for key in ("layers_s", "ratio")]
        if any(value not in (None, right) for value, right in zip(given, sums, strict=True)):
            raise ValueError(f"layers_s and ratio are {given}, its layers give {sums}")
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise ValueError(
            f"cannot read the profile {path}: {reason}; measure it with `python -m dnnmig_env profile`."
        ) from None
    return profile


def write_profile(profile: Profile, path: Path) -> None:
    """Write a profile in one go, one layer per line: a reader sees the old file or the new one, never a part.

    Raises:
        ValueError: If the file cannot be written.
    """
    replace_text(path, profile_text(profile))


def profile_text(profile: Profile) -> str:
    """Return what `write_profile` writes."""
    data: dict[str, Any] = profile.model_dump(exclude={"layers"}, exclude_none=True) | _sums(profile)
    head = json.dumps(data, indent=2).removesuffix("\n}")
    rows = ",\n".join(f"    {json.dumps(layer.model_dump(exclude_none=True))}" for layer in profile.layers)
    return f'{head},\n  "layers": [\n{rows}\n  ]\n}}\n'


def rounded(values: Iterable[float]) -> list[float]:
    """Return the values rounded to four significant digits, which is more than a measurement has."""
    return [float(f"{value:.4g}") for value in values]


def _names_a_file(value: object) -> bool:
    return isinstance(value, dict) and "file" in value


def _sums(profile: Profile) -> dict[str, float]:
    sums = {"layers_s": profile.layers_s} | ({} if profile.ratio is None else {"ratio": profile.ratio})
    return dict(zip(sums, rounded(sums.values()), strict=True))
