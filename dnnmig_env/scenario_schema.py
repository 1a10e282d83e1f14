"""What a scenario file may hold, checked key by key; an error names the place, the value and the remedy."""

from __future__ import annotations

import difflib
import math
import reprlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator
from pydantic_core import ErrorDetails

from dnnmig_env.scenario_quantities import (
    MANY,
    ONE,
    Amount,
    BetweenServers,
    Capacity,
    Count,
    Index,
    Number,
    PerSlot,
    Positive,
    Quantity,
    Track,
)


def checked_form(data: object) -> ScenarioForm:
    """Check the content of a scenario file.

    Args:
        data: Mappings, lists, texts and numbers.

    Raises:
        ValueError: In one line, such as `users[0].device.flops_per_s: -1; must be positive`.
    """
    try:
        return ScenarioForm.model_validate(data)
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
        more = f" (and {len(others)} more)" if others else ""
        raise ValueError(f"{_explained(first)}{more}") from None


def inside(place: str, step: int | str) -> str:
    """Return the place of a key or item, written as in Python: `users[0].device.flops_per_s`."""
    if isinstance(step, str) and step.isidentifier():
        return f"{place}.{step}" if place else step
    return f"{place}[{step!r}]"


def suggestion(name: object, known: Iterable[str]) -> str:
    """Return the remedy for an unknown name: the closest known one, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(map(repr, names))}."


class Form(BaseModel):
    """A mapping whose keys are all known."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _knows_every_key(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    raise ValueError(f"unknown key {key!r}; {suggestion(key, cls.model_fields)}")
        return data

    def one_of(self, *keys: str, required: bool = True) -> None:
        """Raise unless exactly one of some keys is given, or at most one if none is required."""
        given = [key for key in keys if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"both {given[0]} and {given[1]} are given; keep one")
        if required and not given:
            raise ValueError(f"none of {', '.join(keys)} is given; give one")


class LayerForm(Form):
    """`layer_graph.Layer`; without predecessors it reads the layer before it."""

    name: str
    flops: Quantity
    weight_bytes: Quantity
    output_bytes: Quantity
    predecessors: list[Index] | None = None
    internal_bytes: Quantity = 0
    operators: Quantity = 1


class GraphForm(Form):
    """`layer_graph.LayerGraph`."""

    name: str
    input_bytes: Quantity
    layers: list[LayerForm]
    origin: str = ""


class DeviceForm(Form):
    """`cluster.Node` in a user's hand."""

    name: str = "device"
    tier: Literal["device", "edge", "cloud"] = "device"
    flops_per_s: Positive
    memory_bytes_per_s: Positive
    layer_overhead_s: Amount = 0.0
    memory_bytes: Capacity = math.inf


class ServerForm(DeviceForm):
    """`cluster.Node` that serves users."""

    name: str
    tier: Literal["device", "edge", "cloud"] = "edge"


class LinkForm(Form):
    """Rates and latencies between one device and one server."""

    up_mbps: PerSlot | None = None
    up_bytes_per_s: PerSlot | None = None
    trace: str | None = None
    trace_offset_s: Number = 0.0
    down_mbps: PerSlot | None = None
    down_bytes_per_s: PerSlot | None = None
    latency_s: PerSlot = 0.0
    down_latency_s: PerSlot | None = None

    @model_validator(mode="after")
    def _has_one_rate(self) -> LinkForm:
        self.one_of("up_mbps", "up_bytes_per_s", "trace")
        self.one_of("down_mbps", "down_bytes_per_s", required=False)
        if self.trace is None and self.trace_offset_s:
            raise ValueError("trace_offset_s is given without a trace; remove it or give one")
        return self


class PairForm(Form):
    """The link between two servers, both ways."""

    between: list[str]
    mbps: Amount | None = None
    bytes_per_s: Amount | None = None
    latency_s: Amount | None = None

    @model_validator(mode="after")
    def _is_a_pair(self) -> PairForm:
        self.one_of("mbps", "bytes_per_s", required=False)
        if len(set(self.between)) != 2 or len(self.between) != 2:
            raise ValueError(f"between is {self.between}; name two different servers")
        return self


class BackhaulForm(Form):
    """Links between servers, with exceptions for some pairs."""

    mbps: BetweenServers | None = None
    bytes_per_s: BetweenServers | None = None
    latency_s: BetweenServers = 0.0
    pairs: list[PairForm] = []

    @model_validator(mode="after")
    def _has_one_rate(self) -> BackhaulForm:
        self.one_of("mbps", "bytes_per_s", required=False)
        return self


class UserForm(Form):
    """`scenario.User` and its links."""

    name: str
    network: Annotated[
        Annotated[str, Tag(ONE)] | Annotated[GraphForm, Tag(MANY)],
        Discriminator(lambda value: MANY if isinstance(value, dict) else ONE),
    ]
    max_layers: Count | None = None
    device: DeviceForm
    query_rate_hz: PerSlot = 1.0
    links: dict[str, LinkForm] = {}
    profile_s: list[list[Amount]] | None = None
    uploaded: dict[str, str] = {}


class TrackForm(Form):
    """Where one user is and how it moves."""

    positions_m: Track
    velocities_m_per_s: Track | None = None


class MobilityForm(Form):
    """`scenario.Mobility`, by name."""

    area_m: Positive = 1000.0
    users: dict[str, TrackForm]
    servers: dict[str, list[Number]] = {}


class ScenarioForm(Form):
    """A whole file."""

    family: str = "custom"
    horizon_s: Positive
    slot_s: Positive | None = None
    slot_starts_s: list[Amount] | None = None
    servers: Annotated[list[ServerForm], Field(min_length=1)]
    backhaul: BackhaulForm = BackhaulForm()
    default_link: LinkForm | None = None
    users: Annotated[list[UserForm], Field(min_length=1)]
    mobility: MobilityForm | None = None

    @model_validator(mode="after")
    def _has_one_kind_of_slots(self) -> ScenarioForm:
        self.one_of("slot_s", "slot_starts_s", required=False)
        return self


_REASONS = {
    "missing": "missing; add it",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "list_type": "must be a list",
    "too_short": "must not be empty; give at least one",
    "string_type": "must be text; put it in quotes",
}


def _explained(error: ErrorDetails) -> str:
    """Return `place: value; reason` for one of pydantic's errors."""
    kind, context = error["type"], error.get("ctx", {})
    reason = str(context["error"]) if "error" in context else _REASONS.get(kind, error["msg"])
    if kind == "literal_error":
        reason = f"must be {context['expected']}"
    words = [reason]
    if kind != "missing" and not isinstance(error["input"], dict):
        words.insert(0, reprlib.repr(error["input"]))
    place = _place(error["loc"])
    return f"{place}: {'; '.join(words)}" if place else "; ".join(words)


def _place(path: Iterable[int | str]) -> str:
    place = ""
    for step in path:
        if step not in (ONE, MANY, "[key]"):
            place = inside(place, step)
    return place
