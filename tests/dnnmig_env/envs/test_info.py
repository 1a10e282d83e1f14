"""What `info` tells: the same keys and types at every step, in single environments and batches, as Gymnasium has it."""

import copy
from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics

from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator

KEYS = {
    "action_mask": np.ndarray,
    "mean_delay_s": float,
    "device_only_delay_s": float,
    "illegal_action": bool,
    "action_taken": int,
}
TOY = make_generator("toy")


def test_keys_and_types_never_change() -> None:
    env = MigrationEnv(make_generator("mobile"))
    _, info = env.reset(seed=1)
    done = False
    while not done:
        assert {name: type(value) for name, value in info.items()} == KEYS
        _, _, done, _, info = env.step(int(np.flatnonzero(env.action_masks())[0]))
    assert {name: type(value) for name, value in info.items()} == KEYS


def test_the_delay_so_far_becomes_the_mean_delay_at_the_end() -> None:
    # The toy: delays of 7 s in all, of two users, for the first 2 of 10 s, while `body` is uploaded.
    env = MigrationEnv(TOY)
    _, info = env.reset()
    assert (info["mean_delay_s"], info["device_only_delay_s"], info["action_taken"]) == (0.0, 3.5, -1)
    _, _, _, _, info = env.step(env.encode(0, 1, 1))
    assert (info["mean_delay_s"], info["device_only_delay_s"]) == pytest.approx((7 * 2 / 20, 3.5))
    _, _, _, _, info = env.step(env.stop_action)  # then 4.9 s for 8 s
    assert info["mean_delay_s"] == pytest.approx((7 * 2 + 4.9 * 8) / 20)


@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_batch_says_of_every_key_which_rows_tell_it(mode) -> None:
    env = MigrationVectorEnv(3, make_generator("edge-cloud"), autoreset_mode=mode)
    observations, infos = env.reset(seed=0)
    rng, ends = np.random.default_rng(0), 0
    for _ in range(60):
        final = {"final_obs", "_final_obs", "final_info", "_final_info"} & set(infos)
        assert set(infos) - final == {*KEYS, *(f"_{name}" for name in KEYS)}
        for name, kind in KEYS.items():
            assert len(infos[name]) == 3
            assert infos[name].dtype == (np.int8 if kind is np.ndarray else np.dtype(kind))
            assert infos[f"_{name}"].all()
        np.testing.assert_array_equal(infos["action_mask"], observations["action_mask"])
        if env._finished.all():
            observations, infos = env.reset()
        observations, _, ended, _, infos = env.step(
            (rng.random(env.action_masks().shape) * env.action_masks()).argmax(1)
        )
        assert ("final_info" in infos) == (mode is AutoresetMode.SAME_STEP and ended.any())
        ends += ended.sum()
    assert ends > 3


def test_the_end_of_an_episode_is_told_when_the_next_one_begins_in_the_same_step() -> None:
    env = MigrationVectorEnv(3, TOY, autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=0)
    alone = MigrationEnv(TOY)
    alone.reset()
    ending, _, _, _, told = alone.step(alone.stop_action)
    first, info = alone.reset()
    upload = env.encode(0, 1, 1)
    observations, _, ended, _, infos = env.step([upload, env.stop_action, upload])
    assert ended.tolist() == infos["_final_obs"].tolist() == infos["_final_info"].tolist() == [False, True, False]
    assert [type(each) for each in infos["final_obs"]] == [type(None), dict, type(None)]
    np.testing.assert_equal(infos["final_obs"][1], ending)
    assert env.single_observation_space.contains(infos["final_obs"][1])
    for name in KEYS:
        assert infos["final_info"][f"_{name}"].tolist() == [False, True, False]
        np.testing.assert_array_equal(infos["final_info"][name][1], told[name])
        np.testing.assert_array_equal(infos["final_info"][name][0], 0 * np.asarray(told[name]))
        np.testing.assert_array_equal(infos[name][1], info[name])  # outside are those of the new episode
    np.testing.assert_equal({name: array[1] for name, array in observations.items()}, first)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_batch_tells_what_gymnasiums_own_vector_environment_tells(mode) -> None:
    ours = gymnasium.make_vec("dnnmig/EdgeCloud-v0", num_envs=3, autoreset_mode=mode)
    theirs = gymnasium.make_vec(
        "dnnmig/EdgeCloud-v0", num_envs=3, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}
    )
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert_same(ours.reset(seed=5), theirs.reset(seed=5))
    rng, ends = np.random.default_rng(2), 0
    for _ in range(80):
        masks = ours.unwrapped.action_masks()
        actions = (rng.random(masks.shape) * masks).argmax(axis=1)
        one, other = ours.step(actions), theirs.step(actions)
        assert_same(one, other)
        ends += one[2].sum()
    assert ends > 3
    assert ours.np_random_seed == theirs.np_random_seed


def assert_same(one, other) -> None:
    """Compare nested results: the same keys, shapes and kinds of numbers, and the same values."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert_same(value, other[name])
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for mine, its in zip(one, other, strict=True):
            assert_same(mine, its)
    elif isinstance(one, np.ndarray) and one.dtype == object:
        assert_same(tuple(one), tuple(other))
    else:
        if isinstance(one, np.ndarray):
            assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(one, other)


def test_gymnasiums_wrappers_of_batches_understand_it() -> None:
    env = RecordEpisodeStatistics(MigrationVectorEnv(2, TOY))
    env.reset(seed=0)
    _, _, _, _, infos = env.step(np.full(2, env.env.stop_action))
    assert infos["episode"]["r"] == pytest.approx(-infos["mean_delay_s"])
    env = DictInfoToList(MigrationVectorEnv(2, TOY, autoreset_mode=AutoresetMode.SAME_STEP))
    assert [set(info) for info in env.reset(seed=0)[1]] == [set(KEYS)] * 2
    _, _, _, _, (first, second) = env.step(np.array([env.env.stop_action, env.env.encode(0, 1, 1)]))
    assert first["final_info"]["mean_delay_s"] == 3.5
    assert "final_info" not in second


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_what_a_step_returned_is_not_changed_by_later_steps(mode: AutoresetMode) -> None:
    env = gymnasium.make_vec("dnnmig/Toy-v0", num_envs=3, autoreset_mode=mode)
    observations, infos = env.reset(seed=0)
    kept = [(observations, infos)]
    for _ in range(2):
        kept.append(env.step(observations["action_mask"].argmax(axis=1)))
        observations = kept[-1][0]
    before = copy.deepcopy(kept)
    env.step(np.full(3, env.unwrapped.stop_action))
    assert repr(kept) == repr(before)
    arrays = [leaf for each in kept for leaf in leaves(each)]
    assert not any(np.shares_memory(one, other) for k, one in enumerate(arrays) for other in arrays[:k])


def leaves(data: object) -> Iterator[np.ndarray]:
    """Yield the arrays of numbers in what an environment returned."""
    if isinstance(data, dict):
        data = tuple(data.values())
    if isinstance(data, tuple):
        for each in data:
            yield from leaves(each)
    elif isinstance(data, np.ndarray) and data.dtype != object:
        yield data
