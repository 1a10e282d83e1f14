"""Weights that several layers share, several inputs, outputs that are read inside too, layers that stay on the device.

All scenarios have one user, whose layers take 1 s on the device and 0.1 s on a server, and links of 1 MB/s without
latency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.plan import Plan, check_plan, plan_of
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.timeline import Timeline

DEVICE = Node("device", Tier.DEVICE, 1e9, 1e15)


def layer(name: str, megabytes: float, *predecessors: int, output: int = 0, **others: object) -> Layer:
    return Layer(name, 1e9, int(megabytes * 1e6), output, predecessors or (-1,), **others)  # type: ignore[arg-type]


def scenario_of(*layers: Layer, inputs: Sequence[int] = (0,), outputs: Sequence[int] = (), **limits: float) -> Scenario:
    graph = LayerGraph("net", sum(inputs), layers, inputs=tuple(inputs), outputs=tuple(outputs))
    servers = tuple(Node(f"edge{number}", Tier.EDGE, 1e10, 1e15, **limits) for number in (1, 2))
    return Scenario((User("user", graph, DEVICE),), servers, Links(1e6), horizon_s=10.0)


def played(scenario: Scenario, *steps: tuple[int, int]) -> Timeline:
    """Return the timeline of uploading (layer, server) one after another."""
    return simulate(scenario, plan_of((0, layer, server) for layer, server in steps))


def curve(timeline: Timeline) -> list[tuple[float, float]]:
    return [(time, delay) for time, (delay,) in zip(timeline.event_time_s, timeline.event_delay_s, strict=True)]


def test_layers_with_the_same_weights_run_where_these_are_after_one_upload() -> None:
    # As albert: one layer of 2 MB, used three times. Uploaded once, in at 2 s: 3 x 0.1 s instead of 3 s.
    same = scenario_of(layer("a", 2), layer("b", 0, 0, shares=(0,)), layer("c", 0, 1, shares=(0,)))
    timeline = played(same, (0, 1))
    assert timeline.upload_s == 2.0
    assert curve(timeline) == [(0.0, pytest.approx(3.0)), (2.0, pytest.approx(0.3))]
    assert timeline.mean_delay_s == pytest.approx((2 * 3.0 + 8 * 0.3) / 10)
    with pytest.raises(ValueError, match="layer 1 has no weights"):
        check_plan(same, plan_of([(0, 1, 1)]))


def test_shared_weights_are_of_no_use_before_they_have_arrived() -> None:
    # A slot begins at 1 s, when half of the 2 MB is there: nobody may run on the server yet.
    same = scenario_of(layer("a", 2), layer("b", 0, 0, shares=(0,)))
    timeline = played(replace(same, slot_starts_s=(0.0, 1.0)), (0, 1))
    assert curve(timeline) == [(0.0, pytest.approx(2.0)), (1.0, pytest.approx(2.0)), (2.0, pytest.approx(0.2))]
    assert timeline.event_assignment[1, 0].tolist() == [0, 0]


def test_shared_weights_take_memory_once() -> None:
    same = scenario_of(layer("a", 2), layer("b", 1, 0, shares=(0,)), memory_bytes=3e6)
    check_plan(same, plan_of([(0, 0, 1), (0, 1, 1)]))
    assert played(same, (0, 1), (1, 1)).event_delay_s[-1] == pytest.approx(0.2)


def test_a_layer_without_the_weights_that_it_shares_stays_where_it_was() -> None:
    # b has 1 MB of its own and needs the 2 MB of a. Alone on the server, or with a on the other server, it is of no
    # use: it goes on running on the device. Without weights of its own it would have followed its predecessor.
    scenario = scenario_of(layer("a", 2), layer("b", 1, 0, shares=(0,)))
    assert played(scenario, (1, 1)).event_delay_s[-1] == pytest.approx(2.0)
    assert played(scenario, (1, 1), (0, 2)).event_delay_s[-1] == pytest.approx(1.1)
    assert played(scenario, (1, 1), (0, 1)).event_delay_s[-1] == pytest.approx(0.2)


def test_a_head_runs_where_the_embedding_is_not_where_its_predecessor_runs() -> None:
    # As a tied embedding and head, with a layer between them: a on server 1, b on server 2. What b writes has 0 bytes.
    tied = scenario_of(layer("embed", 1), layer("b", 1, 0), layer("head", 0, 1, shares=(0,)))
    last = played(tied, (0, 1), (1, 2)).event_assignment[-1, 0]
    assert last.tolist() == [1, 2, 1]
    assert played(tied, (1, 2)).event_assignment[-1, 0].tolist() == [0, 2, 0]


def test_weights_of_two_others_have_to_be_in_one_place() -> None:
    two = scenario_of(layer("a", 1), layer("b", 1, 0), layer("c", 0, 1, shares=(0, 1)))
    assert played(two, (0, 1), (1, 2)).event_assignment[-1, 0].tolist() == [1, 2, 0]
    assert played(two, (0, 2), (1, 2)).event_assignment[-1, 0].tolist() == [2, 2, 2]


def test_a_cold_query_waits_for_the_weights_that_it_shares() -> None:
    # c reads the input and shares weights with a, which goes second: b in at 1 s, a at 3 s, so c, before a in
    # topological order, runs from 3.0 to 3.1 s, a to 3.2 s.
    late = scenario_of(layer("c", 0, shares=(1,)), layer("a", 2, 0), layer("b", 1, -1))
    timeline = played(late, (2, 1), (1, 1))
    assert timeline.cold_start_delay_s[0] == pytest.approx(3.3)  # b after a, in topological order
    # Serially, c asks first: a's weights are in at 2.0, then those of b are asked for at 2.2.
    assert timeline.serial_cold_start_delay_s[0] == pytest.approx(3.3)


def test_each_layer_waits_for_the_inputs_that_it_reads() -> None:
    # An image of 2 MB goes to a, a vector of 0.1 MB to b; with b alone on the server only the vector is sent.
    scenario = scenario_of(layer("a", 1, -1), layer("b", 1, -2), layer("c", 0, 0, 1), inputs=(2_000_000, 100_000))
    timeline = played(scenario, (1, 1))
    # a on the device until 1.0; b from 0.1 to 0.2 on the server; c follows b to the server, from 1.0 to 1.1.
    assert timeline.event_delay_s[-1] == pytest.approx(1.1)
    query = timeline.query(0, 9.0)
    assert [(sent.tensor, sent.size_bytes) for sent in query.transfers if sent.source == 0] == [(-2, 100_000), (0, 0)]
    assert scenario.users[0].graph.bytes_moved.tolist() == [3e6, 1.1e6, 0.0]


def test_an_output_returns_even_if_it_is_read_inside() -> None:
    # a's 0.5 MB return in 0.5 s and are read by b as well, on the server: a 0.1, b 0.2, but a's output at 0.6.
    scenario = scenario_of(layer("a", 1, output=500_000), layer("b", 1, 0), outputs=(0, 1))
    timeline = played(scenario, (0, 1), (1, 1))
    assert timeline.event_delay_s[-1] == pytest.approx(0.6)
    assert [(sent.tensor, sent.target) for sent in timeline.query(0, 9.0).transfers] == [(-1, 1), (0, 0), (1, 0)]


def test_what_is_no_output_stays_where_it_was_computed() -> None:
    # A cache of 5 MB, written by b, is neither read nor returned: only c's result counts.
    scenario = scenario_of(layer("a", 1), layer("b", 1, 0, output=5_000_000), layer("c", 1, 0), outputs=(2,))
    timeline = played(scenario, (0, 1), (1, 1), (2, 1))
    assert timeline.event_delay_s[-1] == pytest.approx(0.3)
    assert played(scenario, (0, 1), (2, 1)).event_delay_s[-1] == pytest.approx(0.2)  # b on the device holds up nobody


def test_layers_that_stay_on_the_device_are_never_uploaded() -> None:
    scenario = scenario_of(layer("private", 3, on_device=True), layer("b", 1, 0), memory_bytes=4e6)
    env = MigrationEnv(limits=Limits.of([scenario]))
    env.reset(options={"scenario": scenario})
    legal = [env.episodes.actions.decode(int(action)) for action in np.flatnonzero(env.action_masks())]
    assert legal == [(0, 1, 1), (0, 1, 2), None]
    with pytest.raises(ValueError, match="layer 0 stays on the device and is never uploaded"):
        check_plan(scenario, plan_of([(0, 0, 1)]))
    assert played(scenario, (1, 1)).event_assignment[-1, 0].tolist() == [0, 1]


def test_a_weightless_layer_that_stays_does_not_follow_its_predecessor() -> None:
    scenario = scenario_of(layer("a", 1), layer("shown", 0, 0, on_device=True), layer("c", 0, 1))
    assert played(scenario, (0, 1)).event_assignment[-1, 0].tolist() == [1, 0, 0]
    assert simulate(scenario, Plan()).mean_delay_s == pytest.approx(3.0)
