"""Equal-share LMU: everybody's own order, and the channel served as if shared equally."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from agents.planners.orders.equal_share_lmu import equal_share_lmu
from agents.planners.orders.lmu import lmu
from agents.planners.protocol import Placement
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.simulator import simulate
from tests.agents.planners.hand_made import chain
from tests.agents.planners.random_scenarios import realistic

RNG = np.random.default_rng(0)


def random_placement(scenario: Scenario, seed: int) -> Placement:
    rng = np.random.default_rng(seed)
    return tuple(
        np.where(user.graph.weight_bytes > 0, rng.integers(0, 4, len(user.graph)), 0).astype(np.int8)
        for user in scenario.users
    )


def test_partitions_go_in_the_order_in_which_they_would_end_under_equal_sharing() -> None:
    # Three layers of 2, 3 and 1 MB; any of them saves 0.9 s, so each user alone uploads 1, 2, 3 MB in this order, done
    # after 1, 3 and 6 s of its own. The second user's line to its own server is four times as fast: 0.25, 0.75, 1.5 s.
    scenario = chain([2, 3, 1], [0, 0, 0], server_s=[0.1, 0.1], rate_mb_per_s=[1.0, 4.0], query_rate_hz=[9.0, 0.1])
    plan = equal_share_lmu(scenario, (np.full(3, 1, np.int8), np.full(3, 2, np.int8)), RNG)
    assert [(upload.user, upload.layers) for upload in plan.uploads] == [
        (1, (2,)),  # 0.25 s
        (1, (0,)),  # 0.75 s
        (0, (2,)),  # 1 s
        (1, (1,)),  # 1.5 s
        (0, (0,)),  # 3 s
        (0, (1,)),  # 6 s
    ]


def test_nobody_knows_of_anybody_else() -> None:
    # Every layer saves 0.4 s. In one queue the first user goes on, as its one layer on the server, 0.6 s of every
    # 1.6 s, slows the second user's by 0.225 s. With both its layers it is there all the time, and the second user's
    # layers would take 1.2 s there instead of 1 s on the device: none is of use by itself, and they are merged.
    scenario = chain([1, 1], [0, 0], server_s=[0.6], query_rate_hz=[0.9, 0.9])
    everything = (np.ones(2, np.int8),) * 2
    known, unknown = (order(scenario, everything, RNG).uploads for order in (lmu, equal_share_lmu))
    assert [(upload.user, upload.layers) for upload in known] == [(0, (0,)), (0, (1,)), (1, (0, 1))]
    assert [(upload.user, upload.layers) for upload in unknown] == [(0, (0,)), (1, (0,)), (0, (1,)), (1, (1,))]


@pytest.mark.parametrize("seed", range(10))
def test_every_user_keeps_the_order_it_has_alone_and_uploads_all_of_its_placement(seed: int) -> None:
    scenario = realistic(np.random.default_rng(seed), max_layers=8)
    placement = random_placement(scenario, seed)
    plan = equal_share_lmu(scenario, placement, RNG)
    for user in range(len(scenario.users)):
        users = (row if u == user else replace(row, query_rate_hz=0.0) for u, row in enumerate(scenario.users))
        alone = lmu(replace(scenario, users=tuple(users)), placement, RNG)
        assert tuple(upload for upload in plan.uploads if upload.user == user) == alone.uploads
    for reached, wanted in zip(plan.placement(scenario), placement, strict=True):
        assert reached.tolist() == wanted.tolist()


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_in_later_than_under_equal_sharing(seed: int) -> None:
    scenario = realistic(np.random.default_rng(seed), max_layers=8)
    servers = tuple(replace(server, memory_bytes=math.inf) for server in scenario.servers)
    scenario = replace(scenario, servers=servers, horizon_s=100 * scenario.horizon_s)
    plan = equal_share_lmu(scenario, random_placement(scenario, seed), RNG)
    uploads = simulate(scenario, plan).uploads
    owners, seconds = [upload.user for upload in uploads], [upload.end_s - upload.start_s for upload in uploads]
    for upload, at_most_s in zip(uploads, ends_under_equal_sharing(owners, seconds), strict=True):
        assert upload.end_s <= at_most_s * (1 + 1e-9)


def ends_under_equal_sharing(owners: Sequence[int], seconds: Sequence[float]) -> list[float]:
    """Return when each upload ends if every user's first unfinished one goes on, all of them equally fast."""
    left_s, ends_s, now_s = list(seconds), [math.inf] * len(seconds), 0.0
    while math.inf in ends_s:
        going_on: dict[int, int] = {}
        for k, owner in enumerate(owners):
            if ends_s[k] == math.inf:
                going_on.setdefault(owner, k)
        least_s = min(left_s[k] for k in going_on.values())
        now_s += least_s * len(going_on)
        for k in going_on.values():
            left_s[k] -= least_s
            if left_s[k] <= 0.0:
                ends_s[k] = now_s
    return ends_s
