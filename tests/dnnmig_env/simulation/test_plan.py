from dataclasses import replace

import numpy as np
import pytest

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.simulation.plan import Plan, Upload, check_plan, plan_of
from dnnmig_env.simulation.plan_arrays import plan_arrays, plan_in_row
from tests.strategies import random_case

GRAPH = LayerGraph(
    "net",
    100,
    (Layer("a", 1e6, 1000, 10, (-1,)), Layer("b", 1e6, 0, 10, (0,)), Layer("c", 1e6, 500, 10, (1,))),
)
PHONE = Node("phone", Tier.DEVICE, 1e9, 1e9)
SERVERS = (Node("edge", Tier.EDGE, 1e12, 1e12, memory_bytes=1500), Node("cloud", Tier.CLOUD, 1e13, 1e12))
SCENARIO = Scenario((User("ann", GRAPH, PHONE), User("bob", GRAPH, PHONE)), SERVERS, Links(1e6), horizon_s=10.0)


@pytest.mark.parametrize(
    "plan",
    [
        Plan(),
        plan_of([(0, 0, 1), (0, 2, 1)]),  # fills the edge to the last byte
        Plan((Upload(0, 1, (2, 0)), Upload(1, 2, (0, 2), not_before_s=99.0))),
    ],
)
def test_plans_that_can_be_carried_out_pass(plan: Plan) -> None:
    check_plan(SCENARIO, plan)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (plan_of([(0, 0, 1), (2, 0, 1)]), r"upload 1 \(Upload\(user=2, .*\)\): user is 2; known users are 0 to 1"),
        (plan_of([(-1, 0, 1)]), r"upload 0 .*: user is -1; known users are 0 to 1"),
        (plan_of([(0, 0, 3)]), r"upload 0 .*: server is 3; known servers are 1 to 2"),
        (plan_of([(0, 0, 0)]), r"upload 0 .*: server is 0; known servers are 1 to 2"),
        (plan_of([(0, 3, 1)]), r"upload 0 .*: layer 3 is not among 0 to 2"),
        (plan_of([(0, -1, 1)]), r"upload 0 .*: layer -1 is not among 0 to 2"),
        (plan_of([(0, 0, 128)]), r"upload 0 .*: server is 128; known servers are 1 to 2"),
        (plan_of([(0, 0, -1)]), r"upload 0 .*: server is -1; known servers are 1 to 2"),
        (plan_of([(0, 0, 1.5)]), r"upload 0 .*: server is 1\.5; it must be a whole number"),
        (plan_of([(0, 0.0, 1)]), r"upload 0 .*: layer is 0\.0; it must be a whole number"),
        (plan_of([(True, 0, 1)]), r"upload 0 .*: user is True; it must be a whole number"),
        (Plan((Upload(0, 1, 0),)), r"upload 0 .*: layers is 0; give the indices of layers, such as \(0,\)"),
        (Plan((Upload(0, 1, (0,), "1"),)), r"upload 0 .*: not_before_s is '1'; it must be a time"),
        (Plan((Upload(0, 1, ()),)), r"upload 0 .*: layers is empty; every partition needs at least one layer"),
        (plan_of([(0, 1, 1)]), r"upload 0 .*: layer 1 has no weights and is never uploaded; leave it out"),
        (plan_of([(0, 0, 1), (0, 0, 2)]), r"upload 1 .*: layer 0 was uploaded before; upload every layer at most once"),
        (Plan((Upload(0, 1, (0, 0)),)), r"upload 0 .*: layer 0 was uploaded before"),
        (Plan((Upload(0, 1, (0,), -1.0),)), r"upload 0 .*: not_before_s is -1\.0; it must be a time from 0 on"),
        (Plan((Upload(0, 1, (0,), float("nan")),)), r"upload 0 .*: not_before_s is nan"),
        (
            plan_of([(0, 0, 1), (1, 0, 1)]),
            r"upload 1 .*: server 1 lacks 500 bytes of memory; place fewer layers on it",
        ),
    ],
)
def test_errors_name_the_upload_at_fault(plan: Plan, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_plan(SCENARIO, plan)


def test_a_placement_knows_the_servers_that_there_are() -> None:
    for server in (128, -1, 3):
        with pytest.raises(ValueError, match=f"server is {server}; known servers are 1 to 2"):
            plan_of([(0, 0, server)]).placement(SCENARIO)


def test_layers_uploaded_before_count() -> None:
    users = (replace(SCENARIO.users[0], uploaded=[1, 0, 0]), SCENARIO.users[1])
    scenario = replace(SCENARIO, users=users)
    check_plan(scenario, plan_of([(0, 2, 1)]))
    with pytest.raises(ValueError, match=r"upload 0 .*: layer 0 was uploaded before"):
        check_plan(scenario, plan_of([(0, 0, 2)]))
    with pytest.raises(ValueError, match=r"server 1 lacks 500 bytes"):
        check_plan(scenario, plan_of([(1, 0, 1)]))


def test_singletons_keep_order_servers_and_starts() -> None:
    plan = Plan((Upload(0, 1, (2, 0)), Upload(1, 2, (0,), not_before_s=3.0)))
    assert plan.num_layers == 3
    assert plan.singletons() == Plan((Upload(0, 1, (2,)), Upload(0, 1, (0,)), Upload(1, 2, (0,), not_before_s=3.0)))


def test_placement_includes_what_was_there_before() -> None:
    users = (replace(SCENARIO.users[0], uploaded=[2, 0, 0]), SCENARIO.users[1])
    placement = plan_of([(0, 2, 1), (1, 0, 2)]).placement(replace(SCENARIO, users=users))
    np.testing.assert_array_equal(placement[0], [2, 0, 1])
    np.testing.assert_array_equal(placement[1], [2, 0, 0])


def test_plans_come_back_from_arrays_as_they_were() -> None:
    plans = [random_case(seed)[1] for seed in range(100)]
    arrays = plan_arrays(plans)
    assert [plan_in_row(arrays, row) for row in range(100)] == plans
    assert sum(len({upload.not_before_s for upload in plan.uploads}) > 1 for plan in plans) > 5
