"""Bounds of quantities: what would overflow or vanish in a simulation is refused, and what may exist is not."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.bounds import LATENCY, LINK_RATE, NODE_RATE, PLACE, QUERY_RATE, Bounds, check_bounds, full
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.simulator import simulate


@pytest.mark.parametrize(
    ("bounds", "value", "message"),
    [
        (QUERY_RATE, 0.0, None),
        (QUERY_RATE, 1e6, None),
        (QUERY_RATE, 1e12, "x is 1000000000000.0; more than 1e+06 Hz is taken for a mistake, such as a wrong unit."),
        (
            QUERY_RATE,
            1e-12,
            "x is 1e-12; less than 1e-09 Hz is taken for a mistake, such as a wrong unit; 0 is",
        ),
        (QUERY_RATE, -1.0, "x is -1.0; it must be finite and not negative."),
        (NODE_RATE, 1e-300, "x is 1e-300; less than 0.001 per second is taken for a mistake"),
        (NODE_RATE, 0.0, "x is 0.0; it must be positive and finite."),
        (NODE_RATE, math.inf, "x is inf; it must be positive and finite."),
        (NODE_RATE, math.nan, "x is nan; it must be finite and not negative."),
        (LATENCY, 0.0, None),
        (LINK_RATE, np.array([0.0, 1.0, 1e-300]), "x contains 1e-300; less than 1e-12 bytes/s"),
        (LINK_RATE, np.array([0.0, math.inf]), "x contains inf; every value must be finite and not negative."),
        (PLACE, np.array([-1e12, 0.0]), None),
        (PLACE, -1e13, "x is -10000000000000.0; more than 1e+12 m or m/s is taken for a mistake"),
        (PLACE, math.nan, "x is nan; it must be finite."),
    ],
)
def test_values_out_of_bounds_are_named_with_the_rule(bounds: Bounds, value: float, message: str | None) -> None:
    if message is None:
        check_bounds("x", value, bounds)
    else:
        with pytest.raises(ValueError, match=re.escape(message)):
            check_bounds("x", value, bounds)


def scenario(graph: LayerGraph, rate: float, node_rate: float, query_rate: float) -> Scenario:
    device, server = (Node(tier, tier, node_rate, node_rate) for tier in (Tier.DEVICE, Tier.EDGE))
    return Scenario((User("u", graph, device, query_rate),), (server,), Links(rate, up_latency_s=1e9), 1e12)


def test_delays_are_finite_at_the_bounds() -> None:
    graph = LayerGraph("n", 2**63 - 1, (Layer("a", 9e23, 2**63 - 1, 2**63 - 1, (-1,)),))
    for rates in ((1e-12, 1e-3), (1e18, 1e24), (1e-12, 1e24)):
        for query_rate in (1e-9, 1e6):
            given = scenario(graph, *rates, query_rate)
            for uploads in ((), (Upload(0, 1, (0,)),)):
                assert math.isfinite(simulate(given, Plan(uploads)).mean_delay_s)


def test_more_work_than_there_is_and_more_servers_than_have_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"user 'u': flops of 'n' is 2e\+24; more than 1e\+24"):
        scenario(LayerGraph("n", 1, (Layer("a", 2e24, 1, 1, (-1,)),)), 1.0, 1.0, 1.0)
    graph = LayerGraph("n", 1, (Layer("a", 2.0, 1, 1, (-1,)),))
    device = Node("d", Tier.DEVICE, 1.0, 1.0)
    users = tuple(User(str(index), graph, device) for index in range(128))
    servers = tuple(Node(str(index), Tier.EDGE, 1.0, 1.0) for index in range(128))
    assert len(Scenario(users, servers[:127], Links(1.0), 1.0).users) == 128
    with pytest.raises(ValueError, match="servers has 128 entries; a scenario can have 127 at most"):
        Scenario(users[:1], servers, Links(1.0), 1.0)


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_what_is_given_is_copied_and_stays_the_callers(shape: tuple[int, ...]) -> None:
    given = np.ones(3)
    kept = full("rates", given, shape, LINK_RATE)
    given[0] = 5.0  # still allowed
    assert kept.tolist() == np.ones(shape).tolist()
    with pytest.raises(ValueError, match="read-only"):
        kept[..., 0] = 2.0
