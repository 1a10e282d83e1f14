from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dnnmig_env.families.registry import scenarios
from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.scenario import User
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.simulator import simulate
from evaluate.truth.simulator.course import course_of
from evaluate.truth.simulator.plain_scenario import PlainScenario
from evaluate.truth.simulator.prediction import Prediction
from tests.evaluate.truth.simulator.by_hand import chain, on_server, scenario, user


def predicted(users: list[User], *, is_sending: bool = False, **links: object) -> Prediction:
    """Predict delays where everybody runs its only layer on server 1."""
    plain = PlainScenario(scenario(users, 10.0, **links))  # type: ignore[arg-type]
    courses = [course_of(plain, index, (1,)) for index in range(len(users))]
    return Prediction(plain, 0, courses, is_sending=is_sending)


def test_users_who_never_leave_a_server_slow_each_other_as_many_times() -> None:
    assert predicted([on_server(1.0)] * 3).delay_s == pytest.approx([3.0] * 3)


def test_a_query_finds_the_others_for_a_share_of_their_time() -> None:
    # d = 1 + d / 4, as one query in 4 s is there for d seconds: d = 4/3. Both are there for a third of the time.
    found = predicted([on_server(1.0, 0.25)] * 2)
    assert found.delay_s == pytest.approx([4.0 / 3.0] * 2)
    assert [row[1] for row in found.present] == pytest.approx([1.0 / 3.0] * 2)


def test_presence_is_what_slowed_seconds_are_of_a_cycle() -> None:
    # User 0 sends for 1 s and computes for 1 s, all the time; user 1 computes for 1 s every 10 s.
    # User 1: 1 + p0; user 0 is on the server for 1 + p1 of its 2 + p1 seconds; p1 = (1 + p0) / 10.
    sender = user(chain([0], [1], 1), [[1e3, 1.0]], uploaded=[1])
    p0 = 0.5
    for _ in range(100):
        p1 = (1.0 + p0) / 10.0
        p0 = (1.0 + p1) / (2.0 + p1)
    found = predicted([sender, on_server(1.0, 0.1)])
    assert found.delay_s == pytest.approx([2.0 + p1, 1.0 + p0])


def test_an_upload_is_one_more_customer_only_where_it_shares() -> None:
    sender = user(chain([0], [1], 2), [[1e3, 1.0]], uploaded=[1])
    for mode, is_sending, delay_s in (
        ("shared", True, 5.0),
        ("shared", False, 3.0),
        ("priority", True, 3.0),
        ("independent", True, 3.0),
    ):
        assert predicted([sender], is_sending=is_sending, uplink=mode).delay_s == pytest.approx([delay_s])


def test_a_tie_goes_to_the_first_and_a_choice_changes_what_others_expect() -> None:
    found = predicted([on_server(2.0, device_s=4.0), on_server(2.0, device_s=3.5)])
    plain = PlainScenario(scenario([on_server(2.0, device_s=4.0), on_server(2.0, device_s=3.5)], 10.0))
    server, device = (course_of(plain, 0, (node,)) for node in (1, 0))
    assert found.choose(0, (server, device)) is server  # 4 s either way
    assert found.choose(0, (device, server)) is device
    assert found.delay_s == pytest.approx([4.0, 2.0])


def test_nobody_is_anywhere_more_than_all_the_time() -> None:
    # User 0 sends its two inputs of 4 bytes side by side, all the time: 8 s of sending in a cycle of 4 s. User 1 finds
    # one other there, not two.
    graph = LayerGraph("two", 8, (Layer("only", 0.0, 1, 0, (-2, -1)),), inputs=(4, 4))
    sender = user(chain([0], [1], 1), [[1e3, 0.0]], 1e-6, uploaded=[1])
    found = predicted([user(graph, [[1e3, 0.0]], uploaded=[1]), sender])
    assert found.delay_s == pytest.approx([4.0, 2.0], rel=1e-4)


def test_absent_users_are_nowhere() -> None:
    users = [on_server(1.0), on_server(1.0, [0.0, 1.0])]
    plain = PlainScenario(scenario(users, 10.0, slots=(0.0, 5.0)))
    found = Prediction(plain, 0, [course_of(plain, index, (1,)) for index in range(2)], is_sending=False)
    assert found.delay_s == [pytest.approx(1.0), 0.0]
    assert not any(found.present[1])


def test_the_radio_is_shared_by_the_users_of_a_cell_and_servers_by_all() -> None:
    # Users 0 and 1 are in cell 1, user 2 in cell 2: each sends for 1 s and computes on server 1 for 1 s, all the time.
    users = [user(chain([0], [1], 1), [[1e3, 1.0, 1.0]], uploaded=[1]) for _ in range(3)]
    plain = PlainScenario(scenario(users, 9.0, servers=2, home=[[1, 1, 2]], uplink="shared"))
    found = Prediction(plain, 0, [course_of(plain, index, (1,)) for index in range(3)], is_sending=())
    slowdown, up, on = [found.slowdown(index) for index in range(3)], plain.uplink, found.present
    assert slowdown[0][up] == pytest.approx(1.0 + on[1][up])
    assert slowdown[0][1] == pytest.approx(1.0 + on[1][1] + on[2][1])
    assert slowdown[2][up] == 1.0
    assert slowdown[2][1] == pytest.approx(1.0 + on[0][1] + on[1][1])
    # Weights in cell 1 slow only the users there; those on a wire slow whoever sends over it.
    more = Prediction(plain, 0, found.courses, is_sending={1, 2 + 2})
    assert more.slowdown(0)[up] == pytest.approx(2.0 + more.present[1][up])
    assert more.slowdown(2)[up] == 1.0
    assert [more.slowdown(index)[plain.downlink + 2] for index in range(3)] == [2.0] * 3


def test_what_query_data_leave_to_weights() -> None:
    # Users 0 and 1 send 1 byte every 4 s in cell 1. User 2, in cell 2, sends 1 byte by radio and 3 from server 1 to
    # server 2 every 100 s.
    near = user(chain([0], [1], 1), [[1e3, 0.5, 0.5]], 0.25, uploaded=[1])
    far = user(chain([3, 0], [1, 1], 1), [[1e3, 0.0, 0.0]] * 2, 0.01, uploaded=[1, 2])
    for mode, shares in (("priority", (0.5, 0.99, 0.97, 1.0)), ("independent", (1.0, 1.0, 1.0, 1.0))):
        given = scenario([near, near, far], 9.0, servers=2, home=[[1, 1, 2]], between_bytes_per_s=1.0, uplink=mode)
        plain = PlainScenario(given)
        courses = [course_of(plain, index, nodes) for index, nodes in enumerate(((1,), (1,), (1, 2)))]
        found = Prediction(plain, 0, courses, is_sending=())
        assert [found.share(lane) for lane in (1, 2, 3, 4)] == pytest.approx(shares)
        shared = Prediction(PlainScenario(replace(given, uplink="shared")), 0, courses, is_sending=())
        in_cell_1 = shared.present[0][plain.uplink] + shared.present[1][plain.uplink]
        assert shared.share(1) == pytest.approx(1.0 / (1.0 + in_cell_1))
        assert shared.share(3) == pytest.approx(1.0 / 1.03)


@pytest.mark.parametrize("family", ["edge-cloud", "multi-user"])
def test_two_writings_of_the_same_sections_agree(family: str) -> None:
    for drawn in scenarios(family, 5, seed=3):
        users = tuple(
            replace(one, uploaded=np.where(one.graph.movable, 1 + index % 2, 0))
            for index, one in enumerate(drawn.users)
        )
        servers = tuple(replace(server, memory_bytes=np.inf) for server in drawn.servers)
        given = replace(drawn, users=users, servers=servers)
        timeline, plain = simulate(given, Plan()), PlainScenario(given)
        chosen = [tuple(int(node) for node in row) for row in timeline.event_assignment[-1]]
        courses = [course_of(plain, u, nodes[: len(plain.graphs[u])]) for u, nodes in enumerate(chosen)]
        assert sum(course.offloads for course in courses) > 0
        found = Prediction(plain, plain.slot_at(float(timeline.event_time_s[-1])), courses, is_sending=False)
        assert found.delay_s == pytest.approx(timeline.event_delay_s[-1], rel=0.01)
