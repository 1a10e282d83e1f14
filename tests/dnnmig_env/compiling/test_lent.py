"""Compiled code reads and writes named tuples of arrays by one address, wherever and however the arrays lie."""

from __future__ import annotations

import copy
import pickle
from typing import Any, NamedTuple

import numpy as np
import pytest

from dnnmig_env.arrays import Bools, Float32s, Floats, Int8s, Ints
from dnnmig_env.compiling import lent as module
from dnnmig_env.compiling.jit import jit, jit_nogil, jit_without_refcounts
from dnnmig_env.compiling.lent import Lent, can_be_lent, lent


class Mixed(NamedTuple):
    few: Int8s  # (3,)
    step: float
    table: Floats  # (2, 3)
    count: int
    cube: Float32s  # (2, 3, 4)
    flags: Bools  # (3,)
    places: Ints  # (2, 2)


class Few(NamedTuple):
    first: Floats
    second: Floats


class Others(NamedTuple):
    second: Floats
    first: Floats


class Switch(NamedTuple):
    on: bool
    values: Floats


def mixed() -> Mixed:
    cube = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    flags, places = np.array([True, False, True]), np.array([[5, 6], [7, 8]])
    return Mixed(np.array([-1, 2, 3], np.int8), 0.25, np.arange(6.0).reshape(2, 3), 40, cube, flags, places)


def strided() -> Mixed:
    """The same values, in arrays of which every one but the first is part of a larger one or turned round."""
    plain = mixed()
    table, cube = np.full((4, 6), -9.0), np.full((2, 4, 3), -9.0, np.float32)
    table[::2, ::2], cube[:] = plain.table, plain.cube.transpose(0, 2, 1)
    wide = np.zeros(6, np.bool_)
    wide[::2] = plain.flags
    return Mixed(
        plain.few,
        plain.step,
        table[::2, ::2],
        plain.count,
        cube.transpose(0, 2, 1),
        wide[::2],
        plain.places[::-1][::-1],
    )


@jit_without_refcounts
def _inner(numbers: Mixed, i: int, j: int) -> float:
    return numbers.table[i, j] * numbers.step + numbers.few[j] + numbers.cube[i, j, 3]


@jit
def read(numbers: Mixed, i: int, j: int) -> float:
    """Return a number that depends on every field."""
    row = numbers.cube[i].sum() + numbers.places[1, 0] * 1000.0 + len(numbers.flags) + numbers.flags.sum()
    return _inner(numbers, i, j) + row + numbers.count + numbers.places.shape[0] * 10_000.0


@jit_nogil
def write(numbers: Mixed) -> None:
    """Write every array."""
    for j in range(numbers.few.shape[0]):
        numbers.few[j] += 1
        numbers.flags[j] = not numbers.flags[j]
        for i in range(numbers.table.shape[0]):
            numbers.table[i, j] *= 2.0
            for k in range(numbers.cube.shape[2]):
                numbers.cube[i, j, k] += numbers.places[i, 1]


@jit
def chosen(switch: Switch) -> float:
    """Return the first value if the switch is on, else the last."""
    return switch.values[0] if switch.on else switch.values[-1]


@pytest.mark.parametrize("make", [mixed, strided])
def test_compiled_code_reads_what_python_reads(make: Any) -> None:
    numbers = make()
    for i in range(2):
        for j in range(3):
            by_hand = numbers.table[i, j] * 0.25 + int(numbers.few[j]) + float(numbers.cube[i, j, 3])
            by_hand += float(numbers.cube[i].sum()) + 7000.0 + 3 + 2 + 40 + 20_000.0
            assert read(numbers, i, j) == by_hand


@pytest.mark.parametrize("make", [mixed, strided])
def test_compiled_code_writes_into_the_arrays(make: Any) -> None:
    numbers, before = make(), mixed()
    write(numbers)
    assert numbers.few.tolist() == [0, 3, 4]
    assert numbers.flags.tolist() == [False, True, False]
    assert np.array_equal(numbers.table, 2.0 * before.table)
    assert np.array_equal(numbers.cube, before.cube + np.array([6.0, 8.0])[:, None, None])
    assert np.array_equal(numbers.places, before.places)
    if make is strided:
        assert numbers.table.base is not None
        assert (numbers.table.base[1::2] == -9.0).all()


def test_one_that_was_lent_already_shows_what_is_written_later() -> None:
    numbers = mixed()
    given = Lent(numbers)
    first = read.called_from_python(given, 0, 0)  # type: ignore[attr-defined]
    numbers.table[0, 0] += 4.0
    assert read.called_from_python(given, 0, 0) == first + 1.0  # type: ignore[attr-defined]


def test_copies_have_memory_of_their_own_and_share_it_with_a_copied_owner() -> None:
    numbers = mixed()
    owner = {"numbers": numbers, "given": Lent(numbers)}
    for duplicate in (copy.deepcopy(owner), pickle.loads(pickle.dumps(owner))):
        assert duplicate["given"].fields is duplicate["numbers"]
        write(duplicate["given"])
        assert duplicate["numbers"].few.tolist() == [0, 3, 4]
    assert numbers.few.tolist() == [-1, 2, 3]


def test_types_tell_element_types_layouts_and_tuples_apart() -> None:
    numbers = mixed()
    kinds = [Lent(each).type for each in (numbers, mixed(), strided(), numbers._replace(few=numbers.few.astype(int)))]
    assert kinds[0] == kinds[1]
    assert len({kind.name for kind in kinds}) == 3
    fixed = mixed()
    fixed.few.flags.writeable = False
    assert Lent(fixed).type != kinds[0]


def test_what_looks_alike_is_of_one_type_however_it_came_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = mixed()
    expected = Lent(numbers).type
    other_object = np.dtype(np.float64, copy=True)
    assert other_object is not numbers.table.dtype
    again = pickle.loads(pickle.dumps(numbers))._replace(table=numbers.table.astype(other_object))
    with monkeypatch.context() as patched:
        patched.delattr(module, "typeof")  # Numba is not asked again
        assert Lent(again).type is expected
    assert read(again, 1, 2) == read(numbers, 1, 2)
    flat = numbers._replace(few=np.array(3, np.int8), places=np.zeros((0, 2), np.int64))
    assert Lent(flat).type != Lent(numbers).type
    for other in (numbers._replace(count=1.0), numbers._replace(flags=numbers.flags.astype(np.int8))):
        assert Lent(other).type != Lent(numbers).type


@jit
def first_of(pair: Few | Others) -> float:
    return pair.first[0]


def test_named_tuples_of_other_names_are_told_apart() -> None:
    one, two = np.array([1.0]), np.array([2.0])
    assert first_of(Few(one, two)) == 1.0
    assert first_of(Others(one, two)) == 2.0


def test_arrays_of_every_layout_are_told_apart() -> None:
    numbers, wide = mixed(), np.zeros((2, 6))
    wide[:, ::2] = numbers.table
    odd = np.zeros(49, np.int8)[1:].view(np.float64).reshape(2, 3)  # at an address between those of numbers
    odd[:] = numbers.table
    tables = [numbers.table, np.asfortranarray(numbers.table), wide[:, ::2], odd]
    assert len({Lent(numbers._replace(table=table)).type for table in tables[:3]}) == 3
    assert [read(numbers._replace(table=table), 1, 2) for table in tables] == [read(numbers, 1, 2)] * 4


def test_numbers_of_numpy_are_numbers() -> None:
    numbers = mixed()._replace(step=np.float64(0.5), count=-3)
    assert can_be_lent(numbers)
    assert read(numbers, 0, 1) == pytest.approx(read(mixed(), 0, 1) + 0.25 * numbers.table[0, 1] - 43)


def test_what_holds_anything_else_stays_a_named_tuple() -> None:
    for odd in (np.array(["a"]), np.zeros(2).view(np.recarray), np.zeros(2, "M8[s]"), np.float32(1.0)):
        assert not can_be_lent(mixed()._replace(few=odd))  # type: ignore[arg-type]
    switch = Switch(False, np.array([1.0, 2.0]))
    assert not can_be_lent(switch)
    assert lent(switch) is switch
    assert chosen(switch) == 2.0
    assert not can_be_lent((np.zeros(2),))
    assert lent(3.0) == 3.0
    with pytest.raises(TypeError, match="Switch holds False; only arrays, integers and floats can be lent"):
        Lent(switch)


@jit
def _total(numbers: Mixed) -> float:
    return numbers.table.sum()


def test_arrays_without_elements_can_be_lent() -> None:
    assert _total(mixed()._replace(table=np.zeros((0, 3)))) == 0.0
