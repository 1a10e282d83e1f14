from __future__ import annotations

import numpy as np

from evaluate.truth.simulator.holdings import Holdings
from evaluate.truth.simulator.plain_scenario import PlainScenario
from tests.evaluate.truth.simulator.by_hand import chain, scenario, user

LINKS = {"servers": 3, "slots": (0.0, 1.0), "moves": True, "home": [[1], [3]]}
EVERYWHERE = user(chain([0, 0], [2, 3]), [[1.0] * 4] * 2, uploaded=[3, 0], copies=[[1, 1, 0], [0, 0, 0]])


def test_a_layer_is_used_at_home_or_else_where_it_arrived_last() -> None:
    up = [[[1.0, 1.0, 1.0]], [[1.0, 1.0, 0.0]]]
    holdings = Holdings(PlainScenario(scenario([EVERYWHERE], 2.0, up_bytes_per_s=up, **LINKS)))
    assert holdings.used_from(0, 0) == {0: 1}
    assert holdings.used_from(1, 0) == {0: 2}  # home is out of reach; of those at time 0, server 2's copy is the latest
    holdings.drop([(0, 0, 2)])
    assert holdings.used_from(1, 0) == {0: 1}
    for layer in (0, 1):
        holdings.expect([(0, layer, 2)])
    assert holdings.used_from(1, 0) == {0: 1}
    assert not holdings.holds((0, 0, 2))
    assert holdings.expects((0, 0, 2))
    holdings.arrive([(0, 0, 2), (0, 1, 2)])
    assert holdings.used_from(1, 0) == {0: 2, 1: 2}
    assert holdings.used_from(0, 0) == {0: 1, 1: 2}
    assert holdings.hold_all(0, (1, 2))
    assert not holdings.hold_all(0, (1, 1))


def test_without_homes_a_layer_is_used_where_it_arrived_last() -> None:
    holdings = Holdings(PlainScenario(scenario([EVERYWHERE], 2.0, servers=3, moves=True)))
    assert holdings.used_from(0, 0) == {0: 3}


def test_where_weights_do_not_move_a_layer_is_used_in_reach_or_not() -> None:
    one = user(chain([0], [2]), [[1.0] * 3], uploaded=[2])
    up = [[[1.0, 1.0]], [[1.0, 0.0]]]
    holdings = Holdings(PlainScenario(scenario([one], 2.0, servers=2, slots=(0.0, 1.0), up_bytes_per_s=up)))
    assert holdings.used_from(1, 0) == {0: 2}
    assert holdings.to_drop(1, 2, 1e9) == []  # as much memory as anybody wants


def test_memory_is_kept_for_what_is_on_its_way() -> None:
    one = user(chain([0, 0, 0], [4, 4, 4]), [[1.0] * 3] * 3, uploaded=[1, 0, 0])
    given = scenario([one], 2.0, servers=2, memory_bytes=9.0, moves=True)
    holdings = Holdings(PlainScenario(given))
    assert [holdings.to_drop(0, 1, needed) for needed in (5.0, 6.0)] == [[], None]
    holdings.expect([(0, 1, 1)])
    assert [holdings.to_drop(0, 1, needed) for needed in (1.0, 2.0)] == [[], None]
    holdings.arrive([(0, 1, 1)])
    assert [holdings.to_drop(0, 1, needed) for needed in (1.0, 2.0)] == [[], None]
    holdings.expect([(0, 0, 2)])
    holdings.lose((0, 0, 2))
    assert holdings.to_drop(0, 2, 9.0) == []


def test_the_longest_absent_go_first_then_what_is_at_home_as_well_in_the_order_of_arrival() -> None:
    # Users 0 and 1 have left, 1 before 0; user 2 has not come yet; 3 and 4 are there, at home at server 1.
    rates = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0] * 3, [1.0] * 3])
    users = [
        user(chain([0], [1]), [[1.0] * 3], rate, uploaded=[2], copies=[[u == 3, False]]) for u, rate in enumerate(rates)
    ]
    given = scenario(
        users, 3.0, servers=2, slots=(0.0, 1.0, 2.0), memory_bytes=5.0, moves=True, home=[[2, 2, 2, 1, 1]] * 3
    )
    holdings = Holdings(PlainScenario(given))
    assert holdings.to_drop(2, 2, 1.0) == [(1, 0, 2)]
    assert holdings.to_drop(2, 2, 2.0) == [(1, 0, 2), (0, 0, 2)]
    assert holdings.to_drop(2, 2, 3.0) == [(1, 0, 2), (0, 0, 2), (3, 0, 2)]
    assert holdings.to_drop(2, 2, 4.0) is None  # user 4's is nowhere else
    holdings.expect([(4, 0, 1)])
    assert holdings.to_drop(2, 2, 4.0) is None
    holdings.arrive([(4, 0, 1)])
    assert holdings.to_drop(2, 2, 4.0) == [(1, 0, 2), (0, 0, 2), (3, 0, 2), (4, 0, 2)]
    assert holdings.to_drop(0, 2, 3.0) is None
    holdings.drop([(1, 0, 2), (3, 0, 2)])
    assert holdings.to_drop(2, 2, 4.0) == [(0, 0, 2), (4, 0, 2)]
