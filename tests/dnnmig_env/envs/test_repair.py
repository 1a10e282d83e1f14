"""An illegal action is replaced by the nearest legal one, said in `info`, in single environments and batches alike."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.repair import nearest_legal
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios

LAYERS, SERVERS = 4, 3
ACTIONS = 3 * LAYERS * SERVERS + 1


def number(user: int, layer: int, server: int) -> int:
    return (user * LAYERS + layer) * SERVERS + server - 1


@pytest.mark.parametrize(
    ("legal", "nearest"),
    [
        ([(1, 2, 1), (1, 1, 2), (0, 2, 2)], (1, 2, 1)),  # the layer goes to another server first
        ([(1, 1, 3), (1, 0, 2), (0, 2, 2)], (1, 1, 3)),  # then another layer of the user is sent
        ([(1, 0, 2), (0, 2, 2)], (1, 0, 2)),  # a far layer of the user, before another user
        ([(2, 2, 2), (0, 0, 1)], (2, 2, 2)),  # then another user, whose layer that is nearest is sent
        ([(0, 0, 2), (0, 3, 3)], (0, 3, 3)),
        ([(2, 2, 2), (0, 2, 2)], (0, 2, 2)),  # of users equally near, the one with the lower number
        ([(1, 2, 1), (1, 2, 3)], (1, 2, 1)),  # of servers equally near, the one with the lower number
        ([(1, 1, 2), (1, 3, 2)], (1, 1, 2)),  # of layers equally near, the one with the lower number
    ],
)
def test_the_nearest_legal_upload(legal, nearest) -> None:
    mask = np.zeros(ACTIONS, np.int8)
    mask[[number(*upload) for upload in legal] + [ACTIONS - 1]] = 1
    assert nearest_legal(mask, number(1, 2, 2), LAYERS, SERVERS) == number(*nearest)


def test_without_a_legal_upload_the_action_is_to_stop() -> None:
    mask = np.zeros(ACTIONS, np.int8)
    mask[-1] = 1
    assert nearest_legal(mask, number(1, 2, 2), LAYERS, SERVERS) == ACTIONS - 1


def test_memory_sends_a_layer_to_the_other_server_and_info_says_so() -> None:
    # As in test_env: with `all` and `head` on the edge, `body` fits there no more and goes to the cloud.
    (scenario,) = scenarios("toy", 1, seed=0)
    vision, speech = scenario.users
    env = MigrationEnv(make_generator("toy"), illegal="repair")
    env.reset(options={"scenario": replace(scenario, users=(replace(vision, uploaded=[1, 0, 0]), speech))})
    _, _, _, _, info = env.step(env.encode(1, 0, 1))
    assert (info["illegal_action"], info["action_taken"]) == (False, env.encode(1, 0, 1))
    _, _, done, _, info = env.step(env.encode(0, 1, 1))
    assert (info["illegal_action"], info["action_taken"]) == (True, env.encode(0, 1, 2))
    assert not done
    assert env.plan().uploads[-1].server == 2
    _, _, _, _, info = env.step(env.stop_action)
    assert (info["illegal_action"], info["action_taken"]) == (False, env.stop_action)


@pytest.mark.parametrize("options", [{"decisions": "two-phase"}, {"reward": "shaped"}])
def test_no_illegal_action_ends_an_episode_and_what_is_taken_is_what_would_have_been_chosen(options) -> None:
    generator, rng = make_generator("mobile", max_layers=4), np.random.default_rng(0)
    blind = MigrationEnv(generator, illegal="repair", **options)
    seeing = MigrationEnv(generator, **options)
    repaired = 0
    for seed in range(3):
        blind.reset(seed=seed)
        seeing.reset(seed=seed)
        done = False
        while not done:
            before = blind.action_masks()
            action = int(rng.integers(blind.action_space.n))
            observation, reward, done, _, info = blind.step(action)
            assert info["illegal_action"] == (not before[action])
            assert before[info["action_taken"]]
            repaired += info["illegal_action"]
            following, same, ended, _, told = seeing.step(info["action_taken"])
            np.testing.assert_equal([observation, reward, done], [following, same, ended])
            assert not told["illegal_action"]
    assert repaired > 10


@pytest.mark.parametrize("mode", AutoresetMode)
def test_rows_of_a_batch_repair_as_single_environments_do(mode) -> None:
    batch = gymnasium.make_vec("dnnmig/EdgeCloud-v0", num_envs=3, illegal="repair", autoreset_mode=mode)
    singles = [gymnasium.make("dnnmig/EdgeCloud-v0", illegal="repair").unwrapped for _ in range(3)]
    batch.reset(seed=3)
    for row, env in enumerate(singles):
        env.reset(seed=3 + row)
    rng, running = np.random.default_rng(1), np.ones(3, bool)
    for _ in range(200):
        actions = rng.integers(batch.single_action_space.n, size=3)
        _, rewards, ended, _, infos = batch.step(actions)
        for row in np.flatnonzero(running):
            _, reward, done, _, info = singles[row].step(actions[row])
            assert (reward, done) == (rewards[row], ended[row])
            told = infos["final_info"] if done and mode is AutoresetMode.SAME_STEP else infos
            assert told["action_taken"][row] == info["action_taken"]
            assert told["illegal_action"][row] == info["illegal_action"]
        running &= ~ended
        if not running.any():
            break
    assert not running.any()


def test_many_rows_are_repaired_by_threads_as_few_are() -> None:
    generator, rng = make_generator("multi-user"), np.random.default_rng(0)
    many = MigrationVectorEnv(160, generator, illegal="repair")
    few = MigrationVectorEnv(2, generator, illegal="repair")
    many.reset(seed=0)
    few.reset(seed=158)
    for _ in range(10):
        actions = rng.integers(many.single_action_space.n, size=160)
        taken = many.step(actions)[4]["action_taken"]
        np.testing.assert_array_equal(taken[158:], few.step(actions[158:])[4]["action_taken"])
