"""`np_random` and `np_random_seed` mean what Gymnasium says: runs repeat, and a generator that is set counts."""

import copy
import pickle

import numpy as np
import pytest

from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator

GENERATOR = make_generator("edge-cloud", max_layers=4)


def horizons_s(env, count: int = 5, **first) -> list[float]:
    """Return the horizons of the next scenarios, which no two of them share."""
    found = []
    for _ in range(count):
        env.reset(**first)
        first = {}
        found.append(env.scenario().horizon_s)
    return found


def test_the_reported_seed_repeats_a_run_that_was_not_seeded() -> None:
    env = MigrationEnv(GENERATOR)
    played = horizons_s(env)
    assert env.np_random_seed >= 0
    assert horizons_s(MigrationEnv(GENERATOR), seed=env.np_random_seed) == played
    assert horizons_s(MigrationEnv(GENERATOR)) != played


def test_a_seed_stays_until_another_is_given() -> None:
    env = MigrationEnv(GENERATOR)
    played = horizons_s(env, seed=7)
    assert env.np_random_seed == 7
    assert len(set(played)) == 5
    assert horizons_s(env, seed=np.int32(7)) == played
    assert horizons_s(env) != played


def test_a_generator_that_is_set_is_drawn_from_at_the_next_reset() -> None:
    env = MigrationEnv(GENERATOR)
    by_seed = horizons_s(env, seed=3)
    horizons_s(env, seed=8, count=1)
    env.np_random = np.random.default_rng(3)
    assert env.np_random_seed == -1
    assert horizons_s(env) == by_seed


@pytest.mark.parametrize("again", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("make", [MigrationEnv, lambda generator: MigrationVectorEnv(2, generator)])
def test_copies_go_on_alike(again, make) -> None:
    env = make(GENERATOR)
    horizons_s(env, seed=1, count=3)
    other = again(env)
    assert horizons_s(other, count=20) == horizons_s(env, count=20)


def test_rows_report_their_seeds() -> None:
    env = MigrationVectorEnv(3, GENERATOR)
    assert len(set(env.np_random_seed)) == 3
    unseeded = env.np_random_seed
    env.reset()
    assert env.np_random_seed == unseeded
    assert horizons_s(MigrationEnv(GENERATOR), count=1, seed=unseeded[2]) == [env.scenario(2).horizon_s]
    env.reset(seed=42)
    assert env.np_random_seed == (42, 43, 44)
    env.reset()
    assert env.np_random_seed == (42, 43, 44)
    env.reset(seed=[5, None, np.int64(6)])
    assert env.np_random_seed == (5, 43, 6)
    env.reset(seed=np.array([1, 2, 3]))
    assert env.np_random_seed == (1, 2, 3)


def test_generators_of_rows_can_be_set() -> None:
    env = MigrationVectorEnv(2, GENERATOR)
    env.np_random = [np.random.default_rng(3), np.random.default_rng(9)]
    assert env.np_random_seed == (-1, -1)
    env.reset()
    assert [env.scenario(row).horizon_s for row in (0, 1)] == [
        horizons_s(MigrationEnv(GENERATOR), 1, seed=seed)[0] for seed in (3, 9)
    ]
    with pytest.raises(ValueError, match="np_random must be 2 generators, one per row"):
        env.np_random = np.random.default_rng(0)
