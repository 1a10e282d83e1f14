from __future__ import annotations

import csv
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.simulator import simulate
from evaluate.testbed.comparison import Comparison, compare_run, events_of
from evaluate.testbed.plots import delays_png
from evaluate.testbed.seconds_taken import is_late, scenario_as_taken
from evaluate.testbed.tables import delay_rows, figures, parts_rows, queries_csv, upload_rows, uploads_csv

GRAPH = LayerGraph("two", 0, (Layer("a", 1.0, 1000, 0, (-1,)), Layer("b", 1.0, 1000, 0, (0,))))
SCENARIO = Scenario(
    # a takes 0.3 s on the device, b 0.1 s; on the server 0.1 s and 0.05 s. Nothing but weights is sent, 1000 bytes/s.
    (User("phone", GRAPH, Node("device", Tier.DEVICE, 1.0, 1.0), 1.0, [[0.3, 0.1], [0.1, 0.05]]),),
    (Node("edge", Tier.EDGE, 1.0, 1.0),),
    Links(1000.0),
    4.0,
)
PLAN = Plan((Upload(0, 1, (0,)), Upload(0, 1, (1,))))
PREDICTED = simulate(SCENARIO, PLAN)


def query(number: int, start_s: float, end_s: float, **changes: Any) -> dict[str, Any]:
    return {"user": 0, "query": number, "event": 0, "start_s": start_s, "end_s": end_s, "same": True} | changes


def segment(number: int, node: int, layers: tuple[int, ...], *times: float, executed: tuple[float, ...]) -> Any:
    begin_s, due_s, end_s = times
    return {
        "user": 0,
        "query": number,
        "node": node,
        "layers": layers,
        "begin_s": begin_s,
        "due_s": due_s,
        "end_s": end_s,
        "executed_s": executed,
    }


RUN: dict[str, Any] = {
    "queries": [query(2, 1.5, 1.75), query(1, 0.0, 0.5), query(3, 3.0, 3.2)],
    "segments": [
        segment(1, 0, (0, 1), 0.0, 0.4, 0.48, executed=(0.3, 0.2)),
        segment(2, 1, (0,), 1.5, 1.6, 1.62, executed=(0.05,)),
        segment(2, 0, (1,), 1.63, 1.73, 1.74, executed=(0.01,)),
        segment(3, 1, (0, 1), 3.0, 3.15, 3.17, executed=(0.1, 0.05)),
    ],
    "uploads": [{"upload": 0, "end_s": 1.1}, {"upload": 1, "end_s": float("inf")}],
}


def compared() -> Comparison:
    return compare_run("by-hand", SCENARIO, PLAN, PREDICTED, RUN)


def test_the_prediction_is_what_this_file_takes_it_for() -> None:
    assert PREDICTED.event_time_s.tolist() == [0.0, 1.0, 2.0]
    assert PREDICTED.event_delay_s[:, 0].tolist() == pytest.approx([0.4, 0.2, 0.15])


def test_each_query_stands_for_the_time_until_the_next() -> None:
    one = compared()
    # Starts at 0, 1.5 and 3 s, horizon at 4 s: weights 1.5, 1.5 and 1 of 4.
    assert one.weight.tolist() == pytest.approx([1.5 / 4, 1.5 / 4, 1 / 4])
    assert one.delay_s.tolist() == pytest.approx([0.5, 0.25, 0.2])
    assert one.measured_s == pytest.approx((1.5 * 0.5 + 1.5 * 0.25 + 0.2) / 4)
    assert one.predicted_s == pytest.approx((1.5 * 0.4 + 1.5 * 0.2 + 0.15) / 4)
    assert one.wrong_results == 0
    assert one.predicted_queries == pytest.approx(4.0)  # at 1 Hz no query is in the way of the next


def test_a_query_that_ends_after_the_horizon_stands_for_its_own_time() -> None:
    run = {**RUN, "queries": [query(1, 0.0, 0.5), query(2, 3.5, 5.5)]}
    assert compare_run("late", SCENARIO, PLAN, PREDICTED, run).weight.tolist() == pytest.approx([3.5 / 5.5, 2 / 5.5])


def test_layers_take_in_the_second_prediction_what_they_took() -> None:
    # Device: the segment of both layers ended 80 ms late, all because of b, which ran 100 ms longer than it should:
    # b took 0.18 s; alone it took 0.1 + 0.01, in the mean 0.145 s. a took 0.3 s.
    # Server: a took 0.12 s alone; both were 20 ms late though no layer was, shared as 2 to 1: 0.1133 and 0.0567 s.
    (table,) = scenario_as_taken(SCENARIO, RUN["segments"]).execution_s
    assert table.tolist() == [
        pytest.approx([0.3, (0.12 + 0.1 + 0.02 * 2 / 3) / 2]),
        pytest.approx([(0.18 + 0.11) / 2, 0.05 + 0.02 / 3]),
    ]
    one = compared()
    assert one.retold.event_delay_s[0, 0] == pytest.approx(0.3 + 0.145)
    assert SCENARIO.execution_s[0][0, 0] == 0.3


def test_what_never_ran_keeps_its_seconds() -> None:
    (table,) = scenario_as_taken(SCENARIO, RUN["segments"][:1]).execution_s
    assert table[:, 1].tolist() == [0.1, 0.05]


def test_segments_are_late_when_their_layers_were() -> None:
    assert [is_late(one) for one in RUN["segments"]] == [True, False, False, False]
    assert not is_late(segment(1, 0, (0,), 0.0, 1.0, 1.3, executed=(1.04,)))  # the sleep was, not the layer
    assert is_late(segment(1, 0, (0,), 0.0, 1.0, 1.3, executed=(1.06,)))
    assert compared().late_share == 0.25


def test_delays_are_divided_into_device_network_and_server() -> None:
    parts = compared().parts_s()
    weights = np.array([1.5, 1.5, 1]) / 4
    device, server = weights @ [0.48, 0.11, 0.0], weights @ [0.0, 0.12, 0.17]
    assert parts["device"] == pytest.approx((device, weights @ [0.4, 0.1, 0.0]))
    assert parts["server"] == pytest.approx((server, weights @ [0.0, 0.1, 0.15]))
    assert parts["network"] == pytest.approx((weights @ [0.5, 0.25, 0.2] - device - server, 0.0))


def test_partitions_are_compared_one_by_one() -> None:
    rows = compared().upload_rows
    assert [(row["upload"], row["server"], row["layers"]) for row in rows] == [(0, "edge", 1), (1, "edge", 1)]
    assert [(row["measured_s"], row["predicted_s"]) for row in rows] == [(1.1, 1.0), (float("inf"), 2.0)]
    assert upload_rows([compared()]) == [("by-hand", "1 of 2", "1.10", "1.00", "1.00")]


def test_events_say_how_many_partitions_have_arrived() -> None:
    events = events_of(PREDICTED)
    assert (events.arrived, events.slot) == ((0, 1, 2), (0, 0, 0))
    assert events.assignment[:, 0].tolist() == [[0, 0], [1, 0], [1, 1]]
    changing = replace(SCENARIO, slot_starts_s=(0.0, 1.5), links=Links(np.array([1000.0, 500.0])[:, None, None]))
    events = events_of(simulate(changing, PLAN))
    assert (events.arrived, events.slot) == ((0, 1, 1, 2), (0, 0, 1, 1))


def test_partitions_of_several_layers_are_one_event() -> None:
    events = events_of(simulate(SCENARIO, Plan((Upload(0, 1, (0, 1)),))))
    assert (events.arrived, events.assignment[:, 0].tolist()) == ((0, 1), [[0, 0], [1, 1]])


def test_tables_say_all_of_it() -> None:
    one = compared()
    ((name, queries, measured, predicted, error, *_, late),) = delay_rows([one])
    assert (name, queries, measured, predicted, late) == ("by-hand", "3 (4)", "331.3", "262.5", "25 %")
    assert error == f"{100 * (331.25 / 262.5 - 1):+.1f} %"
    assert parts_rows([one])[0][:4] == ("by-hand", "221.3", "22.5", "87.5")
    rows = list(csv.DictReader(queries_csv([one]).splitlines()))
    assert [row["query"] for row in rows] == ["1", "2", "3"]
    assert [float(row["predicted_s"]) for row in rows] == [0.4, 0.2, 0.15]
    assert list(csv.DictReader(uploads_csv([one]).splitlines()))[1]["measured_s"] == "inf"
    found = figures(one)
    assert (found["uploads"][1]["measured_s"], found["wrong_results"]) == (None, 0)
    assert found["objective_s"] == PREDICTED.mean_delay_s


def test_wrong_results_are_counted() -> None:
    run = {**RUN, "queries": [query(1, 0.0, 0.5, same=False), query(2, 3.5, 3.9)]}
    assert compare_run("wrong", SCENARIO, PLAN, PREDICTED, run).wrong_results == 1


def test_a_run_without_queries_is_an_error() -> None:
    with pytest.raises(ValueError, match="no query was raised"):
        compare_run("none", SCENARIO, PLAN, PREDICTED, {**RUN, "queries": []})


def test_a_picture_is_drawn() -> None:
    assert delays_png("costs $5", [compared()]).startswith(b"\x89PNG")
    assert delays_png("three", [compared()] * 3).startswith(b"\x89PNG")
