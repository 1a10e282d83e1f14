"""What is sent ahead of users: the plan for their next cells, up to a share of their weights."""

from __future__ import annotations

import numpy as np
import pytest

from agents.planners.foresight.ahead import plan_ahead
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, plan_of
from tests.agents.planners.foresight.moving_town import CLOUD, EAST, WEST, town
from tests.agents.planners.hand_made import MB
from tests.checked import assert_checked


def uploads_everything(view: Scenario, rng: np.random.Generator) -> Plan:
    """For every user in the view: the small layer to the east, then the big one, and the small one to the cloud."""
    return plan_of(
        [
            (user, layer, server)
            for user in range(len(view.users))
            for layer, server in ((1, EAST), (0, EAST), (1, CLOUD))
        ]
    )


@pytest.mark.parametrize(("share", "layers"), [(1.0, [1, 0]), (0.99, [1]), (0.34, [1]), (0.33, [])])
def test_only_what_goes_to_the_next_cell_is_sent_up_to_a_share(share: float, layers: list[int]) -> None:
    # The small layer is a third of 6 MB.
    known = town([[WEST, WEST]], [[WEST, WEST], [0, 0]])
    plan = plan_ahead(uploads_everything, known, {1: EAST}, np.random.default_rng(0), share)
    assert plan == plan_of([(1, layer, EAST) for layer in layers])


def test_what_is_there_counts_into_the_share() -> None:
    known = town([[WEST]], [[EAST, WEST]])
    assert plan_ahead(uploads_everything, known, {0: EAST}, np.random.default_rng(0), 0.9) == Plan()
    assert plan_ahead(uploads_everything, known, {}, np.random.default_rng(0)) == Plan()


def test_the_planner_sees_users_where_they_go() -> None:
    asked: list[Scenario] = []
    for foreign_mb_per_s, others in ((0.0, 1.0), (2.0, 5 * MB)):
        known = town([[WEST, WEST]], [[WEST, CLOUD], [0, 0]], foreign_mb_per_s=foreign_mb_per_s)
        plan_ahead(lambda view, rng: asked.append(view) or Plan(), known, {0: EAST}, np.random.default_rng(0))  # type: ignore[func-returns-value]
        view = asked[-1]
        assert len(view.users) == 1
        assert_checked(view)
        assert np.asarray(view.links.home).tolist() == [[EAST]]
        # The rate that it has at home, there; by the wire of 5 MB/s to the west if it reaches foreign edges at all.
        assert np.asarray(view.links.up_bytes_per_s)[0, 0].tolist() == [others, 10 * MB, MB]
        assert np.asarray(view.links.down_bytes_per_s)[0, 0].tolist() == [others, 10 * MB, MB]
        assert np.asarray(view.users[0].uploaded).tolist() == [0, CLOUD]
