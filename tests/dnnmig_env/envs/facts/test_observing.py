"""Every number of the plain observation is what its declaration says, computed anew from the scenario and the plan."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from dnnmig_env.arrays import Floats
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.facts.layout import PARTS
from dnnmig_env.families.registry import scenarios
from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.simulation.contention import TOLERANCE
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.simulator import simulate
from tests.strategies import RandomChoices, Sizes, make_scenario

LIMITS = Limits(users=7, layers=17, servers=6, slots=31, edges=90, inputs=4, shares=80)

Placement = dict[tuple[int, int], int]
"""Server (1..S) of each (user, layer) that is or is to be on one."""


def quantities(scenario: Scenario, env: MigrationEnv, placed: Placement) -> dict[tuple[str, str], Floats]:
    """Return the quantity x of every feature, in its unit, by part and name; facts about nobody are left 0."""
    now_s = env.time_s()
    timeline = simulate(scenario, env.plan())
    event = int(np.searchsorted(timeline.event_time_s, now_s, side="right")) - 1
    slot = int(np.searchsorted(scenario.slot_starts_s, now_s, side="right")) - 1
    edges_s = [*scenario.slot_starts_s, scenario.horizon_s]
    slot_s, left_s = edges_s[slot + 1] - edges_s[slot], scenario.horizon_s - now_s
    shapes = {part: shape[:-1] for part, shape in env.episodes.facts.shapes.items()}
    x = {(part, each.name): np.zeros(shape) for part, shape in shapes.items() for each in PARTS[part]}
    x["time", "horizon_left"][...] = left_s / scenario.horizon_s
    x["time", "slot_left"][...] = (edges_s[slot + 1] - now_s) / slot_s
    x["time", "log_horizon_left"][...] = left_s
    x["time", "placing"][...] = env.pending_layer() is not None

    rates = np.array([np.asarray(user.query_rate_hz)[slot] for user in scenario.users])
    arrived = {(u, v) for u, user in enumerate(scenario.users) for v in np.flatnonzero(user.uploaded)}
    arrived |= {(upload.user, layer) for upload in env.plan().uploads for layer in upload.layers}
    weights = {
        (u, v): 0 if layer.on_device else layer.weight_bytes
        for u, user in enumerate(scenario.users)
        for v, layer in enumerate(user.graph.layers)
    }
    to_come = sum(weight for (u, v), weight in weights.items() if rates[u] > 0 and (u, v) not in arrived)
    load = np.zeros((len(scenario.users), len(scenario.servers)))  # mean number of each user's queries on each server
    for u in np.flatnonzero(rates):
        cycle_s, seconds = max(1 / rates[u], timeline.event_delay_s[event, u]), np.zeros(len(scenario.servers) + 1)
        for v, node in enumerate(timeline.event_assignment[event, u, : len(scenario.users[u].graph)]):
            seconds[node] += scenario.execution_s[u][v, node]
        residence_s = seconds * timeline.event_slowdown[event, u, : len(seconds)]
        load[u] = np.minimum(residence_s[1:] / cycle_s, 1.0)
    for s, server in enumerate(scenario.servers):
        memory = server.memory_bytes - sum(weights[at] for at, node in placed.items() if node == s + 1)
        x["servers", "exists"][s] = 1
        x["servers", "log_memory_left"][s] = memory
        x["servers", "memory_left_for_all"][s] = memory / to_come if to_come else np.inf
        x["servers", "load"][s] = load[:, s].sum()
    links, mobility = scenario.links, scenario.mobility
    for u in np.flatnonzero(rates):
        user, device_s = scenario.users[u], timeline.device_delay_s[u]
        own = {v: weight for (w, v), weight in weights.items() if w == u}
        not_arrived = sum(weight for v, weight in own.items() if (u, v) not in arrived)
        x["users", "present"][u] = 1
        x["users", "query_share"][u] = rates[u] / rates.sum()
        x["users", "log_query_rate"][u] = rates[u]
        x["users", "delay_ratio"][u] = timeline.event_delay_s[event, u] / device_s
        x["users", "log_device_delay"][u] = device_s
        x["users", "weights_left"][u] = not_arrived / sum(own.values()) if not_arrived else 0.0
        latency_s = np.asarray(links.up_latency_s)[slot, u] + np.asarray(links.down_latency_s)[slot, u]
        whole_s = scenario.execution_s[u].sum(axis=0)
        here = u, slice(len(scenario.servers))
        x["links", "log_up_rate"][here] = np.asarray(links.up_bytes_per_s)[slot, u]
        x["links", "log_down_rate"][here] = np.asarray(links.down_bytes_per_s)[slot, u]
        x["links", "latency_ratio"][here] = latency_s / device_s
        x["links", "up_latency_ratio"][here] = np.asarray(links.up_latency_s)[slot, u] / device_s
        x["links", "log_speedup"][here] = whole_s[0] / whole_s[1:]
        x["links", "load_of_others"][here] = np.delete(load, u, axis=0).sum(axis=0)
        for v, layer in enumerate(user.graph.layers):
            moves = layer.weight_bytes > 0 and not layer.on_device
            x["layers", "remaining"][u, v] = moves and (u, v) not in arrived
            x["layers", "node"][u, v] = placed.get((u, v), 0)
            x["layers", "in_use"][u, v] = timeline.event_assignment[event, u, v] != 0
            x["layers", "execution_share"][u, v] = scenario.execution_s[u][v, 0] / device_s
            x["layers", "log_weight"][u, v] = layer.weight_bytes if moves else 0
            x["layers", "log_output"][u, v] = layer.output_bytes
            x["layers", "exists"][u, v] = 1
            x["layers", "movable"][u, v] = moves
            x["layers", "stays"][u, v] = layer.on_device
            x["layers", "returns"][u, v] = v in user.graph.output_layers
            x["layers", "log_shared"][u, v] = sum(weights[u, owner] for owner in layer.shares)
            x["layers", "owner"][u, v] = np.mean([owner + 1 for owner in layer.shares] or [0])
            x["executions", "log_seconds"][u, v, : len(scenario.servers)] = scenario.execution_s[u][v, 1:]
            x["layers", "log_input"][u, v] = sum(user.graph.tensor_bytes(tensor) for tensor in layer.predecessors)
        edges = [(v + 1, read + 1) for v, layer in enumerate(user.graph.layers) for read in layer.predecessors]
        x["edges", "reader"][u, : len(edges)], x["edges", "read"][u, : len(edges)] = np.transpose(edges)
    count = len(scenario.servers)
    x["lines", "log_rate"][:count, :count] = links.between_bytes_per_s
    x["lines", "log_latency"][:count, :count] = links.between_latency_s
    if mobility is not None:
        for axis, name in enumerate("xy"):
            servers = np.asarray(mobility.server_positions_m)[:, axis]
            x["servers", f"position_{name}"][: len(servers)] = servers / mobility.area_m - 0.5
            for u in np.flatnonzero(rates):
                place = np.asarray(mobility.user_positions_m)[slot, u, axis]
                velocity = np.asarray(mobility.user_velocities_m_per_s)[slot, u, axis]
                x["users", f"position_{name}"][u] = place / mobility.area_m - 0.5
                x["users", f"velocity_{name}"][u] = velocity * slot_s / mobility.area_m
    return x


def scaled(formula: str, x: Floats, servers: int, layers: int) -> Floats:
    """Return the value of a feature by its declared formula, such as `(log10 x - 8) / 3`."""
    code = re.sub(r"log10 x", "log10(x)", formula)
    code = re.sub(r"(\d) x", r"\1 * x", code)
    with np.errstate(divide="ignore"):
        value = eval(code, {"log10": np.log10, "min": np.minimum, "x": np.asarray(x), "S": servers, "L": layers})
    return np.clip(np.where((x == 0) & ("log10" in formula), -1.0, value), -1.0, 1.0)


def given_scenarios(kind: str) -> Iterator[Scenario]:
    if kind == "random":  # outages, other latencies on the way back, layers that are there from the start
        # Not "shared": there a decision falls due while the upload that has just ended still counts as a customer.
        sizes = Sizes(users=4, layers=8, profiles=False, uplinks=("priority", "independent"))
        yield from (make_scenario(RandomChoices(np.random.default_rng(seed)), sizes) for seed in range(8))
    else:  # in one lane; `test_lanes` has several
        for scenario in scenarios(kind, 3, seed=11):
            yield replace(scenario, moves=False, links=replace(scenario.links, home=None))


@pytest.mark.parametrize("decisions", ["joint", "two-phase"])
@pytest.mark.parametrize("kind", ["random", "mobile", "multi-user"])
def test_every_fact_is_what_its_declaration_says(kind: str, decisions: str) -> None:
    rng, env, compared = np.random.default_rng(0), MigrationEnv(limits=LIMITS, decisions=decisions), 0  # type: ignore[arg-type]
    layout = env.episodes.facts
    for scenario in given_scenarios(kind):
        observation, _ = env.reset(options={"scenario": scenario})
        placed = {
            (u, int(v)): int(np.asarray(user.uploaded)[v])
            for u, user in enumerate(scenario.users)
            for v in np.flatnonzero(user.uploaded)
        }
        done = False
        for _ in range(25):
            x, compared = quantities(scenario, env, placed), compared + 1
            for part in layout.shapes:
                found = observation["observation"][layout.slices[part]].reshape(layout.shapes[part])
                exists = _exists(part, x)
                for index, feature in enumerate(PARTS[part]):
                    expected = np.where(
                        exists, scaled(feature.scale, x[part, feature.name], layout.servers, layout.layers), 0.0
                    )
                    message = f"{part}: {feature.name}"
                    # Users who come or go a little more seldom are not computed anew.
                    atol = 2 * TOLERANCE * LIMITS.users if feature.name.startswith("load") else 1e-6
                    np.testing.assert_allclose(found[..., index], expected, rtol=1e-5, atol=atol, err_msg=message)
            pending, action = env.pending_layer(), int(rng.choice(np.flatnonzero(env.action_masks())))
            chosen = env.episodes.actions.decode(action)
            if chosen is not None:
                user, layer, server = chosen
                placed[pending or (user, layer)] = server
            observation, _, done, _, _ = env.step(np.int64(action))
            if done:
                break
    assert compared > 20


def _exists(part: str, x: dict[tuple[str, str], Floats]) -> Floats:
    """Return where a part has facts about somebody or something, 0 where it is padded or the user is absent."""
    present, server = x["users", "present"], x["servers", "exists"]
    layers = x["layers", "exists"]
    return {
        "time": np.ones(()),
        "servers": server,
        "users": present,
        "links": np.outer(present, server),
        "layers": layers,
        "lines": np.outer(server, server) * (1 - np.eye(len(server))),
        "executions": layers[:, :, None] * server,
        "edges": (x["edges", "reader"] > 0).astype(float),
    }[part]


def differing() -> Iterator[tuple[str, Scenario]]:
    """Yield scenarios that differ from the first one in one thing each, and so in the delays of plans."""
    layers = (
        Layer("a", 1e9, 1_000_000, 200_000, (-1,)),
        Layer("b", 1e9, 1_000_000, 200_000, (0,)),
        Layer("c", 1e9, 1_000_000, 200_000, (1,)),
        Layer("d", 1e9, 1_000_000, 200_000, (1, 2)),
    )
    graph = LayerGraph("net", 500_000, layers)
    device, edge = Node("phone", Tier.DEVICE, 1e9, 1e9), Node("edge", Tier.EDGE, 1e10, 1e10)
    profile = np.array([[1.0, 0.1, 0.05]] * 4)
    user = User("ann", graph, device, query_rate_hz=0.5, profile_s=profile)
    links = Links([1e6, 5e5], between_bytes_per_s=1e6, between_latency_s=0.01, up_latency_s=0.01, down_latency_s=0.02)
    scenario = Scenario((user,), (edge, replace(edge, name="cloud")), links, horizon_s=20.0)
    yield "nothing", scenario

    def with_graph(**changes: object) -> Scenario:
        return replace(scenario, users=(replace(user, graph=replace(graph, **changes)),))

    def with_layer(index: int, **changes: object) -> Scenario:
        return with_graph(layers=(*layers[:index], replace(layers[index], **changes), *layers[index + 1 :]))

    yield "an edge", with_layer(3, predecessors=(0, 2))
    yield "an edge more", with_layer(2, predecessors=(0, 1))
    yield "shared weights", with_layer(2, shares=(0,))
    yield "the layer whose weights are shared", with_layer(2, shares=(1,))
    yield "a layer that stays on the device", with_layer(0, weight_bytes=0, on_device=True)
    yield "a layer without weights", with_layer(0, weight_bytes=0)
    yield "an output more", with_graph(outputs=(1, 3))
    yield (
        "inputs",
        with_graph(inputs=(200_000, 300_000), layers=(replace(layers[0], predecessors=(-2, -1)), *layers[1:])),
    )
    faster = np.array([[1.0, 0.1, 0.05], [1.0, 0.15, 0.05], [1.0, 0.05, 0.05], [1.0, 0.1, 0.05]])
    yield "seconds of single layers on a server", replace(scenario, users=(replace(user, profile_s=faster),))
    yield "the query rate", replace(scenario, users=(replace(user, query_rate_hz=1.0),))
    yield "rates between servers", replace(scenario, links=replace(links, between_bytes_per_s=2e6))
    yield "latencies between servers", replace(scenario, links=replace(links, between_latency_s=0.05))
    yield "latencies there and back", replace(scenario, links=replace(links, up_latency_s=0.02, down_latency_s=0.01))


def test_whatever_differs_is_observed() -> None:
    env, seen = MigrationEnv(limits=LIMITS), {}
    for what, scenario in differing():
        observation, _ = env.reset(options={"scenario": scenario})
        seen[what] = observation["observation"].tobytes()
        assert env.observation_space.contains(observation)
    names = list(seen)
    alike = [(one, other) for one, other in itertools.combinations(names, 2) if seen[one] == seen[other]]
    assert alike == []


def test_edges_can_be_read_as_pairs_of_layers() -> None:
    env = MigrationEnv(limits=replace(LIMITS, users=2, layers=5, edges=6))
    layout = env.episodes.facts
    seen = {what: env.reset(options={"scenario": scenario})[0]["observation"] for what, scenario in differing()}
    graphs = {what: layout.edge_index(observation) for what, observation in seen.items()}
    assert graphs["nothing"].shape == (2, 2, 6)
    assert graphs["nothing"][0].T.tolist() == [[-1, 0], [0, 1], [1, 2], [1, 3], [2, 3], [5, 5]]
    assert graphs["an edge"][0].T.tolist() == [[-1, 0], [0, 1], [1, 2], [0, 3], [2, 3], [5, 5]]
    assert graphs["inputs"][0].T.tolist() == [[-2, 0], [-1, 0], [0, 1], [1, 2], [1, 3], [2, 3]]
    assert (graphs["nothing"][1] == 5).all()  # there is no second user
    assert layout.edge_index(np.stack(list(seen.values()))).shape == (len(seen), 2, 2, 6)
