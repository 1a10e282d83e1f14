"""How this package compiles numeric functions, and where their machine code is kept between runs.

Numba's cache notices a change of a function's own file only, not of the functions compiled into it. The cache folder is
therefore named after a digest of every source file that compiles anything, so that no stale code is ever run.
`NUMBA_CACHE_DIR` overrides the folder. The cache tells functions apart by name: never compile one function both ways.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function for one core; division by zero gives inf or nan, as in NumPy."""
    result: Function = njit(cache=True, error_model="numpy")(function)
    return result


def compiled_parallel(function: Function) -> Function:
    """Compile a function whose `numba.prange` loops run on all cores."""
    result: Function = njit(cache=True, error_model="numpy", parallel=True)(function)
    return result


def inlined(function: Function) -> Function:
    """Compile a small function into its callers, where handing it a whole problem would cost more than its work."""
    result: Function = njit(cache=True, error_model="numpy", inline="always")(function)
    return result


def _cache_folder() -> Path:
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256(numba.__version__.encode())
    for package in ("dnnmig_env", "agents"):
        for source in sorted((root / package).rglob("*.py")):
            text = source.read_bytes()
            if b"dnnmig_env.compiled" in text:
                digest.update(text)
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        caches.mkdir(parents=True, exist_ok=True)
        writable = os.access(caches, os.W_OK)
    except OSError:
        writable = False
    parent = caches if writable else Path(tempfile.gettempdir())
    return parent / "dnnmig" / f"kernels-{digest.hexdigest()[:16]}"


if not numba.config.CACHE_DIR:
    numba.config.CACHE_DIR = str(_cache_folder())
