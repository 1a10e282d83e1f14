"""The decorators: compiled code divides by zero as NumPy does, not as Python."""

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


@pytest.mark.parametrize("divide", [_by, _by_without_refcounts])
def test_division_by_zero_gives_infinity_or_nan(divide) -> None:
    assert divide(1.0, 0.0) == math.inf
    assert divide(-1.0, 0.0) == -math.inf
    assert math.isnan(divide(0.0, 0.0))
