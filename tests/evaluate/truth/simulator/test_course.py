from __future__ import annotations

import pytest

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.scenario import Scenario
from evaluate.truth.simulator.course import Course, course_of
from evaluate.truth.simulator.plain_scenario import PlainScenario
from tests.evaluate.truth.simulator.by_hand import chain, scenario, user


def fork() -> LayerGraph:
    """Layer 0 feeds 1, 2 and 3; 4 reads 1 and 3; 2 and 4 are results."""
    return LayerGraph(
        "fork",
        8,
        (
            Layer("stem", 0.0, 1, 4, (-1,)),
            Layer("left", 0.0, 1, 2, (0,)),
            Layer("result", 0.0, 1, 1, (0,)),
            Layer("right", 0.0, 1, 2, (0,)),
            Layer("join", 0.0, 1, 3, (1, 3)),
        ),
    )


def course(given: Scenario, assignment: tuple[int, ...]) -> tuple[PlainScenario, Course]:
    plain = PlainScenario(given)
    return plain, course_of(plain, 0, assignment)


def test_everything_on_the_device_is_one_task_that_occupies_no_station() -> None:
    given = scenario([user(chain([5, 5, 5], [1, 1, 1], 9), [[1.0, 0.1], [2.0, 0.1], [4.0, 0.1]])], 10.0)
    plain, found = course(given, (0, 0, 0))
    (task,) = found.tasks
    assert (task.station, task.amount, task.returns, task.travels) == (0, 7.0, True, False)
    assert not found.offloads
    assert found.delay_s([7.0], [0.0], [1.0] * plain.num_stations) == 7.0


def test_a_chain_goes_to_a_server_and_back() -> None:
    # 9 bytes up, 0.1 + 0.2 s there, 6 bytes down, 4 s on the device, whose result is there already.
    given = scenario([user(chain([5, 6, 5], [1, 1, 1], 9), [[1.0, 0.1], [2.0, 0.2], [4.0, 0.4]])], 10.0)
    plain, found = course(given, (1, 1, 0))
    rows = [(task.station, round(task.amount, 9), task.before, task.returns) for task in found.tasks]
    assert rows == [
        (plain.uplink, 9.0, (), False),
        (1, 0.3, (0,), False),
        (plain.downlink, 6.0, (1,), False),
        (0, 4.0, (2,), True),
    ]
    assert (found.num_returns, found.first, found.waits_for) == (1, [0], [0, 1, 1, 1])


def test_servers_send_over_the_wire_of_the_sender() -> None:
    given = scenario([user(chain([5, 6], [1, 1], 9), [[1.0] * 3, [2.0] * 3])], 10.0, servers=2)
    plain, found = course(given, (2, 1))
    assert [task.station for task in found.tasks] == [plain.uplink, 2, plain.downlink + 2, 1, plain.downlink]
    assert plain.station_name(plain.downlink + 2) == "wire of server 2"
    assert [plain.station_name(station) for station in (0, 1, 3, 4)] == ["device", "server 1", "uplink", "downlink"]


def test_a_tensor_goes_once_to_each_node_and_branches_run_side_by_side() -> None:
    # stem on the device (1 s); left and right on server 1, result on server 2, join on the device.
    seconds = [[1.0, 9.0, 9.0], [9.0, 2.0, 9.0], [9.0, 9.0, 0.5], [9.0, 3.0, 9.0], [0.25, 9.0, 9.0]]
    plain, found = course(scenario([user(fork(), seconds)], 10.0, servers=2), (0, 1, 2, 1, 0))
    rows = [(task.station, task.amount, task.before, task.returns) for task in found.tasks]
    assert rows == [
        (0, 1.0, (), False),
        (plain.uplink, 4.0, (0,), False),  # the stem's output to server 1, once for left and right
        (plain.uplink, 4.0, (0,), False),  # and to server 2
        (1, 2.0, (1,), False),
        (plain.downlink, 2.0, (3,), False),  # left's output
        (2, 0.5, (2,), False),
        (plain.downlink, 1.0, (5,), True),  # the result
        (1, 3.0, (1, 3), False),  # right, after left, as a node takes one layer at a time
        (plain.downlink, 2.0, (7,), False),
        (0, 0.25, (0, 4, 8), True),
    ]
    # By hand: stem 1, up 5, left 7, right 10, down 12, join 12.25; with a doubled server 1: 5 + 4 + 6 + 2 + 0.25.
    alone = [task.amount for task in found.tasks]
    nobody = [1.0] * plain.num_stations
    assert found.delay_s(alone, [0.0] * 10, nobody) == pytest.approx(12.25)
    assert found.delay_s(alone, [0.0] * 10, [1.0, 2.0, *nobody[2:]]) == pytest.approx(17.25)
    assert found.delay_s(alone, [0.5 if task.travels else 0.0 for task in found.tasks], nobody) == pytest.approx(13.25)


def test_a_result_that_is_read_as_well_ends_no_sooner_than_it_returns() -> None:
    graph = LayerGraph("two", 0, (Layer("a", 0.0, 1, 4, (-1,)), Layer("b", 0.0, 1, 0, (0,))), outputs=(0, 1))
    plain, found = course(scenario([user(graph, [[1.0, 2.0], [1.0, 1.0]])], 10.0), (1, 1))
    assert found.num_returns == 2
    assert [(task.station, task.before, task.returns) for task in found.tasks[1:]] == [
        (1, (0,), False),
        (plain.downlink, (1,), True),
        (1, (1,), False),
        (plain.downlink, (3,), True),
    ]


def test_links_that_are_down_take_for_ever_unless_there_is_nothing_to_send() -> None:
    given = scenario(
        [user(chain([0], [1], 3), [[1.0, 1.0]])], 10.0, slots=(0.0, 5.0), up_bytes_per_s=[[[1.0]], [[0.0]]]
    )
    plain, found = course(given, (1,))
    assert found.seconds(plain, 0) == [3.0, 1.0, 0.0]
    assert found.seconds(plain, 1) == [float("inf"), 1.0, 0.0]
