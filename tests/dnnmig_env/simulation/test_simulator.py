"""Scenarios worked by hand, and the laws that every simulated plan obeys."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.simulation.plan import Plan, Upload, plan_of
from dnnmig_env.simulation.simulator import simulate
from tests.strategies import DrawnChoices, RandomChoices, Sizes, cases, make_plan, make_scenario

# A chain of two layers. Device: 1 s each. Server: 0.1 s and 0.2 s. Link: 1 MB/s, no latency.
# Input 0.5 MB (0.5 s), tensor between and result 0.1 MB (0.1 s each), weights 1 MB (1 s) and 3 MB (3 s).
CHAIN = LayerGraph("net", 500_000, (Layer("a", 0, 1_000_000, 100_000, (-1,)), Layer("b", 0, 3_000_000, 100_000, (0,))))
PHONE, EDGE = Node("phone", Tier.DEVICE, 1e9, 1e9), Node("edge", Tier.EDGE, 1e9, 1e9)
ANN = User("ann", CHAIN, PHONE, profile_s=[[1.0, 0.1], [1.0, 0.2]])
TOY = Scenario((ANN,), (EDGE,), Links(1e6), horizon_s=5.0, uplink="independent")

ALONE = Sizes(users=1, slots=1, absences=False)  # one user, rates that never change
QUICKER = replace(ALONE, uplinks=("priority", "independent"))
"""So its queries only become quicker. Under "shared", an upload that begins late slows them as long as it lasts."""

SLACK = 1 + 1e-9  # for rounding
FEW = settings(max_examples=60)


def without_data(graph: LayerGraph) -> LayerGraph:
    """Return a network whose inputs and layers' outputs have no bytes."""
    layers = tuple(replace(layer, output_bytes=0) for layer in graph.layers)
    return replace(graph, layers=layers, input_bytes=0, inputs=(0,) * len(graph.inputs))


def test_the_toy_by_hand() -> None:
    # Device only: 2 s. With a on the server: 0.5 + 0.1 + 0.1 + 1 = 1.7 s. With b: 1 + 0.1 + 0.2 + 0.1 = 1.4 s.
    # With both: 0.5 + 0.1 + 0.2 + 0.1 = 0.9 s. a takes 1 s to upload, b 3 s, and the horizon is 5 s.
    assert simulate(TOY, Plan()).mean_delay_s == pytest.approx(2.0)
    a_first = simulate(TOY, plan_of([(0, 0, 1), (0, 1, 1)]))
    assert a_first.event_time_s.tolist() == pytest.approx([0, 1, 4])
    assert a_first.event_delay_s[:, 0].tolist() == pytest.approx([2.0, 1.7, 0.9])
    assert a_first.mean_delay_s == pytest.approx((1 * 2.0 + 3 * 1.7 + 1 * 0.9) / 5)
    b_first = simulate(TOY, plan_of([(0, 1, 1), (0, 0, 1)]))
    assert b_first.event_delay_s[:, 0].tolist() == pytest.approx([2.0, 1.4, 0.9])
    assert b_first.mean_delay_s == pytest.approx((3 * 2.0 + 1 * 1.4 + 1 * 0.9) / 5)
    at_once = simulate(TOY, Plan((Upload(0, 1, (0, 1)),)))
    assert at_once.mean_delay_s == pytest.approx((4 * 2.0 + 1 * 0.9) / 5)


def test_branches_run_side_by_side_by_hand() -> None:
    # Input to both branches: left 1 s on the device, right (uploaded) 0.5 + 0.6 + 0.1 = 1.2 s; joined in 0.4 s there.
    graph = LayerGraph(
        "fork",
        500_000,
        (
            Layer("left", 0, 10, 100_000, (-1,)),
            Layer("right", 0, 10, 100_000, (-1,)),
            Layer("join", 0, 10, 0, (0, 1)),
        ),
    )
    user = User("ann", graph, PHONE, profile_s=[[1.0, 9.0], [5.0, 0.6], [0.4, 9.0]], uploaded=[0, 1, 0])
    assert simulate(replace(TOY, users=(user,)), Plan()).mean_delay_s == pytest.approx(1.6)


def test_an_upload_waits_for_its_user_and_then_goes_on_without_it() -> None:
    # Present from 1 to 2 and from 3: a's 1 MB flow from 1 to 2, b's start at 3. Both are cut at the slots' edges only.
    user = replace(ANN, query_rate_hz=[0.0, 1.0, 0.0, 1.0])
    scenario = replace(TOY, users=(user,), slot_starts_s=(0.0, 1.0, 2.0, 3.0), horizon_s=8.0)
    uploads = simulate(scenario, plan_of([(0, 0, 1), (0, 1, 1)])).uploads
    assert [(upload.start_s, upload.end_s) for upload in uploads] == [(1.0, 2.0), (3.0, 6.0)]
    uploads = simulate(scenario, plan_of([(0, 1, 1), (0, 0, 1)])).uploads
    assert [(upload.start_s, upload.end_s) for upload in uploads] == [(1.0, 4.0), (4.0, 5.0)]
    (upload,) = simulate(scenario, Plan((Upload(0, 1, (0, 1)),))).uploads  # each layer waits, partition or not
    assert (upload.start_s, upload.end_s) == (1.0, 6.0)


def test_a_faster_link_may_hurt_when_rates_change() -> None:
    # a is on server 1 (0.1 s, tensor 0.1 s), b comes to server 2, from which results are slow: 1 s at first, 100 s
    # later. At first b on the server makes 0.1 + 0.1 + 0.1 + 1 = 1.3 s, not worth leaving 0.1 + 0.1 + 1 = 1.2 s. With
    # links to the device twice as fast it does (0.8 s for 1.15 s), but then the 1.15 s are no longer to be had when
    # the rate breaks down: as a user chooses among device only, its present assignment and all that is available,
    # queries fall back to 2 s, while those over slower links still take 1.2 s.
    graph = replace(CHAIN, input_bytes=0)
    user = User("ann", graph, PHONE, profile_s=[[1.0, 0.1, 9.0], [1.0, 9.0, 0.1]], uploaded=[1, 0])
    down = np.array([[[1e6, 1e5]], [[1e6, 1e3]]])
    up = np.full((2, 1, 2), 1e7)
    servers = (EDGE, replace(EDGE, name="other"))

    def final_delay_s(speed: float) -> float:
        links = Links(up, speed * down, between_bytes_per_s=1e6)
        scenario = Scenario((user,), servers, links, horizon_s=9.0, slot_starts_s=(0.0, 3.0))
        return float(simulate(scenario, plan_of([(0, 1, 2)])).event_delay_s[-1, 0])

    assert final_delay_s(1.0) == pytest.approx(1.2)
    assert final_delay_s(2.0) == pytest.approx(2.0)


@FEW
@given(cases(replace(ALONE, uplinks=("independent",))), st.data())
def test_faster_links_and_nodes_never_hurt_one_user_whose_rates_do_not_change(
    case: tuple[Scenario, Plan], data: st.DataObject
) -> None:
    # Only where weights and data do not meet: a faster server lets a user whose queries take longer than the time
    # between two of them start them more often, so that its data leave less of the uplink to its weights.
    # True of any graph: the order of layers on a node is fixed, so a query is a longest path. While rates stay the
    # same and nobody else is there, the delay after an event is the least over all assignments composed so far, so
    # events that come earlier and paths that get shorter can only lower it.
    scenario, plan = case
    links, rng = scenario.links, np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))

    def more(values: Any) -> Any:
        return np.asarray(values) * np.where(rng.random(np.shape(values)) < 0.5, 1.0, rng.uniform(1, 4))

    def less(values: Any) -> Any:
        return np.asarray(values) / more(np.ones(np.shape(values)))

    def faster(node: Node) -> Node:
        flops, memory, overhead = more(node.flops_per_s), more(node.memory_bytes_per_s), less(node.layer_overhead_s)
        return replace(
            node,
            flops_per_s=float(flops),
            memory_bytes_per_s=float(memory),
            layer_overhead_s=float(overhead),
        )

    user = scenario.users[0]
    profile_s = None if user.profile_s is None else less(user.profile_s)
    improved = replace(
        scenario,
        users=(replace(user, device=faster(user.device), profile_s=profile_s),),
        servers=tuple(faster(server) for server in scenario.servers),
        links=Links(
            more(links.up_bytes_per_s),
            more(links.down_bytes_per_s),
            less(links.up_latency_s),
            less(links.down_latency_s),
            more(links.between_bytes_per_s),
            less(links.between_latency_s),
        ),
    )
    slow, fast = simulate(scenario, plan), simulate(improved, plan)
    assert fast.mean_delay_s <= slow.mean_delay_s * SLACK
    for at_s in np.linspace(0, scenario.horizon_s, 9):
        assert fast.delay_s(at_s)[0] <= slow.delay_s(at_s)[0] * SLACK


@FEW
@given(cases(Sizes(users=1, uplinks=("priority", "independent"))))
def test_an_upload_never_makes_its_lone_owners_queries_slower(case: tuple[Scenario, Plan]) -> None:
    # Not so where an upload is one more customer of the uplink ("shared"): while it lasts, it slows its owner's data.
    timeline = simulate(*case)
    slots = np.searchsorted(np.asarray(timeline.scenario.slot_starts_s), timeline.event_time_s, side="right")
    completed = np.flatnonzero(np.diff(slots) == 0) + 1  # all events but the first of a slot
    assert np.all(timeline.event_delay_s[completed] <= timeline.event_delay_s[completed - 1])


@FEW
@given(cases())
def test_no_query_takes_longer_than_on_the_device_unless_others_slow_it_down(case: tuple[Scenario, Plan]) -> None:
    # A user leaves a station to which others have come at the next event only, so this holds without contention.
    timeline = simulate(*case)
    undisturbed = np.all(timeline.event_slowdown == 1.0, axis=2)
    device_s = np.broadcast_to(timeline.device_delay_s, undisturbed.shape)
    assert np.all(timeline.event_delay_s[undisturbed] <= device_s[undisturbed])


@FEW
@given(cases(QUICKER))
def test_the_mean_delay_lies_between_the_final_one_and_the_devices(case: tuple[Scenario, Plan]) -> None:
    timeline = simulate(*case)
    assert timeline.event_delay_s[-1, 0] <= timeline.mean_delay_s * SLACK
    assert timeline.mean_delay_s <= timeline.device_delay_s[0] * SLACK


@FEW
@given(cases(replace(ALONE, uplinks=("independent",))))
def test_finer_partitions_never_hurt_one_user_whose_rates_do_not_change(case: tuple[Scenario, Plan]) -> None:
    # Only where weights and data do not meet: what runs on a server earlier sends data earlier, and these may hold up
    # the uploads to come.
    scenario, plan = case
    assert simulate(scenario, plan.singletons()).mean_delay_s <= simulate(scenario, plan).mean_delay_s * SLACK


@FEW
@given(cases(QUICKER))
def test_a_longer_horizon_never_raises_the_mean_delay_of_one_user(case: tuple[Scenario, Plan]) -> None:
    scenario, plan = case
    longer = replace(scenario, horizon_s=1.5 * scenario.horizon_s)
    assert simulate(longer, plan).mean_delay_s <= simulate(scenario, plan).mean_delay_s * SLACK


@FEW
@given(cases())
def test_seconds_scale(case: tuple[Scenario, Plan]) -> None:
    # All that is in seconds four times as long: so is the mean delay, to the bit, as four is a power of two.
    scenario, plan = case
    links = scenario.links

    def slower(node: Node) -> Node:
        return replace(
            node,
            flops_per_s=node.flops_per_s / 4,
            memory_bytes_per_s=node.memory_bytes_per_s / 4,
            layer_overhead_s=node.layer_overhead_s * 4,
        )

    stretched = Scenario(
        tuple(
            replace(
                user,
                device=slower(user.device),
                query_rate_hz=np.asarray(user.query_rate_hz) / 4,
                profile_s=None if user.profile_s is None else np.asarray(user.profile_s) * 4,
            )
            for user in scenario.users
        ),
        tuple(slower(server) for server in scenario.servers),
        Links(
            np.asarray(links.up_bytes_per_s) / 4,
            np.asarray(links.down_bytes_per_s) / 4,
            np.asarray(links.up_latency_s) * 4,
            np.asarray(links.down_latency_s) * 4,
            np.asarray(links.between_bytes_per_s) / 4,
            np.asarray(links.between_latency_s) * 4,
        ),
        scenario.horizon_s * 4,
        np.asarray(scenario.slot_starts_s) * 4,
        uplink=scenario.uplink,
    )
    later = Plan(tuple(replace(upload, not_before_s=4 * upload.not_before_s) for upload in plan.uploads))
    short, long = simulate(scenario, plan), simulate(stretched, later)
    assert long.mean_delay_s == 4 * short.mean_delay_s
    np.testing.assert_array_equal(long.event_delay_s, 4 * short.event_delay_s)
    np.testing.assert_array_equal(long.cold_start_delay_s, 4 * short.cold_start_delay_s)


@FEW
@given(cases(), st.data())
def test_a_user_who_is_never_there_changes_nothing(case: tuple[Scenario, Plan], data: st.DataObject) -> None:
    scenario, plan = case
    place = data.draw(st.integers(0, len(scenario.users)))
    ghost = replace(scenario.users[0], name="ghost", query_rate_hz=0.0, uploaded=None)
    links = scenario.links
    per_user = {
        name: np.insert(np.asarray(getattr(links, name)), place, np.asarray(getattr(links, name))[:, 0], axis=1)
        for name in ("up_bytes_per_s", "down_bytes_per_s", "up_latency_s", "down_latency_s")
    }
    users = (*scenario.users[:place], ghost, *scenario.users[place:])
    haunted = replace(scenario, users=users, links=replace(links, **per_user, home=None))
    moved = Plan(tuple(replace(upload, user=upload.user + (upload.user >= place)) for upload in plan.uploads))
    expected, found = simulate(scenario, plan), simulate(haunted, moved)
    assert found.mean_delay_s == expected.mean_delay_s
    np.testing.assert_array_equal(np.delete(found.event_delay_s, place, axis=1), expected.event_delay_s)


@FEW
@given(st.data())
def test_the_order_of_users_with_servers_of_their_own_is_irrelevant(data: st.DataObject) -> None:
    # Their networks have no data that would meet on the radio. Where users do meet, those who pick first leave the
    # others to pick from what is left, and delays are computed from each other up to a tolerance.
    choices = DrawnChoices(data.draw)
    scenario = make_scenario(choices, Sizes(uploaded=False))
    scenario = replace(scenario, users=tuple(replace(user, graph=without_data(user.graph)) for user in scenario.users))
    users, servers = len(scenario.users), len(scenario.servers)
    plan = make_plan(choices, scenario)
    own = Plan(
        tuple(replace(upload, server=upload.user + 1) for upload in plan.uploads if upload.user < servers)
    )  # users without a server of their own upload nothing
    order = data.draw(st.permutations(range(users)))
    links = scenario.links
    per_user = {
        name: np.asarray(getattr(links, name))[:, order]
        for name in ("up_bytes_per_s", "down_bytes_per_s", "up_latency_s", "down_latency_s")
    }
    permuted = replace(scenario, users=tuple(scenario.users[user] for user in order), links=replace(links, **per_user))
    renamed = Plan(tuple(replace(upload, user=order.index(upload.user)) for upload in own.uploads))
    expected, found = simulate(scenario, own), simulate(permuted, renamed)
    assert found.mean_delay_s == pytest.approx(expected.mean_delay_s, rel=1e-12)
    np.testing.assert_allclose(found.event_delay_s, expected.event_delay_s[:, order], rtol=1e-12)


@FEW
@given(st.integers(0, 2**32 - 1))
def test_merging_the_layers_of_each_partition_changes_nothing(seed: int) -> None:
    # A chain whose runs are uploaded run by run, each as one partition, is the chain of the merged runs, as long as
    # its user does not go away: every layer's upload waits for its user, so a partition may pause, a layer may not.
    rng = np.random.default_rng(seed)
    sizes = Sizes(
        users=1, layers=9, chain=True, absences=False, uploaded=False, profiles=False, sharing=False, staying=False
    )
    scenario = make_scenario(RandomChoices(rng), sizes)
    user, count = scenario.users[0], len(scenario.users[0].graph)
    layers = tuple(replace(layer, weight_bytes=layer.weight_bytes + 1000) for layer in user.graph.layers)
    profile_s = rng.uniform(0, 0.3, (count, len(scenario.servers) + 1))
    cuts = [0, *sorted(rng.choice(np.arange(1, count), rng.integers(0, count), replace=False).tolist()), count]
    runs = [tuple(range(first, end)) for first, end in pairwise(cuts)]
    merged = tuple(
        replace(layers[run[-1]], weight_bytes=sum(layers[v].weight_bytes for v in run), predecessors=(index - 1,))
        for index, run in enumerate(runs)
    )
    fine = replace(user, graph=replace(user.graph, layers=layers), profile_s=profile_s, uploaded=None)
    coarse = replace(
        fine,
        graph=replace(user.graph, layers=merged),
        profile_s=np.array([profile_s[list(run)].sum(axis=0) for run in runs]),
    )
    order = rng.permutation(len(runs))[: rng.integers(0, len(runs) + 1)].tolist()
    servers = rng.integers(1, len(scenario.servers) + 1, len(runs)).tolist()
    plan = Plan(tuple(Upload(0, servers[run], runs[run]) for run in order))
    expected = simulate(replace(scenario, users=(fine,)), plan)
    found = simulate(replace(scenario, users=(coarse,)), plan_of((0, run, servers[run]) for run in order))
    assert found.mean_delay_s == pytest.approx(expected.mean_delay_s, rel=1e-9)
    np.testing.assert_allclose(found.event_delay_s, expected.event_delay_s, rtol=1e-9)


def test_a_plan_that_cannot_be_carried_out_is_refused() -> None:
    with pytest.raises(ValueError, match=r"upload 0 .*: server is 2; known servers are 1 to 1\."):
        simulate(TOY, plan_of([(0, 0, 2)]))


def test_what_does_not_fit_before_the_horizon_is_cut_off() -> None:
    timeline = simulate(replace(TOY, horizon_s=2.5), plan_of([(0, 0, 1), (0, 1, 1)]))
    a, b = timeline.uploads
    assert (a.start_s, a.end_s, a.sent_bytes) == (0.0, 1.0, 1e6)
    assert (b.start_s, b.end_s, b.sent_bytes) == (1.0, math.inf, 1.5e6)
    late = simulate(TOY, Plan((Upload(0, 1, (0,), not_before_s=5.0),))).uploads[0]
    assert (late.start_s, late.end_s, late.sent_bytes) == (math.inf, math.inf, 0.0)
