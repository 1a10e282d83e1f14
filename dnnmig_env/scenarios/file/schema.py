"""What a scenario file may hold: one form for each kind of mapping in it, checked key by key by `strict_model`."""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeVar

from pydantic import Discriminator, Field, Tag, model_validator

from dnnmig_env.files.quantities import (
    MANY,
    ONE,
    Amount,
    BetweenServers,
    BytesPerInput,
    Capacity,
    Count,
    Index,
    InputShape,
    NamePerSlot,
    Number,
    PerSlot,
    Positive,
    Track,
)
from dnnmig_env.files.strict_model import Form
from dnnmig_env.networks.graph_file import GraphRow, LayerRow
from dnnmig_env.scenarios.uplink import Uplink

AnyForm = TypeVar("AnyForm", bound=Form)
TextOr = Annotated[
    Annotated[str, Tag(ONE)] | Annotated[AnyForm, Tag(MANY)],
    Discriminator(lambda value: MANY if isinstance(value, dict) else ONE),
]
"""A text, or a mapping of a given form in its place."""


class LayerForm(LayerRow):
    """A layer that is written in a scenario's file; without predecessors it reads the layer before it."""

    predecessors: list[Index] | None = None  # type: ignore[assignment]  # in a network's own file they are required


class GraphForm(GraphRow):
    """A `layer_graph.LayerGraph` that is written in a scenario's file, with all its layers."""

    layers: list[LayerForm]  # type: ignore[assignment]  # which need no predecessors


class DeviceForm(Form):
    """A `node.Node` that is a user's device."""

    name: str = "device"
    tier: Literal["device"] = "device"
    flops_per_s: Positive
    memory_bytes_per_s: Positive
    layer_overhead_s: Amount = 0.0
    memory_bytes: Capacity = math.inf


class ServerForm(DeviceForm):
    """A `node.Node` that is a server."""

    name: str
    tier: Literal["edge", "cloud"] = "edge"  # type: ignore[assignment]  # a server is no device


class LinkForm(Form):
    """Rates and latencies between one device and one server; without downlink values, those of the uplink hold."""

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
    """The links between servers, with exceptions for some pairs."""

    mbps: BetweenServers | None = None
    bytes_per_s: BetweenServers | None = None
    latency_s: BetweenServers = 0.0
    pairs: list[PairForm] = Field(default_factory=list)

    @model_validator(mode="after")
    def _has_one_rate(self) -> BackhaulForm:
        self.one_of("mbps", "bytes_per_s", required=False)
        return self


class MeasuredForm(Form):
    """A measured profile for one node, and the factor by which its seconds are multiplied."""

    profile: str
    scale: Positive = 1.0


class UserForm(Form):
    """A `scenario.User` and its links to servers."""

    name: str
    network: TextOr[GraphForm]
    max_layers: Count | None = None
    on_device: list[str] = Field(default_factory=list)
    input_shape: InputShape | None = None
    input_values: dict[str, Number | bool] | None = None
    state: list[str] | None = None
    input_bytes: BytesPerInput | None = None
    input_dtype: str | None = None
    input_ratio: Positive | None = None
    device: DeviceForm
    query_rate_hz: PerSlot = 1.0
    links: dict[str, LinkForm] = Field(default_factory=dict)
    profile_s: list[list[Amount]] | None = None
    profile: dict[str, TextOr[MeasuredForm]] | None = None
    uploaded: dict[str, str] = Field(default_factory=dict)
    copies: dict[str, list[str]] = Field(default_factory=dict)
    home: NamePerSlot | None = None

    @model_validator(mode="after")
    def _has_one_kind_of_profile(self) -> UserForm:
        self.one_of("profile_s", "profile", required=False)
        return self


class TrackForm(Form):
    """Where one user is and how it moves."""

    positions_m: Track
    velocities_m_per_s: Track | None = None


class MobilityForm(Form):
    """A `scenario.Mobility`, in which users and servers have names."""

    area_m: Positive = 1000.0
    users: dict[str, TrackForm]
    servers: dict[str, list[Number]] = Field(default_factory=dict)


class ScenarioForm(Form):
    """A whole file."""

    family: str = "custom"
    uplink: Uplink = "priority"
    moves: bool = False
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
