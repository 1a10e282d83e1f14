"""The mean query delay of a plan in plain Python and networkx, as one would write it first."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.contention import TOLERANCE
from dnnmig_env.simulation.moving.share import LEAST_SHARE
from dnnmig_env.simulation.picks import SWEEPS
from dnnmig_env.simulation.plan import Plan

DEVICE = 0

Station = int | str
"""Where users meet: a server, by its node, or a link, by its name."""


@dataclass
class Player:
    """One user: its network as a graph, and how its queries run at present."""

    index: int
    graph: Any  # networkx.DiGraph
    order: list[int]
    rate_hz: float
    delay_s: float = 0.0
    arrived: dict[int, int] = field(default_factory=dict)  # layer -> server
    assignment: dict[int, int] = field(default_factory=dict)  # layer -> node
    seconds: dict[Station, float] = field(default_factory=dict)  # of a query at each station, if it is alone
    present: dict[Station, float] = field(default_factory=dict)  # mean number of its queries there, as others know it
    chooses: bool = True  # something has changed since it chose last
    outdated: bool = True  # something has changed since its delay was computed


def mean_delay_s(scenario: Scenario, plan: Plan) -> float:
    """Return the mean query delay J of a plan, by the same rules as `dnnmig_env.simulation`.

    Args:
        scenario: A scenario of one time slot with nothing uploaded yet.
        plan: The plan.

    Raises:
        ValueError: If the scenario has several time slots.
    """
    if scenario.num_slots != 1:
        raise ValueError(f"scenario has {scenario.num_slots} time slots; the plain implementation knows only one.")
    players = [_player(scenario, index) for index in range(len(scenario.users))]
    uploads = dict[Station, float]()  # number of uploads on the uplink that the users' data meet
    _react(scenario, players, 0, uploads)
    time_s = cost_s = 0.0
    for upload in plan.uploads:
        owner = players[upload.user]
        starts_s = max(time_s, upload.not_before_s)
        if starts_s >= scenario.horizon_s:
            break
        if starts_s > time_s:
            _occupy_uplink(scenario, players, uploads, 0)
            cost_s += _cost_per_s(players) * (starts_s - time_s)
        _occupy_uplink(scenario, players, uploads, 1)
        link_rate = np.asarray(scenario.links.up_bytes_per_s)[0, upload.user, upload.server - 1]
        size_bytes = sum(owner.graph.nodes[layer]["weight_bytes"] for layer in upload.layers)
        time_s = starts_s
        end_s = starts_s + size_bytes / (link_rate * _share_of_weights(scenario, players))
        if end_s > scenario.horizon_s:
            break
        cost_s += _cost_per_s(players) * (end_s - time_s)
        time_s = end_s
        owner.arrived.update(dict.fromkeys(upload.layers, upload.server))
        _react(scenario, players, upload.user, uploads)
    else:
        if time_s < scenario.horizon_s:
            _occupy_uplink(scenario, players, uploads, 0)
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
    player.delay_s = _query_delay_s(scenario, player, player.assignment, defaultdict(lambda: 1.0))
    return player


def _react(scenario: Scenario, players: list[Player], first: int, uploads: dict[Station, float]) -> None:
    """Let every user choose the fastest of what it may use, `first` before the others; then let their delays settle."""
    order = [players[first], *players[:first], *players[first + 1 :]]
    players[first].chooses, settled = True, True
    for player in order:
        if player.chooses:
            slowdown = _slowdown(players, player, uploads)
            candidates = [player.assignment, dict.fromkeys(player.order, DEVICE), _everything_usable(player)]
            player.assignment = min(candidates, key=lambda each: _query_delay_s(scenario, player, each, slowdown))
            player.seconds = _seconds(scenario, player)
            settled = not _measure(scenario, players, player, uploads) and settled
            player.chooses = player.outdated = False
    for _ in range(SWEEPS):
        if settled:
            break
        settled = True
        for player in order:
            if player.outdated:
                settled = not _measure(scenario, players, player, uploads) and settled
                player.outdated = False


def _measure(scenario: Scenario, players: list[Player], player: Player, uploads: dict[Station, float]) -> bool:
    """Compute a user's delay and where its queries are; tell the others, and return True, if that has changed."""
    slowdown = _slowdown(players, player, uploads)
    player.delay_s = _query_delay_s(scenario, player, player.assignment, slowdown)
    cycle_s = _cycle_s(player)
    present = {at: min(1.0, alone_s * slowdown[at] / cycle_s) for at, alone_s in player.seconds.items()}
    stations = present.keys() | player.present.keys()
    if all(abs(present.get(at, 0.0) - player.present.get(at, 0.0)) <= TOLERANCE for at in stations):
        return False
    player.present = present
    for each in players:
        each.chooses = each.outdated = True
    return True


def _cycle_s(player: Player) -> float:
    """Return the seconds between two starts of a user's queries: one is in flight at a time."""
    return max(1.0 / player.rate_hz, player.delay_s)


def _slowdown(players: list[Player], player: Player, uploads: dict[Station, float]) -> defaultdict[Station, float]:
    """Return 1 + the mean number of the others' queries, and of uploads, at each station."""
    slowdown = defaultdict[Station, float](lambda: 1.0)
    for found in [uploads, *(other.present for other in players if other is not player)]:
        for at, number in found.items():
            slowdown[at] += number
    return slowdown


def _occupy_uplink(scenario: Scenario, players: list[Player], uploads: dict[Station, float], number: int) -> None:
    """If an upload is one more customer of the uplink, let everybody react when one begins or none follows."""
    if scenario.uplink == "shared" and uploads.get("uplink", 0) != number:
        uploads["uplink"] = number
        for player in players:
            player.chooses = player.outdated = True
        _react(scenario, players, 0, uploads)


def _share_of_weights(scenario: Scenario, players: list[Player]) -> float:
    """Return the share of the uplink's rate that the data of queries leave to weights."""
    if scenario.uplink == "independent":
        return 1.0
    if scenario.uplink == "shared":
        return 1.0 / (1.0 + sum(player.present.get("uplink", 0.0) for player in players))
    busy = sum(player.seconds.get("uplink", 0.0) / _cycle_s(player) for player in players)
    return max(1.0 - busy, LEAST_SHARE)


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


def _query_delay_s(
    scenario: Scenario, player: Player, assignment: dict[int, int], slowdown: defaultdict[Station, float]
) -> float:
    graph, finish_s, free_s, delay_s = player.graph, defaultdict[int, float](float), dict[int, float](), 0.0

    def transfer_s(source: int, target: int, size_bytes: float) -> float:
        if source == target:
            return 0.0
        alone_s, latency_s = _moving_s(scenario, player.index, source, target, size_bytes)
        return latency_s + alone_s * slowdown[_link(source, target)]

    for layer in player.order:
        node = assignment[layer]
        start_s = free_s.get(node, 0.0)
        for source, _, size_bytes in graph.in_edges(layer, data="size_bytes"):
            origin = assignment.get(source, DEVICE)
            start_s = max(start_s, finish_s[source] + transfer_s(origin, node, size_bytes))
        finish_s[layer] = free_s[node] = start_s + graph.nodes[layer]["execution_s"][node] * slowdown[node]
        if "result_bytes" in graph.nodes[layer]:
            back_s = transfer_s(node, DEVICE, graph.nodes[layer]["result_bytes"])
            delay_s = max(delay_s, finish_s[layer] + back_s)
    return delay_s


def _seconds(scenario: Scenario, player: Player) -> dict[Station, float]:
    """Return the seconds that a query needs at each station if it is alone; a tensor goes to each node once."""
    seconds, sent = defaultdict[Station, float](float), set[tuple[int, int]]()
    for layer, node in player.assignment.items():
        if node != DEVICE:
            seconds[node] += player.graph.nodes[layer]["execution_s"][node]
        sent |= {(source, node) for source in player.graph.predecessors(layer)}
        if "result_bytes" in player.graph.nodes[layer]:
            sent.add((layer, DEVICE))
    for tensor, target in sent:
        source = player.assignment.get(tensor, DEVICE)
        if source != target:
            size_bytes = scenario.users[player.index].graph.tensor_bytes(tensor)
            seconds[_link(source, target)] += _moving_s(scenario, player.index, source, target, size_bytes)[0]
    return dict(seconds)


def _link(source: int, target: int) -> Station:
    if source == DEVICE:
        return "uplink"
    return "downlink" if target == DEVICE else f"wire of {source}"


def _moving_s(scenario: Scenario, user: int, source: int, target: int, size_bytes: float) -> tuple[float, float]:
    """Return the seconds for which data use a link, and the latency that comes on top."""
    links: Any = scenario.links
    if source == DEVICE:
        rate, latency_s = links.up_bytes_per_s[0, user, target - 1], links.up_latency_s[0, user, target - 1]
    elif target == DEVICE:
        rate, latency_s = links.down_bytes_per_s[0, user, source - 1], links.down_latency_s[0, user, source - 1]
    else:
        rate = links.between_bytes_per_s[source - 1, target - 1]
        latency_s = links.between_latency_s[source - 1, target - 1]
    return (float(size_bytes / rate) if size_bytes else 0.0), float(latency_s)


def _cost_per_s(players: list[Player]) -> float:
    return sum(player.rate_hz * player.delay_s for player in players)
