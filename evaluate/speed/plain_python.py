"""The mean query delay of a plan in plain Python and networkx, as one would write it first."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.kernel import MAX_LOAD
from dnnmig_env.simulation.plan import Plan

DEVICE = 0


@dataclass
class Player:
    """One user: its network as a graph, and how its queries run at present."""

    index: int
    graph: Any  # networkx.DiGraph
    order: list[int]
    rate_hz: float
    device_s: float = 0.0
    delay_s: float = 0.0
    arrived: dict[int, int] = field(default_factory=dict)  # layer -> server
    assignment: dict[int, int] = field(default_factory=dict)  # layer -> node
    load: dict[int, float] = field(default_factory=dict)  # server -> share


def mean_delay_s(scenario: Scenario, plan: Plan) -> float:
    """Return the mean query delay J of a plan, by the same rules as `dnnmig_env.simulation.kernel`.

    Args:
        scenario: A scenario of one time slot with nothing uploaded yet.
        plan: The plan.

    Raises:
        ValueError: If the scenario has several time slots.
    """
    if scenario.num_slots != 1:
        raise ValueError(f"scenario has {scenario.num_slots} time slots; the plain implementation knows only one.")
    players = [_player(scenario, index) for index in range(len(scenario.users))]
    _react(scenario, players, 0)
    time_s = cost_s = 0.0
    for upload in plan.uploads:
        owner = players[upload.user]
        rate = np.asarray(scenario.links.up_bytes_per_s)[0, upload.user, upload.server - 1]
        size_bytes = sum(owner.graph.nodes[layer]["weight_bytes"] for layer in upload.layers)
        end_s = max(time_s, upload.not_before_s) + size_bytes / rate
        if end_s > scenario.horizon_s:
            break
        cost_s += _cost_per_s(players) * (end_s - time_s)
        time_s = end_s
        owner.arrived.update(dict.fromkeys(upload.layers, upload.server))
        _react(scenario, players, upload.user)
    cost_s += _cost_per_s(players) * (scenario.horizon_s - time_s)
    return float(cost_s / (sum(player.rate_hz for player in players) * scenario.horizon_s))


def _player(scenario: Scenario, index: int) -> Player:
    import networkx

    user, graph = scenario.users[index], networkx.DiGraph()
    for layer_index, layer in enumerate(user.graph.layers):
        seconds = dict(enumerate(scenario.execution_s[index][layer_index].tolist()))
        weight_bytes = layer.weight_bytes if user.graph.movable[layer_index] else 0
        graph.add_node(layer_index, weight_bytes=weight_bytes, execution_s=seconds, layer=layer)
        for source in layer.predecessors:
            size_bytes = user.graph.tensor_bytes(source)
            graph.add_edge(source, layer_index, size_bytes=size_bytes)
    for layer_index in user.graph.output_layers:
        graph.nodes[layer_index]["result_bytes"] = user.graph.layers[layer_index].output_bytes
    order = [layer_index for layer_index in networkx.lexicographical_topological_sort(graph) if layer_index >= 0]
    player = Player(index, graph, order, float(np.asarray(user.query_rate_hz)[0]))
    player.assignment = dict.fromkeys(order, DEVICE)
    player.device_s = player.delay_s = _query_delay_s(scenario, player, player.assignment, {})
    return player


def _react(scenario: Scenario, players: list[Player], first: int) -> None:
    """Let every user choose the fastest of what it may use, `first` before the others; then take all delays anew."""
    for player in [players[first], *players[:first], *players[first + 1 :]]:
        slowdown = _slowdown(players, player)
        candidates = [player.assignment, dict.fromkeys(player.order, DEVICE), _everything_usable(player)]
        player.assignment = min(candidates, key=lambda each: _query_delay_s(scenario, player, each, slowdown))
        player.load = _load(player)
    for player in players:
        player.delay_s = _query_delay_s(scenario, player, player.assignment, _slowdown(players, player))


def _everything_usable(player: Player) -> dict[int, int]:
    assignment: dict[int, int] = {}
    for layer in player.order:
        row = player.graph.nodes[layer]["layer"]
        homes = {player.arrived.get(owner, DEVICE) for owner in row.shares}
        if player.graph.nodes[layer]["weight_bytes"] > 0:
            homes.add(player.arrived.get(layer, DEVICE))
        if row.on_device:
            assignment[layer] = DEVICE
        elif homes:
            assignment[layer] = homes.pop() if len(homes) == 1 else DEVICE
        else:
            sources = sorted(player.graph.predecessors(layer), reverse=True)
            assignment[layer] = next(
                (
                    assignment[predecessor]
                    for predecessor in sources
                    if predecessor >= 0 and assignment[predecessor] != DEVICE
                ),
                DEVICE,
            )
    return assignment


def _query_delay_s(scenario: Scenario, player: Player, assignment: dict[int, int], slowdown: dict[int, float]) -> float:
    graph, finish_s, free_s, delay_s = player.graph, defaultdict[int, float](float), dict[int, float](), 0.0
    for layer in player.order:
        node = assignment[layer]
        start_s = free_s.get(node, 0.0)
        for source, _, size_bytes in graph.in_edges(layer, data="size_bytes"):
            origin = assignment.get(source, DEVICE)
            start_s = max(start_s, finish_s[source] + _transfer_s(scenario, player.index, origin, node, size_bytes))
        finish_s[layer] = free_s[node] = start_s + graph.nodes[layer]["execution_s"][node] * slowdown.get(node, 1.0)
        if "result_bytes" in graph.nodes[layer]:
            back_s = _transfer_s(scenario, player.index, node, DEVICE, graph.nodes[layer]["result_bytes"])
            delay_s = max(delay_s, finish_s[layer] + back_s)
    return delay_s


def _transfer_s(scenario: Scenario, user: int, source: int, target: int, size_bytes: float) -> float:
    if source == target:
        return 0.0
    links: Any = scenario.links
    if source == DEVICE:
        rate, latency_s = links.up_bytes_per_s[0, user, target - 1], links.up_latency_s[0, user, target - 1]
    elif target == DEVICE:
        rate, latency_s = links.down_bytes_per_s[0, user, source - 1], links.down_latency_s[0, user, source - 1]
    else:
        rate = links.between_bytes_per_s[source - 1, target - 1]
        latency_s = links.between_latency_s[source - 1, target - 1]
    return float(latency_s + size_bytes / rate)


def _load(player: Player) -> dict[int, float]:
    load: dict[int, float] = {}
    for layer, node in player.assignment.items():
        if node != DEVICE:
            load[node] = load.get(node, 0.0) + player.rate_hz * player.graph.nodes[layer]["execution_s"][node]
    return load


def _slowdown(players: list[Player], player: Player) -> dict[int, float]:
    others: dict[int, float] = {}
    for other in players:
        if other is not player:
            for node, share in other.load.items():
                others[node] = others.get(node, 0.0) + share
    return {node: 1.0 / (1.0 - min(share, MAX_LOAD)) for node, share in others.items()}


def _cost_per_s(players: list[Player]) -> float:
    return sum(player.rate_hz * player.delay_s for player in players)
