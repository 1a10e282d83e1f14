"""Rows of a state: which of them run the same layers on the same nodes, and meet each other alike."""

from __future__ import annotations

import numpy as np
import pytest

from dnnmig_env.families.registry import scenarios
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
