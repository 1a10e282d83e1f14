from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from dnnmig_env.networks.execution.build import runner_of
from dnnmig_env.networks.execution.layer_runner import LayerRunner
from dnnmig_env.networks.tracing import trace
from evaluate.testbed.processes.inbox import Inbox
from evaluate.testbed.processes.job import Events
from evaluate.testbed.processes.pacing import Processor
from evaluate.testbed.processes.segments import Segment, Share, segments_of, targets_of


class Fork(nn.Module):
    """Layers 0: a, 1: b (reads a), 2: c (reads a), 3: sum of b and c."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        result: Tensor = self.b(y) + self.c(y)
        return result


def fork() -> LayerRunner:
    module = Fork()
    return runner_of(trace(module, (1, 4)), module, [(1, 4)])


def test_a_segment_ends_where_values_come_or_go() -> None:
    runner = fork()
    x, (a,), (b,), (c,) = runner.inputs[0], *(runner.cuts[layer].sends for layer in (0, 1, 2))
    (total,) = runner.cuts[3].returned
    # a, b and the sum on the device, c on server 1: a leaves before b runs, and the sum waits for c.
    assert segments_of(runner, [0, 0, 1, 0], 0) == (
        Segment((0,), (), ((a, (1,)),)),
        Segment((1,), (), ()),
        Segment((3,), (c,), ()),
    )
    assert segments_of(runner, [0, 0, 1, 0], 1) == (Segment((2,), (a,), ((c, (0,)),)),)
    # Everything on server 2: one segment, which takes the input and sends the result.
    assert segments_of(runner, [2, 2, 2, 2], 2) == (Segment((0, 1, 2, 3), (x,), ((total, (0,)),)),)
    assert segments_of(runner, [2, 2, 2, 2], 0) == ()
    # a on server 1, b on server 2, the others on the device: a is sent once to each.
    assert targets_of(runner, [1, 2, 0, 0]) == {x: (1,), a: (0, 2), b: (0,), c: (), total: ()}


def test_a_share_runs_at_the_speed_that_is_played_and_sends_what_others_need() -> None:
    runner, sent = fork(), []
    share = Share(
        runner,
        0,
        np.array([0.03, 0.02, 9.0, 0.01]),
        Processor(),
        Inbox(),
        lambda query, event, value, node, tensor: sent.append((query, event, value, node)),
        user=5,
    )
    _, records = share.run(7, 2, [0, 0, 1, 1])
    assert sent == [(7, 2, runner.cuts[0].sends[0], 1), (7, 2, runner.cuts[1].sends[0], 1)]
    assert [(record["user"], record["query"], record["layers"]) for record in records] == [(5, 7, (0,)), (5, 7, (1,))]
    for record, target_s in zip(records, (0.03, 0.02), strict=True):
        assert abs(record["due_s"] - record["begin_s"] - target_s) < 0.002
        assert record["end_s"] >= record["due_s"]
        assert len(record["executed_s"]) == 1


def test_queries_use_the_last_event_that_has_really_happened() -> None:
    events = Events((0, 1, 1, 2), (0, 0, 1, 1), np.zeros((4, 1, 1), np.int8))
    # Predicted: a partition, then slot 1, then another partition. What if slot 1 begins first, or both are late?
    assert [events.at(arrived, slot) for arrived, slot in ((0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 1))] == [
        0,
        1,
        0,
        2,
        1,
        3,
    ]
