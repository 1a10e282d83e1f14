"""What servers hold at a time: what has arrived there, and has not been dropped."""

from __future__ import annotations

import numpy as np
import pytest

from dnnmig_env.scenarios.validation import held_by
from dnnmig_env.simulation.plan import Plan, Upload, plan_of
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.holdings import held_at
from dnnmig_env.simulation.timelines.timeline import Timeline
from tests.agents.planners.hand_made import chain
from tests.hand_made import two_servers, user
from tests.strategies import random_case, random_moving_case


def held(timeline: Timeline, at_s: float) -> list[list[int]]:
    """User, layer and server (from 0) of whatever is held."""
    found: list[list[int]] = np.argwhere(held_at(timeline, [at_s])[0]).tolist()
    return found


def test_what_was_dropped_is_held_no_longer() -> None:
    # Bob sends 3 MB to server 1 until 3 s, and leaves at 4 s. Server 1 has room for 4 MB, so that Bob's are dropped for
    # Cyd's 2 MB, which arrive at 6 s. A copy of Bob's goes by wire to server 2, where it is at 3.5 s, and stays.
    users = [user("bob", [3], query_rate_hz=[1.0, 0.0]), user("cyd", [2], query_rate_hz=[0.0, 1.0])]
    scenario = two_servers(
        users,
        memory_mb=(4, 9),
        home=[[1, 1], [1, 1]],
        wire_mb_per_s=6.0,
        slot_starts_s=(0.0, 4.0),
        horizon_s=10.0,
        uplink="independent",
        moves=True,
    )
    timeline = simulate(scenario, plan_of([(0, 0, 1), (0, 0, 2), (1, 0, 1)]))
    assert held(timeline, 0.0) == held(timeline, 2.9) == []
    assert held(timeline, 3.2) == [[0, 0, 0]]
    assert held(timeline, 3.9) == [[0, 0, 0], [0, 0, 1]]
    assert held(timeline, 5.9) == [[0, 0, 1]]
    assert held(timeline, 6.1) == held(timeline, 10.0) == [[0, 0, 1], [1, 0, 0]]
    several = held_at(timeline, [3.2, 6.1])
    assert [np.argwhere(each).tolist() for each in several] == [held(timeline, 3.2), held(timeline, 6.1)]


def test_without_moves_each_layer_is_held_once_it_has_arrived() -> None:
    timeline = simulate(chain([1, 2, 9], [0, 0, 0], horizon_s=5.0), Plan((Upload(0, 1, (1, 0)), Upload(0, 1, (2,)))))
    assert held(timeline, 1.9) == []
    assert held(timeline, 2.5) == [[0, 1, 0]]  # usable at 3 s only, with the other layer of its partition
    assert held(timeline, 5.0) == [[0, 0, 0], [0, 1, 0]]  # 9 MB are still on their way


@pytest.mark.parametrize("case", [random_case, random_moving_case])
def test_queries_use_what_is_held_and_memory_holds_it(case: object) -> None:
    dropped = 0
    for seed in range(25):
        timeline = simulate(*case(seed))  # type: ignore[operator]
        scenario = timeline.scenario
        ends_s = np.append(timeline.event_time_s[1:], scenario.horizon_s)
        events = np.flatnonzero(ends_s > timeline.event_time_s)
        times_s = (timeline.event_time_s[events] + ends_s[events]) / 2
        holds = held_at(timeline, times_s.tolist())
        for index, row in enumerate(scenario.users):
            begun = np.stack([held_by(row, server) for server in range(1, len(scenario.servers) + 1)], axis=1)
            graph, own = row.graph, holds[:, index, : len(row.graph)]
            for place, event in enumerate(events.tolist()):
                arrived = begun.copy()
                for upload in timeline.uploads:
                    for each in upload.transfers:
                        if upload.user == index and each.arrives and each.stop_s <= times_s[place]:
                            arrived[each.layer, upload.server - 1] = True
                assert not (own[place] & ~arrived).any(), "something is held that was never sent"
                dropped += int((arrived & ~own[place]).sum())
                if timeline.present[event, index]:
                    nodes = timeline.event_assignment[event, index, : len(graph)]
                    for layer in np.flatnonzero((nodes > 0) & graph.movable).tolist():
                        assert own[place, layer, nodes[layer] - 1]
        for server, node in enumerate(scenario.servers):
            size_bytes = sum(
                holds[:, index, : len(row.graph), server] @ row.graph.weight_bytes
                for index, row in enumerate(scenario.users)
            )
            assert (np.asarray(size_bytes) <= node.memory_bytes * (1 + 1e-9)).all()
    assert (dropped > 0) == (case is random_moving_case)


def test_times_outside_the_scenario_are_refused() -> None:
    timeline = simulate(chain([1], [0], horizon_s=5.0), Plan())
    for at_s in (-0.1, 5.1):
        with pytest.raises(ValueError, match=rf"times_s has {at_s}; give times from 0 to the horizon \(5.0 s\)"):
            held_at(timeline, [0.0, at_s])
