"""Laws of weights that move: what is needed stays, copies slow nobody, and infinitely fast wires make places alike."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.scenarios.bounds import LINK_RATE
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.simulator import simulate
from tests.strategies import MOVING, random_moving_case

ALONE = replace(MOVING, users=1, uplinks=("priority", "independent"))
"""One user, whose queries no upload delays: with "shared", the next upload would."""


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_what_is_needed_is_never_dropped(first: int) -> None:
    """Only weights of users who have left go, and copies of what their user has on its home server, another one."""
    dropped = 0
    for seed in range(first, first + 100):
        scenario, _ = random_moving_case(seed)
        if not scenario.moves:
            continue
        env, rng = MigrationEnv(limits=Limits.of([scenario])), np.random.default_rng(seed)
        observation, _ = env.reset(options={"scenario": scenario})
        ended, state = False, env.episodes.state
        while not ended:
            held, slot = state.held[0] > 0, int(state.slot[0])
            legal = np.flatnonzero(observation["action_mask"])
            wait = env.stop_action
            action = wait if len(legal) == 1 or rng.random() < 0.2 else int(rng.choice(legal[legal != wait]))
            observation, _, ended, _, _ = env.step(action)
            for u, v, s in np.argwhere(held & (state.held[0] <= 0)):
                dropped += 1
                # Dropping may have taken place in any slot between two decisions.
                passed = range(slot, int(state.slot[0]) + 1)
                assert any(_is_needless(scenario, held | (state.held[0] > 0), t, u, v, s) for t in passed)
    assert dropped > 20


def _is_needless(scenario: Scenario, held: np.ndarray, slot: int, user: int, layer: int, server: int) -> bool:
    rates = np.asarray(scenario.users[user].query_rate_hz)
    if rates[slot] == 0:
        return bool((rates[:slot] > 0).any())
    home = int(np.asarray(scenario.links.home)[slot, user])
    return home not in (0, server + 1) and bool(held[user, layer, home - 1])


def test_what_arrives_never_makes_its_user_slower() -> None:
    arrivals = faster = 0
    for seed in range(600):
        scenario, plan = random_moving_case(seed, ALONE)
        timeline = simulate(scenario, plan)
        for end_s in {upload.end_s for upload in timeline.uploads}:
            (events,) = np.nonzero(timeline.event_time_s == end_s)
            if len(events) == 0 or events[0] == 0 or end_s in np.asarray(scenario.slot_starts_s):
                continue
            # The first event of that time is the arrival; then a transfer may start, for which room is made.
            before, after = timeline.event_delay_s[events[0] - 1, 0], timeline.event_delay_s[events[0], 0]
            assert after <= before * (1 + 1e-9)
            arrivals, faster = arrivals + 1, faster + (after < 0.99 * before)
    assert arrivals > 200 and faster > 50


def test_bytes_are_conserved_and_no_wire_carries_two_transfers() -> None:
    arrived = lost = 0
    for seed in range(300):
        scenario, plan = random_moving_case(seed)
        by_wire: dict[int, list[tuple[float, float]]] = {}
        for upload in simulate(scenario, plan).uploads:
            sent = [each for each in upload.transfers if each.source >= 0]
            assert upload.sent_bytes == pytest.approx(sum(each.sent_bytes for each in sent))
            for each in sent:
                size_bytes = scenario.users[upload.user].graph.weight_bytes[each.layer]
                # What has not arrived was broken off, or is on its way at the horizon, with its last byte missing.
                assert each.sent_bytes == pytest.approx(size_bytes) if each.arrives else each.sent_bytes < size_bytes
                arrived, lost = arrived + each.arrives, lost + (not each.arrives)
                if each.source > 0:
                    by_wire.setdefault(each.source, []).append((each.start_s, each.stop_s))
        for times in by_wire.values():
            assert all(stop_s <= start_s for (_, stop_s), (start_s, _) in pairwise(sorted(times)))
    assert arrived > 500 and lost > 50


def test_infinitely_fast_wires_make_the_place_of_weights_irrelevant() -> None:
    """With equal servers, one user meets the same delays wherever its weights lie, as long as its home is in reach."""
    compared = moved = 0
    for seed in range(300):
        scenario, _ = random_moving_case(seed, ALONE)
        home, servers = np.asarray(scenario.links.home), len(scenario.servers)
        if servers == 1 or not home.any():
            continue
        up, down = (
            np.asarray(rates).copy() for rates in (scenario.links.up_bytes_per_s, scenario.links.down_bytes_per_s)
        )
        for rates in (up, down):
            rates[:] = np.maximum(np.take_along_axis(rates, home[..., None] - 1, axis=2), 1e5)
        links = replace(
            scenario.links,
            up_bytes_per_s=up,
            down_bytes_per_s=down,
            up_latency_s=0.01,
            down_latency_s=0.01,
            between_bytes_per_s=LINK_RATE.most,
            between_latency_s=0.0,
        )
        machine = replace(scenario.servers[0], memory_bytes=np.inf)
        alike = tuple(replace(machine, name=server.name) for server in scenario.servers)
        (user,) = scenario.users
        layers = np.random.default_rng(seed).integers(0, 2, len(user.graph))
        delays_s = []
        for server in range(1, servers + 1):
            there = replace(user, uploaded=layers * server, copies=None, profile_s=None)
            placed = replace(scenario, users=(there,), servers=alike, links=links)
            delays_s.append(simulate(placed, Plan()).mean_delay_s)
        assert delays_s == pytest.approx([delays_s[0]] * servers, rel=1e-6)
        compared, moved = compared + 1, moved + (len(np.unique(home)) > 1)
    assert compared > 50 and moved > 20
