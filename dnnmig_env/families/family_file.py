"""A distribution of one's own as a YAML or JSON file: a family, its options, lists of networks, machines and traces.

A scenario file is one, too: its scenario is drawn every time. So is a list of them, of which each is as probable:

    scenarios: [home.yaml, office.yaml]

A file with every key; those marked "=" may be left out:

    family: multi-user              # the family whose generator draws
    networks: [my_net.json, vgg16]  # = the family's; names in the zoo, files of traced networks, or train, test, all
    traces: [walk.csv, bus.mahi]    # = none; recorded rates of users
    positions: town.fcd.xml         # = none; where users are, for the family city
    devices:                        # = the family's; each user's device is one of these
      - {flops_per_s: [2e9, 8e9], memory_bytes_per_s: 1e10, layer_overhead_s: 5e-5}
    edges:                          # = the family's; likewise; memory_bytes: = as the family limits it
      - {flops_per_s: 1e12, memory_bytes_per_s: 4e11, layer_overhead_s: 1e-5, memory_bytes: [1e9, 2e9]}
    clouds: [...]                   # = the family's; likewise
    options:                        # = none; further options of the family's generator
      num_users: [2, 5]             # a range; one number stands for a range of that value
      access_mbps: {one_of: [5, [40, 80]]}  # a choice: 5, or from 40 to 80

Whatever is in a list is drawn with the same probability for each user, edge or cloud; what stands in it twice is twice
as probable. Numbers between the ends of a range are drawn as the family's documentation says. Paths are relative to the
file's folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator, model_validator

from dnnmig_env.files.strict_model import Form, checked
from dnnmig_env.files.text_file import read_text
from dnnmig_env.files.yaml_json import FORMATS

GIVEN = "dnnmig_env.families.given:Given"
"""The family of scenarios that are given as files."""


@dataclass(frozen=True)
class FamilyFile:
    """What a file says.

    Attributes:
        family: Name of the family whose generator draws.
        options: Options of its generator.
    """

    family: str
    options: dict[str, Any]


def is_family_file(name: str) -> bool:
    """Return whether a family's name is that of a file, as it ends in .yaml, .yml or .json."""
    return Path(name).suffix.lower() in FORMATS


def read_family(path: str | Path) -> FamilyFile:
    """Read a distribution from a file.

    Whether the family has these options, and may have these values, is not checked.

    Raises:
        ValueError: If the file cannot be read, or has an unknown key or a value of the wrong kind; in one line that
            names the file, the place in it and the remedy.
    """
    path = Path(path)
    parse, _ = FORMATS[path.suffix.lower()]
    try:
        said = parse(read_text(path, "give an existing .yaml or .json file"))
        if isinstance(said, dict) and {"servers", "users"} <= said.keys():
            return FamilyFile(GIVEN, {"scenarios": (str(path),)})
        if isinstance(said, dict) and "scenarios" in said:
            files = checked(_ScenariosForm, said).scenarios
            return FamilyFile(GIVEN, {"scenarios": tuple(str(path.parent / file) for file in files)})
        form = checked(_FamilyForm, said)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    options = dict(form.options)
    for name in ("devices", "edges", "clouds"):
        if getattr(form, name) is not None:
            options[name] = tuple(getattr(form, name))
    if form.networks is not None:
        options["networks"] = (
            form.networks if isinstance(form.networks, str) else tuple(_place(path, name) for name in form.networks)
        )
    if form.traces:
        options["traces"] = tuple(str(path.parent / trace) for trace in form.traces)
    if form.positions is not None:
        options["positions"] = str(path.parent / form.positions)
    return FamilyFile(form.family, options)


def _place(path: Path, network: str) -> str:
    """Return a network's name, or the path of its file."""
    return str(path.parent / network) if network.endswith(".json") else network


def _names(value: Any) -> str | list[str]:
    if isinstance(value, str) and not value.endswith(".json"):
        return value
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not found or not all(isinstance(name, str) for name in found):
        raise ValueError("must be train, test, all, or a list of names and files")
    return found


def _option(value: Any) -> Any:
    """Return the value of an option as generators take it: tuples for lists, pairs for a choice among ranges."""
    if isinstance(value, dict):
        if set(value) != {"one_of"} or not isinstance(value["one_of"], list) or not value["one_of"]:
            raise ValueError(f"{value!r}; write a number, a range such as [1, 2], or {{one_of: [1, [5, 8]]}}")
        return tuple(tuple(each) if isinstance(each, list) else (each, each) for each in value["one_of"])
    return tuple(_option(each) for each in value) if isinstance(value, list) else value


class _ScenariosForm(Form):
    scenarios: Annotated[list[str], Field(min_length=1)]


class _FamilyForm(Form):
    family: str
    networks: Annotated[Any, PlainValidator(_names)] = None
    traces: list[str] = Field(default_factory=list)
    positions: str | None = None
    devices: list[dict[str, Any]] | None = None
    edges: list[dict[str, Any]] | None = None
    clouds: list[dict[str, Any]] | None = None
    options: dict[str, Annotated[Any, PlainValidator(_option)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_said_once(self) -> _FamilyForm:
        for name in self.options:
            if name in type(self).model_fields:
                raise ValueError(f"options has {name!r}; write {name} beside options, at the top of the file")
        return self
