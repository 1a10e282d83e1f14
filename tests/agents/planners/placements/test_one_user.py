"""Users who choose one after another: who gets what, by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from agents.planners.placements.one_user import Alone, choose_in_turn
from dnnmig_env.arrays import Bools
from dnnmig_env.scenarios.scenario import Scenario
from tests.agents.planners.hand_made import chain


def all_or_the_last(alone: Alone) -> Iterator[Bools]:
    yield alone.movable
    yield alone.movable & (np.arange(len(alone.movable)) == len(alone.movable) - 1)


def chosen(scenario: Scenario) -> list[list[int]]:
    return [row.tolist() for row in choose_in_turn(scenario, all_or_the_last)]


def test_users_choose_in_turn_and_what_does_not_fit_is_passed_over() -> None:
    # 2 MB in all: 0.2 s on server 1, 0.4 s on server 2, 2 s on the device; one layer alone 1.1 s or 1.2 s.
    two_users = {"query_rate_hz": [1.0, 1.0], "server_s": [0.1, 0.2], "rate_mb_per_s": [1.0, 1.0]}
    assert chosen(chain([1, 1], [0, 0], **two_users)) == [[1, 1], [1, 1]]
    assert chosen(chain([1, 1], [0, 0], memory_mb=[3.0, 9.0], **two_users)) == [[1, 1], [2, 2]]
    assert chosen(chain([1, 1], [0, 0], memory_mb=[3.0, 1.0], **two_users)) == [[1, 1], [0, 1]]
    assert chosen(chain([1, 1], [0, 0], memory_mb=[2.0, 1.0], **two_users)) == [[1, 1], [0, 2]]


def test_others_do_not_count_however_much_they_load_a_server() -> None:
    # Server 1 takes 0.1 s a layer and would be saturated by the first user's 5 queries a second.
    scenario = chain([1, 1], [0, 0], server_s=[0.1, 0.2], rate_mb_per_s=[1.0, 1.0], query_rate_hz=[5.0, 1.0])
    assert chosen(scenario) == [[1, 1], [1, 1]]


def test_what_is_uploaded_stays_and_counts() -> None:
    # 5 MB between the layers, 1 MB/s everywhere: layer 1 follows layer 0 to its server, though the other is as fast.
    scenario = chain([1, 1], [5, 0], server_s=[0.1, 0.1], rate_mb_per_s=[1.0, 1.0], between_mb_per_s=1.0)
    held = replace(scenario, users=(replace(scenario.users[0], uploaded=[2, 0]),))
    assert chosen(held) == [[2, 2]]


def test_a_tie_goes_to_the_device() -> None:
    assert chosen(chain([1, 1], [0, 0], server_s=[1.0])) == [[0, 0]]
