"""What a planner may know: one slot of a scenario."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agents.planners.slot_zero import (
    first_change_s,
    memory_left_bytes,
    movable_layers,
    reachable_servers,
    slot_zero_packed,
)
from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.scenario import Links, Scenario
from dnnmig_env.simulation.packed import PackedScenarios, pack
from tests.agents.planners.hand_made import chain


def test_a_static_scenario_is_known_wholly() -> None:
    scenario = chain([1, 0, 1], [1, 1, 0])
    for name, known, whole in zip(PackedScenarios._fields, slot_zero_packed(scenario), pack([scenario]), strict=True):
        np.testing.assert_array_equal(known, whole, err_msg=name)


def test_of_several_slots_the_first_is_known_and_taken_to_last() -> None:
    scenario = chain([1, 1], [0, 0], horizon_s=9.0)
    links = Links(np.array([5.0, 7.0])[:, None, None], up_latency_s=np.array([0.1, 0.2])[:, None, None])
    users = (replace(scenario.users[0], query_rate_hz=[2.0, 3.0]),)
    known = slot_zero_packed(replace(scenario, links=links, users=users, slot_starts_s=(0.0, 4.0)))
    assert known.slot_edges_s.tolist() == [[0.0, 9.0]]
    assert known.up_bytes_per_s.tolist() == [[[[5.0]]]]
    assert known.down_latency_s.tolist() == [[[[0.1]]]]
    assert known.query_rate_hz.tolist() == [[[2.0]]]


def test_only_layers_with_weights_not_yet_uploaded_of_users_present_may_move() -> None:
    scenario = chain([1, 0, 1], [0, 0, 0], query_rate_hz=[1.0, 1.0], memory_mb=[5.0])
    users = (replace(scenario.users[0], uploaded=[1, 0, 0]), replace(scenario.users[1], query_rate_hz=0.0))
    scenario = replace(scenario, users=users)
    assert movable_layers(scenario).tolist() == [[False, False, True], [False, False, False]]
    assert memory_left_bytes(scenario).tolist() == [4e6]


def test_servers_without_a_way_back_are_out_of_reach() -> None:
    scenario = chain([1], [0], server_s=[1.0, 1.0], rate_mb_per_s=[1.0, 1.0])
    links = replace(scenario.links, down_bytes_per_s=[1.0, 0.0])
    assert reachable_servers(replace(scenario, links=links)).tolist() == [[True, False]]


def test_when_something_first_changes() -> None:
    still = scenarios("multi-user", 1, seed=0)[0]
    assert first_change_s(still) is None
    for user, link, expected in (
        ({"query_rate_hz": [1.0, 1.0, 0.0]}, {}, 5.0),
        ({"query_rate_hz": [0.0, 1.0, 1.0]}, {}, 2.0),
        ({}, {"up_bytes_per_s": [1e6, 1e6, 2e6]}, 5.0),
        ({}, {"down_bytes_per_s": [1e6, 2e6, 2e6]}, 2.0),
        ({}, {"up_latency_s": [0.0, 0.0, 1.0]}, 5.0),
        ({}, {"down_latency_s": [0.0, 0.1, 0.1]}, 2.0),
        ({}, {}, None),
    ):
        first = replace(still.users[0], **({"query_rate_hz": 1.0} | user))
        columns = {name: np.reshape(values, (3, 1, 1)) for name, values in link.items()}
        links = replace(Links(1e6), **columns)
        given = Scenario(
            (first, replace(still.users[1], query_rate_hz=1.0)), still.servers, links, 9.0, (0.0, 2.0, 5.0)
        )
        assert first_change_s(given) == expected
