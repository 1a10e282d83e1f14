"""Scenario files: what is saved comes back to the last bit, what is written by hand means what it says, errors help."""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnmig_env.networks import zoo
from dnnmig_env.networks.graph_file import write_graph
from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.networks.measured_profile import FOLDER as PROFILES
from dnnmig_env.networks.measured_profile import find_profile
from dnnmig_env.scenarios.file import load_scenario, save_scenario
from dnnmig_env.scenarios.node import Node, Tier, execution_s
from dnnmig_env.scenarios.scenario import Links, Mobility, Scenario, User
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.simulator import simulate

EXAMPLES = Path(__file__).parents[3] / "examples"

SMALL = """
horizon_s: 10
servers:
  - {name: edge, flops_per_s: 1e11, memory_bytes_per_s: 1e11}
  - {name: cloud, tier: cloud, flops_per_s: 1e12, memory_bytes_per_s: 1e11}
users:
  - name: phone
    network:
      name: tiny
      input_bytes: 1000
      layers:
        - {name: a, flops: 1e9, weight_bytes: 1e6, output_bytes: 500}
        - {name: b, flops: 2e9, weight_bytes: 2e6, output_bytes: 100}
    device: {flops_per_s: 1e9, memory_bytes_per_s: 1e10}
    links:
      edge: {up_mbps: 8}
      cloud: {up_mbps: 4, latency_s: 0.02}
"""


def small(**changes: Any) -> dict[str, Any]:
    """Return the scenario SMALL as plain data with some values changed: `users__0__device__flops_per_s=-1`."""
    data: Any = yaml.safe_load(SMALL.replace("1e", "1.0e+").replace("2e", "2.0e+"))
    for path, value in changes.items():
        *steps, last = [int(step) if step.isdigit() else step for step in path.split("__")]
        place = data
        for step in steps:
            place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value
    assert isinstance(data, dict)
    return data


def loaded(folder: Path, data: object) -> Scenario:
    path = folder / "scenario.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return load_scenario(path)


def assert_same(one: object, other: object) -> None:
    """Compare two scenarios or parts of them, arrays bit by bit."""
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, np.asarray(other), strict=True)
    elif isinstance(one, tuple):
        assert isinstance(other, tuple) and len(one) == len(other)
        for mine, yours in zip(one, other, strict=True):
            assert_same(mine, yours)
    elif isinstance(one, Scenario | User | Links | Mobility):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    else:
        assert one == other


amounts = st.one_of(st.floats(0, 1e15), st.integers(0, 10**6))
seconds = st.one_of(st.floats(0, 1e9), st.integers(0, 10**6))
rates = st.just(0.0) | st.floats(1e-3, 1e15)
positive = st.floats(1e-3, 1e12)
names = st.text(min_size=1, max_size=6) | st.sampled_from(
    ["1e5", "null", "no", "1:30", " x ", "#", "<one>", "0x1F", "~", "a\x85b", "\u2028", "\ufeff", "\n"]
)


@st.composite
def graphs(draw: st.DrawFn) -> LayerGraph:
    if draw(st.integers(0, 4)) == 0:
        return zoo.load_prepared(
            draw(st.sampled_from(["alexnet", "squeezenet1_1"])), draw(st.sampled_from([None, 3, 5]))
        )
    layers = []
    for index, name in enumerate(draw(st.lists(names, min_size=1, max_size=4, unique=True))):
        predecessors = draw(st.sets(st.integers(-1, index - 1), min_size=1, max_size=3))
        sizes = draw(st.tuples(*[st.integers(0, 2**60)] * 3))
        operators = draw(st.integers(0, 3))
        layers.append(Layer(name, draw(amounts), sizes[0], sizes[1], tuple(sorted(predecessors)), sizes[2], operators))
    return LayerGraph(draw(names), draw(st.integers(0, 10**9)), tuple(layers), draw(st.text(max_size=5)))


def nodes(name: st.SearchStrategy[str], tiers: st.SearchStrategy[Tier]) -> st.SearchStrategy[Node]:
    memory = st.just(math.inf) | st.floats(2.0**62, 1e20)
    return st.builds(Node, name, tiers, positive, positive, st.floats(0, 1), memory)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    def array(*shape: int, values: st.SearchStrategy[float] = seconds) -> np.ndarray[Any, Any]:
        if draw(st.booleans()):
            return np.full(shape, float(draw(values)))
        return np.array([float(draw(values)) for _ in range(math.prod(shape))]).reshape(shape)

    edge_or_cloud = st.sampled_from([Tier.EDGE, Tier.CLOUD])
    servers = tuple(
        draw(nodes(st.just(name), edge_or_cloud)) for name in draw(st.lists(names, min_size=1, max_size=3, unique=True))
    )
    s = len(servers)
    starts = draw(
        st.sampled_from([[0.0], [0.0, 1e-9], [0.0, 0.1, 0.2], [0.0, 0.7, 1.4], [0.0, 2.5]])
        | st.lists(st.floats(0.01, 3), min_size=1, max_size=4, unique=True).map(lambda later: [0.0, *sorted(later)])
    )
    t = len(starts)
    users = []
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        graph = draw(graphs())
        profile = array(len(graph), s + 1) if draw(st.booleans()) else None
        uploaded = [draw(st.integers(0, s)) for _ in range(len(graph))] if draw(st.booleans()) else None
        device = draw(nodes(st.just("device") | names, st.just(Tier.DEVICE)))
        users.append(User(name, graph, device, array(t, values=st.floats(0.01, 1e3)), profile, uploaded))
    u = len(users)
    reach = st.floats(1e-3, 1e12)
    down, back = draw(st.tuples(st.booleans(), st.booleans()))
    links = Links(
        array(t, u, s, values=reach),
        array(t, u, s, values=rates) if down else None,
        array(t, u, s),
        array(t, u, s) if back else None,
        array(s, s, values=rates),
        array(s, s),
    )
    signed = st.floats(-1e6, 1e6)
    mobility = Mobility(
        array(t, u, 2, values=signed), array(t, u, 2, values=signed), array(s, 2, values=signed), draw(positive)
    )
    horizon_s = starts[-1] + draw(st.floats(0.01, 5) | st.just(0.7))
    return Scenario(
        tuple(users),
        servers,
        links,
        horizon_s,
        starts,
        draw(st.sampled_from([None, mobility])),
        draw(st.text(max_size=5)),
    )


@settings(max_examples=100)
@given(scenarios(), st.sampled_from([".yaml", ".yml", ".json"]))
def test_what_is_saved_comes_back_exactly(scenario: Scenario, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"scenario{suffix}")
        save_scenario(scenario, path)
        found = load_scenario(path)
        assert_same(found, scenario)
        for mine, yours in zip(found.users, scenario.users, strict=True):
            if mine.graph.name not in zoo.SOURCES:
                assert mine.graph.origin == yours.graph.origin
        before = path.read_bytes()
        save_scenario(found, path)
        assert path.read_bytes() == before


def test_a_network_of_the_zoo_is_saved_by_name_only_while_it_is_the_same(tmp_path: Path) -> None:
    def saved_network(graph: LayerGraph) -> tuple[object, object]:
        device = Node("device", Tier.DEVICE, 1e9, 1e9)
        scenario = Scenario((User("u", graph, device),), (Node("s", Tier.EDGE, 1e11, 1e11),), Links(1e6), 1.0)
        save_scenario(scenario, tmp_path / "x.json")
        assert load_scenario(tmp_path / "x.json").users[0].graph == graph
        user = json.loads((tmp_path / "x.json").read_text())["users"][0]
        return user["network"], user.get("max_layers")

    assert saved_network(zoo.load_prepared("resnet18")) == ("resnet18", None)
    assert saved_network(zoo.load_prepared("resnet18", 7)) == ("resnet18", 7)
    unprepared = zoo.load("alexnet")
    network, max_layers = saved_network(unprepared)
    assert isinstance(network, dict) and len(network["layers"]) == len(unprepared) and max_layers is None


def whole_plan(scenario: Scenario) -> Plan:
    """Upload every layer of every user, the first server first, as far as memory reaches; whoever comes late waits."""
    left = [server.memory_bytes for server in scenario.servers]
    for user in scenario.users:
        for weights, server in zip(user.graph.weight_bytes, np.asarray(user.uploaded), strict=True):
            left[server - 1] -= weights if server else 0
    uploads = []
    for u, user in enumerate(scenario.users):
        for layer, weights in enumerate(user.graph.weight_bytes):
            fitting = [s for s, room in enumerate(left) if room >= weights]
            if weights and fitting and not np.asarray(user.uploaded)[layer]:
                left[fitting[0]] -= weights
                uploads.append(Upload(u, fitting[0] + 1, (layer,)))
    return Plan(tuple(uploads))


@pytest.mark.parametrize(
    "path", sorted(set(EXAMPLES.glob("*.yaml")) - {EXAMPLES / "my_family.yaml"}), ids=lambda path: path.stem
)
def test_every_example_can_be_simulated(path: Path, tmp_path: Path) -> None:
    scenario = load_scenario(path, measured_here)
    uploading = simulate(scenario, whole_plan(scenario)).mean_delay_s
    alone = simulate(scenario, Plan(())).mean_delay_s
    assert 0 < uploading < alone
    for suffix in (".yaml", ".json"):
        save_scenario(scenario, tmp_path / f"copy{suffix}")
        copy = load_scenario(tmp_path / f"copy{suffix}")
        assert_same(copy, scenario)
        assert simulate(copy, whole_plan(copy)).mean_delay_s == uploading


def measured_here(graph: LayerGraph) -> np.ndarray:
    """Stands in for a measurement: a millisecond for the first layer, two for the second, and so on."""
    return 1e-3 * np.arange(1, len(graph) + 1)


def test_what_is_measured_on_this_machine_is_scaled() -> None:
    scenario = load_scenario(EXAMPLES / "testbed_small.yaml", measured_here)
    layers = 1e-3 * np.arange(1, 9)
    np.testing.assert_allclose(scenario.execution_s[0], np.stack([20 * layers, 2 * layers], axis=1))


def test_this_machine_is_measured_only_where_something_runs() -> None:
    with pytest.raises(ValueError, match=r"device: 'this-machine' is measured by `python -m evaluate testbed`"):
        load_scenario(EXAMPLES / "testbed_small.yaml")


def test_the_examples_are_static_slotted_and_mobile() -> None:
    expected = {"one_phone": (1, False), "changing_links": (10, False), "two_edges": (4, True), "two_cells": (4, False)}
    found = {name: load_scenario(EXAMPLES / f"{name}.yaml") for name in expected}
    assert {name: (s.num_slots, s.mobility is not None) for name, s in found.items()} == expected
    changing = np.asarray(found["changing_links"].links.up_bytes_per_s)
    assert np.all(np.ptp(changing[:, :, 0], axis=0) > 1e5)  # both traces vary from slot to slot
    np.testing.assert_array_equal(changing[:, :, 1], 15 * 125_000.0)  # the default link


def test_a_hand_written_file_means_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    scenario = load_scenario(path)
    assert [server.name for server in scenario.servers] == ["edge", "cloud"]
    assert [server.tier for server in scenario.servers] == [Tier.EDGE, Tier.CLOUD]
    assert scenario.servers[0] == Node("edge", Tier.EDGE, 1e11, 1e11, 0.0, math.inf)
    user = scenario.users[0]
    assert user.device == Node("device", Tier.DEVICE, 1e9, 1e10)
    assert user.graph == LayerGraph(
        "tiny", 1000, (Layer("a", 1e9, 10**6, 500, (-1,)), Layer("b", 2e9, 2 * 10**6, 100, (0,)))
    )
    np.testing.assert_array_equal(user.query_rate_hz, [1.0])
    np.testing.assert_array_equal(scenario.links.up_bytes_per_s, [[[1e6, 5e5]]])
    np.testing.assert_array_equal(scenario.links.down_bytes_per_s, [[[1e6, 5e5]]])
    np.testing.assert_array_equal(scenario.links.up_latency_s, [[[0.0, 0.02]]])
    np.testing.assert_array_equal(scenario.links.down_latency_s, [[[0.0, 0.02]]])
    np.testing.assert_array_equal(scenario.links.between_bytes_per_s, np.full((2, 2), 1.25e8))
    assert (scenario.num_slots, scenario.horizon_s, scenario.family, scenario.mobility) == (1, 10, "custom", None)


def test_slots_links_and_backhaul_by_hand(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time_s,mbps\n0,8\n3,16\n")
    scenario = loaded(
        tmp_path,
        small(
            slot_s=4,
            users__0__query_rate_hz=[1, 0, 2],
            users__0__links__edge={
                "trace": "t.csv",
                "down_mbps": [8, 0, 16],
                "latency_s": [0, 1, 2],
                "down_latency_s": 5,
            },
            users__0__links__cloud=None,
            default_link={"up_bytes_per_s": 7},
            backhaul={"mbps": 80, "pairs": [{"between": ["cloud", "edge"], "latency_s": 0.5}]},
        ),
    )
    np.testing.assert_array_equal(scenario.slot_starts_s, [0, 4, 8])
    np.testing.assert_array_equal(scenario.users[0].query_rate_hz, [1, 0, 2])
    # 8 Mbit/s for 3 s, then 16 for 3 s, again and again; the last slot ends with the horizon after 2 s.
    np.testing.assert_allclose(np.asarray(scenario.links.up_bytes_per_s)[:, 0, 0], [1.25e6, 1.5e6, 1.5e6])
    np.testing.assert_array_equal(np.asarray(scenario.links.up_bytes_per_s)[:, 0, 1], [7, 7, 7])
    np.testing.assert_array_equal(np.asarray(scenario.links.down_bytes_per_s)[:, 0, 0], [1e6, 0, 2e6])
    np.testing.assert_array_equal(np.asarray(scenario.links.up_latency_s)[:, 0, 0], [0, 1, 2])
    np.testing.assert_array_equal(np.asarray(scenario.links.down_latency_s)[:, 0, 0], [5, 5, 5])
    np.testing.assert_array_equal(scenario.links.between_bytes_per_s, np.full((2, 2), 1e7))
    np.testing.assert_array_equal(scenario.links.between_latency_s, [[0, 0.5], [0.5, 0]])


def test_pairs_of_servers_have_rates_of_their_own_both_ways(tmp_path: Path) -> None:
    for rate, bytes_per_s in (({"mbps": 16}, 2e6), ({"bytes_per_s": 3000}, 3000.0)):
        pairs = [{"between": ["cloud", "edge"], **rate}]
        links = loaded(tmp_path, small(backhaul={"mbps": 80, "latency_s": 0.1, "pairs": pairs})).links
        np.testing.assert_array_equal(links.between_bytes_per_s, [[1e7, bytes_per_s], [bytes_per_s, 1e7]])
        np.testing.assert_array_equal(links.between_latency_s, np.full((2, 2), 0.1))


def test_a_trace_is_not_averaged_over_the_whole_horizon_in_silence(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time_s,mbps\n0,8\n2,16\n")
    for slots in ({}, {"slot_s": 10}):
        with pytest.raises(ValueError, match=r"links.edge.trace.*one slot, .* by its mean alone; give slot_s"):
            loaded(tmp_path, small(users__0__links__edge={"trace": "t.csv"}, **slots))
    (tmp_path / "t.csv").write_text("time_s,mbps\n0,8\n2,8\n")  # always the same, so slots would change nothing
    links = loaded(tmp_path, small(users__0__links__edge={"trace": "t.csv"})).links
    assert np.asarray(links.up_bytes_per_s)[0, 0, 0] == 1e6


def test_a_scenario_may_begin_in_the_middle_of_a_trace(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time_s,mbps\n0,8\n6,16\n")
    link = {"trace": "t.csv", "trace_offset_s": 4}
    scenario = loaded(tmp_path, small(slot_starts_s=[0, 2], users__0__links__edge=link))
    # 8 Mbit/s for 2 s more, 16 for 6 s, then the trace begins again: 8 for the last 2 s.
    np.testing.assert_allclose(np.asarray(scenario.links.up_bytes_per_s)[:, 0, 0], [1e6, (6 * 2e6 + 2 * 1e6) / 8])


def test_what_a_file_leaves_out_is_as_in_a_scenario_that_leaves_it_out(tmp_path: Path) -> None:
    found = loaded(tmp_path, small(mobility={"users": {"phone": {"positions_m": [3, 4]}}}))
    assert found.mobility is not None
    assert found.mobility.area_m == Mobility(0.0, 0.0, 0.0).area_m == 1000.0
    np.testing.assert_array_equal(found.mobility.server_positions_m, np.full((2, 2), 500.0))
    assert np.unique(found.links.between_bytes_per_s).tolist() == [Links(1.0).between_bytes_per_s] == [1.25e8]
    assert np.unique(found.links.between_latency_s).tolist() == [Links(1.0).between_latency_s] == [0.0]
    assert found.users[0].query_rate_hz == User("u", found.users[0].graph, found.users[0].device).query_rate_hz == 1.0


@pytest.mark.parametrize(
    ("slot_s", "horizon_s", "count"), [(0.7, 2.1, 3), (0.1, 0.3, 3), (5, 2, 1), (3, 10, 4), (2, 2, 1)]
)
def test_uniform_slots_fill_the_horizon(tmp_path: Path, slot_s: float, horizon_s: float, count: int) -> None:
    assert loaded(tmp_path, small(slot_s=slot_s, horizon_s=horizon_s)).num_slots == count


def test_mobility_by_hand(tmp_path: Path) -> None:
    mobility = {
        "area_m": 100,
        "servers": {"edge": [1, 2]},
        "users": {"phone": {"positions_m": [[0, 0], [8, -4], [8, 0]]}},
    }
    found = loaded(tmp_path, small(slot_starts_s=[0, 4, 8], mobility=mobility)).mobility
    assert found is not None and found.area_m == 100
    np.testing.assert_array_equal(found.server_positions_m, [[1, 2], [50, 50]])
    np.testing.assert_array_equal(found.user_positions_m, [[[0, 0]], [[8, -4]], [[8, 0]]])
    np.testing.assert_array_equal(found.user_velocities_m_per_s, [[[2, -1]], [[0, 1]], [[0, 1]]])
    mobility["users"] = {"phone": {"positions_m": [3, 4], "velocities_m_per_s": [5, 6]}}
    found = loaded(tmp_path, small(slot_s=5, mobility=mobility)).mobility
    assert found is not None
    np.testing.assert_array_equal(found.user_positions_m, [[[3, 4]], [[3, 4]]])
    np.testing.assert_array_equal(found.user_velocities_m_per_s, [[[5, 6]], [[5, 6]]])


def test_networks_from_the_zoo_and_from_files(tmp_path: Path) -> None:
    def graph(network: str, max_layers: int | None = None) -> LayerGraph:
        changes = {} if max_layers is None else {"users__0__max_layers": max_layers}
        return loaded(tmp_path, small(users__0__network=network, **changes)).users[0].graph

    (tmp_path / "nets").mkdir()
    write_graph(zoo.load("alexnet"), tmp_path / "nets/own.json")
    assert graph("alexnet") == zoo.load_prepared("alexnet")
    assert graph("alexnet", 4) == zoo.load_prepared("alexnet", 4)
    assert graph("nets/own.json") == zoo.load("alexnet")
    assert graph("nets/own.json", 4) == zoo.load_prepared("alexnet", 4)
    assert len(loaded(tmp_path, small(users__0__max_layers=1)).users[0].graph) == 1


def test_a_network_from_an_onnx_file(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((8, 4), np.float32), "w")
    steps = [helper.make_node("MatMul", ["x", "w"], ["y"], name="product"), helper.make_node("Relu", ["y"], ["z"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size]) for name, size in (("x", 8), ("z", 4))]
    model = helper.make_model(helper.make_graph(steps, "net", ends[:1], ends[1:], [weights]))
    onnx.save(model, str(tmp_path / "net.onnx"))
    graph = loaded(tmp_path, small(users__0__network="net.onnx")).users[0].graph
    assert (len(graph), graph.input_bytes, graph.weight_bytes.sum(), graph.output_bytes.tolist()) == (1, 32, 128, [16])


def test_uploaded_layers_by_name(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, small(users__0__uploaded={"b": "cloud"}))
    np.testing.assert_array_equal(np.asarray(scenario.users[0].uploaded), [0, 2])


def write_measured(path: Path, seconds: dict[str, float], **changes: Any) -> None:
    """Write a profile of SMALL's network, or of another."""
    data = json.loads((PROFILES / "alexnet_xeon_core.json").read_text())
    del data["layers_s"], data["ratio"]
    layers = [{"name": name, "seconds": value} for name, value in seconds.items()]
    tiny = {"network": "tiny", "input_bytes": 1000, "flops": 3e9, "weight_bytes": 3e6, "layers": layers}
    path.write_text(json.dumps(data | tiny | changes))


def test_measured_nodes_take_their_seconds_and_the_others_follow_the_roofline(tmp_path: Path) -> None:
    (tmp_path / "measured").mkdir()
    write_measured(tmp_path / "measured/phone.json", {"a": 0.3, "b": 0.7})
    write_measured(tmp_path / "cloud.json", {"a": 0.001, "b": 0.002})
    measured = {"device": "measured/phone.json", "cloud": {"profile": "cloud.json", "scale": 3}}
    scenario = loaded(tmp_path, small(users__0__profile=measured))
    # The edge: 1e9 and 2e9 FLOP at 1e11 FLOP/s. The bytes take less.
    np.testing.assert_allclose(scenario.execution_s[0], [[0.3, 0.01, 0.003], [0.7, 0.02, 0.006]], rtol=1e-15)
    assert simulate(scenario, Plan(())).mean_delay_s == 1.0  # on the device alone
    edge = execution_s(scenario.users[0].graph, scenario.servers[0])
    np.testing.assert_array_equal(scenario.execution_s[0][:, 1], edge)
    for suffix in (".yaml", ".json"):
        save_scenario(scenario, tmp_path / f"copy{suffix}")
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        (tmp_path / f"copy{suffix}").rename(tmp_path / f"elsewhere/copy{suffix}")  # it needs no profile any more
        assert_same(load_scenario(tmp_path / f"elsewhere/copy{suffix}"), scenario)


def test_a_merged_layer_takes_what_its_parts_take(tmp_path: Path) -> None:
    shipped = find_profile("resnet50_xeon_core", tmp_path)
    seconds = dict(zip(shipped.names, shipped.seconds, strict=True))

    def device_s(max_layers: int | None) -> np.ndarray[Any, Any]:
        changes = {} if max_layers is None else {"users__0__max_layers": max_layers}
        profile = {"device": "resnet50_xeon_core"}
        scenario = loaded(tmp_path, small(users__0__network="resnet50", users__0__profile=profile, **changes))
        return scenario.execution_s[0][:, 0]

    assert tuple(device_s(None)) == shipped.seconds
    assert device_s(1) == pytest.approx([shipped.layers_s])
    merged = zoo.load_prepared("resnet50", 16)
    assert len(merged) == 16
    fused = [layer.name for layer in zoo.load_prepared("resnet50").layers]
    assert device_s(16).sum() == pytest.approx(shipped.layers_s)
    # Its first group: names tell where it begins and ends, and it is all of what lies between.
    first, last = merged.layers[0].name.split("..")
    parts = fused[fused.index(first) : fused.index(last) + 1]
    assert device_s(16)[0] == pytest.approx(sum(seconds[name] for name in parts))


def test_a_profile_fits_the_users_own_traced_network(tmp_path: Path) -> None:
    write_graph(zoo.load("alexnet"), tmp_path / "own.json")
    profile = {"device": "alexnet_xeon_core"}
    user = {"users__0__network": "own.json", "users__0__profile": profile}
    for max_layers in (4, 100):
        mine = loaded(tmp_path, small(**user, users__0__max_layers=max_layers)).execution_s[0]
        zoos = loaded(tmp_path, small(**user | {"users__0__network": "alexnet"}, users__0__max_layers=max_layers))
        np.testing.assert_array_equal(mine, zoos.execution_s[0])
    with pytest.raises(
        ValueError, match=r"has 8 layers .* \(\d+\), nor their parts; give the user max_layers, 8 or less"
    ):
        loaded(tmp_path, small(**user))
    write_graph(zoo.load_prepared("alexnet", 4), tmp_path / "own.json")  # its parts are no longer known
    with pytest.raises(
        ValueError, match=r"profile torchvision:alexnet --input-shape \S+ --max-layers 4 --out alexnet.j"
    ):
        loaded(tmp_path, small(**user))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"profile": {"edg": "p.json"}}, "users[0].profile: there is no node 'edg'; did you mean 'edge'?"),
        ({"profile": {"device": "gone.json"}}, "users[0].profile.device: cannot read the profile"),
        (
            {"profile": {"device": "p"}},
            "users[0].profile.device: there is no profile 'p'; known are 'alexnet_xeon_core",
        ),
        ({"profile": {"device": 3}}, "users[0].profile.device: 3; must be text"),
        ({"profile": "p.json"}, "users[0].profile: 'p.json'; must be a mapping of keys to values"),
        ({"profile": {"edge": {"profile": "p.json", "scale": 0}}}, "[0].profile.edge.scale: 0; must be positive"),
        ({"profile": {"edge": {"scale": 2}}}, "users[0].profile.edge.profile: missing; add it"),
        (
            {"profile": {"edge": "p.json"}, "profile_s": [[1, 1, 1]] * 2},
            "users[0]: both profile_s and profile are given",
        ),
        (
            {"profile": {"edge": "resnet50_xeon_core"}},
            "users[0].profile.edge: 'resnet50_xeon_core' was measured for 'resnet50' (8178368512 FLOP, 102228128 bytes "
            "of weights, 602112 of input), not for the user's 'tiny' (3000000000 FLOP, 3000000 bytes of weights, 1000 "
            "of input); measure it with `python -m dnnmig_env profile package.module:callable --input-shape ... --out "
            "tiny.json`.",
        ),
        (
            {"network": "resnet18", "profile": {"edge": "p.json"}},
            "not for the user's 'resnet18' (3628146688 FLOP, 46758048 bytes of weights, 602112 of input); measure it "
            "with `python -m dnnmig_env profile torchvision:resnet18 --input-shape 1x3x224x224 --out p.json`.",
        ),
        (
            {"profile": {"device": "other.json"}},
            "users[0].profile.device: 'other.json' has 3 layers of 'tiny' that are not those of the user's network "
            "(2), nor their parts; measure it with `python -m dnnmig_env profile ",
        ),
    ],
)
def test_errors_of_profiles_name_place_and_remedy(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_measured(tmp_path / "p.json", {"a": 0.3, "b": 0.7})
    write_measured(tmp_path / "other.json", {"a": 0.3, "b": 0.7, "c": 0.1})
    with pytest.raises(ValueError) as caught:
        loaded(tmp_path, small(**{f"users__0__{key}": value for key, value in changes.items()}))
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'scenario.json'}: ") and message in text and "\n" not in text


def test_device_means_the_users_own_node(tmp_path: Path) -> None:
    write_measured(tmp_path / "p.json", {"a": 0.3, "b": 0.7})
    data = small(servers__0__name="device", users__0__profile={"device": "p.json"}, default_link={"up_mbps": 1})
    del data["users"][0]["links"]["edge"]
    with pytest.raises(ValueError, match="'device' is the user's own node here, but a server has that name; rename it"):
        loaded(tmp_path, data)


LAYERS = "users__0__network__layers"
CYCLE = [
    {"name": "a", "flops": 1, "weight_bytes": 1, "output_bytes": 1, "predecessors": [1]},
    {"name": "b", "flops": 1, "weight_bytes": 1, "output_bytes": 1, "predecessors": [0]},
]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"users__0__device__flops_per_s": -1}, "users[0].device.flops_per_s: -1; must be positive"),
        ({"users__0__device__flops_per_s": True}, "users[0].device.flops_per_s: True; must be a number"),
        ({"users__0__device__flops_per_s": "fast"}, "users[0].device.flops_per_s: 'fast'; must be a number"),
        ({"users__0__device__flops_per_s": 10**400}, "must be finite"),
        ({"users__0__device__flops_per_s": math.nan}, "users[0].device.flops_per_s: nan; must be finite"),
        ({"users__0__device__flops_per_s": None}, "users[0].device.flops_per_s: missing; add it"),
        ({"users__0__device__flop_per_s": 1}, "users[0].device: unknown key 'flop_per_s'; did you mean 'flops_per_s'?"),
        ({"users__0__device__flops_per_s": 1e-300}, "users[0].device: node 'device': flops_per_s is 1e-300; less than"),
        ({"users__0__device__tier": "cloud"}, "users[0].device.tier: 'cloud'; must be 'device'"),
        ({"servers__0__tier": "device"}, "servers[0].tier: 'device'; must be 'edge' or 'cloud'"),
        ({"servers__1__memory_bytes_per_s": 1e300}, "servers[1]: node 'cloud': memory_bytes_per_s is 1e+300; more"),
        ({"users__0__query_rate_hz": 1e12}, "users[0].query_rate_hz is 1000000000000.0; more than 1e+06 Hz is taken"),
        (
            {"users__0__links__edge__up_mbps": 1e-300},
            "users[0].links.edge.up_mbps is 1.25e-295; less than",
        ),
        (
            {"users__0__links__edge__latency_s": 1e10},
            "users[0].links.edge.latency_s is 10000000000.0; more",
        ),
        ({"horizon_s": 1e300}, "horizon_s is 1e+300; more than 1e+12 s is taken for a mistake"),
        ({f"{LAYERS}__1__weight_bytes": 0.5}, "layers[1].weight_bytes: 0.5; must be a whole number of bytes"),
        ({f"{LAYERS}__1__operators": True}, "layers[1].operators: True; must be a number"),
        ({"users__0__network__input_bytes": 1.5}, "users[0].network.input_bytes: 1.5; must be a whole number of bytes"),
        ({"users__0__device": 3}, "users[0].device: 3; must be a mapping of keys to values"),
        ({"servers__1__memory_bytes": 0}, "servers[1].memory_bytes: 0; must be positive"),
        ({"servers__1__memory_bytes": 10}, "servers[1]: server 'cloud': memory_bytes is 10.0, too small for even the"),
        ({"users__0__device__memory_bytes": 10}, "users[0]: user 'phone': memory_bytes of its device is 10.0"),
        ({"servers__0__tier": "fog"}, "servers[0].tier: 'fog'; must be 'edge' or 'cloud'"),
        ({"servers__0__name": 5}, "servers[0].name: 5; must be text; put it in quotes"),
        ({"servers__1__name": "edge", "users__0__links__cloud": None}, "servers repeats the name 'edge'"),
        ({"servers": []}, "servers: []; must not be empty; give at least one"),
        ({"users": []}, "users: []; must not be empty; give at least one"),
        ({"users": {}}, "users: must be a list"),
        ({"horizon_s": 0}, "horizon_s: 0; must be positive"),
        ({"horizon_s": None}, "horizon_s: missing; add it"),
        ({"horizon": 3}, "unknown key 'horizon'; did you mean 'horizon_s'?"),
        ({"slot_s": 1e-9}, "slot_s: 1e-09; the horizon has more than 100000 of them"),
        ({"slot_s": 1, "slot_starts_s": [0, 1]}, "both slot_s and slot_starts_s are given; keep one"),
        ({"slot_starts_s": [0, 5, 5]}, "slot_starts_s: [0.0, 5.0, 5.0]; slots start at 0, increase"),
        ({"slot_starts_s": []}, "slot_starts_s: []; slots start"),
        ({"slot_starts_s": [0, -5]}, "slot_starts_s[1]: -5; must not be negative"),
        ({"slot_s": 5, "users__0__query_rate_hz": [1, -2]}, "users[0].query_rate_hz[1]: -2; must not be negative"),
        ({"users__0__query_rate_hz": [1, 2]}, "users[0].query_rate_hz: 2 values for 1 time slots; give one number or"),
        ({"users__0__query_rate_hz": 0}, "query_rate_hz is 0 for every user"),
        ({"users__0__links__cloud": None}, "users[0].links: server 'cloud' has no link; add 'cloud' here or give a"),
        ({"users__0__links__clud": {"up_mbps": 1}}, "users[0].links: there is no server 'clud'; did you mean 'cloud'?"),
        ({"users__0__links__edge": {"latency_s": 1}}, "users[0].links.edge: none of up_mbps, up_bytes_per_s, trace is"),
        ({"users__0__links__edge__trace": "x.csv"}, "users[0].links.edge: both up_mbps and trace are given; keep one"),
        ({"users__0__links__edge__trace_offset_s": 1}, "users[0].links.edge: trace_offset_s is given without a trace"),
        (
            {"users__0__links__edge": {"trace": "x.csv"}},
            "x.csv: No such file or directory; give an existing CSV, Pens",
        ),
        ({"users__0__links__edge__up_mbps": 0}, "servers[0]: server 'edge' has no link to user 'phone'"),
        ({"users__0__links__edge__up_mbps": [1, 2]}, "users[0].links.edge.up_mbps: 2 values for 1 time slots"),
        ({"users__0__links__edge__up_mbps": [-1]}, "users[0].links.edge.up_mbps[0]: -1; must not be negative"),
        ({"default_link": {"up_mbps": "x"}}, "default_link.up_mbps: 'x'; must be a number"),
        ({"users__0__network": "resnet5"}, "users[0].network: unknown network 'resnet5'; did you mean 'resnet50'?"),
        ({"users__0__network": "gone.json"}, "users[0].network: cannot read the network"),
        ({"users__0__network": "gone.onnx"}, "gone.onnx"),
        ({"users__0__network": 7}, "users[0].network: 7; must be text"),
        ({"users__0__max_layers": 0}, "users[0].max_layers: 0; must be at least 1"),
        ({"users__0__max_layers": 1.5}, "users[0].max_layers: 1.5; must be a whole number"),
        ({LAYERS: []}, "users[0].network: network 'tiny' has no layers"),
        (
            {LAYERS: CYCLE},
            "users[0].network: tiny: layer 0 ('a') reads layer 1, which does not come before it: the graph is",
        ),
        (
            {f"{LAYERS}__1__predecessors": [1]},
            "users[0].network: tiny: layer 1 ('b') reads layer 1, which does not come",
        ),
        (
            {f"{LAYERS}__1__predecessors": [0.5]},
            "users[0].network.layers[1].predecessors[0]: 0.5; must be a whole number",
        ),
        ({f"{LAYERS}__1__flops": -1}, "users[0].network.layers[1].flops: -1; must not be negative"),
        ({f"{LAYERS}__1__flops": math.nan}, "users[0].network.layers[1].flops: nan; must be finite"),
        ({f"{LAYERS}__1__weight_bytes": None}, "users[0].network.layers[1].weight_bytes: missing; add it"),
        ({"users__0__profile_s": [[1, 1, 1]]}, "users[0].profile_s: 1 rows of 3 numbers; give 2 rows of 3: a row per"),
        (
            {"users__0__profile_s": [[1, 1, 1], [1, 1]]},
            "users[0].profile_s: 2 rows of 2 or 3 numbers; give 2 rows of 3",
        ),
        ({"users__0__profile_s": [[1, 1, -1], [1, 1, 1]]}, "users[0].profile_s[0][2]: -1; must not be negative"),
        ({"users__0__uploaded": {"c": "edge"}}, "users[0].uploaded: there is no layer 'c'; known are 'a', 'b'"),
        ({"users__0__uploaded": {"a": "edg"}}, "users[0].uploaded.a: there is no server 'edg'; did you mean 'edge'?"),
        ({"backhaul": {"mbps": [[1, 2]]}}, "backhaul.mbps: 1 rows of 2 numbers; give 2 rows of 2"),
        ({"backhaul": {"mbps": 1, "bytes_per_s": 1}}, "backhaul: both mbps and bytes_per_s are given; keep one"),
        ({"backhaul": {"pairs": [{"between": ["edge", "x"]}]}}, "backhaul.pairs[0]: there is no server 'x'"),
        (
            {"backhaul": {"pairs": [{"between": ["edge"]}]}},
            "backhaul.pairs[0]: between is ['edge']; name two different",
        ),
        ({"mobility": {"users": {}}}, "mobility.users.phone: missing; say where each user is"),
        ({"mobility": {"users": {"ph": {"positions_m": [0, 0]}}}}, "mobility.users: there is no user 'ph'"),
        (
            {"mobility": {"users": {"phone": {"positions_m": [0]}}}},
            "mobility.users.phone.positions_m: 1 rows of 1 numbers",
        ),
        ({"mobility": {"users": {"phone": {"positions_m": [0, math.inf]}}}}, "positions_m[1]: inf; must be finite"),
        ({"mobility": {"area_m": -1, "users": {}}}, "mobility.area_m: -1; must be positive"),
    ],
)
def test_errors_name_file_place_value_and_remedy_in_one_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as caught:
        loaded(tmp_path, small(**changes))
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'scenario.json'}: ") and message in text and "\n" not in text


def test_several_errors_are_counted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"horizon_s: -1; must be positive \(and 1 more\)$"):
        loaded(tmp_path, small(horizon_s=-1, users__0__device__flops_per_s=-1))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", b"", "it is empty; see examples/"),
        ("a.yaml", b"# nothing\n", "it is empty"),
        ("a.yaml", b"horizon_s: 3\nusers: [1, 2\nservers: 4\n", "line 3: "),
        ("a.yaml", b"horizon_s: 3\n\tusers: 4\n", "line 2: "),
        ("a.yaml", b"horizon_s: 3\nusers: []\nhorizon_s: 4\n", "line 3: the key 'horizon_s' appears twice; keep one"),
        ("a.yaml", b"- 1\n- 2\n", "[1, 2]; must be a mapping of keys to values"),
        ("a.yaml", b"horizon_s: 1\n---\nhorizon_s: 2\n", "expected a single document"),
        ("a.yaml", b"horizon_s: !!python/object:os.x 1\n", "could not determine a constructor"),
        ("a.yaml", b"horizon_s: \x00\n", "correct the YAML syntax"),
        ("a.yaml", b"horizon_s: !!int fast\n", "a value that cannot be read: 'fast' is no number in decimal digits"),
        ("a.yaml", b"horizon_s: 1\nservers: &s [*s]\nusers: []\n", "its aliases (*name) stand for themselves or"),
        ("a.yaml", "family: \u00e9\n".encode("latin-1"), "it is not UTF-8 text (byte 8); save it as UTF-8"),
        ("a.json", b"", "line 1: Expecting value; correct the JSON syntax"),
        ("a.json", b'{"horizon_s": 3,\n"users": }', "line 2: Expecting value; correct the JSON syntax"),
        ("a.json", b'{"horizon_s": 3, "horizon_s": 4}', "the key 'horizon_s' appears twice; keep one"),
        ("a.json", b"[" * 200_000, "it is nested too deeply"),
        ("a.txt", b"horizon_s: 3", "a scenario's file ends in .yaml, .yml, .json, not '.txt'; rename it"),
    ],
)
def test_unreadable_content_is_explained_in_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        load_scenario(path)
    text = str(caught.value)
    assert str(path) in text and message in text and "\n" not in text


def test_missing_files_and_folders_are_explained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.yaml: No such file or directory; give an existing"):
        load_scenario(tmp_path / "absent.yaml")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(ValueError, match=r"folder\.yaml: it is a folder; give an existing"):
        load_scenario(tmp_path / "folder.yaml")
    scenario = loaded(tmp_path, small())
    with pytest.raises(ValueError, match=r"cannot write .*folder\.yaml: Is a directory"):
        save_scenario(scenario, tmp_path / "folder.yaml")
    save_scenario(scenario, tmp_path / "new/x.yaml")
    assert (tmp_path / "new/x.yaml").is_file()
    with pytest.raises(ValueError, match="ends in"):
        save_scenario(scenario, tmp_path / "x.toml")


def test_yaml_merges_and_aliases_are_no_repeated_keys(tmp_path: Path) -> None:
    text = SMALL.replace("{name: edge, flops", "&e {name: edge, flops").replace(
        "  - {name: cloud, tier: cloud, flops_per_s: 1e12, memory_bytes_per_s: 1e11}",
        "  - {<<: *e, name: cloud, tier: cloud}",
    )
    (tmp_path / "x.yaml").write_text(text)
    servers = load_scenario(tmp_path / "x.yaml").servers
    assert (servers[1].name, servers[1].flops_per_s) == ("cloud", 1e11)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = loaded(tmp_path, small())
    path = tmp_path / "x.yaml"
    save_scenario(scenario, path)
    before = path.read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ValueError, match="No space left on device"):
        save_scenario(loaded(tmp_path, small(horizon_s=3)), path)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["scenario.json", "x.yaml"]


def test_the_documented_format_is_what_is_read(tmp_path: Path) -> None:
    """The example at the top of the module is read as it stands."""
    from dnnmig_env.scenarios import file as scenario_file

    text = (scenario_file.__doc__ or "").split("given there:\n")[1].split("\nNumbers are")[0]
    (tmp_path / "x.yaml").write_text(text)
    (tmp_path / "walk.csv").write_bytes((EXAMPLES / "walk_synthetic.csv").read_bytes())
    (tmp_path / "edge.json").write_bytes((PROFILES / "resnet50_xeon_core.json").read_bytes())
    scenario = load_scenario(tmp_path / "x.yaml")
    assert [user.name for user in scenario.users] == ["phone", "camera"]
    assert np.asarray(scenario.users[0].uploaded)[-1] == 1
    assert np.asarray(scenario.users[0].copies)[-1].tolist() == [False, True]
    assert np.asarray(scenario.links.home).tolist() == [[1, 1], [1, 1], [1, 2]]
    measured = scenario.execution_s[0]
    np.testing.assert_allclose(measured[:, 0], 4 * measured[:, 1])  # the same profile, once scaled


def test_a_folder_in_place_of_a_file_is_called_a_folder(tmp_path):
    with pytest.raises(ValueError, match="it is a folder; name the scenario files in it"):
        load_scenario(tmp_path)
