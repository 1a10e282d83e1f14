"""Newcomers: worked out by hand, known from the past and present alone, and gone when nobody can come any more."""

from __future__ import annotations

import numpy as np
import pytest

from agents.candidates.features import SITUATION_FEATURES
from dnnmig_env.families.registry import scenarios
from dnnmig_env.networks.layer_graph import NETWORK_INPUT, Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from tests.candidate_play import make_env, one_channel

NEWCOMERS = SITUATION_FEATURES.index("newcomers")


def at_stake(scenario: Scenario) -> list[float]:
    """Return the feature at the beginning of each slot in which somebody decides, nothing being uploaded."""
    env = make_env("mobile", moves=False, num_users=(2, 3), max_layers=8, horizon_s=3.0, slot_s=1.0)
    observation, _ = env.reset(options={"scenario": scenario})
    found, done = [float(observation["observation"][NEWCOMERS])], False
    while not done:
        observation, _, done, _, _ = env.step(np.int64(env.stop_action))
        if not done:
            found.append(float(observation["observation"][NEWCOMERS]))
    return found


def user(name: str, device_s: float, *query_rate_hz: float) -> User:
    """Return a user of one layer of 10 MB, ten times faster on the server below than on its device."""
    graph = LayerGraph(name, 0, (Layer("layer", device_s * 1e9, 10_000_000, 0, (NETWORK_INPUT,)),))
    device = Node("device", Tier.DEVICE, flops_per_s=1e9, memory_bytes_per_s=1e18)
    return User(name, graph, device, np.array(query_rate_hz))


def of(*users: User) -> Scenario:
    """Return a scenario of three slots of 1 s, one server, 1 MB/s."""
    edge = Node("edge", Tier.EDGE, flops_per_s=1e10, memory_bytes_per_s=1e18)
    return Scenario(users, (edge,), Links(1e6), horizon_s=3.0, slot_starts_s=(0.0, 1.0, 2.0))


def test_what_is_at_stake_worked_out_by_hand() -> None:
    # Slot 0: the first user loads the server with 1 x 0.2; so may the others, each with 10 times that on its device:
    # 4 of 4 + 1 x 2. Slot 1: those present load it with (1 x 0.2 + 0.5 x 0.3) / 2 = 0.175, the third one is awaited:
    # 1.75 of 1.75 + 1 x 2 + 0.5 x 3. In the last slot nobody comes any more.
    scenario = of(user("first", 2.0, 1, 1, 1), user("second", 3.0, 0, 0.5, 0.5), user("third", 1.0, 0, 0, 1))
    assert at_stake(scenario) == pytest.approx([4 / 6, 1 / 3, 0.0])


def test_who_has_left_is_not_awaited() -> None:
    scenario = of(user("stays", 2.0, 1, 1, 1), user("leaves", 3.0, 1, 0, 0))
    assert at_stake(scenario) == [0.0, 0.0, 0.0]


def test_who_never_comes_is_awaited_like_anybody() -> None:
    comes = of(user("first", 2.0, 1, 1, 1), user("second", 3.0, 0, 0, 7))
    never = of(user("first", 2.0, 1, 1, 1), user("second", 3.0, 0, 0, 0))
    assert at_stake(comes)[:2] == at_stake(never)[:2] == pytest.approx([2 / 4, 2 / 4])


def test_nobody_is_awaited_where_rates_stay() -> None:
    for family in ("single", "multi-user"):
        env = make_env(family)
        for scenario in scenarios(family, 3, seed=0, **one_channel(family)):
            observation, _ = env.reset(options={"scenario": scenario})
            assert observation["observation"][NEWCOMERS] == 0.0
