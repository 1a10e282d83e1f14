"""Rows of a state: which of them run the same layers on the same nodes, and meet each other alike."""

from __future__ import annotations

import numpy as np
import pytest

from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.simulation.dynamics import advance, begin
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.state import State, copy_row, meet_alike, new_state, run_alike


@pytest.fixture
def state() -> State:
    """Two rows that are alike."""
    packed = pack(scenarios("multi-user", 1, seed=1, num_users=3, max_layers=4))
    state, random = new_state(packed, 2), np.random.default_rng(0)
    state.assignment[0] = random.integers(0, 3, state.assignment.shape[1:])
    state.present[0] = random.random(state.present.shape[1:])
    copy_row(state, 0, state, 1)
    return state


def test_every_layer_of_every_user_counts(state: State) -> None:
    assert run_alike(state, 0, 1)
    for u in range(state.assignment.shape[1]):
        for v in range(state.assignment.shape[2]):
            state.assignment[1, u, v] += 1
            assert not run_alike(state, 0, 1)
            state.assignment[1, u, v] -= 1


def test_everyones_presence_at_every_station_counts_uploads_too(state: State) -> None:
    assert meet_alike(state, 0, 1, 0.0)
    for u in range(state.present.shape[1]):
        for k in range(state.present.shape[2]):
            before = state.present[1, u, k]
            for change in (-0.02, 0.02):
                state.present[1, u, k] = before + change
                assert not meet_alike(state, 0, 1, 0.01)
                assert meet_alike(state, 0, 1, 0.03)
            state.present[1, u, k] = before


@pytest.mark.parametrize("family", ["multi-user", "mobile"])
def test_costs_of_users_add_up_to_the_cost_and_are_their_rates_times_their_delays(family: str) -> None:
    env = MigrationVectorEnv(4, make_generator(family), autoreset_mode="Disabled")
    env.reset(seed=3)
    state, packed, running = env.episodes.state, env.episodes.packed, np.ones(4, bool)
    while running.any():  # on devices alone, where delays never change
        _, _, ended, _, _ = env.step(np.full(4, env.stop_action))
        running &= ~ended
    slots_s = np.diff(packed.slot_edges_s, axis=1)
    queries = (packed.query_rate_hz * slots_s[:, :, None]).sum(axis=1)
    np.testing.assert_allclose(state.user_cost_s, queries * state.device_delay_s, rtol=1e-9)
    np.testing.assert_allclose(state.user_cost_s.sum(axis=1), state.cost_s, rtol=1e-12)
    assert (np.ptp(state.user_cost_s, axis=1) > 0.1).all()
    env.reset(seed=4)
    assert not state.user_cost_s.any()


def test_copied_rows_have_the_costs_of_users() -> None:
    packed = pack(scenarios("multi-user", 1, seed=1))
    state, other = new_state(packed, 1), new_state(packed, 1)
    begin(packed, 0, state, 0)
    advance(packed, 0, state, 0, 5.0)
    begin(packed, 0, other, 0)
    copy_row(state, 0, other, 0)
    assert state.user_cost_s.any()
    np.testing.assert_array_equal(other.user_cost_s, state.user_cost_s)
