"""Reads of what kind the elements of a tuple are, and where its arrays lie, from the objects of CPython and NumPy.

Python would ask each array for its address, its shape and its kind: a microsecond each, for dozens of arrays. Compiled
code finds all of that in the arrays' own memory, in a few microseconds for the whole tuple. It is laid out as NumPy's C
interface says ("Python types and C-structures", `PyArrayObject`), behind the header that every Python object has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from dnnmig_env.compiling.cache import keep_compiled

KINDS = 3
"""Numbers that tell of what kind an element is: the address of its type, 0 and 0; or of an array, of what type its
elements are (their letter, byte order and number in NumPy), one more than its number of axes, and its flags."""

_FIRST_ELEMENT, _HEADER = tuple.__basicsize__, object.__basicsize__
_TYPE = _HEADER - 8
"""Where an object's type stands. Counts of references stand before it."""
_DATA, _NUM_AXES, _SHAPE, _STRIDES, _DTYPE, _FLAGS = (_HEADER + 8 * place for place in (0, 1, 2, 3, 5, 6))
_LETTER_AND_NUMBER = _HEADER + 8
"""Where a `dtype` has them. Two objects may stand for the same type, so their addresses would not do."""

_LOW_HALF = 0xFFFFFFFF
"""Numbers of axes and flags are of 32 bits, and what follows them in memory means nothing."""
_CONTIGUOUS = 0x1
_FLAGS_OF_TYPES = _CONTIGUOUS | 0x2 | 0x400
"""Flags by which Numba's types differ: contiguous as in C or in Fortran, writeable."""


@intrinsic
def _word_at(_context: Any, _address: Any) -> Any:
    """Return the number of 64 bits at an address."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()))

    return types.int64(types.int64), generate


_word: Any = _word_at


def _read_kinds(elements: int, array_type: int, kinds: NDArray[np.int64]) -> None:
    """Write of what kind each element is.

    Args:
        elements: Address of the tuple.
        array_type: Address of the type of arrays, `numpy.ndarray`.
        kinds: Where to write it, shape (number of elements, KINDS).
    """
    for k in range(kinds.shape[0]):
        element = _word(elements + _FIRST_ELEMENT + 8 * k)
        kinds[k, 0] = _word(element + _TYPE)
        kinds[k, 1] = kinds[k, 2] = 0
        if kinds[k, 0] == array_type:
            kinds[k, 0] = _word(_word(element + _DTYPE) + _LETTER_AND_NUMBER)
            kinds[k, 1] = 1 + (_word(element + _NUM_AXES) & _LOW_HALF)
            kinds[k, 2] = _word(element + _FLAGS) & _FLAGS_OF_TYPES


def _read_places(elements: int, kinds: NDArray[np.int64], table: NDArray[np.int64]) -> None:
    """Write the address of each array's first element, its shape, and its strides unless they follow from the shape.

    Args:
        elements: Address of the tuple.
        kinds: Of what kind the elements are, shape (number of elements, KINDS).
        table: Where to write it, one element after the other; one number is left out for what is no array.
    """
    at = 0
    for k in range(kinds.shape[0]):
        num_axes = kinds[k, 1] - 1
        if num_axes >= 0:
            array = _word(elements + _FIRST_ELEMENT + 8 * k)
            table[at] = _word(array + _DATA)
            shape, strides = _word(array + _SHAPE), _word(array + _STRIDES)
            for axis in range(num_axes):
                table[at + 1 + axis] = _word(shape + 8 * axis)
            if not kinds[k, 2] & _CONTIGUOUS:
                for axis in range(num_axes):
                    table[at + 1 + num_axes + axis] = _word(strides + 8 * axis)
                at += num_axes
            at += num_axes
        at += 1


def _compiled(function: Any) -> Any:
    """Compile a function that Python calls. The decorators of `dnnmig_env.compiling.jit` themselves need these two."""
    options: dict[str, Any] = {"no_cfunc_wrapper": True}
    result: Any = njit(**options)(function)
    keep_compiled(result, function)
    return result


_kinds, _places = _compiled(_read_kinds), _compiled(_read_places)


def kinds_of(elements: tuple[Any, ...]) -> NDArray[np.int64]:
    """Return of what kind the elements of a tuple are, shape (number of elements, KINDS)."""
    kinds = np.empty((tuple.__len__(elements), KINDS), np.int64)
    _kinds(id(elements), id(np.ndarray), kinds)
    return kinds


def table_of(elements: tuple[Any, ...], kinds: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return where the arrays of a tuple lie, as compiled code looks them up; see `_read_places`.

    Args:
        elements: The tuple.
        kinds: Of what kind its elements are.
        size: Length of the table.
    """
    table = np.empty(size, np.int64)
    _places(id(elements), kinds, table)
    return table
