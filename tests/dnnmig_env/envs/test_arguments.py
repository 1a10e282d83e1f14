"""What clients hand over is checked before compiled code sees it, in the single environment and in the batch."""

import re
from collections.abc import Callable

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios

TOY = make_generator("toy")
(SCENARIO,) = scenarios("toy", 1, seed=0)


def single(**options) -> MigrationEnv:
    env = MigrationEnv(TOY, **options)
    env.reset(seed=0)
    return env


def batch(rows: int = 3, **options) -> MigrationVectorEnv:
    env = MigrationVectorEnv(rows, TOY, **options)
    env.reset(seed=0)
    return env


UPLOAD = single().encode(0, 1, 1)


@pytest.mark.parametrize(
    "action",
    [
        UPLOAD,
        np.int8(UPLOAD),
        np.uint64(UPLOAD),
        np.array(UPLOAD),
        np.array([UPLOAD]),
        np.array([[UPLOAD]], np.int32),
        [UPLOAD],
        torch.tensor(UPLOAD),
        torch.tensor([UPLOAD]),
    ],
    ids=repr,
)
def test_every_kind_of_integer_is_an_action(action) -> None:
    env = single()
    _, reward, _, _, info = env.step(action)
    assert reward == pytest.approx(-0.7)  # 7 s, the sum of both users' delays, for 2 of 10 s, by 2 users
    assert info["action_taken"] == UPLOAD


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (1.5, TypeError, "dtype float64 (1.5)"),
        (2.0, TypeError, "dtype float64 (2.0)"),
        (np.float32(1.0), TypeError, "dtype float32"),
        (True, TypeError, "dtype bool"),
        (None, TypeError, "dtype object"),
        ("1", TypeError, "dtype <U1"),
        ({}, TypeError, "dtype object"),
        (1 + 0j, TypeError, "complex"),
        ([1, [2]], TypeError, "cannot be read as integers"),
        ([], ValueError, "shape (0,)"),
        ([1, 2], ValueError, "shape (2,)"),
        (-1, ValueError, "action is -1; actions are numbered from 0 to 12"),
        (13, ValueError, "action is 13;"),
        (2**63, ValueError, "action is 9223372036854775808;"),
        (2**70, ValueError, "action is 1180591620717411303424;"),
    ],
    ids=repr,
)
def test_what_is_no_action_is_refused_and_changes_nothing(action, error: type[Exception], message: str) -> None:
    env = single()
    with pytest.raises(error, match=re.escape(message)):
        env.step(action)
    assert env.time_s() == 0.0
    assert env.plan().uploads == ()
    assert env.step(UPLOAD)[1] == pytest.approx(-0.7)


@pytest.mark.parametrize(
    "actions",
    [
        np.full(3, UPLOAD),
        np.full(3, UPLOAD, np.uint8),
        [UPLOAD] * 3,
        (np.int64(UPLOAD), np.array(UPLOAD), UPLOAD),
        torch.full((3,), UPLOAD),
    ],
    ids=repr,
)
def test_a_batch_takes_one_integer_per_row(actions) -> None:
    _, rewards, _, _, infos = batch().step(actions)
    assert rewards == pytest.approx([-0.7] * 3)
    assert infos["action_taken"].tolist() == [UPLOAD] * 3


@pytest.mark.parametrize(
    ("actions", "error", "message"),
    [
        (UPLOAD, TypeError, "give 3 integers, one per environment"),
        (np.array(UPLOAD), TypeError, "give 3 integers"),
        (None, TypeError, "give 3 integers"),
        ([UPLOAD] * 2, ValueError, "actions has the shape (2,); it must be (3,)"),
        (np.full(4, 512), ValueError, "shape (4,)"),
        (np.full((3, 1), UPLOAD), ValueError, "shape (3, 1)"),
        (np.full((1, 3), UPLOAD), ValueError, "shape (1, 3)"),
        ([], ValueError, "shape (0,)"),
        ([UPLOAD, UPLOAD, 1.5], TypeError, "dtype float64"),
        (np.ones(3), TypeError, "dtype float64"),
        (np.ones(3, bool), TypeError, "dtype bool"),
        (["a", "b", "c"], TypeError, "dtype <U1"),
        ([UPLOAD, None, UPLOAD], TypeError, "dtype object"),
        ([UPLOAD, [UPLOAD], UPLOAD], TypeError, "cannot be read as integers"),
        ([UPLOAD, 13, UPLOAD], ValueError, "actions[1] is 13; actions are numbered from 0 to 12"),
        ([UPLOAD, UPLOAD, -1], ValueError, "actions[2] is -1"),
        (np.array([UPLOAD, UPLOAD, 2**64 - 1], np.uint64), ValueError, "actions[2] is 18446744073709551615"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_batch_refuses_everything_else_before_any_row_is_stepped(mode, actions, error, message: str) -> None:
    env = batch(autoreset_mode=mode)
    with pytest.raises(error, match=re.escape(message)):
        env.step(actions)
    assert [env.time_s(row) for row in range(3)] == [0.0] * 3
    assert env.step([UPLOAD] * 3)[1] == pytest.approx([-0.7] * 3)


@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
def test_actions_of_rows_that_have_ended_may_be_any_integer(mode) -> None:
    env = batch(autoreset_mode=mode)
    env.step([env.stop_action, UPLOAD, UPLOAD])
    rewards = env.step([-5, env.stop_action, env.stop_action])[1]
    assert rewards[0] == 0.0
    assert (rewards[1:] < 0).all()


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.array([True]), ValueError, "must have shape `(3,)`, got (1,)"),
        (np.array([True, True, False, False]), ValueError, "must have shape `(3,)`, got (4,)"),
        (np.array([[True, True, True]]), ValueError, "must have shape `(3,)`, got (1, 3)"),
        (np.array(True), ValueError, "must have shape `(3,)`, got ()"),
        (np.array([False] * 3), ValueError, "at least one True value, got reset_mask=[False False False]"),
        (np.array([1, 1, 0]), TypeError, "must have `dtype=np.bool_`, got int64"),
        (np.array([1.0, 1.0, 0.0]), TypeError, "must have `dtype=np.bool_`, got float64"),
        ([True, True, False], TypeError, "must be a numpy array, got <class 'list'>"),
        (None, TypeError, "must be a numpy array, got <class 'NoneType'>"),
    ],
    ids=repr,
)
def test_a_wrong_reset_mask_is_refused_and_begins_nothing(mask, error, message: str) -> None:
    env = batch(autoreset_mode="Disabled")
    env.step([UPLOAD] * 3)
    with pytest.raises(error, match=re.escape(message)) as caught:
        env.reset(options={"reset_mask": mask})
    assert str(caught.value).startswith("`options['reset_mask']` must ")
    assert [env.episode(row) for row in range(3)] == [1] * 3
    assert env.time_s(2) == 2.0


def test_a_reset_mask_begins_the_rows_it_names_and_keeps_the_others() -> None:
    env = MigrationVectorEnv(3, make_generator("multi-user"), autoreset_mode="Disabled")
    with pytest.raises(ValueError, match="leaves out row 2, which has no episode yet"):
        env.reset(options={"reset_mask": np.array([True, True, False])})
    first, _ = env.reset(seed=[0, 1, 2], options={"reset_mask": np.ones(3, np.bool_)})
    for _ in range(3):
        stepped = env.step(env.action_masks().argmax(axis=1))[0]
    options = {"reset_mask": np.array([True, True, False])}
    again, _ = env.reset(seed=[0, 1, 0], options=options)
    for name, array in again.items():
        np.testing.assert_array_equal(array[:2], first[name][:2])
        np.testing.assert_array_equal(array[2], stepped[name][2])
    assert list(options) == ["reset_mask"]  # the caller's dictionary is left alone
    assert env.np_random_seed == (0, 1, 2)


@pytest.mark.parametrize(
    "use",
    [
        lambda env: env.step(env.action_space.sample()),
        lambda env: env.render(),
        lambda env: env.scenario(),
        lambda env: env.known_scenario(),
        lambda env: env.plan(),
        lambda env: env.time_s(),
        lambda env: env.pending_layer(),
        lambda env: env.action_masks(),
    ],
)
@pytest.mark.parametrize("make", [lambda: MigrationEnv(TOY), lambda: MigrationVectorEnv(2, TOY)])
def test_nothing_can_be_asked_before_the_first_reset(make: Callable, use: Callable) -> None:
    with pytest.raises(ResetNeeded, match=r"call reset\(\) first"):
        use(make())


def test_a_step_after_the_end_earns_nothing_and_says_so() -> None:
    env = single()
    ending, reward, _, _, told = env.step(env.stop_action)
    assert reward < 0
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"step\(\) after the end of the episode does nothing"):
            observation, reward, terminated, truncated, info = env.step(UPLOAD)
        assert (reward, terminated, truncated) == (0.0, True, False)
        np.testing.assert_equal([observation, info], [ending, told])
    env.reset()
    assert env.step(UPLOAD)[1] < 0


def test_a_batch_whose_episodes_have_all_ended_says_so_if_it_does_not_begin_new_ones() -> None:
    env = batch(autoreset_mode="Disabled")
    ending = env.step([env.stop_action] * 3)
    with pytest.warns(UserWarning, match=r"all episodes have ended, so that step\(\) does nothing"):
        observation, rewards, terminated, _, infos = env.step([UPLOAD] * 3)
    assert (rewards == 0).all()
    assert terminated.all()
    np.testing.assert_equal([observation, infos], [ending[0], ending[4]])


@pytest.mark.parametrize(
    ("make", "arguments", "error", "message"),
    [
        (single, {"options": {"scenario": 5}}, TypeError, "options['scenario'] has a int where a Scenario belongs"),
        (single, {"options": {"scenarios": [SCENARIO]}}, ValueError, "unknown key 'scenarios'; known: 'scenario'"),
        (single, {"options": [1]}, TypeError, "options is [1]; give a dictionary"),
        (single, {"seed": 1.5}, TypeError, "seed is 1.5; give a whole number"),
        (single, {"seed": -1}, ValueError, "seed is -1; it must not be negative"),
        (batch, {"options": {"scenario": SCENARIO}}, ValueError, "unknown key 'scenario'; known: 'scenarios'"),
        (batch, {"options": {"scenarios": SCENARIO}}, TypeError, "give a list of scenarios"),
        (batch, {"options": {"scenarios": [SCENARIO] * 2}}, ValueError, "2 scenarios for 3 rows"),
        (batch, {"options": {"scenarios": [SCENARIO, SCENARIO, "x"]}}, TypeError, "has a str where a Scenario belongs"),
        (batch, {"seed": [1, 2]}, ValueError, "seed has 2 values for 3 rows"),
        (batch, {"seed": [1, 2, "x"]}, TypeError, "seed is 'x'"),
        (batch, {"seed": [1, -2, 3]}, ValueError, "seed is -2"),
        (batch, {"seed": "123"}, TypeError, "seed is '123'"),
        (batch, {"seed": 0.5}, TypeError, "seed is 0.5"),
    ],
)
def test_a_wrong_reset_is_refused_and_begins_nothing(make, arguments, error, message: str) -> None:
    env = make()
    seeds = env.np_random_seed
    with pytest.raises(error, match=re.escape(message)):
        env.reset(**arguments)
    assert env.episode() == 1
    assert env.np_random_seed == seeds


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (0, ValueError, "num_envs is 0; it must be at least 1"),
        (2.0, TypeError, "num_envs is 2.0; give a whole number"),
        ("3", TypeError, "num_envs is '3'"),
        (True, TypeError, "num_envs is True"),
    ],
)
def test_a_wrong_number_of_environments_is_refused(rows, error, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        gymnasium.make_vec("dnnmig/Toy-v0", num_envs=rows)
