"""Laws that hold whatever users, cells and weights do."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.scenarios.uplink import UPLINKS
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.simulator import simulate
from evaluate.truth.comparison import predicted_s
from evaluate.truth.simulator.outcome import Outcome
from evaluate.truth.simulator.simulation import play_out
from tests import hand_made
from tests.strategies import MOVING, random_moving_case

ALONE = replace(MOVING, users=1)


def within_a_slot(scenario: Scenario, outcome: Outcome) -> np.ndarray:
    """Return which queries ended in the slot in which they started."""
    slots = np.asarray(scenario.slot_starts_s)
    start, end = (np.searchsorted(slots, times, side="right") for times in (outcome.start_s, outcome.end_s))
    return np.asarray(outcome.finished & (start == end))


@pytest.mark.parametrize("seed", range(40))
def test_where_weights_meet_no_data_all_transfers_are_those_of_the_model(seed: int) -> None:
    # Sources, queues, room, what is dropped and what is broken off: two writings of the same rules.
    scenario, plan = random_moving_case(seed)
    scenario = replace(scenario, uplink="independent")
    timeline, outcome = simulate(scenario, plan), play_out(scenario, plan, seed)
    expected = [
        (upload.user, one.layer, upload.server, one.source, one.start_s, one.stop_s, one.sent_bytes)
        for upload in timeline.uploads
        for one in upload.transfers
        if one.source >= 0
    ]
    found = [
        (one.user, one.layer, one.server, one.source, one.start_s, stop_s, one.sent_bytes)
        for one in outcome.sendings
        for stop_s in [min(one.end_s, one.broken_off_s, scenario.horizon_s)]
    ]
    assert len(found) == len(expected)
    assert np.array(found) == pytest.approx(np.array(expected), rel=1e-9)


def test_what_waits_for_a_slot_starts_as_that_slot_says() -> None:
    # Ann comes to cell 2 at 6 s. From then on her device sends to server 2 sooner than the wire of 0.5 MB/s.
    home = [[1], [1], [2]]
    up = [[[float(server == cell) for server in (1, 2)] for cell in row] for row in home]
    ann = hand_made.user("ann", [4], uploaded=[1], profile_s=[1.0, 0.1, 0.1])
    scenario = hand_made.two_servers(
        [ann], up_mb_per_s=up, wire_mb_per_s=0.5, home=home, slot_starts_s=(0.0, 3.0, 6.0), horizon_s=20.0, moves=True
    )
    scenario, plan = replace(scenario, uplink="independent"), Plan((Upload(0, 2, (0,), not_before_s=6.0),))
    (expected,) = simulate(scenario, plan).uploads[0].transfers
    assert (expected.source, expected.start_s, expected.stop_s) == (0, 6.0, 10.0)
    (found,) = play_out(scenario, plan, 0).sendings
    assert (found.source, found.start_s, found.end_s) == (0, 6.0, 10.0)


@pytest.mark.parametrize("seed", range(40))
def test_a_user_alone_meets_exactly_what_the_model_says_within_each_slot(seed: int) -> None:
    scenario, plan = random_moving_case(seed, ALONE)
    scenario = replace(scenario, uplink="independent")
    timeline, outcome = simulate(scenario, plan), play_out(scenario, plan, seed)
    counts = within_a_slot(scenario, outcome)
    assert outcome.delay_s[counts] == pytest.approx(predicted_s(timeline, outcome)[counts], rel=1e-9)


@pytest.mark.parametrize("seed", range(25))
def test_bytes_are_conserved_and_every_lane_sends_one_thing_at_a_time(seed: int) -> None:
    scenario, plan = random_moving_case(seed)
    for mode in UPLINKS:
        given = replace(scenario, uplink=mode)
        outcome = play_out(given, plan, seed)
        for user, one in enumerate(given.users):
            mine = [each for each in outcome.sendings if each.user == user]
            assert outcome.weight_bytes[user] == pytest.approx(sum(each.sent_bytes for each in mine))
            for each in mine:
                size = one.graph.weight_bytes[each.layer]
                arrived = each.end_s < math.inf
                assert each.sent_bytes == pytest.approx(size) if arrived else each.sent_bytes <= size * (1 + 1e-9)
                assert not (arrived and each.broken_off_s < math.inf)
        for source in range(1, len(given.servers) + 1):
            ends = (min(each.end_s, each.broken_off_s) for each in outcome.sendings if each.source == source)
            starts = (each.start_s for each in outcome.sendings if each.source == source)
            times = sorted(zip(starts, ends, strict=True))
            assert all(end_s <= start_s + 1e-9 for (_, end_s), (start_s, _) in pairwise(times))
        assert np.all(outcome.present_s <= given.horizon_s * (1 + 1e-9))
        assert np.all(outcome.present_s.max(axis=0) <= outcome.busy_s * (1 + 1e-9))


def ahead(scenario: Scenario, rng: np.random.Generator) -> Plan:
    """Return a plan that sends most layers of each user to the cells to which it comes, in this order."""
    home, uploads = np.asarray(scenario.links.home), []
    for index, user in enumerate(scenario.users):
        visited = home[np.asarray(user.query_rate_hz) > 0.0, index]
        for server in dict.fromkeys(visited.tolist()):
            layers = [int(layer) for layer in np.flatnonzero(user.graph.movable) if rng.random() < 0.8]
            uploads += [Upload(index, server, (layer,)) for layer in layers]
    return Plan(tuple(uploads))


@pytest.mark.parametrize("family", ["mobile", "city"])
def test_the_model_is_near_where_users_and_weights_move(family: str) -> None:
    ratios, by_wire = [], 0
    options = {"horizon_s": 150.0} if family == "city" else {}
    for index, scenario in enumerate(scenarios(family, 8, seed=5, **options)):
        plan = ahead(scenario, np.random.default_rng(index))
        timeline, outcome = simulate(scenario, plan), play_out(scenario, plan, index)
        expected_s = float(outcome.weights @ predicted_s(timeline, outcome) / outcome.weights.sum())
        ratios.append(expected_s / outcome.experienced_delay_s)
        by_wire += sum(each.source > 0 for each in outcome.sendings)
    assert by_wire > 20
    assert np.median(ratios) == pytest.approx(1.0, abs=0.03)
