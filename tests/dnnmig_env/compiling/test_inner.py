"""Functions that only compiled functions call: stored without machine code, and as good as others for their callers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from numba import types

from dnnmig_env.compiling.inner import InnerLibrary, library_of
from dnnmig_env.compiling.jit import jit, jit_without_refcounts

SOURCES = Path(__file__).resolve().parents[3]

SHOUTING = """
from dnnmig_env.compiling.jit import jit

@jit
def shout(value, times):
    if times < 0:
        raise ValueError("times is below 0")
    for _ in range(times):
        print(value, "of", times)

@jit
def twice(value, times):
    shout(value, times)
    shout(value, times)

if __name__ == "__main__":
    twice(0.5, 2)
    try:
        twice(0.5, -1)
    except ValueError as error:
        print(error)
    print(sum(twice.called_from_python.stats.cache_hits.values()))
"""

CALLING = """
from shouting import shout
from dnnmig_env.compiling.jit import jit

@jit
def once(value, times):
    shout(value, times)

once(1.5, 1)
print(sum(shout.stats.cache_hits.values()))
"""

Run = Callable[[str], list[str]]


@jit
def _half(value: float) -> float:
    return value / 2


@jit_without_refcounts
def _quarter(value: float) -> float:
    return _half(_half(value))


@jit
def _eighth(value: float) -> float:
    return _quarter(value) / 2


def test_only_what_python_calls_has_machine_code() -> None:
    assert _eighth(8.0) == 1.0
    for inner in (_half, _quarter):
        inner.compile((types.float64,))  # type: ignore[attr-defined]  # finds it, or loads it where the caller was loaded
        (result,) = inner.overloads.values()  # type: ignore[attr-defined]
        assert isinstance(library_of(result), InnerLibrary)
    (result,) = _eighth.called_from_python.overloads.values()  # type: ignore[attr-defined]
    assert not isinstance(library_of(result), InnerLibrary)
    assert _quarter(8.0) == 2.0  # as an outer function of its own


def test_inner_functions_print_and_raise_when_compiled_and_when_loaded(run: Run) -> None:
    for hits in (0, 1):
        assert run("shouting.py") == ["0.5 of 2"] * 4 + ["times is below 0", str(hits)]


def test_new_callers_use_inner_functions_that_were_stored(run: Run) -> None:
    run("shouting.py")
    assert run("calling.py") == ["1.5 of 1", "1"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run one of the programs in a process of its own and return the lines that it prints; they share one cache."""
    (tmp_path / "shouting.py").write_text(SHOUTING)
    (tmp_path / "calling.py").write_text(CALLING)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(SOURCES)}

    def run(program: str) -> list[str]:
        words = [sys.executable, program]
        found = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert found.returncode == 0, found.stderr
        return found.stdout.splitlines()

    return run
