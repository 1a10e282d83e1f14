"""The decorators by which this project compiles numeric functions with Numba.

`dnnmig_env.compiling.cache` keeps the machine code for the next start of Python. The cache tells the functions of a
module apart by their names alone, so the same function must never be compiled by two of these decorators.

Nearly all functions are called by compiled functions alone. Such inner functions are compiled only as far as their
callers need it (`dnnmig_env.compiling.inner`), and once more, as an outer function, when Python calls them for the
first time. Named tuples of arrays reach compiled code as one address each (`dnnmig_env.compiling.lent`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numba.core.registry import CPUDispatcher

from dnnmig_env.compiling.cache import keep_compiled
from dnnmig_env.compiling.inner import InnerCompiler
from dnnmig_env.compiling.lent import lent

Function = TypeVar("Function", bound=Callable[..., Any])


def jit(function: Function) -> Function:
    """Compile a function for one core; division by zero gives inf or nan, as in NumPy."""
    return _compile(function)


def jit_without_refcounts(function: Function) -> Function:
    """Compile a function for one core without counting references to arrays.

    The function must make no arrays and assign no slices; it uses `fill` and `copy` for the latter. By default Numba
    counts the references of every array at every call. Counting them, and compiling the counting, takes longer than the
    arithmetic, and a function that makes no array needs none of it.
    """
    return _compile(function, _nrt=False)


def jit_nogil(function: Function) -> Function:
    """Compile a loop for `share_rows`: as by `jit_without_refcounts`, but as an outer function from the start.

    Only Python calls such a loop. Its iterations are independent of each other, so threads may share them; other
    threads run beside it, as beside every function that Python calls. `numba.prange` would take far longer to compile,
    and its threads end a forked child.
    """
    options: dict[str, Any] = {"error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False, "nogil": True}
    result: Any = njit(**options)(function)
    result.__class__ = _Loop
    keep_compiled(result, function)
    return cast(Function, result)


def jit_inlined(function: Function) -> Function:
    """Compile a function into its callers.

    It takes longer to compile, once for each caller. It is for what is called for every layer of every query, and for
    what returns a view of an array, which functions without reference counts cannot.
    """
    return _compile(function, inline="always")


class _Kernel(CPUDispatcher):
    """A function that is compiled as an inner one for compiled callers, and as an outer one when Python calls it."""

    options: Mapping[str, Any]

    def __call__(self, *arguments: Any) -> Any:
        """Call the function from Python."""
        return self.called_from_python(*map(lent, arguments))

    @cached_property
    def called_from_python(self) -> Any:
        """The function as an outer one, beside which other Python threads run."""
        result: Any = njit(nogil=True, **self.options)(self.py_func)
        keep_compiled(result, self.py_func, "called_from_python")
        return result


def _compile(function: Function, **options: Any) -> Function:
    options = {"error_model": "numpy", "no_cfunc_wrapper": True, **options}
    result: Any = njit(pipeline_class=InnerCompiler, **{"no_cpython_wrapper": True, **options})(function)
    result.__class__, result.options = _Kernel, options
    keep_compiled(result, function)
    return cast(Function, result)


class _Loop(CPUDispatcher):
    """An outer function from the start."""

    def __call__(self, *arguments: Any) -> Any:
        """Call the function from Python."""
        return super().__call__(*map(lent, arguments))


@jit_without_refcounts
def fill(array: Any, value: Any) -> None:
    """Set every element of an array, in a function compiled with `jit_without_refcounts`."""
    for index in np.ndindex(array.shape):
        array[index] = value


@jit_without_refcounts
def copy(target: Any, source: Any) -> None:
    """Copy an array into another of the same shape, in a function compiled with `jit_without_refcounts`."""
    for index in np.ndindex(target.shape):
        target[index] = source[index]
