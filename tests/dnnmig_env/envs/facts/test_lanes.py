"""What is observed of cells, copies, transfers, absences and room, on scenarios worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from dnnmig_env.arrays import Floats
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.facts.lanes import LANE_PARTS
from dnnmig_env.envs.features import names
from dnnmig_env.families.registry import make_generator
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits
from tests.hand_made import MB, two_servers, user, walk
from tests.strategies import random_moving_case


def parts(env: MigrationEnv) -> dict[str, Floats]:
    """Return what is observed of lanes, by part; the last axis, if there is one feature only, is left out."""
    layout, observation = env.episodes.facts, env.episodes.observation[0]
    found = {part: observation[layout.slices[part]].reshape(layout.shapes[part]) for part in LANE_PARTS}
    return {part: values[..., 0] if values.shape[-1] == 1 else values for part, values in found.items()}


def begun(scenario: Scenario, **changes: Any) -> MigrationEnv:
    env = MigrationEnv(limits=Limits.of([scenario]))
    env.reset(options={"scenario": scenario})
    return env


def log_room(mb: float) -> float:
    return (math.log10(mb * MB) - 8) / 3


def test_a_walk_by_hand() -> None:
    env = begun(walk())
    seen = parts(env)
    assert seen["cells"].tolist() == [[1, 0], [1, 0], [0, 0]]  # Cyd is absent
    assert seen["copies"].tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]
    assert not seen["transfers"].any()
    assert not seen["absences"].any()
    assert seen["rooms"] == pytest.approx([log_room(4), log_room(8)])

    env.step(env.encode(0, 0, 2))  # Ann's layer, by the wire of server 1, until 1 s; the radio is idle
    assert env.time_s() == 0.0
    seen = parts(env)
    assert seen["copies"][0].tolist() == [[1, -1], [0, 0]]
    assert seen["transfers"][3] == pytest.approx([1, 1 / 3, 1 / 2, 2 / 2, math.log10(1.0) / 2, 0])
    assert not np.delete(seen["transfers"], 3, axis=0).any()
    assert seen["rooms"] == pytest.approx([log_room(4), log_room(6)])

    env.step(env.encode(1, 0, 1))  # Bob's, by radio, until 1 s too; what came by radio lands first
    assert env.time_s() == 1.0
    seen = parts(env)
    assert seen["copies"] == pytest.approx(np.array([[[1, 3], [0, 0]], [[2, 0], [0, 0]], [[0, 0], [0, 0]]]) / 3)
    assert not seen["transfers"].any()
    # On server 2, nobody needs Ann's layer while it is at home as well.
    assert seen["rooms"] == pytest.approx([log_room(3), log_room(8)])
    assert not env.action_masks()[env.encode(0, 1, 1)]  # her 4 MB do not fit beside the 3 MB on server 1
    env.step(env.encode(1, 0, 2))  # Bob's, by wire, until 1.5 s; then nothing fits until the slot ends
    assert env.time_s() == 4.0
    seen = parts(env)
    assert seen["cells"].tolist() == [[0, 1], [0, 0], [0, 1]]
    assert seen["copies"] == pytest.approx(np.array([[[1, 3], [0, 0]], [[2, 4], [0, 0]], [[0, 0], [0, 0]]]) / 4)
    # Bob has left his copies, and Ann's layer is at home as well: nobody needs the 3 MB on server 1.
    assert seen["rooms"] == pytest.approx([log_room(6), log_room(6)])
    assert seen["absences"].tolist() == [0, 0, 0]  # Bob has just gone

    env.step(env.encode(0, 1, 2))  # by radio, until 8 s
    assert env.time_s() == 8.0
    seen = parts(env)
    assert seen["copies"][0] == pytest.approx(np.array([[1, 3], [0, 5]]) / 5)
    assert seen["absences"] == pytest.approx([0, 0.4, 0])
    assert seen["rooms"] == pytest.approx([log_room(6), log_room(2)])


@pytest.mark.parametrize("moves", [False, True])
def test_who_comes_into_a_cell_waits_behind_what_is_sent_there(moves: bool) -> None:
    # Ann sends 5 MB from cell 1, Bob 6 MB from cell 2, where Ann comes at 2 s: she has 3 MB left then, he 4.
    # Cyd comes into cell 1, whose lane is idle now, so that there is something to decide.
    users = [user("ann", [5]), user("bob", [6]), user("cyd", [1], query_rate_hz=[0.0, 1.0])]
    scenario = two_servers(
        users,
        home=[[1, 2, 1], [2, 2, 1]],
        wire_mb_per_s=0.0,
        slot_starts_s=(0.0, 2.0),
        horizon_s=20.0,
        uplink="independent",
        moves=moves,
    )
    env = begun(scenario)
    env.step(env.encode(0, 0, 2))
    env.step(env.encode(1, 0, 2))
    assert env.time_s() == 2.0
    transfers = parts(env)["transfers"]
    assert transfers[0, 4:] == pytest.approx([math.log10(7.0) / 2, 1])
    assert transfers[1, 4:] == pytest.approx([math.log10(7.0) / 2, 0])


def test_everything_lies_within_its_bounds() -> None:
    for seed in range(60):
        scenario, _ = random_moving_case(seed)
        env, rng, done = begun(scenario), np.random.default_rng(seed), False
        while not done:
            legal = np.flatnonzero(env.action_masks())
            observation, _, done, _, _ = env.step(rng.choice(legal[:-1] if len(legal) > 1 else legal))
            assert env.observation_space.contains(observation)


def test_only_environments_with_several_lanes_show_them() -> None:
    assert all(names(features) for features in LANE_PARTS.values())
    for family, expected in [("multi-user", False), ("mobile", True), ("city", True)]:
        layout = MigrationEnv(make_generator(family)).episodes.facts
        assert ("cells" in layout.slices) is expected
