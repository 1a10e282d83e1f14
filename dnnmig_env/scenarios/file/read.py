"""Builds a scenario from the checked content of a file; every error begins with the place in the file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dnnmig_env.arrays import Bools, Floats
from dnnmig_env.files.strict_model import inside
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.scenarios.bounds import LATENCY, LINK_RATE, OFFSET, QUERY_RATE, check_bounds
from dnnmig_env.scenarios.file.frame import Frame, at, index_of, per_slot, table_of
from dnnmig_env.scenarios.file.network import networks_of, sent_graph
from dnnmig_env.scenarios.file.places import homes_of, mobility_of
from dnnmig_env.scenarios.file.profiles import Measure, groups_of, profile_table
from dnnmig_env.scenarios.file.schema import (
    BackhaulForm,
    DeviceForm,
    LinkForm,
    ScenarioForm,
    UserForm,
)
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.scenarios.slots import uniform_starts
from dnnmig_env.scenarios.traces import BYTES_PER_S, load_trace

MAX_SLOTS = 100_000
"""Most time slots that `slot_s` may make; more are taken for a mistyped length."""

DEFAULT_BACKHAUL_MBPS = 1000.0
"""Rate between servers if a file does not give one; it is the default of `Links`."""


def scenario_of(form: ScenarioForm, folder: Path, measure: Measure | None = None) -> Scenario:
    """Build the scenario that a file describes.

    Args:
        form: The content of the file.
        folder: Folder to which paths in the file are relative.
        measure: What measures layers on this machine where the file asks for it; by default nothing does.

    Raises:
        ValueError: If the scenario is not valid, in one line that begins with the place, such as `users[0].links`.
    """
    servers = tuple(_node(f"servers[{server_index}]", server) for server_index, server in enumerate(form.servers))
    frame = Frame(folder, form.horizon_s, _slot_starts(form), [server.name for server in servers], measure)
    users = tuple(_user(f"users[{user_index}]", user, frame, servers) for user_index, user in enumerate(form.users))
    links, mobility = _links(form, frame), mobility_of(form, frame)
    try:
        return Scenario(
            users, servers, links, form.horizon_s, frame.starts_s, mobility, form.family, form.uplink, form.moves
        )
    except ValueError as error:
        raise ValueError(f"{_place_of(str(error), form)}{error}") from None


class _Link(NamedTuple):
    """The rates and latencies of one link in each slot, shape (T,) each."""

    up_bytes_per_s: Floats
    down_bytes_per_s: Floats
    up_latency_s: Floats
    down_latency_s: Floats


def _place_of(message: str, form: ScenarioForm) -> str:
    """Return the place in the file of an error of `Scenario`, which begins with "user" or "server" and a name."""
    named = {"user": [user.name for user in form.users], "server": [server.name for server in form.servers]}
    for kind, names in named.items():
        for index, name in enumerate(names):
            if message.startswith(f"{kind} {name!r}"):
                return f"{kind}s[{index}]: "
    return ""


def _slot_starts(form: ScenarioForm) -> Floats:
    if form.slot_s is not None:
        if form.horizon_s / MAX_SLOTS > form.slot_s:
            raise ValueError(
                f"slot_s: {form.slot_s}; the horizon has more than {MAX_SLOTS} of them, give a longer one."
            )
        return uniform_starts(form.slot_s, form.horizon_s)
    starts = [0.0] if form.slot_starts_s is None else form.slot_starts_s
    if not starts or starts[0] != 0 or any(later <= start for start, later in pairwise([*starts, form.horizon_s])):
        raise ValueError(f"slot_starts_s: {starts}; slots start at 0, increase, and begin before the horizon.")
    return np.array(starts, dtype=np.float64)


def _node(place: str, form: DeviceForm) -> Node:
    with at(place):
        return Node(**{**dict(form), "tier": Tier(form.tier)})


def _user(place: str, form: UserForm, frame: Frame, servers: tuple[Node, ...]) -> User:
    with at(f"{place}.network"):
        forms = networks_of(form, frame.folder)
    graph = forms[-1]
    with at(place):
        sent = sent_graph(form, graph)
    device = _node(f"{place}.device", form.device)
    profile: ArrayLike | None = None
    if form.profile_s is not None:
        groups = groups_of(len(form.profile_s), forms)
        shape = (sum(map(len, groups)), 1 + len(frame.servers))
        meaning = "a row per layer, a column for the device and each server"
        rows = table_of(f"{place}.profile_s", form.profile_s, shape, meaning)
        profile = np.stack([rows[list(group)].sum(axis=0) for group in groups])
    elif form.profile:
        nodes = (device, *servers)
        profile = profile_table(f"{place}.profile", form.profile, forms, nodes, frame.folder, frame.measure)
    return User(
        name=form.name,
        graph=sent,
        device=device,
        query_rate_hz=per_slot(f"{place}.query_rate_hz", form.query_rate_hz, frame, QUERY_RATE),
        profile_s=profile,
        uploaded=_uploaded(f"{place}.uploaded", form.uploaded, graph, frame),
        copies=_copies(f"{place}.copies", form.copies, graph, frame),
    )


def _uploaded(place: str, uploaded: dict[str, str], graph: LayerGraph, frame: Frame) -> list[int]:
    names = [layer.name for layer in graph.layers]
    result = [0] * len(names)
    for name, server in uploaded.items():
        layer = index_of(place, "layer", name, names)
        result[layer] = 1 + index_of(inside(place, name), "server", server, frame.servers)
    return result


def _copies(place: str, copies: dict[str, list[str]], graph: LayerGraph, frame: Frame) -> Bools | None:
    if not copies:
        return None
    names = [layer.name for layer in graph.layers]
    result = np.zeros((len(names), len(frame.servers)), np.bool_)
    for name, servers in copies.items():
        layer = index_of(place, "layer", name, names)
        for server in servers:
            result[layer, index_of(inside(place, name), "server", server, frame.servers)] = True
    return result


def _links(form: ScenarioForm, frame: Frame) -> Links:
    default = None if form.default_link is None else _link("default_link", form.default_link, frame)
    rows = []
    for user_index, user in enumerate(form.users):
        place = f"users[{user_index}].links"
        for name in user.links:
            index_of(place, "server", name, frame.servers)
        for name in frame.servers:
            link = _link(inside(place, name), user.links[name], frame) if name in user.links else default
            if link is None:
                raise ValueError(f"{place}: server {name!r} has no link; add {name!r} here or give a default_link.")
            rows.append(link)
    shape = (4, len(frame.starts_s), len(form.users), len(frame.servers))
    up, down, up_latency, down_latency = np.array(rows).reshape(*shape[2:], *shape[:2]).transpose(2, 3, 0, 1)
    between = _backhaul(form.backhaul, frame)
    return Links(up, down, up_latency, down_latency, *between, home=homes_of(form, frame))


def _link(place: str, form: LinkForm, frame: Frame) -> _Link:
    if form.trace is None:
        up = _rates(place, "up_", form, frame)
    else:
        with at(f"{place}.trace"):
            trace = load_trace(frame.folder / form.trace)
            check_bounds("trace_offset_s", form.trace_offset_s, OFFSET)
            up = trace.mean_rates(frame.starts_s, frame.horizon_s, form.trace_offset_s)
            if len(frame.starts_s) == 1 and not trace.is_constant:
                raise ValueError(
                    "the scenario has one slot, in which the trace would count by its mean alone; give slot_s, the "
                    "seconds over which rates are averaged, such as slot_s: 1, or the mean itself as up_mbps"
                )
    has_down = form.down_mbps is not None or form.down_bytes_per_s is not None
    down = _rates(place, "down_", form, frame) if has_down else up
    latency = back = per_slot(f"{place}.latency_s", form.latency_s, frame, LATENCY)
    if form.down_latency_s is not None:
        back = per_slot(f"{place}.down_latency_s", form.down_latency_s, frame, LATENCY)
    return _Link(up, down, latency, back)


def _rates(place: str, way: str, form: LinkForm, frame: Frame) -> Floats:
    key = next(way + unit for unit in BYTES_PER_S if getattr(form, way + unit) is not None)
    return per_slot(f"{place}.{key}", getattr(form, key), frame, LINK_RATE, BYTES_PER_S[key.removeprefix(way)])


def _backhaul(form: BackhaulForm, frame: Frame) -> tuple[Floats, Floats]:
    count = len(frame.servers)

    def table(key: str, value: float | list[list[float]]) -> Floats:
        if isinstance(value, list):
            return table_of(
                f"backhaul.{key}", value, (count, count), "a row per sending, a column per receiving server"
            )
        return np.full((count, count), float(value))

    if form.bytes_per_s is not None:
        rates = table("bytes_per_s", form.bytes_per_s)
    else:
        rates = table("mbps", DEFAULT_BACKHAUL_MBPS if form.mbps is None else form.mbps) * BYTES_PER_S["mbps"]
    latencies = table("latency_s", form.latency_s)
    for number, pair in enumerate(form.pairs):
        one, other = (index_of(f"backhaul.pairs[{number}]", "server", name, frame.servers) for name in pair.between)
        for ends in ((one, other), (other, one)):
            if pair.bytes_per_s is not None:
                rates[ends] = pair.bytes_per_s
            elif pair.mbps is not None:
                rates[ends] = pair.mbps * BYTES_PER_S["mbps"]
            if pair.latency_s is not None:
                latencies[ends] = pair.latency_s
    return rates, latencies
