"""What planners of uploads see where weights move: what counts as uploaded, what memory is left, whose plan wins."""

from __future__ import annotations

import numpy as np
import pytest

from agents.planners import planner
from agents.planners.foresight.uploads_view import clouds, held_by_servers, plan_in_view, plan_moves, uploads_view
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan, plan_of
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from tests.agents.planners.foresight.moving_town import CLOUD, EAST, WEST, town
from tests.agents.planners.hand_made import MB
from tests.checked import assert_checked


def seen(known: Scenario, users: list[int], *, everywhere: bool = False) -> list[list[int]]:
    view = uploads_view(known, users, everywhere=everywhere)
    assert not view.moves
    assert_checked(view)
    return [np.asarray(user.uploaded).tolist() for user in view.users]


def test_what_lies_at_home_or_in_the_cloud_counts_and_what_lies_elsewhere_only_if_it_is_asked_for() -> None:
    known = town([[WEST]], [[EAST, CLOUD]], foreign_mb_per_s=2.0)
    assert seen(known, [0]) == [[0, CLOUD]]
    assert seen(known, [0], everywhere=True) == [[EAST, CLOUD]]
    assert seen(town([[WEST]], [[EAST, CLOUD]]), [0], everywhere=True) == [[0, CLOUD]]  # the east is out of reach
    last = town([[WEST]], [[EAST, CLOUD]], copies={(0, 0): CLOUD, (0, 1): EAST}, foreign_mb_per_s=2.0)
    assert seen(last, [0], everywhere=True) == [[EAST, CLOUD]]  # where it was sent last
    gone = town([[WEST]], [[EAST, 0]], copies={(0, 0): CLOUD})
    assert seen(gone, [0], everywhere=True) == [[CLOUD, 0]]  # that is out of reach
    both = town([[WEST]], [[EAST, 0]], copies={(0, 0): WEST}, foreign_mb_per_s=2.0)
    assert seen(both, [0]) == seen(both, [0], everywhere=True) == [[WEST, 0]]  # home comes first


def test_memory_that_others_and_copies_take_is_gone() -> None:
    # The west holds 4 MB of user 0, who lives there, and 2 MB of user 1, who is not shown; the east a copy of 4 MB.
    known = town([[WEST, EAST]], [[WEST, 0], [0, WEST]], copies={(0, 0): EAST}, memory_mb=20)
    view = uploads_view(known, [0], everywhere=False)
    assert [server.memory_bytes / MB for server in view.servers] == [18, 16, 20]
    assert seen(known, [0]) == [[WEST, 0]]
    # A server without room still has that for its smallest layer, as every server must.
    full = town([[EAST]], [[WEST, WEST]], memory_mb=6)
    assert [server.memory_bytes / MB for server in uploads_view(full, [0], everywhere=False).servers] == [2, 6, 6]


def test_links_and_places_are_those_of_the_users_who_are_shown() -> None:
    known = town([[WEST, EAST, EAST]], x_m=[[100.0, 600.0, 900.0]], vx_m_per_s=[[1.0, 2.0, 3.0]])
    view = uploads_view(known, [2, 0], everywhere=False)
    assert np.asarray(view.links.home).tolist() == [[EAST, WEST]]
    # What is out of reach has 1 byte/s, as planners are told of dead links.
    assert np.asarray(view.links.up_bytes_per_s)[0].tolist() == [[1.0, 10 * MB, MB], [10 * MB, 1.0, MB]]
    assert view.mobility is not None
    assert np.asarray(view.mobility.user_positions_m)[0, :, 0].tolist() == [900.0, 100.0]
    assert np.asarray(view.mobility.user_velocities_m_per_s)[0, :, 0].tolist() == [3.0, 1.0]


def test_a_plan_made_in_a_view_is_about_the_users_of_the_scenario() -> None:
    known = town([[WEST, EAST]])
    plan = plan_in_view(lambda view, rng: plan_of([(0, 1, EAST), (0, 0, EAST)]), known, [1], np.random.default_rng(0))
    assert plan == plan_of([(1, 1, EAST), (1, 0, EAST)])


@pytest.mark.parametrize("first_is_better", [False, True])
def test_of_the_plans_of_both_views_the_better_one_is_taken(first_is_better: bool) -> None:
    # The big layer lies in the east, in reach; to upload the small one beats to upload nothing.
    known = town([[WEST]], [[EAST, 0]], foreign_mb_per_s=2.0)
    better, worse = plan_of([(0, 1, WEST)]), Plan()
    costs = [mean_delays_s(pack([known]), plan_arrays([plan]))[0] for plan in (better, worse)]
    assert costs[0] < 0.9 * costs[1]
    asked: list[Scenario] = []

    def uploads(view: Scenario, rng: np.random.Generator) -> Plan:
        asked.append(view)
        return better if (len(asked) == 1) == first_is_better else worse

    assert plan_moves(uploads, known, np.random.default_rng(0)) == better
    assert [np.asarray(view.users[0].uploaded).tolist() for view in asked] == [[0, 0], [EAST, 0]]


def test_where_nothing_lies_elsewhere_one_plan_is_enough() -> None:
    for known in (
        town([[WEST]], [[WEST, CLOUD]], foreign_mb_per_s=2.0),
        town([[EAST]], [[EAST, 0]], foreign_mb_per_s=2.0),
        town([[WEST]], [[EAST, 0]]),  # out of reach
        town([[WEST]]),
    ):
        asked: list[Scenario] = []
        plan_moves(lambda view, rng, asked=asked: asked.append(view) or Plan(), known, np.random.default_rng(0))  # type: ignore[misc]
        assert len(asked) == 1


def test_absent_users_are_not_planned_for() -> None:
    known = town([[WEST, WEST]], rates=[0.0, 1.0])
    plan = plan_moves(planner("joint-efficiency"), known, np.random.default_rng(0))
    assert {upload.user for upload in plan.uploads} == {1}
    assert {upload.server for upload in plan.uploads} == {WEST}


def test_who_holds_what_and_what_is_a_cloud() -> None:
    known = town([[WEST]], [[WEST, CLOUD]], copies={(0, 0): EAST})
    assert held_by_servers(known.users[0], 3).tolist() == [[True, True, False], [False, False, True]]
    assert clouds(known).tolist() == [False, False, True]
