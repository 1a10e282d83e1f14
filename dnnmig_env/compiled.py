"""How this package compiles numeric functions, and where their machine code is kept between runs.

Numba's cache notices a change of a function's own file only, not of the functions compiled into it. A module's cache
folder is therefore named after a digest of its source and of all it imports from this project, so that no stale code is
ever run. `NUMBA_CACHE_DIR` overrides the place. The cache tells functions apart by name: never compile one both ways.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# Idle threads of the pool must sleep: GNU OpenMP's would otherwise keep a core busy between two short calls.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ROOT = Path(__file__).resolve().parent.parent
IMPORTED = re.compile(r"^from ((?:dnnmig_env|agents)[.\w]*) import", re.MULTILINE)

Function = TypeVar("Function", bound=Callable[..., Any])
Arrays = TypeVar("Arrays")


def compiled(function: Function) -> Function:
    """Compile a function for one core; division by zero gives inf or nan, as in NumPy."""
    return _compile(function)


def uncounted(function: Function) -> Function:
    """Compile a function for one core that makes no arrays and assigns no slices (see `fill` and `copy`).

    Numba counts references of every array at every call, even of those that a named tuple only carries along. Twice the
    time of the arithmetic went into that, and into compiling it. A function that makes no array needs no counting.
    """
    return _compile(function, _nrt=False)


def shared(function: Function) -> Function:
    """Compile a loop for `share_rows`: as `uncounted`, and other threads of Python run meanwhile.

    Compiling a loop over rows that carries a dozen named tuples takes a second this way, with `numba.prange` a minute.
    """
    return _compile(function, _nrt=False, nogil=True)


def compiled_parallel(function: Function) -> Function:
    """Compile a function whose `numba.prange` loops run on all cores."""
    return _compile(function, parallel=True)


def inlined(function: Function) -> Function:
    """Compile a small function into its callers, where handing it a whole problem would cost more than its work."""
    return _compile(function, inline="always")


def _lend(typing_context: Any, arrays: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        result = args[0]
        for index, kind in enumerate(signature.args[0].types):
            if isinstance(kind, types.Array):
                array = context.make_array(kind)(context, builder, builder.extract_value(result, index))
                array.meminfo = ir.Constant(array.meminfo.type, None)
                result = builder.insert_value(result, array._getvalue(), index)
        return result

    return arrays(arrays), lower


if TYPE_CHECKING:

    def borrowed(arrays: Arrays) -> Arrays:
        """Return a named tuple of arrays without reference counts, for compiled code only.

        Counting references of some twenty arrays at every call would take longer than the arithmetic, and two threads
        doing so fight over the same memory. The caller of the compiled function keeps the arrays alive.
        """
        return arrays

else:
    borrowed = intrinsic(_lend)


def _compile(function: Function, **options: Any) -> Function:
    settings: Any = numba.config  # read when the function is wrapped
    given = settings.CACHE_DIR
    settings.CACHE_DIR = given or str(_caches() / f"kernels-{_digest(Path(function.__code__.co_filename))}")
    try:
        result: Any = njit(cache=True, error_model="numpy", **options)(function)
    finally:
        settings.CACHE_DIR = given
    return cast(Function, result)


@functools.cache
def _caches() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        home.mkdir(parents=True, exist_ok=True)
        writable = os.access(home, os.W_OK)
    except OSError:
        writable = False
    return (home if writable else Path(tempfile.gettempdir())) / "dnnmig"


@functools.cache
def _digest(source: Path) -> str:
    """Return a digest of a module's source and of everything it imports from this project."""
    found, queue = {Path(__file__)}, [source]
    while queue:
        path = queue.pop()
        if path not in found and path.is_file():
            found.add(path)
            queue += [ROOT / f"{name.replace('.', '/')}.py" for name in IMPORTED.findall(path.read_text("utf-8"))]
    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    for path in sorted(found):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@inlined
def fill(array: Any, value: Any) -> None:
    """Set every element of an array, in a function compiled with `uncounted`."""
    for index in np.ndindex(array.shape):
        array[index] = value


@inlined
def copy(target: Any, source: Any) -> None:
    """Copy an array into another of the same shape, in a function compiled with `uncounted`."""
    for index in np.ndindex(target.shape):
        target[index] = source[index]
