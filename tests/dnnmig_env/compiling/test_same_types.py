"""Compiled functions that are called with the same types give what they give otherwise."""

from __future__ import annotations

import copy
import pickle
from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.compiling.jit import jit_nogil, jit_without_refcounts
from dnnmig_env.compiling.lent import Lent
from dnnmig_env.compiling.same_types import SameTypes


class Two(NamedTuple):
    first: Floats
    second: Floats


@jit_without_refcounts
def add(two: Two, amount: float) -> None:
    for k in range(len(two.first)):
        two.first[k] += amount * two.second[k]


@jit_nogil
def add_between(begin: int, end: int, two: Two) -> None:
    for k in range(begin, end):
        two.first[k] += two.second[k]


def two() -> Two:
    return Two(np.zeros(3), np.array([1.0, 2.0, 3.0]))


def test_functions_are_called_with_the_arguments_of_each_call() -> None:
    compiled, one, other = SameTypes(), two(), two()
    compiled.call(add, Lent(one), 2.0)
    compiled.call(add, Lent(other), 3.0)
    compiled.code(add_between, 0, 3, Lent(one))(1, 2, Lent(other))
    assert one.first.tolist() == [2.0, 4.0, 6.0]
    assert other.first.tolist() == [3.0, 8.0, 9.0]
    compiled.share_rows(add_between, 3, Lent(one))
    assert one.first.tolist() == [3.0, 6.0, 9.0]


def test_types_are_looked_at_once_and_anew_by_a_copy() -> None:
    compiled = SameTypes()
    first = compiled.code(add, two(), 1.0)
    assert compiled.code(add, two(), 1.0) is first
    assert compiled.code(add) is first
    for duplicate in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
        narrow = Two(np.zeros(2, np.float32), np.ones(2, np.float32))
        duplicate.call(add, narrow, 1.0)
        assert narrow.first.tolist() == [1.0, 1.0]
