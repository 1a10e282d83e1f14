"""What candidates are said to be worth: worked out by hand, and by simulating what is promised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.candidates.description import LEAST_GAIN, MOST_GAINS
from agents.candidates.features import CANDIDATE_FEATURES, SITUATION_FEATURES, SITUATION_WIDTH
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.networks.layer_graph import NETWORK_INPUT, Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan, plan_of
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from tests.candidate_play import AT, actions_of, listed, make_env, moments

STATIC = ["single", "edge-cloud", "multi-user", "toy"]

Steps = list[tuple[int, int, int]]


def delay_s(scenario: Scenario, plan: Plan) -> float:
    return float(mean_delays_s(pack([scenario]), plan_arrays([plan]))[0])


def test_where_rates_stay_the_first_candidate_is_the_next_upload_of_the_reference() -> None:
    for family in STATIC:
        env, rng, led = make_env(family), np.random.default_rng(5), 0
        for seed in range(8):
            for observation in moments(env, rng, seed=seed):
                reference = env.episodes.observer.reference
                k, candidates = int(reference.next_upload[0]), listed(observation["observation"])
                assert ((candidates[:, AT["rank"]] > 0) == (candidates[:, AT["as_planned"]] == 1)).all()
                if k < 0:
                    assert not candidates[:, AT["rank"]].any()
                    continue
                next_upload = env.encode(
                    int(reference.plans.user[0, k]), int(reference.plans.layer[0, k]), int(reference.plans.server[0, k])
                )
                assert actions_of(env, candidates)[0] == next_upload
                assert candidates[0, AT["rank"]] == 1
                assert candidates[0, AT["gain"]] == 0
                led += 1
        assert led > 5


def remaining(env: MigrationEnv, begun: Steps) -> Plan:
    """Return the plan of the uploads made, a run that begins, and what is left of the reference and fits."""
    scenario, r = env.scenario(), env.episodes.observer.reference
    reference = [
        (int(r.plans.user[0, k]), int(r.plans.layer[0, k]), int(r.plans.server[0, k])) for k in range(r.plans.length[0])
    ]
    left = [server.memory_bytes for server in scenario.servers]
    sent, steps = set(), []
    made = [(upload.user, upload.layers[0], upload.server) for upload in env.plan().uploads]
    for u, v, server in [*made, *begun, *reference]:
        weight = scenario.users[u].graph.weight_bytes[v]
        if (u, v) not in sent and weight <= left[server - 1]:
            sent.add((u, v))
            steps.append((u, v, server))
            left[server - 1] -= weight
    return plan_of(steps)


def begins_a_run(env: MigrationEnv) -> bool:
    """Return whether the reference's next upload does not continue the latest one: not the next layer, or elsewhere."""
    made, reference, k = (
        env.plan().uploads,
        env.episodes.observer.reference,
        int(env.episodes.observer.reference.next_upload[0]),
    )
    if k < 0 or not made:
        return True
    u, v, server = int(reference.plans.user[0, k]), int(reference.plans.layer[0, k]), int(reference.plans.server[0, k])
    latest = made[-1].user == u and made[-1].server == server
    return not (latest and (u, v - 1, server) in {(item.user, item.layers[0], item.server) for item in made})


@pytest.mark.parametrize("family", STATIC)
def test_a_gain_is_what_simulating_the_run_and_then_the_reference_saves(family: str) -> None:
    env, rng, known, better, worse = make_env(family), np.random.default_rng(6), 0, 0, 0
    for seed in range(16):
        for observation in moments(env, rng, seed=seed):
            if env.episodes.decisions.done[0]:
                break
            scenario, mask = env.scenario(), observation["action_mask"]
            planned_s = delay_s(scenario, remaining(env, []))
            candidates = listed(observation["observation"])
            begins = begins_a_run(env)
            assert not candidates[MOST_GAINS:, AT["gain"]].any()
            for k, gain in enumerate(candidates[:MOST_GAINS, AT["gain"]].astype(float)):
                if gain == 0.0 and not begins:
                    continue
                u, v, q, last = (int(part) for part in env.episodes.observer.prospects.chosen[0, k, :4])
                run = [(u, w, q + 1) for w in range(v, last + 1) if mask[env.encode(u, w, q + 1)]]
                saved = 1.0 - delay_s(scenario, remaining(env, run)) / planned_s
                if gain == 0.0:
                    assert candidates[k, AT["rank"]] == 1 or abs(saved) < 1.001 * LEAST_GAIN
                    continue
                assert begins
                assert gain * abs(gain) == pytest.approx(max(saved, -1.0), rel=1e-6)
                assert abs(saved) > 0.999 * LEAST_GAIN
                known += 1
                better, worse = better + (gain > 0), worse + (gain < 0)
    assert known > 50
    assert min(better, worse) > 5


def chain(name: str, input_bytes: int, *layers: tuple[float, int, int]) -> LayerGraph:
    """Return a chain of layers, given as (seconds on a device of 1 GFLOP/s, weight bytes, output bytes)."""
    return LayerGraph(
        name,
        input_bytes,
        tuple(
            Layer(f"{name}-{v}", 1e9 * seconds, weight, output, (v - 1 if v else NETWORK_INPUT,))
            for v, (seconds, weight, output) in enumerate(layers)
        ),
    )


def hand_made(*graphs: LayerGraph, speed: float, memory_bytes: float = np.inf) -> Scenario:
    """Return a scenario of 20 s, one server, 1 MB/s; each user raises a query per second."""
    device = Node("device", Tier.DEVICE, flops_per_s=1e9, memory_bytes_per_s=1e18)
    edge = Node("edge", Tier.EDGE, flops_per_s=speed * 1e9, memory_bytes_per_s=1e18, memory_bytes=memory_bytes)
    return Scenario(tuple(User(graph.name, graph, device) for graph in graphs), (edge,), Links(1e6), horizon_s=20.0)


def test_the_features_of_a_situation_worked_out_by_hand() -> None:
    # Layers A and B: 1 and 2 s on the device, 0.1 and 0.2 s on the server, 1 MB each. 0.1 s for the input to get to the
    # server, 0.2 s for what A gives to B. A query takes 3 s on the device, 2.4 s with A on the server (0.1 + 0.1 + 0.2
    # + 2), 1.4 s with B (1 + 0.2 + 0.2), 0.4 s with both. So a second of upload saves 0.6 s with A, 1.6 s with B (the
    # most efficient run) and 1.3 s with the run from A to B. The reference: B, then A.
    scenario = hand_made(chain("net", 100_000, (1.0, 1_000_000, 200_000), (2.0, 1_000_000, 0)), speed=10.0)
    scenario = replace(scenario, uplink="independent")
    env = make_env("single")
    observation = env.reset(options={"scenario": scenario})[0]["observation"]
    situation = dict(zip(SITUATION_FEATURES, observation[:SITUATION_WIDTH], strict=True))
    expected = {
        "horizon_left": 1.0,
        "slot_left": 1.0,
        "log_horizon_left": np.log10(2.0) / 2.0,
        "changing": 0.0,
        "users": 1 / 8,
        "log_best_saving": np.log10(1.6 * 20.0 / 3.0) / 3.0,
        "delay_ratio": 1.0,
        "weights_left": 1.0,
        "last_slots": 1.0,
        "soon": 0.0,
        "later": 0.0,
        "done": 0.0,
        "newcomers": 0.0,
    }
    assert situation == pytest.approx(expected, rel=1e-5)
    b, a = (dict(zip(CANDIDATE_FEATURES, row, strict=True)) for row in listed(observation))
    common = {"query_share": 1.0, "delay_ratio": 1.0, "weights_left": 1.0, "as_planned": 1.0, "latest": 0.0}
    common |= {"memory_left_for_user": 1.0, "memory_left_for_all": 1.0, "log_speedup": 0.0, "log_weight": 0.0}
    common |= {"layer_arrival": 1 / 20, "stay": 0.0}
    common |= {"log_up_rate": -0.25, "load_of_others": 0.0, "stored_here": 0.0, "runs_here": 0.0, "soon_interval": 0.0}
    own = np.log10(1.0 / 20.0) / 2.0 + 0.5  # 1 s of upload
    of_b = {
        "action": 2 / 17,
        "interval": 1.0,
        "layer_efficiency": 1.0,
        "smallest_useful": 1.0,
        "rank": 1.0,
        "gain": 0.0,
        "log_output": -1.0,
    }
    of_b |= {"log_interval_upload": own, "log_layer_upload": own, "interval_saving": 1.6 / 3, "saving_share": 1.6 / 3}
    of_b |= {"interval_arrival": 1 / 20, "execution_share": 2 / 3, "log_input": (np.log10(2e5) - 5.5) / 2.0}
    of_a = {
        "action": 1 / 17,
        "interval": 1.0 + np.log(1.3 / 1.6) / 10.0,
        "layer_efficiency": 1.0 + np.log(0.6 / 1.6) / 10.0,
    }
    of_a |= {
        "smallest_useful": 0.0,
        "rank": 0.5,
        "log_interval_upload": 0.0,
        "log_layer_upload": own,
        "interval_saving": 2.6 / 3,
    }
    of_a |= {
        "interval_arrival": 2 / 20,
        "execution_share": 1 / 3,
        "log_output": (np.log10(2e5) - 5.5) / 2.0,
        "log_input": -0.25,
    }
    # B and then A cost 1 x 3 + 1 x 1.4 + 18 x 0.4 = 11.6 s; A and then B 1 x 3 + 1 x 2.4 + 18 x 0.4 = 12.6 s.
    of_a |= {"gain": -np.sqrt(12.6 / 11.6 - 1.0)}
    for features, special in ((b, of_b), (a, of_a)):
        for name, value in (common | special).items():
            assert features[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name

    observation = env.step(np.int64(1))[0]["observation"]  # B
    (row,) = listed(observation)
    a = dict(zip(CANDIDATE_FEATURES, row, strict=True))
    then = {
        "rank": 1.0,
        "gain": 0.0,
        "interval": 1.0,
        "layer_efficiency": 1.0,
        "smallest_useful": 1.0,
        "before": 0.0,
        "after": 1.0,
        "latest": 1.0,
    }
    then |= {"runs_here": 2 / 3, "runs_elsewhere": 0.0, "stored_here": 0.5, "stored_elsewhere": 0.0}
    then |= {"weights_left": 0.5, "delay_ratio": 1.4 / 3, "interval_saving": 1.0 / 1.4, "saving_share": 1.0 / 1.4}
    then |= {"log_layer_upload": np.log10(1.0 / 19.0) / 2.0 + 0.5, "layer_arrival": 1 / 19, "interval_arrival": 1 / 19}
    for name, value in then.items():
        assert a[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name
    assert observation[0] == pytest.approx(19 / 20)


def test_runs_leave_out_a_layer_that_no_longer_fits_the_memory() -> None:
    # User 1's layers: 0.9 s, nothing and 2 s on the device, 1, 3 and 1 MB. The first layer alone saves nothing, as the
    # input takes 1 s to get to the server; together with the third one it does.
    first = chain("small", 1_000, (1.0, 3_500_000, 1_000))
    second = chain("gap", 1_000_000, (0.9, 1_000_000, 1_000), (1e-3, 3_000_000, 1_000), (2.0, 1_000_000, 1_000))
    scenario = hand_made(first, second, speed=1000.0, memory_bytes=6e6)
    env, anew = make_env("edge-cloud"), make_env("edge-cloud")
    env.reset(options={"scenario": scenario})
    anew.reset(options={"scenario": scenario})
    upload = np.int64(env.encode(0, 0, 1))  # 2.5 MB are left: the second layer does not fit any more
    kept = env.step(upload)[0]
    anew.episodes.observer._efficiencies.stale[:] = True
    fresh = anew.step(upload)[0]
    gap = env.encode(1, 0, 1)
    assert fresh["action_mask"][[gap, env.encode(1, 1, 1), env.encode(1, 2, 1)]].tolist() == [1, 0, 1]
    assert gap in actions_of(anew, listed(fresh["observation"]))
    assert gap in actions_of(env, listed(kept["observation"]))
