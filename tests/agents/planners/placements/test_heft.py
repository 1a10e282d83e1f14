"""HEFT: its authors' example, and what this model adds, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from agents.planners.placements.heft import Tasks, heft, schedule, upward_ranks_s
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.scenarios.scenario import Scenario
from tests.agents.planners.hand_made import chain

RNG = np.random.default_rng(0)

PAPER_EXECUTION = (
    (14, 16, 9), (13, 19, 18), (11, 13, 19), (13, 8, 17), (12, 13, 10),
    (13, 16, 9), (7, 15, 11), (5, 11, 14), (18, 12, 20), (21, 7, 16),
)  # fmt: skip
PAPER_EDGES = {
    (1, 2): 18, (1, 3): 12, (1, 4): 9, (1, 5): 11, (1, 6): 14, (2, 8): 19, (2, 9): 16, (3, 7): 23,
    (4, 8): 27, (4, 9): 23, (5, 9): 13, (6, 8): 15, (7, 10): 17, (8, 10): 11, (9, 10): 13,
}  # fmt: skip


def paper_example() -> tuple[Tasks, list[int]]:
    """Return the ten tasks of the paper's figure 3 and where they stand among ours.

    Its edges have costs of their own, our tensors one for all readers: so a weightless layer without cost stands on
    every edge. It follows the layer it reads, and sends on what the edge costs.
    """
    predecessors: list[list[int]] = []
    execution: list[tuple[float, ...]] = []
    tensor: list[float] = []
    place: dict[int, int] = {}
    for task, row in enumerate(PAPER_EXECUTION, start=1):
        sources = []
        for (one, other), cost in PAPER_EDGES.items():
            if other == task:
                predecessors.append([place[one]])
                execution.append((0.0, 0.0, 0.0))
                tensor.append(cost)
                sources.append(len(predecessors) - 1)
        place[task] = len(predecessors)
        predecessors.append(sources or [-1])
        execution.append(row)
        tensor.append(0.0)
    tensor.append(0.0)  # the network's input comes last
    count, is_task = len(predecessors), [v in place.values() for v in range(len(predecessors))]
    tasks = Tasks(
        predecessors,
        [[]] * count,
        [False] * count,
        [v == place[10] for v in range(count)],
        [list(map(float, row)) for row in execution],
        [[[0.0 if one == two else cost for two in range(3)] for one in range(3)] for cost in tensor],
        [float(each) for each in is_task],
        is_task,
        [0] * count,
    )
    return tasks, list(place.values())


def test_upward_ranks_are_those_of_the_paper() -> None:
    tasks, place = paper_example()
    ranks = np.array(upward_ranks_s(tasks, [0, 1, 2]))[place]
    published = [108.000, 77.000, 80.000, 80.000, 69.000, 63.333, 42.667, 35.667, 44.333, 14.667]
    assert ranks == pytest.approx(published, abs=5e-4)


def test_processors_are_those_of_the_paper() -> None:
    tasks, place = paper_example()
    nodes = np.array(schedule(tasks, [0, 1, 2], [math.inf] * 3))[place]
    assert (nodes + 1).tolist() == [3, 1, 3, 2, 3, 2, 3, 1, 2, 2]


def place(scenario: Scenario) -> list[list[int]]:
    return [row.tolist() for row in heft(scenario, RNG)]


def test_the_result_returns_to_the_device() -> None:
    # The last layer saves 0.9 s on the server, but its result of 2 MB takes 2 s back.
    assert place(chain([1, 1], [0, 0])) == [[1, 1]]
    assert place(chain([1, 1], [0, 2])) == [[1, 0]]


def test_it_does_not_look_ahead() -> None:
    # An input of 1.5 MB: layer 0 ends earlier on the device, though both layers on the server would save 0.3 s.
    scenario = chain([1, 1], [0, 0])
    graph = LayerGraph("input", 1_500_000, scenario.users[0].graph.layers)
    assert place(replace(scenario, users=(replace(scenario.users[0], graph=graph),))) == [[0, 1]]


def test_branches_run_at_the_same_time() -> None:
    # Two heads of 1 s on the device or on the server: one on each, 1 s instead of 2 s.
    scenario = chain([1, 1, 1], [0, 0, 0], server_s=[1.0])
    layers = [replace(layer, predecessors=(min(v, 1) - 1,)) for v, layer in enumerate(scenario.users[0].graph.layers)]
    graph = LayerGraph("fork", 0, tuple(layers))
    forked = replace(scenario, users=(replace(scenario.users[0], graph=graph),))
    assert sorted(place(forked)[0][1:]) == [0, 1]


def test_memory_is_shared_in_index_order() -> None:
    scenario = chain([1, 1], [0, 0], memory_mb=[3.0], query_rate_hz=[1.0, 1.0])
    assert place(scenario) == [[1, 1], [1, 0]]


def test_what_is_uploaded_stays_and_weightless_layers_follow() -> None:
    # 9 MB from layer 0, which server 2 holds; layer 1 is weightless and shrinks it to nothing on the way.
    scenario = chain([1, 0, 1], [9, 0, 0], server_s=[0.1, 0.3], rate_mb_per_s=[1.0, 1.0])
    held = replace(scenario, users=(replace(scenario.users[0], uploaded=[2, 0, 0]),))
    assert place(held) == [[2, 0, 1]]
