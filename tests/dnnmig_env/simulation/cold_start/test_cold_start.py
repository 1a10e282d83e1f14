"""The cold start by hand, by its published recursion, and against the reference that watches everything at once."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.simulation.plan import Plan, Upload, plan_of
from dnnmig_env.simulation.simulator import simulate
from tests.oracle_cold_start import cold_start_s
from tests.strategies import Sizes, cases, random_case

# A chain of two layers. Device: 1 s each. Server: 0.1 s and 0.2 s. Link: 1 MB/s, no latency.
# Input 0.5 MB (0.5 s), tensor between and result 0.1 MB (0.1 s each), weights 1 MB (1 s) and 3 MB (3 s).
CHAIN = LayerGraph("net", 500_000, (Layer("a", 0, 1_000_000, 100_000, (-1,)), Layer("b", 0, 3_000_000, 100_000, (0,))))
PHONE, EDGE = Node("phone", Tier.DEVICE, 1e9, 1e9), Node("edge", Tier.EDGE, 1e9, 1e9)
ANN = User("ann", CHAIN, PHONE, profile_s=[[1.0, 0.1], [1.0, 0.2]])
TOY = Scenario((ANN,), (EDGE,), Links(1e6), horizon_s=5.0)


def cold_start(scenario: Scenario, *steps: tuple[int, int, int]) -> list[float]:
    return [float(delay_s) for delay_s in simulate(scenario, plan_of(steps)).cold_start_delay_s]


def serial(scenario: Scenario, *steps: tuple[int, int, int]) -> list[float]:
    return [float(delay_s) for delay_s in simulate(scenario, plan_of(steps)).serial_cold_start_delay_s]


def test_nothing_uploaded_is_the_device_alone() -> None:
    assert cold_start(TOY) == pytest.approx([2.0])


def test_input_goes_before_weights() -> None:
    # The input has the channel until 0.5, a's weights until 1.5, b's until 4.5. a runs 1.5 to 1.6, b 4.5 to 4.7,
    # the result is back at 4.8.
    assert cold_start(TOY, (0, 0, 1), (0, 1, 1)) == pytest.approx([4.8])


def test_a_tensor_stops_an_upload_that_is_under_way() -> None:
    # b's weights flow until 1.0, when a ends on the device and its tensor takes the channel until 1.1; the other 2 MB
    # are in at 3.1, b runs until 3.3, the result is back at 3.4.
    assert cold_start(TOY, (0, 1, 1)) == pytest.approx([3.4])


def test_uploads_go_on_while_layers_run() -> None:
    # As above with a on the server for 2 s: a runs 1.5 to 3.5, b's weights are in at 4.5 all the same.
    slow = replace(TOY, users=(replace(ANN, profile_s=[[1.0, 2.0], [1.0, 0.2]]),))
    assert cold_start(slow, (0, 0, 1), (0, 1, 1)) == pytest.approx([4.8])


def test_a_partition_is_usable_as_a_whole() -> None:
    # Both layers wait until 4.5: 4.5 + 0.1 + 0.2 + 0.1.
    plan = Plan((Upload(0, 1, (0, 1)),))
    assert simulate(TOY, plan).cold_start_delay_s.tolist() == pytest.approx([4.9])


def test_the_query_waits_beyond_the_horizon() -> None:
    assert cold_start(replace(TOY, horizon_s=0.7), (0, 0, 1), (0, 1, 1)) == pytest.approx([4.8])


def test_what_was_uploaded_before_is_usable_at_once() -> None:
    # Input 0.5, a until 0.6, b's weights 0.5 to 3.5, b until 3.7, result 3.8.
    there = replace(TOY, users=(replace(ANN, uploaded=[1, 0]),))
    assert cold_start(there, (0, 1, 1)) == pytest.approx([3.8])


def test_rates_are_those_of_each_slot() -> None:
    # At 2 MB/s from 2.0 on: a's weights in at 1.5 as before; b's: 0.5 MB until 2.0, 2.5 MB more by 3.25, b until
    # 3.45, result back in 0.05 s.
    faster = replace(TOY, slot_starts_s=(0.0, 2.0), links=Links(np.reshape([1e6, 2e6], (2, 1, 1))))
    assert cold_start(faster, (0, 0, 1), (0, 1, 1)) == pytest.approx([3.5])


def test_weights_use_the_channel_while_a_tensor_waits_for_its_link() -> None:
    # Ann's link to server 1 is dead from 0.2 to 2.0: of her input, 0.2 MB pass before, 0.3 MB from 2.0 to 2.3. Bob's
    # one layer (no input, 1 MB over the link of server 2) has the channel from 0.2 to 1.2, runs 0.1 s, result 0.1 s:
    # 1.4. Ann: weights from 2.3 to 3.3, a 0.1 s, its tensor 0.1 s, b on the device 1 s: 4.5.
    one = LayerGraph("one", 0, (Layer("a", 0, 1_000_000, 100_000, (-1,)),))
    users = (
        replace(ANN, profile_s=[[1.0, 0.1, 0.1], [1.0, 0.2, 0.2]]),
        User("bob", one, PHONE, profile_s=[[1.0, 0.1, 0.1]]),
    )
    up = np.full((3, 2, 2), 1e6)
    up[1, 0, 0] = 0.0
    servers = (EDGE, replace(EDGE, name="other"))
    scenario = Scenario(users, servers, Links(up, 1e6), horizon_s=9.0, slot_starts_s=(0.0, 0.2, 2.0))
    assert cold_start(scenario, (1, 0, 2), (0, 0, 1)) == pytest.approx([4.5, 1.4])


def test_absent_users_raise_their_query_when_they_come() -> None:
    # Ann comes at 2.0: on the device 2 s from then on.
    rates = [0.0, 1.0]
    users = (replace(ANN, query_rate_hz=rates), replace(ANN, name="bob"), replace(ANN, name="eve", query_rate_hz=0.0))
    scenario = replace(TOY, users=users, slot_starts_s=(0.0, 2.0))
    assert cold_start(scenario) == pytest.approx([2.0, 2.0, math.nan], nan_ok=True)
    # Her upload begins with her, and her input goes first: a's weights are in at 3.5, b runs on the device.
    assert cold_start(scenario, (0, 0, 1)) == pytest.approx([1.5 + 0.1 + 0.1 + 1.0, 2.0, math.nan], nan_ok=True)


def test_a_layer_that_never_arrives_is_waited_for_in_vain() -> None:
    dies = replace(TOY, slot_starts_s=(0.0, 2.0), links=Links(np.reshape([1e6, 0.0], (2, 1, 1))))
    assert cold_start(dies, (0, 0, 1), (0, 1, 1)) == [math.inf]


def test_serial_uploading_begins_when_the_layer_before_has_run() -> None:
    # Input until 0.5, a's weights until 1.5, a until 1.6; only then b's weights, until 4.6, b until 4.8, result 4.9.
    assert serial(TOY, (0, 0, 1), (0, 1, 1)) == pytest.approx([4.9])
    # With a on the server for 2 s, until 3.5, b's weights are in at 6.5 instead of 4.5.
    slow = replace(TOY, users=(replace(ANN, profile_s=[[1.0, 2.0], [1.0, 0.2]]),))
    assert serial(slow, (0, 0, 1), (0, 1, 1)) == pytest.approx([6.8])


def test_serial_uploading_begins_when_the_input_is_there() -> None:
    # a on the device until 1.0, its tensor until 1.1; only then b's weights, until 4.1, b until 4.3, result 4.4.
    assert serial(TOY, (0, 1, 1)) == pytest.approx([4.4])


def test_serial_uploading_is_in_the_order_of_the_query() -> None:
    # Neither the plan's order nor its partitions nor its idle times matter.
    assert serial(TOY, (0, 1, 1), (0, 0, 1)) == pytest.approx([4.9])
    late = Plan((Upload(0, 1, (1, 0), not_before_s=3.0),))
    assert simulate(TOY, late).serial_cold_start_delay_s.tolist() == pytest.approx([4.9])


def test_serial_uploads_of_users_take_turns_as_they_ask() -> None:
    # Both inputs need 0.5 s, and both ask for a at 0.5: Ann has it at 1.5, runs it until 1.6. Bob has a at 2.5, runs it
    # until 2.6. Ann, who has asked for b at 1.6, has it at 5.5: 5.5 + 0.2 + 0.1. Bob, at 2.6, has it at 8.5.
    both = replace(TOY, users=(ANN, replace(ANN, name="bob")))
    assert serial(both, (0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1)) == pytest.approx([5.8, 8.8])


@pytest.mark.parametrize("first", range(0, 240, 60))
def test_agrees_with_the_reference(first: int) -> None:
    for seed in range(first, first + 60):
        sizes = Sizes(users=4, layers=10, outages=seed % 4 < 2, absences=seed % 4 < 2) if seed % 2 else Sizes()
        assert_agreement(*random_case(seed, sizes))


@pytest.mark.slow
def test_agrees_with_the_reference_at_length() -> None:
    for seed in range(1000, 4000):
        assert_agreement(*random_case(seed, Sizes(users=4, layers=10)))


def assert_agreement(scenario: Scenario, plan: Plan) -> None:
    timeline = simulate(scenario, plan)
    for found, serially in ((timeline.cold_start_delay_s, False), (timeline.serial_cold_start_delay_s, True)):
        expected = cold_start_s(scenario, plan, serial=serially)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


LONE = Sizes(users=1, layers=7, servers=1, slots=1, absences=False, outages=False, uploaded=False, sharing=False)


@given(cases(LONE))
def test_serial_uploading_is_never_faster_for_a_lone_query(case: tuple[Scenario, Plan]) -> None:
    # Where weights are shared it may be: weights that miss those which their layer shares are sent, but not asked for.
    scenario, plan = case
    in_order = plan_of((0, v, 1) for v in sorted(layer for upload in plan.uploads for layer in upload.layers))
    timeline = simulate(scenario, in_order)
    assert timeline.cold_start_delay_s[0] <= timeline.serial_cold_start_delay_s[0] * (1 + 1e-9)


def test_with_everything_there_it_does_not_matter_how_it_would_be_uploaded() -> None:
    there = replace(TOY, users=(replace(ANN, uploaded=[1, 1]),))
    assert cold_start(there) == serial(there) == pytest.approx([0.5 + 0.1 + 0.2 + 0.1])


def test_the_published_recursion_of_a_chain() -> None:
    """MJOA-MU: `M_i = min{t : t - databusy(t) >= sum of uploaded weights up to i / rate}`, one server, no latency."""
    waited = 0
    for seed in range(200):
        sizes = Sizes(users=1, servers=1, slots=1, layers=10, chain=True, outages=False, absences=False, uploaded=False)
        scenario, _ = random_case(seed, replace(sizes, sharing=False, staying=False))
        scenario = replace(scenario, links=replace(scenario.links, up_latency_s=0.0, down_latency_s=0.0))
        graph, seconds = scenario.users[0].graph, scenario.execution_s[0]
        rng = np.random.default_rng(seed)
        server = [bool(weights > 0 and rng.random() < 0.6) for weights in graph.weight_bytes]
        for v in range(1, len(graph)):  # weightless layers follow
            server[v] = server[v - 1] if graph.weight_bytes[v] == 0 else server[v]
        up, down = (
            float(np.asarray(r).item()) for r in (scenario.links.up_bytes_per_s, scenario.links.down_bytes_per_s)
        )
        now_s, busy, sent_bytes, on_server = 0.0, [], 0.0, False
        for v in range(len(graph)):
            if server[v] and not on_server:
                busy.append((now_s, now_s + graph.tensor_bytes(v - 1) / up))
                now_s = busy[-1][1]
            elif on_server and not server[v]:
                now_s += graph.tensor_bytes(v - 1) / down
            on_server = server[v]
            if on_server and graph.weight_bytes[v] > 0:
                sent_bytes += float(graph.weight_bytes[v])
                in_s = sent_bytes / up  # and later by every tensor that goes before
                for start_s, end_s in busy:
                    in_s += end_s - start_s if start_s < in_s else 0.0
                waited += in_s > now_s
                now_s = max(now_s, in_s)
            now_s += float(seconds[v, int(on_server)])
        now_s += graph.tensor_bytes(len(graph) - 1) / down if on_server else 0.0
        plan = plan_of((0, v, 1) for v in range(len(graph)) if server[v] and graph.weight_bytes[v] > 0)
        assert simulate(scenario, plan).cold_start_delay_s[0] == pytest.approx(now_s, rel=1e-9)
    assert waited > 100


@given(cases(Sizes(users=1, slots=1, absences=False, outages=False)))
def test_a_lone_cold_query_takes_between_migration_and_migration_after_upload(case: tuple[Scenario, Plan]) -> None:
    # With everything there it takes the migration delay; at worst it stands still until all is there, which the
    # tensors that go before the weights put off by no more than their own time in that delay.
    timeline = simulate(*case)
    if timeline.upload_s < math.inf:
        cold_s = timeline.cold_start_delay_s[0]
        assert timeline.migration_delay_s * (1 - 1e-9) <= cold_s
        assert cold_s <= (timeline.upload_s + 2 * timeline.migration_delay_s) * (1 + 1e-9)
