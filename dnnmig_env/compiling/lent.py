"""Hands named tuples of arrays to compiled code as one address each.

Packed scenarios are a named tuple of dozens of arrays. Numba would hand each of its arrays on from function to
function, as nine numbers each: calls would take longer than the arithmetic, and so would compiling them. So Python
writes down where the arrays are and how long they are, once, in a table. Compiled code is given the table's address,
and looks an array up where it uses it. The code does not show it: `packed.memory_bytes` is the array, as in Python.

Compared with named tuples as Numba has them, environments take 1.5 times as many decisions per second, and compiling
them takes 0.6 of the time (`multi-user`, 64 rows, two cores, 28 November 2026).

Numba counts no references to such arrays. They live as long as their `Lent`, which its owner keeps during the call.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import typeof, types
from numba.core.datamodel import models
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate
from numba.extending import NativeValue, infer_getattr, register_model, typeof_impl, unbox
from numpy.typing import NDArray

from dnnmig_env.compiling.array_memory import kinds_of, table_of

_WORD = ir.IntType(64)
_NUMBERS = (int, float, np.float64)


class Lent:
    """A named tuple of arrays and numbers for compiled code, which sees the named tuple.

    Args:
        fields: The named tuple. What it holds must stay where it is, and each array must keep its shape.

    Raises:
        TypeError: If it holds something that is neither an array nor an integer or float.
    """

    __slots__ = ("_table", "address", "fields", "type")

    def __init__(self, fields: Any) -> None:
        kinds = kinds_of(fields)
        look = _look_of(fields, kinds)
        if look is None:
            odd = next(value for value in fields if not _can_be_field(value))
            raise TypeError(f"{type(fields).__name__} holds {odd!r}; only arrays, integers and floats can be lent.")
        self._table, self.fields, self.type = table_of(fields, kinds, look.size), fields, look.type
        for number, place in look.numbers:
            value = fields[number]
            self._table[place] = np.array(value).view(np.int64) if isinstance(value, float) else value
        self.address = int(self._table.ctypes.data)

    def __reduce__(self) -> tuple[type[Lent], tuple[Any]]:
        """Return how to make a copy: by lending a copy of the named tuple."""
        return Lent, (self.fields,)


class _Look(NamedTuple):
    """What named tuples have in common whose class is the same, and whose fields are of the same kinds.

    Attributes:
        type: Numba's type of their `Lent`.
        size: Length of their tables.
        numbers: Which fields are numbers, and where in the table these stand.
    """

    type: LentType
    size: int
    numbers: tuple[tuple[int, int], ...]


def _look_of(fields: Any, kinds: NDArray[np.int64]) -> _Look | None:
    """Return how a named tuple looks, None if it cannot be lent. As asking Numba takes 0.3 ms, answers are kept."""
    key = (type(fields), kinds.tobytes())
    if key not in _LOOKS:
        _LOOKS[key] = _look(fields) if all(map(_can_be_field, fields)) else None
    return _LOOKS[key]


def _look(fields: Any) -> _Look:
    kind = LentType(typeof(fields))  # type: ignore[no-untyped-call]
    numbers = tuple((k, kind.place(name)) for k, name in enumerate(fields._fields) if type(fields[k]) in _NUMBERS)
    return _Look(kind, sum(map(_num_words, kind.fields.values())), numbers)


_LOOKS: dict[tuple[type, bytes], _Look | None] = {}


def can_be_lent(value: Any) -> bool:
    """Return whether a value is a named tuple of nothing but arrays of numbers, integers and floats."""
    return isinstance(value, tuple) and hasattr(value, "_fields") and _look_of(value, kinds_of(value)) is not None


def _can_be_field(value: Any) -> bool:
    return value.dtype.kind in "biufc" if type(value) is np.ndarray else type(value) in _NUMBERS


def lent(argument: Any) -> Any:
    """Return what to hand to compiled code in place of an argument: a `Lent` if it can be lent, else itself."""
    return Lent(argument) if can_be_lent(argument) else argument


class LentType(types.Type):
    """Numba's type of a `Lent`.

    Args:
        fields: Numba's type of the named tuple.

    Attributes:
        fields: Numba's type of each field, by name.
    """

    def __init__(self, fields: Any) -> None:
        self.fields = dict(zip(fields.fields, fields.types, strict=True))
        # The names of machine code hold those of the arguments' types. With sixty types in one name, they take seconds.
        digest = hashlib.sha256(fields.name.encode()).hexdigest()[:12]
        super().__init__(name=f"{fields.instance_class.__name__}.{digest}")

    def place(self, name: str) -> int:
        """Return where the numbers about a field begin in the table."""
        place = 0
        for other, kind in self.fields.items():
            if other == name:
                break
            place += _num_words(kind)
        return place


def _num_words(kind: types.Type) -> int:
    """Return how many numbers of the table are about a field: address, shape, and strides unless they follow."""
    if not isinstance(kind, types.Array):
        return 1
    return 1 + kind.ndim * (1 if kind.layout == "C" else 2)


register_model(LentType)(models.OpaqueModel)


@typeof_impl.register(Lent)
def _typeof(value: Lent, _context: Any) -> LentType:
    return value.type


@unbox(LentType)  # type: ignore[no-untyped-call, untyped-decorator]
def _unbox(_kind: LentType, value: Any, context: Any) -> NativeValue:
    number = context.pyapi.object_getattr_string(value, "address")
    address = context.pyapi.long_as_voidptr(number)
    context.pyapi.decref(number)
    return NativeValue(address)  # type: ignore[no-untyped-call]


@infer_getattr
class _Fields(AttributeTemplate):
    key = LentType

    def generic_resolve(self, kind: LentType, name: str) -> Any:  # type: ignore[override]
        return kind.fields.get(name)


@lower_getattr_generic(LentType)  # type: ignore[no-untyped-call, untyped-decorator]
def _look_up(context: Any, builder: Any, kind: LentType, value: Any, name: str) -> Any:
    field, place = kind.fields[name], kind.place(name)
    table = builder.bitcast(value, _WORD.as_pointer())

    def word(index: int) -> Any:
        loaded = builder.load(builder.gep(table, [ir.Constant(_WORD, place + index)]))
        loaded.set_metadata("invariant.load", builder.module.add_metadata([]))  # so that loops need not load it again
        return loaded

    if not isinstance(field, types.Array):
        return builder.bitcast(word(0), context.get_value_type(field))
    shape = [word(1 + axis) for axis in range(field.ndim)]
    item_bytes = ir.Constant(_WORD, context.get_abi_sizeof(context.get_data_type(field.dtype)))
    strides: list[Any] = []
    size_bytes = item_bytes
    for length in reversed(shape):
        strides.insert(0, size_bytes)
        size_bytes = builder.mul(size_bytes, length)
    if field.layout != "C":
        strides = [word(1 + field.ndim + axis) for axis in range(field.ndim)]
    array = context.make_array(field)(context, builder)
    address = builder.inttoptr(word(0), array.data.type)
    context.populate_array(array, data=address, shape=shape, strides=strides, itemsize=item_bytes, meminfo=None)
    return array._getvalue()
