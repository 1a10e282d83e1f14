import math
from dataclasses import replace

import numpy as np
import pytest

from dnnmig_env.families.registry import scenarios
from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.bounds import MOST_SERVERS
from dnnmig_env.scenarios.node import Node, Tier, execution_s
from dnnmig_env.scenarios.scenario import Links, Mobility, Scenario, User

GRAPH = LayerGraph("net", 100, (Layer("a", 1e6, 1000, 10, (-1,)), Layer("b", 1e6, 0, 10, (0,))))
DEVICE = Node("phone", Tier.DEVICE, 1e9, 1e9)
EDGE = Node("edge", Tier.EDGE, 1e12, 1e12)
USER = User("ann", GRAPH, DEVICE)
SCENARIO = Scenario((USER,), (EDGE,), Links(1e6), horizon_s=10.0)


def test_scalars_get_their_full_read_only_shapes() -> None:
    scenario = replace(SCENARIO, users=(USER, replace(USER, name="bob")), slot_starts_s=(0.0, 4.0))
    assert np.asarray(scenario.links.up_bytes_per_s).shape == (2, 2, 1)
    assert np.asarray(scenario.links.between_latency_s).shape == (1, 1)
    for user in scenario.users:
        assert np.asarray(user.query_rate_hz).tolist() == [1.0, 1.0]
        assert np.asarray(user.uploaded).tolist() == [0, 0]
    for array in (scenario.links.up_bytes_per_s, scenario.users[0].query_rate_hz, scenario.users[0].uploaded):
        with pytest.raises(ValueError, match="read-only"):
            np.asarray(array)[...] = 0


def test_downlink_is_as_uplink_when_left_out() -> None:
    links = replace(SCENARIO, links=Links(np.full((1, 1, 1), 3e6), up_latency_s=0.2)).links
    assert np.asarray(links.down_bytes_per_s).item() == 3e6
    assert np.asarray(links.down_latency_s).item() == 0.2


def test_as_many_servers_as_a_byte_tells_apart() -> None:
    servers = tuple(replace(EDGE, name=f"edge{number}") for number in range(MOST_SERVERS + 1))
    assert len(replace(SCENARIO, servers=servers[:-1]).servers) == 127
    with pytest.raises(ValueError, match="servers has 128 entries; a scenario can have 127 at most"):
        replace(SCENARIO, servers=servers)
    with pytest.raises(ValueError, match=r"servers .* 201.*a scenario .* 127 at most"):
        scenarios("multi-user", 1, seed=0, num_edges=(200, 200))


def test_a_callers_array_is_copied() -> None:
    rates = np.array([1.0])
    scenario = replace(SCENARIO, users=(replace(USER, query_rate_hz=rates),))
    rates[0] = 7.0
    assert np.asarray(scenario.users[0].query_rate_hz).item() == 1.0


def test_a_weightless_layer_is_never_uploaded() -> None:
    scenario = replace(SCENARIO, users=(replace(USER, uploaded=[1, 1]),))
    assert np.asarray(scenario.users[0].uploaded).tolist() == [1, 0]


def test_mobility_may_be_negative_where_it_is_signed() -> None:
    scenario = replace(SCENARIO, mobility=Mobility([-5.0, 5.0], [-1.0, 0.0], [0.0, 0.0]))
    assert scenario.mobility is not None
    assert np.asarray(scenario.mobility.user_positions_m).tolist() == [[[-5.0, 5.0]]]


def test_the_mobility_error_names_the_value_that_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"user_positions_m contains nan; every value must be finite\."):
        replace(SCENARIO, mobility=Mobility([-5.0, math.nan], 0.0, 0.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"users": ()}, r"users is empty; give at least one user"),
        ({"servers": ()}, r"servers is empty; give at least one edge or cloud server"),
        ({"users": (USER, USER)}, r"users repeats the name 'ann'; names must be unique"),
        ({"servers": (EDGE, EDGE)}, r"servers repeats the name 'edge'"),
        ({"horizon_s": 0.0}, r"horizon_s is 0\.0; it must be positive and finite"),
        ({"horizon_s": math.inf}, r"horizon_s is inf"),
        ({"horizon_s": math.nan}, r"horizon_s is nan"),
        ({"slot_starts_s": ()}, r"slot_starts_s is \[\]; slots start at 0"),
        ({"slot_starts_s": (1.0, 2.0)}, r"slot_starts_s is \[1\.0, 2\.0\]; slots start at 0"),
        ({"slot_starts_s": (0.0, 2.0, 2.0)}, r"slots start at 0, increase"),
        ({"slot_starts_s": (0.0, 10.0)}, r"begin before the horizon \(10\.0 s\)"),
        ({"links": Links(-1.0)}, r"up_bytes_per_s contains -1\.0; every value must be finite and not negative"),
        ({"links": Links(math.inf)}, r"up_bytes_per_s contains inf"),
        ({"links": Links(1.0, math.nan)}, r"down_bytes_per_s contains nan"),
        ({"links": Links(1.0, up_latency_s=-0.1)}, r"up_latency_s contains -0\.1"),
        ({"links": Links(1.0, between_bytes_per_s=-2.0)}, r"between_bytes_per_s contains -2\.0"),
        ({"links": Links(np.ones((2, 1, 1)))}, r"up_bytes_per_s has shape \(2, 1, 1\); it must fit \(1, 1, 1\)"),
        (
            {"links": Links(0.0)},
            r"server 'edge' has no link to user 'ann' \(up_bytes_per_s is 0 in every slot\); "
            r"give the link a rate or leave the server out",
        ),
        (
            {"servers": (replace(EDGE, memory_bytes=999),)},
            r"server 'edge': memory_bytes is 999, too small for even the smallest layer \(1000 bytes\)",
        ),
        ({"mobility": Mobility(0.0, 0.0, 0.0, area_m=0.0)}, r"area_m is 0\.0; it must be positive and finite"),
        ({"mobility": Mobility(np.zeros(3), 0.0, 0.0)}, r"user_positions_m has shape \(3,\); it must fit \(1, 1, 2\)"),
    ],
)
def test_errors_name_the_argument_the_value_and_the_remedy(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SCENARIO, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query_rate_hz": 0.0}, r"query_rate_hz is 0 for every user in every slot; somebody must raise queries"),
        ({"query_rate_hz": -1.0}, r"user 'ann': query_rate_hz contains -1\.0"),
        ({"query_rate_hz": [1.0, 1.0]}, r"user 'ann': query_rate_hz has shape \(2,\); it must fit \(1,\)"),
        ({"profile_s": np.ones((2, 3))}, r"user 'ann': profile_s has shape \(2, 3\); it must fit \(2, 2\)"),
        ({"profile_s": -1.0}, r"user 'ann': profile_s contains -1\.0"),
        (
            {"uploaded": [2, 0]},
            r"user 'ann': uploaded is \[2\.0, 0\.0\]; give a server 1 to 1 per layer, or 0 for none",
        ),
        ({"uploaded": [0.5, 0]}, r"user 'ann': uploaded is \[0\.5, 0\.0\]; give a server"),
        ({"uploaded": [-1, 0]}, r"user 'ann': uploaded contains -1\.0; every value must be finite and not negative"),
        ({"uploaded": [257, 0]}, r"user 'ann': uploaded is \[257\.0, 0\.0\]; give a server"),
        ({"uploaded": [1, 0, 0]}, r"user 'ann': uploaded has shape \(3,\); it must fit \(2,\)"),
        (
            {"device": replace(DEVICE, memory_bytes=10)},
            r"user 'ann': memory_bytes of its device is 10, less than the 1000 bytes of 'net'; a device holds",
        ),
    ],
)
def test_errors_name_the_user_too(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SCENARIO, users=(replace(USER, **changes),))  # type: ignore[arg-type]


def test_every_user_must_reach_every_server_at_some_time() -> None:
    users, servers = (USER, replace(USER, name="bob")), (EDGE, replace(EDGE, name="other"))
    up = np.array([[[1e6, 0.0], [1e6, 1e6]], [[0.0, 1e6], [1e6, 1e6]]])  # each of Ann's links is down in one slot
    replace(SCENARIO, users=users, servers=servers, links=Links(up), slot_starts_s=(0.0, 5.0))
    up[0, 1, 0] = up[1, 1, 0] = 0.0
    with pytest.raises(ValueError, match="server 'edge' has no link to user 'bob'"):
        replace(SCENARIO, users=users, servers=servers, links=Links(up), slot_starts_s=(0.0, 5.0))


def test_memory_that_holds_the_smallest_layer_of_any_user_or_just_what_is_uploaded_will_do() -> None:
    small = replace(GRAPH, layers=(replace(GRAPH.layers[0], weight_bytes=500),))
    users = (USER, replace(USER, name="bob", graph=small))
    replace(SCENARIO, users=users, servers=(replace(EDGE, memory_bytes=500),))
    with pytest.raises(ValueError, match=r"too small for even the smallest layer \(500 bytes\)"):
        replace(SCENARIO, users=users, servers=(replace(EDGE, memory_bytes=499),))
    users = (replace(USER, uploaded=[1, 0]), replace(users[1], uploaded=[1]))
    replace(SCENARIO, users=users, servers=(replace(EDGE, memory_bytes=1500),))


def test_the_roofline_by_hand() -> None:
    # At 1 GFLOP/s, 2 GB/s and 10 ms per operator. Work: 3 GFLOP, with 2 GB moved, as 2 operators: 3 s + 20 ms.
    # Move: 1 GFLOP, but 1 + 4 + 0.5 + 0.5 = 6 GB of input, weights, output and within it, as 3 operators: 3 s + 30 ms.
    # View: no operator, only the 0.5 GB that it reads.
    node = Node("edge", Tier.EDGE, 1e9, 2e9, layer_overhead_s=0.01)
    layers = (
        Layer("work", 3e9, 0, 10**9, (-1,), operators=2),
        Layer("move", 1e9, 4 * 10**9, 5 * 10**8, (0,), internal_bytes=5 * 10**8, operators=3),
        Layer("view", 0, 0, 0, (1,), operators=0),
    )
    assert execution_s(LayerGraph("net", 10**9, layers), node) == pytest.approx([3.02, 3.03, 0.25])


def test_what_is_uploaded_must_fit_into_memory() -> None:
    users = (replace(USER, uploaded=[1, 0]), replace(USER, name="bob", uploaded=[1, 0]))
    with pytest.raises(
        ValueError, match=r"server 'edge': uploaded puts 2000 bytes on it, more than its memory_bytes 1500"
    ):
        replace(SCENARIO, users=users, servers=(replace(EDGE, memory_bytes=1500),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flops_per_s": 0.0}, r"node 'edge': flops_per_s is 0\.0; it must be positive and finite"),
        ({"memory_bytes_per_s": math.inf}, r"node 'edge': memory_bytes_per_s is inf"),
        ({"layer_overhead_s": -1.0}, r"node 'edge': layer_overhead_s is -1\.0; it must be finite and not negative"),
        ({"memory_bytes": 0.0}, r"node 'edge': memory_bytes is 0\.0; it must be positive"),
    ],
)
def test_nodes_are_checked(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(EDGE, **changes)  # type: ignore[arg-type]
