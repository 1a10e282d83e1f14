"""Front to back, everything to one server, and the best server alone: by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from agents.planners.orders.front_to_back import front_to_back, in_turns
from agents.planners.placements.best_server import best_server
from agents.planners.placements.everything_to import EverythingTo
from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User

RNG = np.random.default_rng(0)


def scenario(edge_memory: float = math.inf, edge_flops_per_s: float = 1e10, link: float = 1e6) -> Scenario:
    """Two users of 3 layers (1 GFLOP, 1 kB of weights; the second weightless), a slow edge and a fast cloud."""

    def graph(name: str) -> LayerGraph:
        weights = (1000, 0, 1000)
        return LayerGraph(name, 0, tuple(Layer(f"l{v}", 1e9, w, 0, (v - 1,)) for v, w in enumerate(weights)))

    device = Node("device", Tier.DEVICE, 1e9, 1e15)
    edge = Node("edge", Tier.EDGE, edge_flops_per_s, 1e15, memory_bytes=edge_memory)
    cloud = Node("cloud", Tier.CLOUD, 1e11, 1e15)
    users = tuple(User(name, graph(name), device) for name in ("a", "b"))
    # The cloud is 1 s away: 3 s on the device, 0.3 s on the edge, 2.03 s in the cloud.
    return Scenario(users, (edge, cloud), Links(link, up_latency_s=[0.0, 1.0]), horizon_s=60.0)


def steps(given: Scenario, placement: tuple[np.ndarray, ...]) -> list[tuple[int, tuple[int, ...], int]]:
    return [(up.user, up.layers, up.server) for up in front_to_back(given, placement, RNG).uploads]


def test_users_take_turns_and_weightless_layers_are_left_out() -> None:
    given = scenario()
    assert steps(given, EverythingTo(1)(given, RNG)) == [(0, (0,), 1), (1, (0,), 1), (0, (2,), 1), (1, (2,), 1)]


def test_what_no_longer_fits_stays_on_the_device() -> None:
    given = scenario(edge_memory=3500)
    assert [row.tolist() for row in EverythingTo(1)(given, RNG)] == [[1, 0, 1], [1, 0, 0]]


def test_best_server_is_the_fastest_for_each_user_alone() -> None:
    given = scenario()
    assert [row.tolist() for row in best_server(given, RNG)] == [[1, 0, 1], [1, 0, 1]]


def test_best_server_looks_elsewhere_when_memory_is_spent() -> None:
    # The first user takes the edge; of the second one layer fits there: 1.2 s beats the cloud's 2.03 s.
    given = scenario(edge_memory=3000)
    assert [row.tolist() for row in best_server(given, RNG)] == [[1, 0, 1], [1, 0, 0]]
    given = scenario(edge_memory=2000)
    assert [row.tolist() for row in best_server(given, RNG)] == [[1, 0, 1], [2, 0, 2]]


def test_a_device_that_beats_every_server_keeps_its_layers() -> None:
    given = scenario(edge_flops_per_s=5e8)
    slow_cloud = replace(given.servers[1], flops_per_s=1e9)
    given = replace(given, servers=(given.servers[0], slow_cloud))
    assert not any(row.any() for row in best_server(given, RNG))


def test_turns_go_on_when_somebody_has_finished() -> None:
    assert list(in_turns(["ab", "", "cde"])) == [(0, "a"), (2, "c"), (0, "b"), (2, "d"), (2, "e")]


def test_servers_are_numbered_from_one() -> None:
    with pytest.raises(ValueError, match="server is 0; servers are numbered from 1"):
        EverythingTo(0)


def test_nothing_is_uploaded_to_a_server_that_its_user_cannot_reach() -> None:
    given = scenario()
    rates = np.array([[[1e6, 1e6], [0.0, 1e6]], [[1e6, 1e6], [1e6, 1e6]]])  # the second user's edge comes later
    links = Links(rates, rates, up_latency_s=0.0)
    cut_off = replace(given, links=links, slot_starts_s=(0.0, 30.0))
    everything = tuple(np.array(row, np.int8) for row in ([1, 0, 1], [1, 0, 2]))
    assert steps(cut_off, everything) == [(0, (0,), 1), (0, (2,), 1), (1, (2,), 2)]
