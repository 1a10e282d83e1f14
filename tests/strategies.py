"""Random scenarios and plans with everything in them that the model knows, from a generator or from Hypothesis."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from hypothesis import strategies as st

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.scenarios.uplink import UPLINKS, Uplink
from dnnmig_env.scenarios.validation import held_by
from dnnmig_env.simulation.plan import Plan, Upload


class Choices(Protocol):
    """Where the choices of a random object come from."""

    def integer(self, low: int, high: int) -> int: ...

    def number(self, low: float, high: float) -> float: ...


@dataclass(frozen=True)
class RandomChoices:
    """Choices of a random generator: fast, and never two equal numbers."""

    rng: np.random.Generator

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def number(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))


@dataclass(frozen=True)
class DrawnChoices:
    """Choices of Hypothesis: round numbers, ties and extremes; a failing example shrinks."""

    draw: Callable[[st.SearchStrategy[Any]], Any]

    def integer(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def number(self, low: float, high: float) -> float:
        # Quarters of a per cent: no subnormal numbers, which break laws by rounding alone.
        return low + (high - low) * float(self.draw(st.integers(0, 400))) / 400


@dataclass(frozen=True)
class Sizes:
    """What a random scenario may hold at most; the least is one of each."""

    users: int = 3
    layers: int = 7
    servers: int = 3
    slots: int = 4
    chain: bool = False
    outages: bool = True
    absences: bool = True
    uploaded: bool = True
    profiles: bool = True
    sharing: bool = True
    staying: bool = True
    uplinks: tuple[Uplink, ...] = UPLINKS


MOVING = Sizes(users=4, layers=5, slots=6)
"""Small scenarios with enough users and slots for room to be made and transfers to be broken off."""


def make_graph(choices: Choices, sizes: Sizes = Sizes(), name: str = "net") -> LayerGraph:
    """Make a network with branches, weightless layers, several inputs with several readers, and several outputs.

    Some layers share the weights of others, some have to stay on the device, some outputs are read inside as well.
    """
    layers, num_inputs = [], 1 if sizes.chain or not _happens(choices, 0.3) else choices.integer(2, 3)
    for v in range(choices.integer(1, sizes.layers)):
        predecessors = {v - 1}
        if not sizes.chain:
            predecessors = {choices.integer(-num_inputs, v - 1) for _ in range(choices.integer(1, 3))}
        layers.append(
            Layer(
                f"layer{v}",
                flops=choices.number(0, 1e9),
                weight_bytes=0 if _happens(choices, 0.3) else int(choices.number(1e4, 4e6)),
                output_bytes=0 if _happens(choices, 0.05) else int(choices.number(1e3, 3e5)),
                predecessors=tuple(sorted(predecessors)),
                internal_bytes=int(choices.number(0, 1e6)),
                operators=choices.integer(0, 3),
            )
        )
    if sizes.sharing and _happens(choices, 0.3):
        layers = _with_shares(choices, layers)
    if sizes.staying and _happens(choices, 0.2):
        v = choices.integer(0, len(layers) - 1)
        layers[v] = replace(layers[v], on_device=True)
    inputs = tuple(int(choices.number(1e3, 1e6)) for _ in range(num_inputs))
    graph = LayerGraph(name, sum(inputs), tuple(layers), inputs=inputs if num_inputs > 1 else ())
    if not sizes.chain and _happens(choices, 0.2):
        graph = replace(graph, outputs=tuple(sorted({*graph.output_layers, choices.integer(0, len(layers) - 1)})))
    return graph


def make_scenario(choices: Choices, sizes: Sizes = Sizes()) -> Scenario:
    """Make a scenario with outages of links, users that come and go, layers uploaded before, measured profiles."""
    num_users, num_servers = choices.integer(1, sizes.users), choices.integer(1, sizes.servers)
    num_slots = choices.integer(1, sizes.slots)
    lengths_s = [choices.number(0.1, 5.0) for _ in range(num_slots)]
    shape = (num_slots, num_users, num_servers)
    up, down = _rates(choices, shape, sizes.outages), _rates(choices, shape, sizes.outages)
    up[choices.integer(0, num_slots - 1)] = np.maximum(up.max(axis=0), 1e5)  # every server is reached at some time
    users = tuple(_make_user(choices, sizes, u, num_slots, num_servers) for u in range(num_users))
    return Scenario(
        users,
        tuple(_make_node(choices, f"server{s}", Tier.EDGE, 1e9, 2e10) for s in range(num_servers)),
        Links(
            up,
            down,
            _numbers(choices, shape, 0.0, 0.05),
            _numbers(choices, shape, 0.0, 0.05),
            _rates(choices, shape[2:] * 2, sizes.outages),
            _numbers(choices, shape[2:] * 2, 0.0, 0.02),
        ),
        horizon_s=sum(lengths_s),
        slot_starts_s=np.cumsum([0.0, *lengths_s[:-1]]),
        uplink=sizes.uplinks[choices.integer(0, len(sizes.uplinks) - 1)],
    )


def make_plan(choices: Choices, scenario: Scenario) -> Plan:
    """Make a plan of partitions of any size in any order, some with idle time before; some layers stay out."""
    left = [
        [int(v) for v in np.flatnonzero(user.graph.movable & (np.asarray(user.uploaded) == 0))]
        for user in scenario.users
    ]
    uploads = []
    while any(left) and not _happens(choices, 0.1):
        users = [user for user, layers in enumerate(left) if layers]
        user = users[choices.integer(0, len(users) - 1)]
        layers = [
            left[user].pop(choices.integer(0, len(left[user]) - 1))
            for _ in range(choices.integer(1, min(3, len(left[user]))))
        ]
        server = choices.integer(1, len(scenario.servers))
        idle_until_s = choices.number(0, 1.2 * scenario.horizon_s) if _happens(choices, 0.1) else 0.0
        uploads.append(Upload(user, server, tuple(layers), idle_until_s))
    return Plan(tuple(uploads))


def make_moving_scenario(choices: Choices, sizes: Sizes = MOVING) -> Scenario:
    """Make a scenario in which users mostly have cells and weights mostly move.

    Users come late and leave, wires are dead, slow or fast, servers that are not home may be out of reach, some servers
    have little memory, and some layers are on several servers at time 0.
    """
    scenario = make_scenario(choices, sizes)
    moves = not _happens(choices, 0.2)
    users = tuple(_moving_user(choices, user, len(scenario.servers), moves) for user in scenario.users)
    if not any(np.any(np.asarray(user.query_rate_hz) > 0) for user in users):
        users = (replace(users[0], query_rate_hz=1.0), *users[1:])
    links = scenario.links
    if not _happens(choices, 0.2):
        links = _with_cells(choices, links, moves)
    speeds = [50.0 if _happens(choices, 0.2) else 1.0 for _ in range(len(scenario.servers) ** 2)]
    between = np.asarray(links.between_bytes_per_s)
    links = replace(links, between_bytes_per_s=between * np.reshape(speeds, between.shape))
    scenario = replace(scenario, users=users, links=links, moves=moves)
    return replace(scenario, servers=tuple(_with_memory(choices, scenario, s) for s in range(len(scenario.servers))))


def make_moving_plan(choices: Choices, scenario: Scenario) -> Plan:
    """Make a plan that a scenario with cells or moves can carry out; only moves put a layer on several servers.

    Nothing goes twice to the same server. What a server holds at time 0 may be sent to it, in case it is dropped.
    """
    if not scenario.moves:
        return _fitting(scenario, make_plan(choices, scenario))
    left = {
        (user, server): [int(v) for v in np.flatnonzero(scenario.users[user].graph.movable)]
        for user in range(len(scenario.users))
        for server in range(1, len(scenario.servers) + 1)
    }
    uploads = []
    while any(left.values()) and not _happens(choices, 0.04):
        open_ones = [key for key, layers in left.items() if layers]
        user, server = open_ones[choices.integer(0, len(open_ones) - 1)]
        layers = left[user, server]
        most = min(3, len(layers)) if _happens(choices, 0.3) else 1
        chosen = [layers.pop(choices.integer(0, len(layers) - 1)) for _ in range(choices.integer(1, most))]
        idle_until_s = choices.number(0, 1.2 * scenario.horizon_s) if _happens(choices, 0.15) else 0.0
        uploads.append(Upload(user, server, tuple(chosen), idle_until_s))
    return Plan(tuple(uploads))


def random_moving_case(seed: int, sizes: Sizes = MOVING) -> tuple[Scenario, Plan]:
    """Return the scenario with cells or moves, and the plan, that a seed stands for."""
    choices = RandomChoices(np.random.default_rng(seed))
    scenario = make_moving_scenario(choices, sizes)
    return scenario, make_moving_plan(choices, scenario)


@st.composite
def moving_cases(draw: st.DrawFn, sizes: Sizes = MOVING) -> tuple[Scenario, Plan]:
    """Draw a scenario with cells or moves and a plan for it."""
    choices = DrawnChoices(draw)
    scenario = make_moving_scenario(choices, sizes)
    return scenario, make_moving_plan(choices, scenario)


def random_case(seed: int, sizes: Sizes = Sizes()) -> tuple[Scenario, Plan]:
    """Return the scenario and the plan that a seed stands for."""
    choices = RandomChoices(np.random.default_rng(seed))
    scenario = make_scenario(choices, sizes)
    return scenario, make_plan(choices, scenario)


@st.composite
def cases(draw: st.DrawFn, sizes: Sizes = Sizes()) -> tuple[Scenario, Plan]:
    """Draw a scenario and a plan for it."""
    choices = DrawnChoices(draw)
    scenario = make_scenario(choices, sizes)
    return scenario, make_plan(choices, scenario)


def _moving_user(choices: Choices, user: User, num_servers: int, moves: bool) -> User:
    """Return a user who may come late or leave, and with moves may have copies at time 0."""
    rates = np.array(user.query_rate_hz)
    if _happens(choices, 0.5):
        first = choices.integer(0, len(rates) // 2)
        last = choices.integer(first, len(rates) - 1)
        rates[:first], rates[last + 1 :] = 0.0, 0.0
    copies = None
    if moves and user.uploaded is not None:
        copies = [
            [held > 0 and _happens(choices, 0.3) for _ in range(num_servers)] for held in np.asarray(user.uploaded)
        ]
    return replace(user, query_rate_hz=rates, copies=copies)


def _with_cells(choices: Choices, links: Links, moves: bool) -> Links:
    """Return links of users who go from cell to cell; with moves, their homes alone are sure to be within reach."""
    up = np.array(links.up_bytes_per_s)
    num_slots, num_users, num_servers = up.shape
    home = np.zeros((num_slots, num_users), np.int8)
    for t, u in np.ndindex(num_slots, num_users):
        stays = t > 0 and _happens(choices, 0.5)
        home[t, u] = home[t - 1, u] if stays else choices.integer(1, num_servers)
        for s in range(num_servers):
            if s == home[t, u] - 1:
                up[t, u, s] = max(up[t, u, s], 1e5)
            elif moves and _happens(choices, 0.3):
                up[t, u, s] = 0.0
    return replace(links, up_bytes_per_s=up, home=home)


def _with_memory(choices: Choices, scenario: Scenario, server: int) -> Node:
    """Return a server that may have little more memory than it needs for what it holds at time 0."""
    if not _happens(choices, 0.6):
        return scenario.servers[server]
    movable = [user.graph.weight_bytes[user.graph.movable] for user in scenario.users]
    sizes_bytes = np.concatenate(movable)
    if len(sizes_bytes) == 0:
        return scenario.servers[server]
    held = sum(float(user.graph.weight_bytes[held_by(user, server + 1)].sum()) for user in scenario.users)
    least_bytes = max(held, float(sizes_bytes.min()))
    memory_bytes = least_bytes + choices.number(0.0, 0.5) * float(sizes_bytes.sum())
    return replace(scenario.servers[server], memory_bytes=memory_bytes)


def _fitting(scenario: Scenario, plan: Plan) -> Plan:
    """Return the uploads of a plan for which there is memory, in their order."""
    left_bytes = [server.memory_bytes for server in scenario.servers]
    for user in scenario.users:
        for server in range(len(left_bytes)):
            left_bytes[server] -= user.graph.weight_bytes[held_by(user, server + 1)].sum()
    uploads = []
    for upload in plan.uploads:
        size_bytes = scenario.users[upload.user].graph.weight_bytes[list(upload.layers)].sum()
        if size_bytes <= left_bytes[upload.server - 1]:
            left_bytes[upload.server - 1] -= size_bytes
            uploads.append(upload)
    return Plan(tuple(uploads))


def _with_shares(choices: Choices, layers: list[Layer]) -> list[Layer]:
    """Let some layers use the weights of one or two others, wherever these stand."""
    owners = [v for v, layer in enumerate(layers) if layer.weight_bytes > 0]
    sharing = []
    for v, layer in enumerate(layers):
        others = [owner for owner in owners if owner != v]
        shares = {others[choices.integer(0, len(others) - 1)] for _ in range(choices.integer(0, 2)) if others}
        sharing.append(replace(layer, shares=tuple(sorted(shares))))
    return sharing


def _make_user(choices: Choices, sizes: Sizes, index: int, num_slots: int, num_servers: int) -> User:
    graph = make_graph(choices, sizes, f"net{index}")
    rates = _numbers(choices, (num_slots,), 0.1, 3.0)
    if sizes.absences:
        rates[[_happens(choices, 0.25) for _ in range(num_slots)]] = 0.0
    if index == 0 and not rates.any():
        rates[-1] = 1.0  # somebody raises queries
    uploaded = [
        choices.integer(1, num_servers) if sizes.uploaded and _happens(choices, 0.2) else 0 for _ in graph.layers
    ]
    profile_s = None
    if sizes.profiles and _happens(choices, 0.3):
        profile_s = _numbers(choices, (len(graph), num_servers + 1), 0.0, 0.2)
        profile_s[:, 0] *= 3.0
    device = _make_node(choices, "device", Tier.DEVICE, 5e8, 5e9)
    return User(f"user{index}", graph, device, rates, profile_s, np.array(uploaded))


def _make_node(choices: Choices, name: str, tier: Tier, slowest: float, fastest: float) -> Node:
    flops_per_s = choices.number(slowest, fastest)
    return Node(name, tier, flops_per_s, choices.number(0.1, 2.0) * flops_per_s, choices.number(0.0, 0.01), math.inf)


def _rates(choices: Choices, shape: tuple[int, ...], outages: bool) -> Any:
    rates = _numbers(choices, shape, 1e5, 5e6)
    if outages:
        rates[np.reshape([_happens(choices, 0.15) for _ in range(rates.size)], shape)] = 0.0
    return rates


def _numbers(choices: Choices, shape: tuple[int, ...], low: float, high: float) -> Any:
    return np.reshape([choices.number(low, high) for _ in range(math.prod(shape))], shape)


def _happens(choices: Choices, probability: float) -> bool:
    # Simplest when it does not happen, so that examples shrink to plain scenarios.
    return choices.integer(0, 99) >= 100 - round(100 * probability)
