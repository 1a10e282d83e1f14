"""How users slow each other and how weights share the uplink, worked by hand.

Most users here raise a query every 4 or 10 s, which is longer than their queries take, so that the share of time that
they spend at a station is a plain quotient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from dnnmig_env.arrays import Floats
from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.scenarios.uplink import Uplink
from dnnmig_env.simulation.contention import DOWNLINK, UPLINK, num_stations, write_seconds
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan, plan_of
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.timeline import Timeline

PHONE, EDGE = Node("phone", Tier.DEVICE, 1e9, 1e9), Node("edge", Tier.EDGE, 1e9, 1e9)
SERVERS = (EDGE, replace(EDGE, name="other"), replace(EDGE, name="third"))
FIRST_WIRE = len(SERVERS)
"""Station of the outgoing wire of server s is FIRST_WIRE + s."""


def layer(name: str, output_mb: float, *predecessors: int, weight_mb: float = 1.0) -> Layer:
    return Layer(name, 0, int(weight_mb * 1e6), int(output_mb * 1e6), predecessors)


def user(
    name: str, layers: tuple[Layer, ...], seconds: list[list[float]], at: list[int], input_mb: float, **others: object
) -> User:
    """Return a user: seconds of each layer on the device and on every server, and where its layers are."""
    profile = [[device_s, *[server_s] * len(SERVERS)] for device_s, server_s in seconds]
    graph = LayerGraph(f"{name}-net", int(input_mb * 1e6), layers)
    return User(name, graph, PHONE, profile_s=profile, uploaded=at, **others)  # type: ignore[arg-type]


def executing(name: str, server: int, seconds: float, rate_hz: float) -> User:
    """Return a user that only executes, on one server: 9 s on the device, no data on any link."""
    return user(name, (layer("all", 0.0, -1),), [[9.0, seconds]], [server], 0.0, query_rate_hz=rate_hz)


def scenario_of(
    *users: User, uplink: Uplink = "independent", starts_s: Sequence[float] = (0.0,), **others: object
) -> Scenario:
    links = {"up_bytes_per_s": 1e6, "down_bytes_per_s": 1e6, "between_bytes_per_s": 1e6, **others}
    return Scenario(users, SERVERS, Links(**links), 20.0, starts_s, uplink=uplink)  # type: ignore[arg-type]


def delays_s(timeline: Timeline) -> list[float]:
    return [float(delay_s) for delay_s in timeline.event_delay_s[-1]]


# --- on servers ---


def test_two_users_on_one_server_who_ask_seldom() -> None:
    # Ann: 1 s of every 10 s; Bob: 0.5 s of every 4 s, so they find each other there 0.1 and 0.125 of the time, and a
    # little longer as they slow each other: a = 1 (1 + b) / 10 and b = 0.5 (1 + a) / 4, so a = 0.113924, b = 0.139241.
    ann, bob = executing("ann", 1, 1.0, 0.1), executing("bob", 1, 0.5, 0.25)
    a = (1 / 10) * (1 + 0.5 / 4) / (1 - (1 / 10) * (0.5 / 4))
    b = (0.5 / 4) * (1 + a)
    timeline = simulate(scenario_of(ann, bob), Plan())
    assert delays_s(timeline) == pytest.approx([1.0 * (1 + b), 0.5 * (1 + a)], abs=3e-3)
    # The users' delays count in proportion to their rates, not to how often they are in flight.
    assert timeline.mean_delay_s == pytest.approx((0.1 * (1 + b) + 0.25 * 0.5 * (1 + a)) / 0.35, abs=3e-3)
    # On servers of their own they would take 1 s and 0.5 s.
    apart = simulate(scenario_of(ann, executing("bob", 2, 0.5, 0.25)), Plan())
    assert delays_s(apart) == [1.0, 0.5]


def test_after_an_event_two_sweeps_bring_users_near_to_each_other() -> None:
    # A query each every 2 s. Ann: 1 s; nobody is there when she picks: 1 / 2. Bob: 0.9 s; he finds her: 0.45 x 1.5.
    # First sweep: Ann finds 0.675 and is there 0.5 x 1.675 = 0.8375, Bob then 0.45 x 1.8375 = 0.826875.
    # Second sweep: Ann finds 0.826875 and is there 0.9134375, which Bob finds. Sweeps without
    # end lead to 0.871 and 0.935.
    ann, bob = executing("ann", 1, 1.0, 0.5), executing("bob", 1, 0.9, 0.5)
    timeline = simulate(scenario_of(ann, bob), Plan())
    assert delays_s(timeline) == pytest.approx([1.0 * 1.826875, 0.9 * 1.9134375], rel=1e-12)
    assert timeline.event_slowdown[-1, :, 1].tolist() == pytest.approx([1.826875, 1.9134375], rel=1e-12)


def test_nobody_slows_itself() -> None:
    # Alone, even a user that never leaves the server and whose layers follow each other takes what it takes.
    alone = user("ann", (layer("a", 0.0, -1), layer("b", 0.0, 0)), [[9, 0.4], [9, 0.6]], [1, 1], 0.5, query_rate_hz=50)
    assert delays_s(simulate(scenario_of(alone), Plan())) == pytest.approx([0.5 + 0.4 + 0.6])


@pytest.mark.parametrize("count", [2, 3, 6])
def test_users_who_never_leave_a_server_slow_each_other_as_many_times(count: int) -> None:
    # A query takes at least 1 s there, and the next is due every 0.1 s: everybody is there all the time.
    users = [replace(executing("user", 1, 1.0, 10.0), name=f"user{u}") for u in range(count)]
    users = [replace(each, profile_s=[[99.0, 1.0, 1.0, 1.0]]) for each in users]
    assert delays_s(simulate(scenario_of(*users), Plan())) == pytest.approx([float(count)] * count)


def test_a_busy_user_slows_others_no_more_than_one_that_is_always_there() -> None:
    # Bob is always at the server, however fast he asks: Ann, there seldom, takes twice as long. He asks for more than
    # one query in flight, but has one at a time.
    for rate_hz in (1.0, 100.0):
        ann, bob = executing("ann", 1, 0.01, 0.001), executing("bob", 1, 1.0, rate_hz)
        assert delays_s(simulate(scenario_of(ann, bob), Plan())) == pytest.approx([0.02, 1.0], abs=1e-3)


def test_frames_are_skipped_while_a_query_is_in_flight() -> None:
    # Bob: 1 s on his device, then 1 s on the server, 2 queries a second. He starts the next query after 2 s, not after
    # 0.5 s: he is on the server half of the time, 1 / 2. Ann, there seldom, takes 1.5 times as long.
    layers = (layer("a", 0.0, -1), layer("b", 0.0, 0))
    bob = user("bob", layers, [[1.0, 9.0], [9.0, 1.0]], [0, 1], 0.0, query_rate_hz=2.0)
    ann = executing("ann", 1, 0.01, 0.001)
    assert delays_s(simulate(scenario_of(ann, bob), Plan())) == pytest.approx([0.015, 2.0], abs=1e-3)
    # One query every 4 s is not: a quarter of the time.
    seldom = replace(bob, query_rate_hz=0.25)
    assert delays_s(simulate(scenario_of(ann, seldom), Plan())) == pytest.approx([0.0125, 2.0], abs=1e-3)


def test_who_is_absent_is_at_no_station() -> None:
    # Bob is always at the server, but from 5 to 10 s he is away; his layers stay there. Ann: 0.02 s, 0.01 s, 0.02 s.
    ann, bob = executing("ann", 1, 0.01, 0.001), executing("bob", 1, 1.0, 0.0)
    bob = replace(bob, query_rate_hz=[1.0, 0.0, 1.0])
    timeline = simulate(scenario_of(ann, bob, starts_s=(0.0, 5.0, 10.0)), Plan())
    assert timeline.event_delay_s[:, 0].tolist() == pytest.approx([0.02, 0.01, 0.02], abs=1e-3)
    assert timeline.event_delay_s[1, 1] == 9.0  # what he would take on his device
    assert timeline.event_slowdown[1, 0].tolist() == [1.0] * num_stations(len(SERVERS) + 1)


def test_a_user_leaves_a_server_that_has_become_crowded() -> None:
    # Eve: 1.5 s on her device, 1 s on the server, to which Bob comes at 5 s, never to leave: then she takes 2 s there.
    # When he comes she has just picked the server, and everybody picks once per event. At the next one she goes.
    eve = replace(executing("eve", 1, 1.0, 0.001), profile_s=[[1.5, 1.0, 1.0, 1.0]])
    bob = replace(executing("bob", 1, 1.0, 0.0), query_rate_hz=[0.0, 1.0, 1.0])
    timeline = simulate(scenario_of(eve, bob, starts_s=(0.0, 5.0, 6.0)), Plan())
    assert timeline.event_delay_s[:, 0].tolist() == pytest.approx([1.0, 2.0, 1.5], abs=1e-3)
    assert timeline.event_assignment[:, 0, 0].tolist() == [1, 1, 0]


# --- on links ---


def sending(name: str, input_mb: float, output_mb: float, rate_hz: float, server: int = 1) -> User:
    """Return a user whose only layer takes no time on any server, and 99 s on the device."""
    layers = (layer("all", output_mb, -1),)
    return user(name, layers, [[99.0, 0.0]], [server], input_mb, query_rate_hz=rate_hz)


SELDOM_HZ = 0.001
"""Rate of a user that others hardly notice."""


@pytest.mark.parametrize("uplink", ["priority", "shared", "independent"])
def test_data_of_two_users_meet_on_the_uplink_whatever_their_servers(uplink: Uplink) -> None:
    # Bob sends 2 MB, for 2 s of every 4 s; Ann's 1 MB takes 1.5 s instead of 1 s, though it goes to another server.
    ann, bob = sending("ann", 1.0, 0.0, SELDOM_HZ), sending("bob", 2.0, 0.0, 0.25, server=2)
    timeline = simulate(scenario_of(ann, bob, uplink=uplink), Plan())
    assert delays_s(timeline) == pytest.approx([1.5, 2.0], abs=5e-3)
    assert timeline.event_slowdown[-1, 0, DOWNLINK] == 1.0


def test_data_of_two_users_meet_on_the_downlink_not_on_the_uplink() -> None:
    # As above with results: Ann's 1 MB takes 1.5 s on its way back; her input, 1 MB more, takes 1 s.
    ann, bob = sending("ann", 1.0, 1.0, SELDOM_HZ), sending("bob", 0.0, 2.0, 0.25, server=2)
    timeline = simulate(scenario_of(ann, bob), Plan())
    assert delays_s(timeline) == pytest.approx([1.0 + 1.5, 2.0], abs=5e-3)
    assert timeline.event_slowdown[-1, 0, UPLINK] == 1.0


def relaying(name: str, servers: tuple[int, int], between_mb: float, rate_hz: float) -> User:
    """Return a user with two layers on two servers, between which data go; nothing else takes time."""
    layers = (layer("a", between_mb, -1), layer("b", 0.0, 0))
    return user(name, layers, [[99.0, 0.0], [99.0, 0.0]], list(servers), 0.0, query_rate_hz=rate_hz)


def test_data_meet_on_the_wire_of_the_server_that_sends() -> None:
    # Bob is on the wire of server 1 for 2 s of every 4 s. Ann's 1 MB from server 1, to whichever server, takes 1.5 s;
    # from server 2, to the server to which Bob's data go, or to server 1, it takes 1 s.
    bob = relaying("bob", (1, 3), 2.0, 0.25)
    expected = {(1, 3): 1.5, (1, 2): 1.5, (2, 3): 1.0, (2, 1): 1.0}
    for servers, ann_s in expected.items():
        timeline = simulate(scenario_of(relaying("ann", servers, 1.0, SELDOM_HZ), bob), Plan())
        assert delays_s(timeline) == pytest.approx([ann_s, 2.0], abs=5e-3), servers
        assert timeline.event_slowdown[-1, 0, FIRST_WIRE + 1] == pytest.approx(1.5)
        radio = timeline.event_slowdown[-1, 0, [UPLINK, DOWNLINK]]
        assert radio.tolist() == [1.0, 1.0]


def test_data_do_not_meet_those_that_execute() -> None:
    # Bob is at server 1 half of the time, on no link; Ann sends to it, from it, and by its wire.
    bob = executing("bob", 1, 2.0, 0.25)
    assert delays_s(simulate(scenario_of(sending("ann", 1.0, 1.0, 0.1), bob), Plan())) == [2.0, 2.0]
    assert delays_s(simulate(scenario_of(relaying("ann", (1, 2), 1.0, 0.1), bob), Plan())) == [1.0, 2.0]


def test_latencies_are_not_slowed_and_take_nobodys_turn() -> None:
    # Bob, every 2 s: 0.5 s on the uplink, 0.5 s on server 1, 0.5 s on the downlink, a quarter of the time at each. With
    # latencies of 3 s both ways a query takes 7.5 s, so that he starts one every 7.5 s: 0.5 / 7.5 of the time at each.
    bob = user("bob", (layer("all", 0.5, -1),), [[99.0, 0.5]], [1], 0.5, query_rate_hz=0.5)
    ann = user("ann", (layer("all", 1.0, -1),), [[99.0, 1.0]], [1], 1.0, query_rate_hz=SELDOM_HZ)
    near = simulate(scenario_of(ann, bob), Plan())
    assert delays_s(near) == pytest.approx([3 * 1.25, 1.5], abs=5e-3)
    far = simulate(scenario_of(ann, bob, up_latency_s=3.0, down_latency_s=3.0), Plan())
    assert delays_s(far) == pytest.approx([3 * (1 + 0.5 / 7.5) + 6.0, 1.5 + 6.0], abs=5e-3)


def test_who_sends_two_tensors_at_once_is_there_once() -> None:
    # Bob sends his input of 1 MB to two servers side by side, 2 s of the uplink in a query of 1 s, without a pause.
    # One query is in flight at a time, so Ann finds one there, not two.
    layers = (layer("left", 0.0, -1), layer("right", 0.0, -1))
    bob = user("bob", layers, [[99.0, 0.0], [99.0, 0.0]], [1, 2], 1.0, query_rate_hz=2.0)
    timeline = simulate(scenario_of(sending("ann", 1.0, 0.0, SELDOM_HZ), bob), Plan())
    assert delays_s(timeline) == pytest.approx([2.0, 1.0], abs=5e-3)


# --- the seconds at stations ---


def seconds_at(scenario: Scenario, assignment: list[int]) -> Floats:
    seconds = np.full(num_stations(len(SERVERS) + 1), math.nan)
    write_seconds(pack([scenario]), 0, 0, 0, np.array(assignment, np.int8), seconds)
    return seconds


def stations(**expected: float) -> Floats:
    """Return seconds by the names of stations: s1 to s3, w1 to w3 (wires), up, down; the others 0."""
    seconds = np.zeros(num_stations(len(SERVERS) + 1))
    at = (
        {f"s{s}": s for s in (1, 2, 3)}
        | {f"w{s}": FIRST_WIRE + s for s in (1, 2, 3)}
        | {"up": UPLINK, "down": DOWNLINK}
    )
    for name, value in expected.items():
        seconds[at[name]] = value
    return seconds


FORK = (layer("stem", 0.4, -1), layer("left", 0.2, -1, 0), layer("right", 0.3, -1, 0), layer("join", 0.1, 1, 2))


def fork(outputs: tuple[int, ...] = ()) -> Scenario:
    """Stem, left and right (which both read the input and the stem), join; 0.1 s each on servers; the input: 1 MB."""
    ann = user("ann", FORK, [[1.0, 0.1]] * 4, [0] * 4, 1.0)
    return scenario_of(replace(ann, graph=replace(ann.graph, outputs=outputs)), down_bytes_per_s=0.5e6)


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ([0, 0, 0, 0], {}),
        # The input goes to server 1 once, though three layers read it there; the result of 0.1 MB returns at 0.5 MB/s.
        ([1, 1, 1, 1], {"s1": 0.4, "up": 1.0, "down": 0.2}),
        # The input goes to server 1 and to server 2; stem (0.4 MB) and right (0.3 MB) by their servers' wires.
        ([1, 1, 2, 1], {"s1": 0.3, "s2": 0.1, "up": 2.0, "w1": 0.4, "w2": 0.3, "down": 0.2}),
        # Input and stem from the device to server 1, once for left and right; right's and left's results to server 3.
        ([0, 1, 1, 3], {"s1": 0.2, "s3": 0.1, "up": 1.4, "w1": 0.5, "down": 0.2}),
        # Join on the device reads left from server 1 and right from server 2: 0.2 and 0.3 MB at 0.5 MB/s.
        ([0, 1, 2, 0], {"s1": 0.1, "s2": 0.1, "up": 2.8, "down": 1.0}),
    ],
)
def test_a_tensor_goes_to_each_node_once(assignment: list[int], expected: dict[str, float]) -> None:
    np.testing.assert_allclose(seconds_at(fork(), assignment), stations(**expected), rtol=1e-12)


@pytest.mark.parametrize(
    ("assignment", "down_s"),
    [
        ([1, 0, 0, 0], 0.8),  # the stem's 0.4 MB return and are read on the device by two layers: once
        ([1, 1, 0, 0], 0.8 + 0.4),  # as before, and left's 0.2 MB
        ([1, 1, 1, 1], 0.8 + 0.2),  # the stem's 0.4 MB and join's 0.1 MB are results alone
    ],
)
def test_an_output_that_is_read_on_the_device_as_well_returns_once(assignment: list[int], down_s: float) -> None:
    seconds = seconds_at(fork(outputs=(0, 3)), assignment)
    assert seconds[DOWNLINK] == pytest.approx(down_s)


def test_a_link_that_is_down_takes_for_ever_and_what_has_no_bytes_no_time() -> None:
    dead = replace(fork(), links=Links([[[1e6, 0.0, 0.0]], [[1e6, 1e6, 1e6]]]), slot_starts_s=(0.0, 1.0))
    assert seconds_at(dead, [2, 2, 2, 2])[UPLINK] == math.inf
    silent = replace(
        dead,
        users=(
            replace(
                dead.users[0], graph=LayerGraph("n", 0, (layer("a", 0.0, -1),)), profile_s=[[1, 1, 1, 1]], uploaded=None
            ),
        ),
    )
    assert seconds_at(silent, [2]).tolist() == stations(s2=1.0).tolist()


# --- weights and data on the uplink ---


def uploading(rate_hz: float, *, input_mb: float = 1.0, weight_mb: float = 3.0) -> User:
    """Return a user that sends its input to server 1 (1 MB: 1 s), has a layer of 9 s on its device, and uploads it."""
    layers = (layer("a", 0.0, -1), layer("b", 0.0, 0, weight_mb=weight_mb))
    return user("ann", layers, [[99.0, 0.0], [9.0, 0.0]], [1, 0], input_mb, query_rate_hz=rate_hz)


def upload_s(scenario: Scenario, uplink: Uplink | None = None) -> float:
    return simulate(scenario, plan_of([(0, 1, 1)]), uplink=uplink).uploads[0].end_s


@pytest.mark.parametrize(
    ("uplink", "rate_hz", "end_s"),
    [
        # A query of 10 s (1 s on the uplink, 9 s on the device) every 20 s: weights have 19 / 20 of the rate.
        ("priority", 1 / 20, 3 / (1 - 1 / 20)),
        # Every 4 s would be too often: one query in flight, every 10 s, so weights have 9 / 10 of the rate.
        ("priority", 1 / 4, 3 / (1 - 1 / 10)),
        # The upload is a customer: the data takes 2 s, a query 11 s, of which it is 2 s on the uplink.
        ("shared", 1 / 20, 3 * (1 + 2 / 20)),
        ("shared", 1 / 4, 3 * (1 + 2 / 11)),
        ("independent", 1 / 20, 3.0),
        ("independent", 1 / 4, 3.0),
    ],
)
def test_how_long_an_upload_takes_beside_its_own_users_data(uplink: Uplink, rate_hz: float, end_s: float) -> None:
    scenario = scenario_of(uploading(rate_hz), uplink=uplink)
    timeline = simulate(scenario, plan_of([(0, 1, 1)]))
    assert timeline.uploads[0].end_s == pytest.approx(end_s)
    # Afterwards a query takes 1 s; before, 10 s, or 11 s while an upload that is a customer slows its data.
    before_s = 11.0 if uplink == "shared" else 10.0
    assert timeline.mean_delay_s == pytest.approx((before_s * end_s + 1.0 * (20.0 - end_s)) / 20.0)


def test_weights_give_way_to_the_data_of_all_users() -> None:
    # Bob has data on the uplink for 2 s of every 4 s, Ann, who meets him, for 1 x 1.5 s of every 20 s. What counts is
    # the seconds that the data need, not those for which they share: 1 - 2 / 4 - 1 / 20 = 0.45.
    scenario = scenario_of(uploading(1 / 20), sending("bob", 2.0, 0.0, 0.25, server=2), uplink="priority")
    assert upload_s(scenario) == pytest.approx(3 / 0.45)
    # As a customer it makes Bob's data take 4 s or more, so that he is always there; Ann, whose data find both, is
    # there 3 s of every 20 s: the upload takes 2.15 times as long as alone.
    assert upload_s(scenario, "shared") == pytest.approx(3 * 2.15)
    assert upload_s(scenario, "independent") == 3.0


def test_weights_do_not_give_way_to_those_who_are_absent_or_on_other_links() -> None:
    bob = replace(sending("bob", 2.0, 0.0, 0.25, server=2), query_rate_hz=[0.0, 0.25])
    absent = scenario_of(uploading(1 / 20), bob, uplink="priority", starts_s=(0.0, 10.0))
    assert upload_s(absent) == pytest.approx(3 / 0.95)
    returning = scenario_of(uploading(1 / 20), sending("bob", 0.0, 2.0, 0.25, server=2), uplink="priority")
    assert upload_s(returning) == pytest.approx(3 / 0.95)
    executes = scenario_of(uploading(1 / 20), executing("bob", 1, 2.0, 0.25), uplink="priority")
    assert upload_s(executes) == pytest.approx(3 / 0.95)


def test_weights_always_have_two_per_cent_of_the_rate() -> None:
    # Bob's data would never leave the uplink idle. 0.2 MB at 20 kB/s: 10 s.
    ann = uploading(SELDOM_HZ, weight_mb=0.2)
    scenario = scenario_of(ann, sending("bob", 1.0, 0.0, 5.0), uplink="priority")
    assert upload_s(scenario) == pytest.approx(10.0)
    # Shared, the upload is one of two customers (and Bob's data take twice as long): half of the rate.
    assert upload_s(scenario, "shared") == pytest.approx(0.4, rel=2e-3)


def test_the_share_of_weights_changes_with_the_slot_and_with_what_has_arrived() -> None:
    # Ann alone: 1 s of data in queries of 10 s, every 20 s until 2 s, then one after another: 2 x 0.95 MB, then the
    # 1.1 MB that are left at 0.9 of the rate.
    ann = replace(uploading(1.0), query_rate_hz=[1 / 20, 1.0])
    scenario = scenario_of(ann, uplink="priority", starts_s=(0.0, 2.0))
    assert upload_s(scenario) == pytest.approx(2 + (3 - 2 * 0.95) / 0.9)
    # Two uploads: a (1 MB) while all is on the device and nobody sends data; b then gives way to a's input.
    both = scenario_of(replace(uploading(1.0), uploaded=[0, 0]), uplink="priority")
    first, second = simulate(both, plan_of([(0, 0, 1), (0, 1, 1)])).uploads
    assert [first.end_s, second.end_s] == pytest.approx([1.0, 1 + 3 / 0.9])


def test_over_a_slower_link_data_leave_less_to_weights() -> None:
    # From 2 s on at half the rate: Ann's data take 2 s of 11 s instead of 1 s of 10 s. 1.8 MB get there until 2 s, the
    # 1.2 MB that are left at 0.5 x 9 / 11 MB/s.
    up = np.array([[[1e6, 1e6, 1e6]], [[5e5, 5e5, 5e5]]])
    scenario = scenario_of(uploading(1.0), uplink="priority", starts_s=(0.0, 2.0), up_bytes_per_s=up)
    assert upload_s(scenario) == pytest.approx(2.0 + 1.2 / (0.5 * 9 / 11))


@pytest.mark.parametrize("idle_until_s", [2.0, 7.0])
def test_a_shared_uplink_notices_when_no_weights_are_sent(idle_until_s: float) -> None:
    # The channel idles first, then comes an upload of 3 (1 + 2 / 20) s: queries of 10 s, 11 s, then 1 s.
    scenario = scenario_of(uploading(1 / 20), uplink="shared")
    plan = plan_of([(0, 1, 1)])
    plan = replace(plan, uploads=(replace(plan.uploads[0], not_before_s=idle_until_s),))
    timeline = simulate(scenario, plan)
    assert timeline.delay_s(idle_until_s - 0.1) == pytest.approx([10.0])
    assert timeline.delay_s(idle_until_s + 0.1) == pytest.approx([11.0])
    assert timeline.uploads[0].end_s == pytest.approx(idle_until_s + 3.3)
    assert timeline.delay_s(idle_until_s + 3.4) == pytest.approx([1.0])


def test_on_a_shared_uplink_an_upload_over_a_dead_link_slows_nobody() -> None:
    # Ann's link to server 2 is down until 4 s. Her data go to server 1 and take 1 s until then, 2 s afterwards.
    up = np.array([[[1e6, 0.0, 1e6]], [[1e6, 1e6, 1e6]]])
    scenario = scenario_of(uploading(1 / 20), uplink="shared", starts_s=(0.0, 4.0), up_bytes_per_s=up)
    timeline = simulate(scenario, plan_of([(0, 1, 2)]))
    assert timeline.delay_s(2.0) == pytest.approx([10.0])
    assert timeline.delay_s(5.0) == pytest.approx([11.0])
    assert timeline.uploads[0].end_s == pytest.approx(4.0 + 3.3)


def test_the_uplinks_reading_can_be_chosen_when_simulating() -> None:
    scenario = scenario_of(uploading(1 / 20), uplink="priority")
    assert upload_s(scenario) == upload_s(scenario, "priority") == pytest.approx(3 / 0.95)
    assert upload_s(scenario, "independent") == upload_s(replace(scenario, uplink="independent")) == 3.0
    assert simulate(scenario, Plan(), uplink="shared").scenario.uplink == "shared"
    with pytest.raises(ValueError, match="uplink is 'fair'; choose one of priority, shared, independent"):
        simulate(scenario, Plan(), uplink="fair")  # type: ignore[arg-type]
