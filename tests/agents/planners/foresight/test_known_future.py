"""What a clairvoyant sends ahead: what is there in time, and pays off as it will be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.planners.foresight.known_future import worth_sending
from dnnmig_env.arrays import Ints
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, Upload, plan_of
from dnnmig_env.simulation.simulator import simulate
from tests.agents.planners.foresight.moving_town import EAST, NOTHING, WEST, town
from tests.agents.planners.hand_made import MB

BOTH = plan_of([(0, 1, EAST), (0, 0, EAST)])


def slow_wires(scenario: Scenario, mb_per_s: float) -> Scenario:
    return replace(scenario, links=replace(scenario.links, between_bytes_per_s=mb_per_s * MB))


def now(scenario: Scenario, slot: int = 0) -> Scenario:
    """Return a slot of a scenario as what is known."""
    links = scenario.links
    names = ("up_bytes_per_s", "down_bytes_per_s", "up_latency_s", "down_latency_s", "home")
    known = replace(links, **{name: np.asarray(getattr(links, name))[slot : slot + 1] for name in names})
    users = tuple(replace(user, query_rate_hz=np.asarray(user.query_rate_hz)[slot]) for user in scenario.users)
    return replace(scenario, users=users, links=known, horizon_s=100.0, slot_starts_s=(0.0,), mobility=None)


@pytest.mark.parametrize(("time_s", "layers"), [(6.0, [1, 0]), (6.1, [1]), (10.0, [1]), (10.1, [])])
def test_what_would_come_long_after_its_user_is_not_sent(time_s: float, layers: list[int]) -> None:
    # By wires of 0.5 MB/s, 4 MB take 8 s and 2 MB take 4 s; the user comes at 10 s, and 4 s more are allowed.
    whole = slow_wires(town([[WEST], [EAST], [EAST]], [[WEST, WEST]]), 0.5)
    assert worth_sending(BOTH, Plan(), now(whole), whole, 0, time_s) == plan_of([(0, layer, EAST) for layer in layers])


def test_the_fastest_wire_from_a_server_that_holds_the_layer_counts() -> None:
    whole = town([[WEST], [EAST], [EAST]], [[WEST, WEST]], copies={(0, 0): 3})
    wires = np.full((3, 3), 0.5 * MB)
    wires[2, EAST - 1] = 4 * MB
    for rates, layers in ((wires, [1, 0]), (wires.T, [1])):
        placed = replace(whole, links=replace(whole.links, between_bytes_per_s=rates))
        sent = worth_sending(BOTH, Plan(), now(placed), placed, 0, 6.1)
        assert sent == plan_of([(0, layer, EAST) for layer in layers])


def test_what_nobody_holds_or_whose_user_never_comes_is_not_sent_ahead() -> None:
    nowhere = town([[WEST], [EAST]], [NOTHING])
    assert worth_sending(BOTH, Plan(), now(nowhere), nowhere, 0, 0.0) == Plan()
    whole = town([[WEST], [EAST], [EAST]], [[WEST, WEST]])
    assert worth_sending(Plan(), Plan(), now(whole), whole, 0, 0.0) == Plan()
    assert worth_sending(BOTH, Plan(), now(whole), whole, 0, 0.0) == BOTH


def two_who_want_one_place(rates: Any, comes_s: tuple[int, int]) -> Scenario:
    """There is room in the east for one network, that of the second user; both come there, and nobody reloads it."""
    home = [[EAST if start_s >= each_s else WEST for each_s in comes_s] for start_s in range(0, 100, 10)]
    whole = town(home, [[WEST, WEST]] * 2, copies={(1, 0): EAST, (1, 1): EAST}, memory_mb=12.0, rates=rates)
    west, east, cloud = whole.servers
    return replace(whole, servers=(west, replace(east, memory_bytes=6 * MB), cloud))


@pytest.mark.parametrize(
    ("rates", "comes_s", "time_s", "pays"),
    [
        ([0.1, 9.0], (40, 10), 0.0, False),
        ([9.0, 0.1], (40, 10), 0.0, True),
        ([9.0, 0.1], (70, 10), 0.0, False),  # only the loss falls into the next minute
        ([9.0, 0.1], (70, 10), 10.1, True),  # the second user has come, so nothing of it is dropped: no loss
        ([9.0, 0.1], (90, 60), 45.0, True),
        ([1.5, 1.0], (90, 80), 75.0, False),  # the loss lasts for 20 s, the gain for 10 s until the horizon
        ([1.5, 1.0], (60, 50), 45.0, True),  # 50 s and 40 s
    ],
)
def test_what_takes_more_from_others_than_it_gives_is_not_sent(
    rates: list[float], comes_s: tuple[int, int], time_s: float, pays: bool
) -> None:
    whole, slot = two_who_want_one_place(rates, comes_s), int(time_s // 10)
    assert worth_sending(BOTH, Plan(), now(whole, slot), whole, slot, time_s) == (BOTH if pays else Plan())


def test_it_is_the_next_time_in_the_cell_that_counts() -> None:
    whole = slow_wires(town([[EAST], [WEST], [WEST], [EAST]], [[WEST, WEST]]), 0.5)
    assert worth_sending(BOTH, Plan(), now(whole, 1), whole, 1, 12.0) == BOTH
    assert worth_sending(BOTH, Plan(), now(whole, 1), whole, 1, 26.1) == plan_of([(0, 1, EAST)])


def test_the_best_of_the_courses_that_are_looked_at_is_taken() -> None:
    """They are: all users, all but one, nobody, and all but those without each of whom it is better than with all."""
    wins = np.zeros(4, np.int64)
    for seed in range(100):
        rng, people = np.random.default_rng(seed), {0, 1, 2}
        enters = rng.integers(1, 5, 3)
        home = [[EAST if slot >= enter else WEST for enter in enters] for slot in range(5)]
        rates = rng.choice([0.2, 1.0, 9.0], 3).tolist()
        whole = slow_wires(town(home, [[WEST, WEST]] * 3, memory_mb=18.0, rates=rates), rng.uniform(0.3, 2.0))
        west, east, cloud = whole.servers
        east = replace(east, memory_bytes=float(rng.choice([4, 6, 8, 12, 18])) * MB)
        whole = replace(whole, servers=(west, east, cloud))
        ahead = plan_of([(user, layer, EAST) for layer in (1, 0) for user in (0, 1, 2)])
        rate = float(np.asarray(whole.links.between_bytes_per_s)[0, 1])
        in_time = [
            upload for upload in ahead.uploads if (4, 2)[upload.layers[0]] * MB / rate <= 10 * enters[upload.user] + 4
        ]
        users = {upload.user for upload in in_time}

        def early(chosen: set[int], in_time: list[Upload] = in_time) -> tuple[Upload, ...]:
            return tuple(upload for upload in in_time if upload.user in chosen)

        def delay_s(
            sent: tuple[Upload, ...], whole: Scenario = whole, ahead: Plan = ahead, enters: Ints = enters
        ) -> float:
            late = tuple(
                replace(upload, not_before_s=10.0 * enters[upload.user])
                for upload in ahead.uploads
                if upload not in sent
            )
            return simulate(whole, Plan((*sent, *late))).mean_delay_s

        all_s = delay_s(early(users))
        one_less = {user: delay_s(early(users - {user})) for user in users}
        better = {user for user in users if one_less[user] < all_s}
        looked_at = np.array(
            [all_s, min(one_less.values(), default=all_s), delay_s(()), delay_s(early(users - better))]
        )
        sent = worth_sending(ahead, Plan(), now(whole), whole, 0, 0.0).uploads
        assert sent == early(people & {upload.user for upload in sent})
        assert delay_s(sent) == pytest.approx(looked_at.min(), rel=1e-9)
        wins[looked_at.argmin()] += 1
    assert wins.min() > 0  # each of them is sometimes the best
