"""The batch environment under SB3's conventions is the batch environment."""

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.evaluation import evaluate_policy

from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.policies.policy import RandomPolicy
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios

ROWS = 3


def batch(mode=AutoresetMode.SAME_STEP, family="edge-cloud", **options):
    return MigrationVectorEnv(ROWS, make_generator(family), autoreset_mode=mode, **options)


def random_legal(mask, rng):
    return np.argmax(rng.random(mask.shape) * mask, axis=-1)


@pytest.mark.parametrize("decisions", ["joint", "two-phase"])
def test_each_row_is_a_single_environment_and_ends_with_its_own_last_observation(decisions):
    env = Sb3VecEnv(batch(decisions=decisions))
    singles = [MigrationEnv(make_generator("edge-cloud"), decisions=decisions) for _ in range(ROWS)]
    env.seed(7)
    observations, rng = env.reset(), np.random.default_rng(0)
    for row, single in enumerate(singles):
        alone, _ = single.reset(seed=7 + row)
        np.testing.assert_array_equal(observations["observation"][row], alone["observation"])
    returns, lengths, episodes = np.zeros(ROWS), np.zeros(ROWS, int), 0
    for _ in range(150):
        actions = random_legal(observations["action_mask"], rng)
        observations, rewards, dones, infos = env.step(actions)
        for row, single in enumerate(singles):
            alone, reward, done, _, info = single.step(actions[row])
            assert dones[row] == done
            assert rewards[row] == np.float32(reward)
            returns[row], lengths[row] = returns[row] + reward, lengths[row] + 1
            if done:
                for part, ending in infos[row].pop("terminal_observation").items():
                    np.testing.assert_array_equal(ending, alone[part])
                assert infos[row]["episode"]["r"] == pytest.approx(returns[row])
                assert infos[row]["episode"]["l"] == lengths[row]
                assert infos[row]["TimeLimit.truncated"] is False  # nothing comes after the horizon: no bootstrapping
                assert infos[row]["mean_delay_s"] == info["mean_delay_s"] == pytest.approx(-returns[row])
                assert infos[row]["device_only_delay_s"] == info["device_only_delay_s"]
                returns[row], lengths[row], episodes = 0.0, 0, episodes + 1
                alone, _ = single.reset()
            else:
                assert infos[row] == {}
            np.testing.assert_array_equal(observations["observation"][row], alone["observation"])
            np.testing.assert_array_equal(observations["action_mask"][row], alone["action_mask"])
    assert episodes > 2 * ROWS


def test_what_a_step_returns_never_changes_later():
    env, rng = Sb3VecEnv(batch()), np.random.default_rng(0)
    env.seed(0)
    kept = env.reset()
    for _ in range(20):
        before = {name: array.copy() for name, array in kept.items()}
        observations, rewards, dones, infos = env.step(random_legal(kept["action_mask"], rng))
        infos[0]["mine"] = "a caller may write into its infos"
        assert rewards.dtype == np.float32
        assert dones.dtype == np.bool_
        assert all(info is not infos[0] for info in infos[1:])
        for name, array in before.items():
            np.testing.assert_array_equal(kept[name], array)
            assert not np.shares_memory(kept[name], observations[name])
        kept = observations


def test_masks_reach_maskable_ppo_row_by_row():
    env = Sb3VecEnv(batch())
    observations = env.reset()
    assert is_masking_supported(env)
    np.testing.assert_array_equal(get_action_masks(env), observations["action_mask"].astype(bool))
    assert [mask.tolist() for mask in env.env_method("action_masks", indices=[2])] == [
        observations["action_mask"][2].astype(bool).tolist()
    ]


def test_rows_answer_for_themselves():
    env = Sb3VecEnv(batch())
    given = scenarios("edge-cloud", ROWS, seed=4)
    env.set_options([{"scenario": scenario} for scenario in given])
    env.reset()
    assert [found.horizon_s for found in env.env_method("scenario")] == [one.horizon_s for one in given]
    assert env.env_method("scenario", indices=1)[0].horizon_s == given[1].horizon_s
    assert env.env_method("encode", 0, 1, 1, indices=[0, 2]) == [env.env.encode(0, 1, 1)] * 2
    assert env.get_attr("stop_action", indices=[0]) == [env.env.stop_action]
    assert not env.has_attr("no_such_thing")
    with pytest.raises(AttributeError, match="rows of a batch have no attributes"):
        env.set_attr("decision_mode", "two-phase")


def test_seeds_hold_for_one_reset():
    env = Sb3VecEnv(batch())
    env.seed(3)
    first = env.reset()["observation"]
    other = env.reset()["observation"]
    env.seed(3)
    again = env.reset()["observation"]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_evaluate_policy_needs_no_monitor():
    env = Sb3VecEnv(batch(reward="delay", scale="device-only"))
    env.seed(1)
    mean, _ = evaluate_policy(RandomPolicy(0), env, n_eval_episodes=10)
    assert -2.0 < mean < 0.0


def test_a_reset_begins_to_count_anew():
    env, rng = Sb3VecEnv(batch()), np.random.default_rng(0)
    env.seed(1)
    observations = env.reset()
    env.step(random_legal(observations["action_mask"], rng))
    observations, taken, ended = env.reset(), 0, False
    while not ended:
        observations, _, dones, infos = env.step(random_legal(observations["action_mask"], rng))
        taken, ended = taken + 1, dones[0]
    assert infos[0]["episode"]["l"] == taken


def test_another_autoreset_is_refused():
    with pytest.raises(ValueError, match="SB3 resets in the same step"):
        Sb3VecEnv(batch(AutoresetMode.NEXT_STEP))
