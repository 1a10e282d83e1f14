"""Efficiencies: what simulating an upload says, kept up to date without measuring everything anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.planners.joint_efficiency.intervals import (
    Efficiencies,
    best_interval,
    measure,
    new_efficiencies,
    smallest_useful_interval,
)
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.dynamics import begin, complete
from dnnmig_env.simulation.packed import PackedScenarios, pack
from dnnmig_env.simulation.state import State, new_state
from tests.strategies import RandomChoices, Sizes, make_scenario

SIZES = Sizes(slots=1, outages=False, absences=False)


def legal_uploads(packed: PackedScenarios, state: State) -> Any:
    """Return which layers may still be uploaded, to any server."""
    free = (packed.weight_bytes[0] > 0) & ~state.usable[0]
    return np.repeat(free, packed.memory_bytes.shape[1]).astype(np.int8)


def upload(packed: PackedScenarios, state: State, i: int, u: int, layers: list[int], server: int) -> None:
    """Make layers usable at once, and let everybody react."""
    state.node[i, u, layers], state.usable[i, u, layers] = server, True
    complete(packed, 0, state, i, u)


def measured(scenario: Scenario) -> tuple[PackedScenarios, State, Efficiencies, Any]:
    p = pack([scenario])
    s, e = new_state(p, 1), new_efficiencies(p, 1)
    begin(p, 0, s, 0)
    legal = legal_uploads(p, s)
    measure(p, p, 0, s, 0, legal, e, 0, 0.0)
    return p, s, e, legal


def test_an_efficiency_is_what_uploading_the_interval_saves_its_user() -> None:
    found = 0
    for seed in range(80):
        scenario = make_scenario(RandomChoices(np.random.default_rng(seed)), Sizes(users=1, slots=1, outages=False))
        if np.asarray(scenario.users[0].query_rate_hz)[0] == 0:
            continue
        packed, state, efficiencies, legal = measured(scenario)
        layers, servers = packed.weight_bytes.shape[2], packed.memory_bytes.shape[1]
        for first in range(layers):
            for last in range(first, layers):
                for server in range(1, servers + 1):
                    value = efficiencies.per_s[0, 0, server - 1, first, last]
                    chosen = [v for v in range(first, last + 1) if legal[v * servers + server - 1]]
                    if not chosen or chosen[0] != first or chosen[-1] != last:
                        assert value == 0.0
                        continue
                    after = new_state(packed, 1)
                    begin(packed, 0, after, 0)
                    upload(packed, after, 0, 0, chosen, server)
                    size_bytes = packed.weight_bytes[0, 0, chosen].sum()
                    saved_s = state.delay_s[0, 0] - after.delay_s[0, 0]
                    per_s = (
                        packed.query_rate_hz[0, 0, 0]
                        * saved_s
                        / (size_bytes / packed.up_bytes_per_s[0, 0, 0, server - 1])
                    )
                    assert value == pytest.approx(per_s, rel=1e-6, abs=1e-9 * packed.query_rate_hz[0, 0, 0])
                    assert efficiencies.size_bytes[0, 0, server - 1, first, last] == size_bytes
                    found += value > 0
    assert found > 300


def test_measuring_what_has_changed_is_measuring_everything() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        packed, s, efficiencies, legal = measured(make_scenario(RandomChoices(rng), SIZES))
        for _ in range(6):
            free = np.argwhere(legal.reshape(*packed.weight_bytes.shape[1:], -1)[:, :, 0])
            if not len(free):
                break
            u, v = (int(index) for index in free[rng.integers(len(free))])
            upload(packed, s, 0, u, [v], int(rng.integers(1, packed.num_servers[0] + 1)))
            legal, anew = legal_uploads(packed, s), new_efficiencies(packed, 1)
            efficiencies.stale[0, u] = True
            measure(packed, packed, 0, s, 0, legal, efficiencies, 0, 0.0)
            measure(packed, packed, 0, s, 0, legal, anew, 0, 0.0)
            np.testing.assert_array_equal(efficiencies.per_s, anew.per_s)


def test_contention_within_the_tolerance_is_not_measured_anew() -> None:
    p, state, efficiencies, legal = measured(make_scenario(RandomChoices(np.random.default_rng(3)), SIZES))
    before = efficiencies.per_s.copy()
    state.present[0] += 0.01
    measure(p, p, 0, state, 0, legal, efficiencies, 0, 0.5)
    np.testing.assert_array_equal(efficiencies.per_s, before)
    measure(p, p, 0, state, 0, legal, efficiencies, 0, 1e-6)
    assert (efficiencies.per_s != before).any()


def test_what_does_not_fit_the_memory_is_of_no_use() -> None:
    p, state, efficiencies, legal = measured(make_scenario(RandomChoices(np.random.default_rng(3)), SIZES))
    efficiencies.stale[:], state.memory_left_bytes[:] = True, 4e6
    measure(p, p, 0, state, 0, legal, efficiencies, 0, 0.0)
    assert (efficiencies.per_s > 0).any()
    assert (efficiencies.size_bytes > 4e6).any()  # one more than fits is looked at
    assert (efficiencies.size_bytes[efficiencies.per_s > 0] <= 4e6).all()


def hand_made() -> Efficiencies:
    """Return efficiencies of three layers of 1 MB each on one server."""
    p = pack([make_scenario(RandomChoices(np.random.default_rng(0)), Sizes(1, 3, 1, 1, chain=True))])._replace(
        execution_s=np.zeros((1, 1, 3, 2))
    )
    efficiencies = new_efficiencies(p, 1)
    for first in range(3):
        for last in range(first, 3):
            efficiencies.size_bytes[0, 0, 0, first, last] = last - first + 1
    efficiencies.per_s[0, 0, 0] = [[0.0, 2.0, 5.0], [0.0, 3.0, 4.0], [0.0, 0.0, 1.0]]
    return efficiencies


def test_the_best_interval_is_the_most_efficient_that_fits() -> None:
    e = hand_made()
    assert best_interval(e, 0, 0, 0, 3.0) == (0, 2)
    assert best_interval(e, 0, 0, 0, 2.0) == (1, 2)
    assert best_interval(e, 0, 0, 0, 1.0) == (1, 1)
    assert best_interval(e, 0, 0, 0, 0.5) == (-1, -1)


def test_the_finest_part_is_narrowed_down_step_by_step() -> None:
    # Of all three layers the most efficient part is layers 1 and 2, of these layer 1 alone.
    assert smallest_useful_interval(hand_made(), 0, 0, 0, 0, 2) == (1, 1)
    assert smallest_useful_interval(hand_made(), 0, 0, 0, 2, 2) == (2, 2)


def test_what_weights_are_sent_at_scales_efficiencies_and_changes_nothing_else() -> None:
    for seed in range(20):
        packed, s, efficiencies, legal = measured(make_scenario(RandomChoices(np.random.default_rng(seed)), SIZES))
        factor = np.array([0.25, 2.0, 8.0])[: packed.memory_bytes.shape[1]]  # powers of two scale without rounding
        sending, scaled = packed._replace(up_bytes_per_s=packed.up_bytes_per_s * factor), new_efficiencies(packed, 1)
        measure(packed, sending, 0, s, 0, legal, scaled, 0, 0.0)
        np.testing.assert_array_equal(scaled.per_s, efficiencies.per_s * factor[:, None, None])
        np.testing.assert_array_equal(scaled.size_bytes, efficiencies.size_bytes)


def test_queries_are_run_at_other_rates_than_weights_are_sent_at() -> None:
    differing = 0
    for seed in range(20):
        packed, s, efficiencies, legal = measured(make_scenario(RandomChoices(np.random.default_rng(seed)), SIZES))
        faster, at_faster, mixed = (
            packed._replace(up_bytes_per_s=2.0 * packed.up_bytes_per_s),
            *(new_efficiencies(packed, 1) for _ in range(2)),
        )
        measure(faster, faster, 0, s, 0, legal, at_faster, 0, 0.0)
        measure(faster, packed, 0, s, 0, legal, mixed, 0, 0.0)
        # Sent half as fast, but saving the same: what queries take at the faster rates.
        np.testing.assert_array_equal(mixed.per_s, at_faster.per_s / 2.0)
        differing += (mixed.per_s != efficiencies.per_s).any()
    assert differing > 10
