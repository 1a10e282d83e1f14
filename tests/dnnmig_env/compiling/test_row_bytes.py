"""Scenarios keep every bit on their way into the rows of a batch."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from dnnmig_env.compiling.row_bytes import byte_views, joined_bytes, put_rows
from dnnmig_env.envs.batch import EpisodeBatch
from dnnmig_env.families.registry import FAMILIES, make_generator
from dnnmig_env.simulation.packed import empty_packed


@pytest.mark.parametrize("family", FAMILIES)
def test_chosen_scenarios_are_put_into_chosen_rows_and_nothing_else_changes(family: str) -> None:
    generator = make_generator(family)
    packed = generator.draw(np.random.default_rng(0), 4).packed
    into = empty_packed(5, generator.limits)
    for array in into:
        array.view(np.uint8).fill(7)
    before = copy.deepcopy(into)
    put_rows(byte_views(into), np.array([3, 1]), joined_bytes(packed), np.array([0, 2]))
    for name in packed._fields:
        found, given = getattr(into, name), getattr(packed, name)
        np.testing.assert_array_equal(found[[3, 1]], given[[0, 2]])
        assert found[[0, 2, 4]].tobytes() == getattr(before, name)[[0, 2, 4]].tobytes()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda batch: pickle.loads(pickle.dumps(batch))])
def test_a_copy_of_a_batch_begins_episodes_in_its_own_memory(duplicate: object) -> None:
    batch = EpisodeBatch(3, make_generator("single"))
    for row in range(3):
        batch.seed(row, row)
    batch.start(range(3))
    twin = duplicate(batch)  # type: ignore[operator]
    before = copy.deepcopy(batch.packed)
    twin.start([1])
    for mine, then in zip(batch.packed, before, strict=True):
        assert mine.tobytes() == then.tobytes()
    batch.start([1])
    for mine, its in zip(batch.packed, twin.packed, strict=True):
        assert mine.tobytes() == its.tobytes()
    assert any(mine.tobytes() != then.tobytes() for mine, then in zip(batch.packed, before, strict=True))


def test_actions_may_lie_anywhere_in_memory() -> None:
    batches = [EpisodeBatch(4, make_generator("toy")) for _ in range(2)]
    for batch in batches:
        for row in range(4):
            batch.seed(row, row)
        batch.start(range(4))
        batch.step(batch.outputs.mask.argmax(axis=1), np.ones(4, np.bool_))
    legal = batches[0].outputs.mask.argmax(axis=1)
    legal[1] = batches[0].actions.stop
    apart, active = np.full((4, 3), batches[0].actions.size, np.int32), np.zeros((4, 2), np.bool_)
    apart[:, 1], active[:, 0] = legal, [True, True, False, True]
    batches[0].step(legal, np.ascontiguousarray(active[:, 0]))
    batches[1].step(apart[:, 1], active[:, 0])
    for one, other in zip(batches[0].state, batches[1].state, strict=True):
        np.testing.assert_array_equal(one, other)
