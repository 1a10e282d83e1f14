"""Real runs of a few seconds: what they return is right bit for bit, and takes about as long as it should."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dnnmig_env.scenarios.file import load_scenario
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario
from dnnmig_env.simulation.plan import Plan, Upload
from evaluate.testbed.processes.coordinator import run_for_real
from evaluate.testbed.processes.job import Events, Job

EXAMPLE = Path(__file__).resolve().parents[4] / "examples" / "testbed_small.yaml"
EDGE_S, DEVICE_S = 0.004, 0.01


def scenario(**changes: object) -> Scenario:
    """A phone that takes 10 ms for each of 8 layers, beside an edge that takes 4 ms."""
    given = load_scenario(EXAMPLE, lambda graph: np.full(len(graph), EDGE_S / 2))
    table = np.tile([DEVICE_S, EDGE_S], (len(given.users[0].graph), 1))
    return replace(given, users=(replace(given.users[0], profile_s=table),), **changes)  # type: ignore[arg-type]


def test_two_users_and_two_servers_share_what_they_share() -> None:
    one = scenario(horizon_s=2.5)
    first = one.users[0]
    count = len(first.graph)
    table = np.tile([DEVICE_S, EDGE_S, EDGE_S], (count, 1))
    users = tuple(replace(first, name=name, profile_s=table, query_rate_hz=5.0) for name in ("a", "b"))
    far = Node("far", Tier.CLOUD, 5e10, 2e10)
    two = Scenario(users, (*one.servers, far), Links(2e6, 4e6, 0.002, None, 5e6, 0.003), 2.5)
    movable = [layer for layer in np.flatnonzero(first.graph.movable).tolist() if first.graph.weight_bytes[layer] < 5e5]
    here, there = movable[:2], movable[2:4]
    plan = Plan((Upload(0, 1, tuple(here)), Upload(1, 2, (movable[0],)), Upload(0, 2, tuple(there))))
    device, after = np.zeros(count, np.int8), np.zeros(count, np.int8)
    after[here], other = 1, np.zeros(count, np.int8)
    other[movable[0]] = 2
    last = after.copy()
    last[there] = 2
    assignment = np.array([[device, device], [after, device], [after, other], [last, other]])
    run = run_for_real(two, plan, Events((0, 1, 2, 3), (0, 0, 0, 0), assignment))
    assert all(query["same"] for query in run["queries"])
    assert {query["event"] for query in run["queries"]} >= {0, 3}
    arrived = sorted((upload["upload"], upload["end_s"]) for upload in run["uploads"])
    assert [number for number, _ in arrived] == [0, 1, 2]
    for upload in run["uploads"]:
        assert upload["sent_s"] < upload["end_s"]
    in_turn = sorted(run["uploads"], key=lambda upload: upload["upload"])
    assert all(one["sent_s"] <= following["begin_s"] for one, following in pairwise(in_turn))  # however busy it is here
    # Weights alone, one upload after another in order, cannot be faster than the channel.
    sizes = [sum(first.graph.weight_bytes[layer] for layer in upload.layers) for upload in plan.uploads]
    assert all(end_s > total / 2e6 for (_, end_s), total in zip(arrived, np.cumsum(sizes), strict=True))
    nodes = {(segment["user"], segment["node"]) for segment in run["segments"]}
    assert nodes == {(0, 0), (0, 1), (0, 2), (1, 0), (1, 2)}
    for segment in run["segments"]:
        target_s = (DEVICE_S if segment["node"] == 0 else EDGE_S) * len(segment["layers"])
        assert segment["due_s"] - segment["begin_s"] > target_s - 1e-6
        assert segment["end_s"] >= segment["due_s"]


def test_one_query_is_in_flight_at_a_time_and_users_may_be_absent() -> None:
    # At first a query every 50 ms would be wanted, and each takes 80 ms; then nobody is there; then one every 200 ms.
    given = scenario(horizon_s=2.2, slot_starts_s=(0.0, 0.8, 1.2), links=Links(3e6, 6e6, 0.003))
    users = (replace(given.users[0], query_rate_hz=[20.0, 0.0, 5.0]),)
    count = len(users[0].graph)
    run = run_for_real(
        replace(given, users=users), Plan(), Events((0,) * 3, (0, 1, 2), np.zeros((3, 1, count), np.int8))
    )
    queries = run["queries"]
    starts = np.array([query["start_s"] for query in queries])
    delays = np.array([query["end_s"] - query["start_s"] for query in queries])
    assert all(later >= query["end_s"] for later, query in zip(starts[1:], queries, strict=False))
    assert min(delays) >= DEVICE_S * count - 1e-4
    assert np.median(delays) == pytest.approx(DEVICE_S * count, rel=0.25)
    assert np.all(np.diff(starts[starts < 0.8]) < 0.2)
    assert not np.any((starts > 0.89) & (starts < 1.2))
    assert np.min(np.diff(starts[starts > 1.2])) > 0.199
    assert {query["event"] for query in queries if query["start_s"] > 1.2} == {2}
    assert all(query["same"] for query in queries)


def test_a_job_is_told_in_plain_words() -> None:
    given = scenario()
    count = len(given.users[0].graph)
    events = Events((0, 1), (0, 0), np.arange(2 * count, dtype=np.int8).reshape(2, 1, count) % 2)
    job = Job(0, 0, given, Plan((Upload(0, 1, (2, 3), 0.5),)), events)
    told = Job.from_plain(job.to_plain())
    assert (told.node, told.user, told.plan, told.name) == (0, 0, job.plan, "device of user 'phone'")
    assert (told.events.arrived, told.events.slot) == (events.arrived, events.slot)
    assert np.array_equal(told.events.assignment, events.assignment)
    assert told.scenario.users[0].graph == given.users[0].graph
    assert np.array_equal(told.scenario.execution_s[0], given.execution_s[0])


def test_what_goes_wrong_in_a_process_is_one_line() -> None:
    given = scenario()
    graph = replace(given.users[0].graph, origin="")
    broken = replace(given, users=(replace(given.users[0], graph=graph),))
    with pytest.raises(ValueError, match="failed: network 'small' does not say"):
        run_for_real(broken, Plan(), Events((0,), (0,), np.zeros((1, 1, len(graph)), np.int8)))


def test_what_goes_wrong_while_queries_run_is_one_line() -> None:
    given = scenario(horizon_s=3.0)
    count = len(given.users[0].graph)
    there = np.full((1, 1, count), 7, np.int8)  # a node that is not there
    with pytest.raises(ValueError, match="the device of user 'phone' failed: KeyError: 7"):
        run_for_real(given, Plan(), Events((0,), (0,), there))
