"""Measured seconds per layer of one network on one machine: a file that scenarios accept in place of FLOP/s.

`python -m dnnmig_env profile` writes such files; reading them needs no torch. Those in `profiles/` come with the
project; each says on which machine and by which command it was measured. The machine was shared: of several runs the
one with the fastest whole forward pass was kept, and `whole_wall_s` beside `whole_s` tells how busy it was even then.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from dnnmig_env.files.atomic_file import replace_text
from dnnmig_env.files.quantities import Amount, Count, Positive, Quantity
from dnnmig_env.files.strict_model import Form, checked, suggestion
from dnnmig_env.files.yaml_json import parse_json
from dnnmig_env.networks.layer_graph import LayerGraph

FOLDER = Path(__file__).with_name("profiles")
"""Where the profiles lie that come with the project."""


class LayerTime(Form):
    """One layer and how long it takes.

    Attributes:
        name: Its name in the prepared graph.
        seconds: Median of one inference.
    """

    name: str
    seconds: Amount


class Circumstances(Form):
    """Where and how a profile was measured.

    Attributes:
        command: The command that does it again.
        versions: Of the libraries that the network came from and ran with.
        machine: The machine in words.
        device: `cpu` or `cuda`.
        threads: Threads that one operator may use (of the processor).
        clock: What was read: `process CPU time`, `wall clock` or `CUDA events`.
        repeats: Forward passes that each median is over.
        warm_up: Forward passes before those.
        rounds: How often all of that was done; the round with the fastest whole forward pass counts.
        load_average: Processes that wanted to run in the minute before that round (this one is among them, but for the
            first round); -1 where the system does not say.
        operator_overhead_s: What the instrument shows for an operator that does nothing: so much too long is each
            operator of a layer, at most.
        date: Day, as YYYY-MM-DD.
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


class Profile(Form):
    """Seconds per layer; immutable.

    Attributes:
        network: Name of the network.
        input_bytes: Bytes of its input, for this and the next two tell a network from one of the same layer names.
        flops: Its FLOPs.
        weight_bytes: Bytes of its weights.
        measured: Where and how.
        whole_s: Median of the whole forward pass without instruments, by the same clock.
        whole_wall_s: The same by the wall clock: more than `whole_s` if the machine was busy with something else.
        layers: The layers in topological order.

    Raises:
        ValueError: If no layer is given, or a name repeats.
    """

    network: str
    input_bytes: Quantity
    flops: Quantity
    weight_bytes: Quantity
    measured: Circumstances
    whole_s: Positive
    whole_wall_s: Positive
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
    def ratio(self) -> float:
        """The layers' seconds to those of the whole forward pass, which has Python, views and constants besides."""
        return self.layers_s / self.whole_s

    @property
    def size(self) -> tuple[int, int, int]:
        """What `size_of` says of the network."""
        return self.input_bytes, self.flops, self.weight_bytes

    def is_of(self, graph: LayerGraph) -> bool:
        """Tell whether a graph is of the same network with the same input, however its layers are grouped."""
        return self.size == size_of(graph)


def size_of(graph: LayerGraph) -> tuple[int, int, int]:
    """Return input bytes, FLOPs and weight bytes of a network, which no grouping changes."""
    return graph.input_bytes, int(graph.flops.sum()), int(graph.weight_bytes.sum())


def shipped() -> tuple[str, ...]:
    """Return the names of the profiles that come with the project, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


def find_profile(reference: str, folder: Path) -> Profile:
    """Read the profile that a scenario file names.

    Args:
        reference: A path that ends in .json, or the name of a shipped profile.
        folder: Where paths start.

    Raises:
        ValueError: If there is none, or it cannot be read.
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
        ValueError: In one line, if the file is missing, does not hold a profile, or its sums do not add up.
    """
    try:
        data = parse_json(path.read_text(encoding="utf-8"))
        given = [data.pop(key, None) for key in ("layers_s", "ratio")] if isinstance(data, dict) else []
        profile = checked(Profile, data)
        sums = list(_sums(profile).values())
        if any(value not in (None, right) for value, right in zip(given, sums, strict=True)):
            raise ValueError(f"layers_s and ratio are {given}, its layers give {sums}")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else reason
        raise ValueError(
            f"cannot read the profile {path}: {reason}; measure it with `python -m dnnmig_env profile`."
        ) from None
    return profile


def write_profile(profile: Profile, path: Path) -> None:
    """Write a profile in one go, one layer per line: a reader sees the old file or the new one, never a part.

    Raises:
        ValueError: If the file cannot be written.
    """
    data: dict[str, Any] = profile.model_dump(exclude={"layers"}) | _sums(profile)
    head = json.dumps(data, indent=2).removesuffix("\n}")
    rows = ",\n".join(f"    {json.dumps(layer.model_dump())}" for layer in profile.layers)
    replace_text(path, f'{head},\n  "layers": [\n{rows}\n  ]\n}}\n')


def rounded(values: Iterable[float]) -> list[float]:
    """Round to four significant digits, more than a measurement has."""
    return [float(f"{value:.4g}") for value in values]


def _sums(profile: Profile) -> dict[str, float]:
    layers_s, ratio = rounded([profile.layers_s, profile.ratio])
    return {"layers_s": layers_s, "ratio": ratio}
