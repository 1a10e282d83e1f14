"""The compiled kernel against two oracles built differently, and against itself in other batches."""

import math
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.kernel import effective_assignment, query_delay_s
from dnnmig_env.simulation.packed import Limits, pack
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s, play
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.state import new_state
from tests import oracle
from tests.agreement import agree
from tests.strategies import RandomChoices, Sizes, make_plan, make_scenario, random_case

LARGE = Sizes(users=5, layers=11)


@pytest.mark.parametrize("first", range(0, 1000, 250))
def test_agrees_with_the_reference(first: int) -> None:
    for seed in range(first, first + 250):
        agree(*random_case(seed, LARGE if seed % 2 else Sizes()))


@pytest.mark.slow
def test_agrees_with_the_reference_at_length() -> None:
    for seed in range(10_000, 30_000):
        agree(*random_case(seed, LARGE if seed % 2 else Sizes()))


def test_the_random_cases_hold_everything_they_should() -> None:
    # Guards the two tests above against scenarios in which nothing happens.
    changing = contended = absent = dead = partitions = idle = cut = left = 0
    for seed in range(200):
        scenario, plan = random_case(seed, LARGE)
        timeline = simulate(scenario, plan)
        delays, used = timeline.event_delay_s, timeline.event_assignment
        changing += bool(np.any(np.diff(delays, axis=0)))
        contended += bool(np.any(np.any(used == 1, axis=2).sum(axis=1) > 1))
        absent += not timeline.present.all()
        dead += bool(np.any(np.asarray(scenario.links.up_bytes_per_s) == 0))
        partitions += any(len(upload.layers) > 1 for upload in plan.uploads)
        idle += any(upload.not_before_s > 0 for upload in plan.uploads)
        cut += bool(plan.uploads) and timeline.upload_s == math.inf
        # A layer on a server goes back to the device, or to another server.
        left += bool(np.any((used[:-1] > 0) & (used[1:] != used[:-1])))
    assert min(changing, contended, absent, dead, partitions, idle, cut, left) >= 10


def sending_s(
    scenario: Scenario, user: int, source: int, target: int, size_bytes: float, slowdown: oracle.Slowdown
) -> float:
    if source == target:
        return 0.0
    moving_s = oracle.moving_alone_s(scenario, 0, user, source, target, size_bytes)
    factor = slowdown[oracle.link_station(source, target)]
    return moving_s * factor + oracle.link(scenario, 0, user, source, target)[1]


def longest_path_s(scenario: Scenario, user: int, assignment: dict[int, int], slowdown: oracle.Slowdown) -> float:
    """The delay of a query as the longest path through its layers, its transfers, and the order on every node."""
    graph = scenario.users[user].graph
    times = nx.DiGraph()
    for v, layer in enumerate(graph.layers):
        times.add_edge(("start", v), ("end", v), weight=oracle.execution_s(scenario, user, v, assignment[v]))
        times["start", v]["end", v]["weight"] *= slowdown[assignment[v]]
        for tensor in layer.predecessors:
            before, source = ("raised", tensor) if tensor < 0 else ("end", tensor), assignment.get(tensor, 0)
            seconds = sending_s(scenario, user, source, assignment[v], graph.tensor_bytes(tensor), slowdown)
            times.add_edge(before, ("start", v), weight=seconds)
    for node in set(assignment.values()):
        sequence = [v for v in range(len(graph)) if assignment[v] == node]
        for earlier, later in pairwise(sequence):
            if not times.has_edge(("end", earlier), ("start", later)):
                times.add_edge(("end", earlier), ("start", later), weight=0.0)
    for sink in graph.output_layers:
        seconds = sending_s(scenario, user, assignment[sink], 0, graph.tensor_bytes(sink), slowdown)
        times.add_edge(("end", sink), "answered", weight=seconds)
    return float(nx.dag_longest_path_length(times))


def test_a_query_takes_the_longest_path() -> None:
    rng = np.random.default_rng(0)
    parallel = 0
    for _ in range(400):
        scenario = make_scenario(RandomChoices(rng), Sizes(users=1, layers=12, slots=1, outages=False))
        length, nodes = len(scenario.users[0].graph), len(scenario.servers) + 1
        # Any assignment at all, not only those that arise from uploads.
        assignment, factors = rng.integers(0, nodes, length), rng.uniform(1, 20, 2 * nodes + 1)
        factors[0] = 1.0  # nobody slows a device
        factors[nodes:] **= 0.25  # with slow links, hardly any branches would run side by side
        stations = [*range(nodes), *(f"wire of {node}" for node in range(1, nodes)), "uplink", "downlink"]
        slowdown = dict(zip(stations, factors, strict=True))
        finish_s, free_s = np.zeros(length), np.zeros(nodes)
        delay_s = query_delay_s(pack([scenario]), 0, 0, 0, assignment.astype(np.int8), factors, finish_s, free_s)
        as_dict = {v: int(node) for v, node in enumerate(assignment)}
        assert delay_s == pytest.approx(longest_path_s(scenario, 0, as_dict, slowdown), rel=1e-12)
        executions = scenario.execution_s[0][np.arange(length), assignment] * factors[assignment]
        parallel += delay_s < executions.sum()
    assert parallel > 40  # branches do run side by side


def test_weightless_layers_follow_their_latest_predecessor_on_a_server() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        scenario = make_scenario(RandomChoices(rng), Sizes(users=1, layers=12, slots=1))
        packed, length = pack([scenario]), len(scenario.users[0].graph)
        node = rng.integers(0, len(scenario.servers) + 1, length).astype(np.int8)
        usable, assignment = rng.random(length) < 0.7, np.zeros(length, np.int8)
        effective_assignment(packed, 0, 0, node, usable, assignment)
        placed = {v: int(node[v]) for v in range(length) if usable[v]}
        expected = oracle.everything_available(scenario, 0, placed)
        assert assignment.tolist() == [expected[v] for v in range(length)]


def test_a_batch_equals_its_rows_bit_for_bit() -> None:
    # 100 rows take the parallel way, 20 the serial one; padded to the largest or not: always the same bits.
    cases = [random_case(seed, LARGE if seed % 3 else Sizes()) for seed in range(100)]
    scenarios, plans = [scenario for scenario, _ in cases], [plan for _, plan in cases]
    alone = np.array([mean_delays_s(pack([scenario]), plan_arrays([plan]))[0] for scenario, plan in cases])
    rows = np.arange(100)
    np.testing.assert_array_equal(mean_delays_s(pack(scenarios), plan_arrays(plans), rows), alone)
    np.testing.assert_array_equal(mean_delays_s(pack(scenarios[:20]), plan_arrays(plans[:20]), rows[:20]), alone[:20])
    np.testing.assert_array_equal([simulate(*case).mean_delay_s for case in cases], alone)
    limits = Limits(users=9, layers=40, servers=7, slots=12, edges=90, inputs=4, shares=50)
    np.testing.assert_array_equal(mean_delays_s(pack(scenarios, limits), plan_arrays(plans), rows), alone)


def test_many_plans_of_one_scenario() -> None:
    rng = np.random.default_rng(5)
    scenario = make_scenario(RandomChoices(rng), Sizes(users=5, layers=11, outages=False, absences=False))
    plans = [make_plan(RandomChoices(rng), scenario) for _ in range(80)]
    together = mean_delays_s(pack([scenario]), plan_arrays(plans))
    np.testing.assert_array_equal(together, [simulate(scenario, plan).mean_delay_s for plan in plans])
    assert len(set(together.tolist())) > 10


def test_a_used_state_forgets_its_last_episode() -> None:
    cases = [random_case(seed, LARGE if seed % 2 else Sizes()) for seed in range(60)]
    packed = pack([scenario for scenario, _ in cases])
    plans = plan_arrays([plan for _, plan in cases])
    state = new_state(packed, rows=1, events=40)
    source, times = np.empty(plans.user.shape[1], np.int64), np.empty((4, plans.user.shape[1]))
    for row, (scenario, plan) in enumerate(cases):
        mean_delay_s = play(packed, row, state, 0, plans, row, source, *times)
        fresh = simulate(scenario, plan)
        events, users = fresh.event_delay_s.shape
        assert mean_delay_s == fresh.mean_delay_s
        np.testing.assert_array_equal(state.event_delay_s[0, :events, :users], fresh.event_delay_s)


def test_the_arrays_of_a_problem_are_not_written_to() -> None:
    scenario, plan = random_case(7, LARGE)
    packed = pack([scenario])
    before = [array.copy() for array in packed]
    mean_delays_s(packed, plan_arrays([plan]))
    for array, copy in zip(packed, before, strict=True):
        np.testing.assert_array_equal(array, copy)
