"""Laws of the simulation that hold whatever the scenario."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.planners import planner
from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.uplink import UPLINKS
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.query_detail import tensors_sent
from evaluate.truth.comparison import predicted_s
from evaluate.truth.simulator.simulation import play_out
from tests.strategies import Sizes, random_case

ALONE = Sizes(users=1, layers=6, slots=1, outages=False, absences=False)


@pytest.mark.parametrize("seed", range(40))
def test_a_user_alone_meets_exactly_what_the_model_says(seed: int) -> None:
    # Branches, several inputs and outputs, wires, shared weights: nobody is in the way, and weights do not meet data.
    scenario, plan = random_case(seed, ALONE)
    scenario = replace(scenario, uplink="independent")
    timeline, outcome = simulate(scenario, plan), play_out(scenario, plan, seed)
    assert outcome.finished.all()
    assert outcome.delay_s == pytest.approx(predicted_s(timeline, outcome), rel=1e-9)
    ends_s = [upload.end_s for upload in timeline.uploads]
    assert [end_s for _, end_s in outcome.uploads] == pytest.approx(ends_s, rel=1e-9)
    starts_s = [upload.start_s for upload in timeline.uploads]
    assert [start_s for start_s, _ in outcome.uploads] == pytest.approx(starts_s, rel=1e-9)


def test_a_user_alone_meets_the_same_whatever_the_seed() -> None:
    scenario, _ = random_case(3, ALONE)
    delays_s = {round(float(delay_s), 9) for seed in range(5) for delay_s in play_out(scenario, Plan(), seed).delay_s}
    assert len(delays_s) == 1


@pytest.mark.parametrize("seed", range(25))
def test_random_cases_end_and_bytes_are_conserved(seed: int) -> None:
    scenario, plan = random_case(seed, Sizes(layers=5))
    for mode in UPLINKS:
        given = replace(scenario, uplink=mode)
        outcome = play_out(given, plan, seed)
        graphs = [user.graph for user in given.users]
        arrived = np.zeros(len(graphs))
        for upload, (start_s, end_s) in zip(plan.uploads, outcome.uploads, strict=True):
            assert start_s <= end_s
            if np.isfinite(end_s):
                arrived[upload.user] += graphs[upload.user].weight_bytes[list(upload.layers)].sum()
        asked = sum(graphs[upload.user].weight_bytes[list(upload.layers)].sum() for upload in plan.uploads)
        assert np.all(outcome.weight_bytes >= arrived - 1e-6)
        assert outcome.weight_bytes.sum() <= asked + 1e-6
        assert np.all(outcome.present_s <= given.horizon_s * (1 + 1e-9))
        assert np.all(outcome.present_s.max(axis=0) <= outcome.busy_s * (1 + 1e-9))
        assert np.all(outcome.busy_s <= outcome.present_s.sum(axis=0) * (1 + 1e-9) + 1e-12)
        assert np.all(np.diff(outcome.start_s) >= 0.0)
        for user in range(len(graphs)):
            mine = outcome.user == user
            gaps_s = np.diff(outcome.start_s[mine])
            assert np.all(
                outcome.end_s[mine][:-1][outcome.finished[mine][:-1]]
                - outcome.start_s[mine][:-1][outcome.finished[mine][:-1]]
                <= gaps_s[outcome.finished[mine][:-1]] * (1 + 1e-9)
            )
            assert np.all(outcome.start_s[mine] <= outcome.until_s[mine])


def test_every_byte_and_second_of_every_query_goes_through_its_stations() -> None:
    # Users who share everything; all queries have ended long before the horizon, as asking is rare.
    drawn = next(iter(scenarios("multi-user", 1, seed=2)))
    users = tuple(
        replace(user, uploaded=np.where(user.graph.movable, 1 + index % 2, 0), query_rate_hz=1 / 60)
        for index, user in enumerate(drawn.users)
    )
    servers = tuple(replace(server, memory_bytes=np.inf) for server in drawn.servers)
    scenario = replace(drawn, users=users, servers=servers, horizon_s=119.0)
    outcome = play_out(scenario, Plan())
    chosen = outcome.choices[-1].assignments
    assert outcome.num_finished == len(outcome.user) >= len(users)
    for index, user in enumerate(scenario.users):
        count, nodes = int((outcome.user == index).sum()), np.array(chosen[index])
        sent = tensors_sent(user.graph, nodes)
        up = sum(user.graph.tensor_bytes(tensor) for tensor, source, _ in sent if source == 0)
        down = sum(user.graph.tensor_bytes(tensor) for tensor, _, target in sent if target == 0)
        stations = [len(servers) + 1, len(servers) + 2]
        assert outcome.work[index, stations] == pytest.approx([count * up, count * down])
        for server in range(1, len(servers) + 1):
            seconds = scenario.execution_s[index][nodes == server, server].sum()
            assert outcome.work[index, server] == pytest.approx(count * seconds)


def test_the_model_is_near_in_a_crowd() -> None:
    ratios = []
    for index, scenario in enumerate(scenarios("multi-user", 4, seed=1)):
        plan = planner("joint-efficiency")(scenario, np.random.default_rng(0))
        timeline, outcome = simulate(scenario, plan), play_out(scenario, plan, index)
        expected_s = float(outcome.weights @ predicted_s(timeline, outcome) / outcome.weights.sum())
        ratios.append(expected_s / outcome.experienced_delay_s)
    assert np.median(ratios) == pytest.approx(1.0, abs=0.05)
