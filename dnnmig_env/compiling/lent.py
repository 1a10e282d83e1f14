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

import ctypes
import hashlib
from typing import Any

import numpy as np
from llvmlite import ir
from numba import typeof, types
from numba.core.datamodel import models
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate
from numba.extending import NativeValue, infer_getattr, register_model, typeof_impl, unbox

_WORD = ir.IntType(64)

_pointer_in = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_in.argtypes, _pointer_in.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p


class _ArrayInterface(ctypes.Structure):
    """The C side of NumPy's array interface protocol. It is read in half the time of `__array_interface__`."""

    _fields_ = (
        ("two", ctypes.c_int),
        ("num_dims", ctypes.c_int),
        ("kind", ctypes.c_char),
        ("item_bytes", ctypes.c_int),
        ("flags", ctypes.c_int),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
    )


def _address(array: np.ndarray[Any, Any]) -> int:
    """Return the address of an array's first element."""
    capsule = array.__array_struct__  # owns what it points to
    return int(_ArrayInterface.from_address(_pointer_in(capsule, None)).data or 0)


class Lent:
    """A named tuple of arrays and numbers for compiled code, which sees the named tuple.

    Args:
        fields: The named tuple. What it holds must stay where it is, and each array must keep its shape.

    Raises:
        TypeError: If it holds something that is neither an array nor an integer or float.
    """

    __slots__ = ("_table", "address", "fields", "type")

    def __init__(self, fields: Any) -> None:
        table: list[Any] = []
        looks: list[Any] = [type(fields)]
        for value in fields:
            if isinstance(value, np.ndarray):
                flags = value.flags
                looks += (value.dtype, value.ndim, flags.num)
                table.append(_address(value))
                table += value.shape if flags.c_contiguous else (*value.shape, *value.strides)
            elif _is_number(value):
                looks.append(type(value))
                table.append(np.array(value).view(np.int64) if isinstance(value, float) else value)
            else:
                name = type(fields).__name__
                raise TypeError(f"{name} holds {value!r}; only arrays, integers and floats can be lent.")
        self._table, self.fields, self.type = np.array(table, np.int64), fields, _type_of(fields, tuple(looks))
        self.address = int(self._table.ctypes.data)

    def __reduce__(self) -> tuple[type[Lent], tuple[Any]]:
        """Return how to make a copy: by lending a copy of the named tuple."""
        return Lent, (self.fields,)


def _type_of(fields: Any, looks: tuple[Any, ...]) -> LentType:
    """Return Numba's type of a `Lent`. Asking Numba takes 0.3 ms, so its answer is kept for tuples that look alike."""
    found = _TYPES.get(looks)
    if found is None:
        found = _TYPES[looks] = LentType(typeof(fields))  # type: ignore[no-untyped-call]
    return found


_TYPES: dict[tuple[Any, ...], LentType] = {}


def can_be_lent(value: Any) -> bool:
    """Return whether a value is a named tuple of nothing but arrays, integers and floats."""
    if not (isinstance(value, tuple) and hasattr(value, "_fields")):
        return False
    return all(isinstance(field, np.ndarray) or _is_number(field) for field in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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
