"""The decorators: compiled code divides by zero as NumPy does, and has wrappers only where Python calls it."""

from __future__ import annotations

import math

import pytest

from dnnmig_env.compiling.jit import jit, jit_without_refcounts


@jit
def _by(one: float, other: float) -> float:
    return one / other


@jit_without_refcounts
def _by_without_refcounts(one: float, other: float) -> float:
    return one / other


@jit
def _half_by(one: float, other: float) -> float:
    return 0.5 * _by(one, other)


def test_what_compiled_functions_call_gets_a_wrapper_only_when_python_calls_it_too() -> None:
    assert _half_by(6.0, 3.0) == 1.0
    assert "called_from_python" not in vars(_by)
    assert _by(6.0, 3.0) == 2.0
    assert len(vars(_by)["called_from_python"].signatures) == 1
    assert _half_by(8.0, 2.0) == 2.0


@pytest.mark.parametrize("divide", [_by, _by_without_refcounts])
def test_division_by_zero_gives_infinity_or_nan(divide) -> None:
    assert divide(1.0, 0.0) == math.inf
    assert divide(-1.0, 0.0) == -math.inf
    assert math.isnan(divide(0.0, 0.0))
