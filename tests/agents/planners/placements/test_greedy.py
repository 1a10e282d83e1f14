"""Greedy: one layer after another, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agents.planners.placements.greedy import greedy
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.scenarios.scenario import Scenario
from tests.agents.planners.hand_made import chain

RNG = np.random.default_rng(0)


def place(scenario: Scenario) -> list[list[int]]:
    return [row.tolist() for row in greedy(scenario, RNG)]


def test_each_layer_goes_where_it_finishes_earliest() -> None:
    # 1 s per layer on the device, 0.1 s on the server. 2 MB between layers 0 and 1: on the server layer 0 finishes at
    # 0.1 s, layer 1 there at 0.2 s; its result of 2 MB takes 2 s more, but on the device it would finish at 3.1 s.
    assert place(chain([1, 1], [2, 2])) == [[1, 1]]


def test_one_layer_must_pay_for_the_transfer_by_itself() -> None:
    # An input of 1.5 MB: both layers on the server would take 1.7 s, on the device they take 2 s; but layer 0 alone
    # finishes at 1 s on the device, at 1.6 s on the server. Layer 1 reads nothing then, and goes.
    scenario = chain([1, 1], [0, 0])
    graph = LayerGraph("input", 1_500_000, scenario.users[0].graph.layers)
    assert place(replace(scenario, users=(replace(scenario.users[0], graph=graph),))) == [[0, 1]]


def test_the_result_returns_to_the_device() -> None:
    assert place(chain([1, 1], [0, 2])) == [[1, 0]]


def test_memory_goes_to_the_users_in_turns() -> None:
    scenario = chain([1, 1], [0, 0], memory_mb=[3.0], query_rate_hz=[1.0, 1.0])
    assert place(scenario) == [[1, 1], [1, 0]]


def test_a_loaded_server_is_left_alone() -> None:
    # User 0 is on server 1 for 0.1 s of every 1 / 9 s: user 1's layer would take 0.1 x 1.9 = 0.19 s there, and 0.15 s
    # on server 2. Were user 0 there for 0.1 s of every second, it would take 0.11 s.
    for rate_hz, expected in ((9.0, [[1], [2]]), (1.0, [[1], [1]])):
        scenario = chain([1], [0], server_s=[0.1, 0.15], rate_mb_per_s=[1.0, 1.0], query_rate_hz=[rate_hz, 1.0])
        assert place(scenario) == expected


def test_users_do_not_keep_themselves_from_a_server() -> None:
    # With its first layer the user is on server 1 for much of its time. The second one takes 0.1 s there all the same.
    scenario = chain([1, 1], [0, 0], server_s=[0.1, 0.15], rate_mb_per_s=[1.0, 1.0], query_rate_hz=[30.0])
    assert place(scenario) == [[1, 1]]


def test_what_is_uploaded_stays_and_counts() -> None:
    # 9 MB from layer 0, which server 2 holds: layer 1 follows it, though server 1 is faster.
    scenario = chain([1, 1], [9, 0], server_s=[0.1, 0.3], rate_mb_per_s=[1.0, 1.0], between_mb_per_s=1.0)
    held = replace(scenario, users=(replace(scenario.users[0], uploaded=[2, 0]),))
    assert place(held) == [[2, 2]]
